"""Print how fast a config trains: stock, with each measure for speed alone, with all, as configured.

Whole iterations, data included, in turns. torch.compile takes minutes on a CPU before its first
iteration: name --measures to leave it out.
"""

import argparse
import sys

from mmdet_ext.utils.arguments import add_override_arguments, count
from mmdet_ext.utils.errors import clear_errors


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'config', nargs='?', default='ext/psd_yolo.py', help='config file (default: %(default)s)'
    )
    parser.add_argument(
        '--measures',
        nargs='*',
        metavar='NAME',
        help='some of "channels last", bfloat16, "fused optimizer", "data in the main process", "a '
        'worker per core", "OpenCV threads", "decoded images kept", "pinned memory", "pinned and '
        'non-blocking", torch.compile (default: all, those of copies to a GPU only if there is one)',
    )
    parser.add_argument(
        '--iterations', type=count, default=8, help='timed in each turn (default: %(default)s)'
    )
    parser.add_argument(
        '--rounds', type=count, default=5, help='turns of each (default: %(default)s)'
    )
    add_override_arguments(parser)
    return parser.parse_args(argv)


def main(argv: list[str]) -> None:
    with clear_errors('--traceback' in argv):
        args = parse_args(argv)
        from rich.console import Console  # noqa: PLC0415 (--help answers at once)

        from mmdet_ext.apis.run import load_config  # noqa: PLC0415
        from mmdet_ext.apis.speed_benchmark import benchmark_speed, speed_tables  # noqa: PLC0415

        cfg = load_config(args.config, args.cfg_options)
        report = benchmark_speed(cfg, args.measures, args.iterations, args.rounds)
    Console().print(speed_tables(report))


if __name__ == '__main__':
    main(sys.argv[1:])
