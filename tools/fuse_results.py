"""Fuse the detections of several models by weighted box fusion, and compare their average precision.

RESULT: COCO results (A.bbox.json, which `outfile_prefix` of CocoMetric writes), or the pickle of
tools/test.py --out.
"""

import argparse
import sys

from mmdet_ext.utils.arguments import add_traceback_argument
from mmdet_ext.utils.errors import clear_errors


def parse_args(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('results', nargs='+', metavar='RESULT', help='two or more result files')
    parser.add_argument(
        '--out', required=True, metavar='FUSED.bbox.json', help='COCO results to write'
    )
    parser.add_argument(
        '--annotations',
        metavar='ANN.json',
        help='COCO file of the images, to evaluate; needed for pickles',
    )
    parser.add_argument(
        '--classes', nargs='+', help='classes of the models, if the COCO file has more than these'
    )
    parser.add_argument(
        '--weights', nargs='+', type=float, help='of the models (default: all count the same)'
    )
    parser.add_argument(
        '--iou-threshold',
        type=float,
        default=0.55,
        help='overlap from which boxes are fused (default: %(default)s)',
    )
    parser.add_argument(
        '--skip-threshold',
        type=float,
        default=0.0,
        help='leave out boxes that score less (default: %(default)s)',
    )
    parser.add_argument(
        '--score-mode',
        default='avg',
        help='score of a fused box: avg, max, box_and_model_avg or absent_model_aware_avg '
        '(default: %(default)s)',
    )
    parser.add_argument('--workers', type=int, help='processes (default: one per core)')
    add_traceback_argument(parser)
    return parser.parse_args(argv)


def main(argv: list[str]) -> None:
    args = parse_args(argv)
    with clear_errors(args.traceback):
        from rich.console import Console  # noqa: PLC0415

        from mmdet_ext.apis.result_fusion import fuse_results  # noqa: PLC0415 (--help at once)

        report = fuse_results(
            args.results,
            args.out,
            weights=args.weights,
            iou_threshold=args.iou_threshold,
            skip_threshold=args.skip_threshold,
            score_mode=args.score_mode,
            annotations=args.annotations,
            classes=args.classes,
            num_workers=args.workers,
        )
        Console().print(report.table)
    for warning in report.warnings:
        print(f'warning: {warning}', file=sys.stderr)
    print(f'written to {args.out}')


if __name__ == '__main__':
    main(sys.argv[1:])
