"""Print what optimizers and schedules give on parking slots, with the same budget each.

Eight optimizers at three learning rates each, then five schedules: 28 short trainings.
"""

import argparse
import sys

from mmdet_ext.utils.arguments import add_traceback_argument, count
from mmdet_ext.utils.errors import clear_errors


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--out', default='work_dirs/optimizers', help='folder to write')
    parser.add_argument(
        '--optimizers',
        nargs='+',
        help='some of SGD, momentum, Nesterov, Adagrad, RMSprop, Adam, AdamW, NAdam (default: all)',
    )
    parser.add_argument(
        '--schedules',
        nargs='*',
        help='of AdamW, some of cosine, constant, step, one-cycle, plateau (default: all)',
    )
    parser.add_argument('--seeds', nargs='+', type=int, default=[0], help='one training with each')
    parser.add_argument('--epochs', type=count, default=8, help='(default: %(default)s)')
    parser.add_argument(
        '--images',
        type=count,
        default=400,
        help='train on the first so many (default: %(default)s)',
    )
    parser.add_argument(
        '--size', type=count, default=128, help='side of the input in pixels (default: %(default)s)'
    )
    add_traceback_argument(parser)
    return parser.parse_args(argv)


def main(argv: list[str]) -> None:
    args = parse_args(argv)
    with clear_errors(args.traceback):
        from rich.console import Console  # noqa: PLC0415 (--help answers at once)

        from mmdet_ext.apis.optimizer_comparison import (  # noqa: PLC0415
            compare_optimizers,
            comparison_tables,
        )

        result = compare_optimizers(
            args.out,
            args.optimizers,
            args.schedules,
            args.seeds,
            args.epochs,
            args.images,
            args.size,
        )
    Console().print(comparison_tables(result))
    print(f'{args.out}/results.png shows slot AP by learning rate; results.json has all numbers.')


if __name__ == '__main__':
    main(sys.argv[1:])
