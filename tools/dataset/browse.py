"""Draw a dataset as contact sheets (PNG): its annotations, or what a pipeline makes of them.

browse.py CONFIG                 annotations of the training data
browse.py ANN.json --images DIR  annotations of a file in COCO or parking-slot COCO
browse.py CONFIG --stages        every transform of the pipeline, one row per image
browse.py CONFIG --repeat 4      one image 4 x 4 times through the whole pipeline
"""

import argparse
import sys

from mmdet_ext.utils.arguments import add_override_arguments
from mmdet_ext.utils.errors import clear_errors


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('source', metavar='CONFIG|ANN', help='config file or .json annotations')
    parser.add_argument('--images', metavar='DIR', help="of ANN's images (default: ANN's folder)")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument('--stages', action='store_true', help='one column per transform')
    mode.add_argument('--repeat', type=int, metavar='N', help='one image N x N times')
    parser.add_argument(
        '--split', choices=('train', 'val', 'test'), default='train', help='(default: %(default)s)'
    )
    parser.add_argument(
        '--pipeline',
        metavar='KEY',
        help="of the config, e.g. tta_pipeline (default: the dataset's)",
    )
    which = parser.add_argument_group('which images')
    which.add_argument('--index', type=int, nargs='+', default=(), help='these')
    which.add_argument(
        '--select', metavar='PATTERN', help='whose path ends like this, e.g. "garage/*.jpg"'
    )
    which.add_argument('--condition', nargs='+', default=(), help='of these conditions or tags')
    which.add_argument('--class', nargs='+', default=(), dest='classes', help='that show these')
    which.add_argument(
        '--number',
        type=int,
        help='at most, drawn at random; 0: all (default: 24; 6 with --stages, 1 with --repeat)',
    )
    which.add_argument(
        '--seed', type=int, default=0, help='of images and augmentations (default: %(default)s)'
    )
    sheet = parser.add_argument_group('sheets')
    sheet.add_argument(
        '--out', default='work_dirs/browse', help='folder or FILE.png (default: %(default)s)'
    )
    sheet.add_argument(
        '--scale', type=float, help='of the drawings (default: legible, whatever the image size)'
    )
    sheet.add_argument('--columns', type=int, help='annotations in a row (default: what fits)')
    sheet.add_argument('--rows', type=int, help='on a sheet (default: what fits)')
    sheet.add_argument('--show', action='store_true', help='open a window for each sheet, too')
    add_override_arguments(parser)
    return parser.parse_args(argv)


def main(argv: list[str]) -> None:
    with clear_errors('--traceback' in argv):
        args = parse_args(argv)
        from mmdet_ext.apis.browse import browse  # noqa: PLC0415 (--help answers at once)

        report = browse(
            args.source,
            'stages' if args.stages else 'annotations' if args.repeat is None else 'repeat',
            images=args.images,
            split=args.split,
            pipeline=args.pipeline,
            repeat=3 if args.repeat is None else args.repeat,
            index=args.index,
            name=args.select,
            conditions=args.condition,
            classes=args.classes,
            number=args.number,
            seed=args.seed,
            scale=args.scale,
            columns=args.columns,
            rows=args.rows,
            out=args.out,
            show=args.show,
            cfg_options=args.cfg_options,
        )
    for path, error in report.failures.items():
        print(f'failed: {path}: {type(error).__name__}: {" ".join(str(error).split())}')
    failed = f', {len(report.failures)} of them failed' if report.failures else ''
    sheets = '1 sheet' if len(report.files) == 1 else f'{len(report.files)} sheets'
    print(f'{report.counts()}{failed}, on {sheets}:')
    print(*report.files, sep='\n')


if __name__ == '__main__':
    main(sys.argv[1:])
