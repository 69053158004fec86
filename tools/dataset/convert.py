"""Convert a data set to COCO: OUT/train.json and OUT/val.json, or one file per split it comes with.

Images are not copied; OUT is the `data_root` of the config. Call it again to go on after a break.
"""

import argparse

from mmengine.config import DictAction
from rich.console import Console

from mmdet_ext.datasets.formats.convert import READERS, WRITERS, convert


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument('format', choices=sorted(READERS), help='format of the data set')
    parser.add_argument('source', metavar='IN', help='folder or file of the data set')
    parser.add_argument('target', metavar='OUT', help='folder to write to')
    parser.add_argument(
        '--val-fraction',
        type=float,
        default=0.2,
        help='share for validation where the data set has no split: the last of each sequence',
    )
    parser.add_argument(
        '--holdout',
        nargs='+',
        default=(),
        metavar='SEQUENCE',
        help='validate on these whole sequences instead of on a block of each',
    )
    parser.add_argument(
        '--options',
        nargs='+',
        action=DictAction,
        default={},
        metavar='KEY=VALUE',
        help="the format's own options, e.g. min_size=8; a wrong key prints them",
    )
    parser.add_argument('--to', choices=sorted(WRITERS), default='coco', help='format to write')
    parser.add_argument('--workers', type=int, help='processes; default: one per core')
    args = parser.parse_args()
    try:
        table = convert(
            args.format,
            args.source,
            args.target,
            val_fraction=args.val_fraction,
            holdout=args.holdout,
            options=args.options,
            to=args.to,
            num_workers=args.workers,
        )
    except (ValueError, OSError) as error:
        parser.exit(1, f'{error}\n')
    Console().print(table)


if __name__ == '__main__':
    main()
