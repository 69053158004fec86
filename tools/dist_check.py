"""Check in 20 s whether the ranks of a distributed run can talk, and how fast.

Start it as the training is started: tools/dist_run.sh N tools/dist_check.py
"""

import argparse
import os
import sys

from mmdet_ext.utils.errors import clear_errors


def parse_args(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--backend', choices=['nccl', 'gloo'], help='default: NCCL with GPUs, gloo without'
    )
    parser.add_argument(
        '--timeout', type=float, default=10, help='seconds to wait for others (default: 10)'
    )
    return parser.parse_args(argv)


def main(argv: list[str]) -> None:
    args = parse_args(argv)
    with clear_errors():
        from rich.console import Console  # noqa: PLC0415 (--help answers at once)

        from mmdet_ext.apis.dist_check import (  # noqa: PLC0415
            check_ranks,
            describe_rank,
            exchange_table,
        )

        found = check_ranks(args.backend, args.timeout)
        print(describe_rank(), flush=True)
        if os.environ['RANK'] == '0':
            Console().print(exchange_table(found))


if __name__ == '__main__':
    main(sys.argv[1:])
