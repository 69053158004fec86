"""Convert a data set to parking-slot COCO: OUT/train.json and OUT/val.json.

Images are not copied; OUT is the `data_root` of the config.
"""

import argparse

from rich.console import Console

from mmdet_ext.datasets.formats.convert import READERS, convert


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument('format', choices=sorted(READERS), help='format of the data set')
    parser.add_argument('source', metavar='IN', help='folder of the data set')
    parser.add_argument('target', metavar='OUT', help='folder to write to')
    parser.add_argument(
        '--val-fraction', type=float, default=0.2, help='last share of each sequence for validation'
    )
    parser.add_argument(
        '--holdout',
        nargs='+',
        default=(),
        metavar='SEQUENCE',
        help='validate on these whole sequences instead of on a block of each',
    )
    args = parser.parse_args()
    try:
        table = convert(
            args.format,
            args.source,
            args.target,
            val_fraction=args.val_fraction,
            holdout=args.holdout,
        )
    except (ValueError, OSError) as error:
        parser.exit(1, f'{error}\n')
    Console().print(table)


if __name__ == '__main__':
    main()
