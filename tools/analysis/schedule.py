"""Plot the learning rate, and the momentum, of whole trainings before they start.

Nothing is trained: the config's optimizer and schedules step as they would, parameter groups and
warm-up included. A rate that waits for a plateau depends on the validations and is drawn without them.
"""

import argparse
import sys

from mmdet_ext.utils.arguments import add_override_arguments
from mmdet_ext.utils.errors import clear_errors


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('configs', nargs='+', metavar='CONFIG', help='config file')
    parser.add_argument(
        '--out', metavar='PNG', help='(default: work_dirs/<first config>/schedule.png)'
    )
    parser.add_argument(
        '--epoch-length',
        type=int,
        metavar='ITERATIONS',
        help='iterations of an epoch (default: counted from the training data)',
    )
    add_override_arguments(parser)
    return parser.parse_args(argv)


def main(argv: list[str]) -> None:
    with clear_errors('--traceback' in argv):
        args = parse_args(argv)
        from mmdet_ext.apis.schedule_plot import schedule_report  # noqa: PLC0415 (--help answers at once)

        report = schedule_report(
            args.configs, args.out, epoch_length=args.epoch_length, cfg_options=args.cfg_options
        )
    print(report)


if __name__ == '__main__':
    main(sys.argv[1:])
