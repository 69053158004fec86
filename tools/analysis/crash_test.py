"""Kill a small training at random moments, resume it each time, and compare what comes out.

The result has to be, bit for bit, that of a training which nobody disturbed.
"""

import argparse
import sys

from mmdet_ext.utils.arguments import add_override_arguments, count
from mmdet_ext.utils.errors import clear_errors


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'config', nargs='?', default='ext/psd_yolo_tiny.py', help='(default: %(default)s)'
    )
    parser.add_argument('--kills', type=count, default=200, help='(default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='of the moments (default: %(default)s)')
    parser.add_argument('--out', default='work_dirs/crash_test', help='(default: %(default)s)')
    add_override_arguments(parser)
    return parser.parse_args(argv)


def main(argv: list[str]) -> None:
    with clear_errors('--traceback' in argv):
        args = parse_args(argv)
        from mmdet_ext.apis.crash_test import crash_test  # noqa: PLC0415 (--help answers at once)

        result = crash_test(args.out, args.kills, args.config, args.cfg_options, args.seed)
    kinds = ', '.join(f'{count} by {name}' for name, count in sorted(result.kills.items()))
    print(f'{result.kills.total()} kills ({kinds}), {result.trainings} trainings to the end.')
    for problem in result.problems:
        print(f'error: {problem}', file=sys.stderr)
    if result.problems:
        raise SystemExit(1)
    print('All were resumed, and ended with equal weights, optimizer, averages and random states.')


if __name__ == '__main__':
    main(sys.argv[1:])
