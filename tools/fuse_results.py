"""Fuse the detections of several models, and compare their metrics with those of the fusion.

RESULT: COCO results (A.bbox.json, which `outfile_prefix` of CocoMetric writes), or the pickle of
tools/test.py --out. Boxes are fused by weighted box fusion; with --slots parking slots and marking
points are, by the distance of entrance corners and points, and the fusion is such a pickle, too.
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
        '--out',
        required=True,
        metavar='FUSED.bbox.json',
        help='COCO results to write; with --slots a pickle, FUSED.pkl',
    )
    parser.add_argument(
        '--slots', action='store_true', help='fuse slots and marking points (needs --annotations)'
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
    slots = parser.add_argument_group('with --slots', 'In pixels of a 600-pixel-high image:')
    slots.add_argument(
        '--point-radius', type=float, default=10.0, help='points so close are one (default: 10)'
    )
    slots.add_argument(
        '--slot-radius',
        type=float,
        default=30.0,
        help='slots whose entrance corners are so close are one (default: 30)',
    )
    add_traceback_argument(parser)
    args = parser.parse_args(argv)
    if args.slots and not args.annotations:
        parser.error('--slots needs --annotations, the parking-slot COCO file of the images')
    return args


def _fuse_boxes(args: argparse.Namespace):
    from mmdet_ext.apis.result_fusion import fuse_results  # noqa: PLC0415 (--help at once)

    return fuse_results(
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


def _fuse_slots(args: argparse.Namespace):
    from mmdet_ext.apis.slot_fusion import fuse_slot_results  # noqa: PLC0415

    return fuse_slot_results(
        args.results,
        args.out,
        args.annotations,
        weights=args.weights,
        point_radius=args.point_radius,
        slot_radius=args.slot_radius,
    )


def main(argv: list[str]) -> None:
    args = parse_args(argv)
    with clear_errors(args.traceback):
        from rich.console import Console  # noqa: PLC0415

        report = _fuse_slots(args) if args.slots else _fuse_boxes(args)
        Console().print(report.table)
    for warning in report.warnings:
        print(f'warning: {warning}', file=sys.stderr)
    print(f'written to {args.out}')


if __name__ == '__main__':
    main(sys.argv[1:])
