"""Check a data set before it is trained on: annotations, images, splits, and a config against them.

The exit code is 0 if training makes sense (warnings or none) and 1 if it does not.
"""

import argparse
import sys

from mmdet_ext.utils.arguments import add_override_arguments
from mmdet_ext.utils.errors import clear_errors

COLOURS = {'error': 'bold red', 'warning': 'yellow', 'note': 'dim'}


def parse_args(argv):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'annotations',
        nargs='*',
        metavar='ANN',
        help='COCO files, one per split (default: those that the config names)',
    )
    parser.add_argument('--config', help='config to compare the classes and heads with')
    parser.add_argument(
        '--images',
        metavar='DIR|none',
        help='folder that file names are relative to; none: do not look at images '
        "(default: the config's, else that of ANN)",
    )
    parser.add_argument('--report', metavar='OUT', help='write a report, .html or .png')
    parser.add_argument('--workers', type=int, help='processes (default: one per core)')
    add_override_arguments(parser)
    return parser.parse_args(argv)


def main(argv):
    with clear_errors('--traceback' in argv):
        args = parse_args(argv)
        from mmdet_ext.apis.run import load_config  # noqa: PLC0415 (--help answers at once)
        from mmdet_ext.datasets.checks import report  # noqa: PLC0415
        from mmdet_ext.datasets.checks.diagnosis import diagnose  # noqa: PLC0415

        if args.report:
            report.check_report_path(args.report)
        cfg = load_config(args.config, args.cfg_options) if args.config else None
        diagnosis = diagnose(args.annotations, cfg, args.images, args.workers)
        show(diagnosis)
        if args.report:
            report.write_report(args.report, diagnosis)
            print(f'Report: {args.report}')
    return 0 if diagnosis.trainable else 1


def show(diagnosis):
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    from mmdet_ext.datasets.checks.diagnosis import (  # noqa: PLC0415
        overview,
        preprocessor_line,
        verdict,
    )

    console = Console(highlight=False)
    table = Table('file', 'images', 'objects', 'marking points')
    for row in overview(diagnosis):
        table.add_row(*row)
    console.print(table)
    for line in diagnosis.not_checked:
        console.print(line, markup=False, soft_wrap=True)
    for finding in diagnosis.findings:
        console.print(f'{finding.severity:8}', style=COLOURS[finding.severity], end='')
        console.print(finding.sentence, markup=False, soft_wrap=True)
    colours = preprocessor_line(diagnosis)
    if colours:
        console.print(
            f'Colours of all images, for the data_preprocessor: {colours}',
            markup=False,
            soft_wrap=True,
        )
    console.print(verdict(diagnosis), style='bold')


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
