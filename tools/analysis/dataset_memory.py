"""Print memory and time to the first batch of ColumnarDataset beside stock CocoDataset.

Both read the same synthetic annotations in fresh processes: ranks of a distributed run with loader
workers. Where memory does not suffice for CocoDataset, it gets fewer images.
"""

import argparse

from rich.console import Console

from mmdet_ext.utils.arguments import count
from mmdet_ext.utils.errors import clear_errors


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument('--images', type=count, default=1_000_000, help='images of the set')
    parser.add_argument('--boxes', type=count, default=7, help='mean number of boxes per image')
    parser.add_argument('--ranks', type=count, default=2, help='processes of the distributed run')
    parser.add_argument('--workers', type=int, default=4, help='loader workers of each')
    parser.add_argument('--batches', type=count, default=100, help='taken before memory is read')
    parser.add_argument(
        '--folder', default='work_dirs/dataset_memory', help='of the annotations, which are kept'
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    console = Console(stderr=True)
    with clear_errors():
        from mmdet_ext.apis.dataset_memory import (  # noqa: PLC0415 (--help answers at once)
            compare,
            footprint_table,
        )

        found = []
        for name, footprint in compare(**vars(args)):
            console.print(f'{name}: {footprint.first_batch:.1f} s to the first batch')
            found.append((name, footprint))
    title = f'{args.ranks} ranks x {args.workers} workers, {args.boxes} boxes per image'
    Console().print(footprint_table(found, title))


if __name__ == '__main__':
    main()
