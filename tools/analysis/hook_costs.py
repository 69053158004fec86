"""Print what each hook of a config costs per training iteration."""

import argparse
import sys

from mmdet_ext.utils.arguments import add_override_arguments, count
from mmdet_ext.utils.errors import clear_errors


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'config', nargs='?', default='ext/psd_yolo.py', help='config file (default: %(default)s)'
    )
    parser.add_argument('--iterations', type=count, default=50, help='(default: %(default)s)')
    add_override_arguments(parser)
    return parser.parse_args(argv)


def main(argv: list[str]) -> None:
    with clear_errors('--traceback' in argv):
        args = parse_args(argv)
        from rich.console import Console  # noqa: PLC0415 (--help answers at once)

        from mmdet_ext.apis.hook_costs import (  # noqa: PLC0415
            costs_table,
            measure_hook_costs,
        )

        costs = measure_hook_costs(args.config, args.iterations, args.cfg_options)
    Console().print(costs_table(costs))


if __name__ == '__main__':
    main(sys.argv[1:])
