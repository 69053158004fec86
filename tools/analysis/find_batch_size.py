"""Find a batch size for a config: try training steps, plot throughput and memory, suggest.

Doubles the batch until memory runs out, then bisects. On the CPU the largest size may be an estimate by
the memory of smaller ones; it is said when it is.
"""

import argparse
import sys

from mmdet_ext.utils.arguments import add_override_arguments, count
from mmdet_ext.utils.errors import clear_errors


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', metavar='CONFIG', help='config file')
    parser.add_argument(
        '--most', type=count, default=64, help='greatest batch to try (default: %(default)s)'
    )
    parser.add_argument(
        '--limit',
        type=float,
        metavar='GIB',
        help='that may be taken (default: what is free on the GPU, or 80%% of what the machine has free)',
    )
    parser.add_argument(
        '--repeats', type=count, default=2, help='timed steps of each (default: %(default)s)'
    )
    parser.add_argument('--out', metavar='PNG', help='(default: work_dirs/<config>/batch_size.png)')
    add_override_arguments(parser)
    return parser.parse_args(argv)


def main(argv: list[str]) -> None:
    with clear_errors('--traceback' in argv):
        args = parse_args(argv)
        from rich.console import Console  # noqa: PLC0415 (--help answers at once)

        from mmdet_ext.apis.finders import batch_size_report  # noqa: PLC0415

        with Console(stderr=True).status(f'trying batches of {args.config}'):
            report = batch_size_report(
                args.config,
                args.out,
                most=args.most,
                limit=args.limit,
                repeats=args.repeats,
                cfg_options=args.cfg_options,
            )
        print(report)


if __name__ == '__main__':
    main(sys.argv[1:])
