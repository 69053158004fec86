"""Train the model of a config once per fold and print mean and spread of every metric.

Called again, it skips finished folds and goes on with an unfinished one. Exits with 1 if a fold broke.
"""

import argparse
import sys

from mmdet_ext.utils.arguments import add_config_arguments, add_training_arguments
from mmdet_ext.utils.errors import clear_errors


def parse_args(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file')
    parser.add_argument('--folds', type=int, default=5, help='number of folds (default: 5)')
    parser.add_argument(
        '--fold-dir', help='folder that tools/dataset/split.py --folds wrote, to use instead'
    )
    parser.add_argument(
        '--ann-file',
        help='which annotation file to make folds of, if the config trains on several',
    )
    parser.add_argument(
        '--stratify',
        nargs='+',
        default=(),
        metavar='WHAT',
        help='share out evenly: class, condition, another key or tag of images',
    )
    parser.add_argument(
        '--group',
        help='keep together what has the same value of this key of images (e.g. group), or of this '
        'regular expression on file_name',
    )
    parser.add_argument('--seed', type=int, default=0, help='same seed, same folds (default: 0)')
    add_training_arguments(parser)
    add_config_arguments(parser)
    return parser.parse_args(argv)


def main(argv: list[str]) -> None:
    with clear_errors('--traceback' in argv):
        options = vars(parse_args(argv))
        options.pop('traceback')
        from rich.console import Console  # noqa: PLC0415 (--help answers at once)

        from mmdet_ext.apis.kfold import train_folds  # noqa: PLC0415

        report = train_folds(**options)
        Console().print(report.table())
    for fold, reason in report.errors.items():
        print(f'error: {fold} is broken: {reason}', file=sys.stderr)
    sys.exit(bool(report.errors))


if __name__ == '__main__':
    main(sys.argv[1:])
