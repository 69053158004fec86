"""Find a learning rate for a config: sweep over all magnitudes, plot the loss, suggest.

Trains a model of its own for the steps of the sweep; nothing but the plot is written.
"""

import argparse
import sys

from mmdet_ext.utils.arguments import add_override_arguments, count
from mmdet_ext.utils.errors import clear_errors


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', metavar='CONFIG', help='config file')
    parser.add_argument('--lowest', type=float, default=1e-6, help='(default: %(default)g)')
    parser.add_argument('--highest', type=float, default=1.0, help='(default: %(default)g)')
    parser.add_argument(
        '--steps', type=count, default=100, help='of the optimizer (default: %(default)s)'
    )
    parser.add_argument(
        '--divergence',
        type=float,
        default=4,
        help='end at so many times the lowest loss (default: %(default)s)',
    )
    parser.add_argument(
        '--out', metavar='PNG', help='(default: work_dirs/<config>/learning_rate.png)'
    )
    add_override_arguments(parser)
    return parser.parse_args(argv)


def main(argv: list[str]) -> None:
    with clear_errors('--traceback' in argv):
        args = parse_args(argv)
        from rich.console import Console  # noqa: PLC0415 (--help answers at once)

        from mmdet_ext.apis.finders import learning_rate_report  # noqa: PLC0415

        with Console(stderr=True).status(f'sweeping over learning rates of {args.config}'):
            report = learning_rate_report(
                args.config,
                args.out,
                lowest=args.lowest,
                highest=args.highest,
                steps=args.steps,
                divergence=args.divergence,
                cfg_options=args.cfg_options,
            )
        print(report)


if __name__ == '__main__':
    main(sys.argv[1:])
