"""Command-line arguments that training and testing share."""

import argparse
import os


def parse_run_arguments(
    parser: argparse.ArgumentParser, argv: list[str] | None = None
) -> argparse.Namespace:
    """Add the arguments of any run to those of ``parser`` and parse the command line.

    Args:
        parser: With the arguments that come before them.
        argv: The command line; by default the process's.

    Returns:
        The arguments, all of which mean what they mean in mmdet. ``LOCAL_RANK`` is set in the
        environment for launchers that pass it as an argument.
    """
    from mmengine.config import DictAction  # noqa: PLC0415 (an error here gets its sentence, too)

    parser.add_argument(
        '--work-dir', help='folder for logs and checkpoints (default: work_dirs/<config>)'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override config values, e.g. train_cfg.max_epochs=3 model.neck.in_channels="[96,192]"',
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='how the processes were started',
    )
    parser.add_argument(
        '--local_rank', '--local-rank', type=int, default=0, help='set by old launchers'
    )
    parser.add_argument(
        '--traceback', action='store_true', help='show the whole traceback of an error'
    )
    args = parser.parse_args(argv)
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args
