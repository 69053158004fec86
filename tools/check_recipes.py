"""Check the recipes of configs/ext: the table, the paths and options in it, and that each config trains.

Each recipe is built, trained for two iterations on a few tiny scenes and validated; those that need a
GPU are only built where there is none.
"""

import argparse
import sys

from mmdet_ext.utils.arguments import add_traceback_argument
from mmdet_ext.utils.errors import clear_errors


def parse_args(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--only', nargs='+', default=(), metavar='NAME', help='try those with this in their path'
    )
    parser.add_argument('--table', action='store_true', help='check the table, try no recipe')
    add_traceback_argument(parser)
    return parser.parse_args(argv)


def main(argv: list[str]) -> None:
    with clear_errors('--traceback' in argv):
        args = parse_args(argv)
        from mmdet_ext.apis.recipes import check_recipes  # noqa: PLC0415 (--help answers at once)

        faults = check_recipes(args.only, try_them=not args.table, show_traceback=args.traceback)
    sys.exit(1 if faults else 0)


if __name__ == '__main__':
    main(sys.argv[1:])
