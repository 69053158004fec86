"""Report on predictions of any detector: curves, confusion, error types, worst and best images.

Writes report.html (one file, nothing else needed), results.json, results.csv and the plots as PNG.
"""

import argparse

from mmdet_ext.utils.arguments import add_traceback_argument
from mmdet_ext.utils.errors import clear_errors


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('results', metavar='RESULTS.pkl', help='written by tools/test.py --out')
    parser.add_argument('ann_file', metavar='ANN.json', help='COCO file of the predicted images')
    parser.add_argument('out_dir', metavar='OUT', help='folder to write')
    parser.add_argument(
        '--images',
        metavar='DIR',
        help='folder of the images (default: where they were predicted, or beside the COCO file)',
    )
    parser.add_argument(
        '--classes', nargs='+', help='classes of the model, if the COCO file has more than these'
    )
    parser.add_argument(
        '--iou-thr',
        type=float,
        default=0.5,
        help='least overlap of a right prediction (default: 0.5)',
    )
    parser.add_argument(
        '--score-thr',
        type=float,
        help='score from which predictions count (default: that of the best F1)',
    )
    parser.add_argument(
        '--pictures',
        type=int,
        default=12,
        help='worst and best images in the gallery (default: 12)',
    )
    parser.add_argument('--title', default='Detection report', help='of the page')
    add_traceback_argument(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with clear_errors(args.traceback):
        from mmdet_ext.apis.report import make_report  # noqa: PLC0415 (--help answers at once)

        make_report(
            args.results,
            args.ann_file,
            args.out_dir,
            images=args.images,
            classes=args.classes,
            iou_threshold=args.iou_thr,
            score_threshold=args.score_thr,
            pictures=args.pictures,
            title=args.title,
        )
    print(f'{args.out_dir}/report.html')


if __name__ == '__main__':
    main()
