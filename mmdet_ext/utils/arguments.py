"""Command-line arguments that tools share."""

import argparse
import os


def count(text: str) -> int:
    """Parse a number of 1 or more: an argument's ``type``.

    Raises:
        argparse.ArgumentTypeError: It is none.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'{text} is no whole number of 1 or more')
    return int(text)


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
    parser.add_argument(
        '--work-dir', help='folder for logs and checkpoints (default: work_dirs/<config>)'
    )
    add_override_arguments(parser)


def add_override_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--cfg-options`` and ``--traceback``."""
    from mmengine.config import DictAction  # noqa: PLC0415 (an error here gets its sentence, too)

    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override config values, e.g. train_cfg.max_epochs=3 model.neck.in_channels="[96,192]"',
    )
    add_traceback_argument(parser)


def add_traceback_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--traceback``."""
    parser.add_argument(
        '--traceback', action='store_true', help='show the whole traceback of an error'
    )


def add_device_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--device``; None takes a GPU if there is one."""
    parser.add_argument('--device', help='such as cpu or cuda:0 (default: a GPU if there is one)')


def add_layer_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what tools need that look at an image at some layers of a detector."""
    parser.add_argument('image', metavar='IMAGE', help='image file')
    parser.add_argument('config', metavar='CONFIG', help='config file')
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help='trained with CONFIG')
    parser.add_argument(
        '--layers', nargs='+', default=(), metavar='NAME', help="(default: the neck's outputs)"
    )
    parser.add_argument('--list-layers', action='store_true', help='print them, and stop')
    add_device_argument(parser)
    add_override_arguments(parser)


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
