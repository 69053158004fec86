"""Command-line arguments that training, testing and K-fold training share."""

import argparse
import os


def add_training_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--amp`` and ``--auto-scale-lr``."""
    parser.add_argument(
        '--amp', action='store_true', help='mixed precision: float16 on a GPU, bfloat16 on the CPU'
    )
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help="scale the learning rate from the config's auto_scale_lr.base_batch_size to the actual batch size",
    )


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--work-dir``, ``--cfg-options`` and ``--traceback``."""
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
        '--traceback', action='store_true', help='show the whole traceback of an error'
    )


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
    add_config_arguments(parser)
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='how the processes were started',
    )
    parser.add_argument(
        '--local_rank', '--local-rank', type=int, default=0, help='set by old launchers'
    )
    args = parser.parse_args(argv)
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args
