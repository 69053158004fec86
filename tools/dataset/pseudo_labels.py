"""Turn confident predictions of tools/test.py --out into a COCO file to train on."""

import argparse

from mmengine.config import DictAction
from rich.console import Console

from mmdet_ext.datasets.pseudo_labels import export_pseudo_labels


def parse_args(argv):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('predictions', metavar='PREDICTIONS.pkl', help='from tools/test.py --out')
    parser.add_argument(
        'images',
        metavar='IMAGES.json',
        help='COCO file predicted on (for a folder: tools/dataset/convert.py images)',
    )
    parser.add_argument('out', metavar='OUT.json', help='COCO file to write')
    parser.add_argument('--score', type=float, required=True, help='least score of a box, 0 to 1')
    parser.add_argument(
        '--class-scores',
        nargs='+',
        action=DictAction,
        default={},
        metavar='CLASS=SCORE',
        help='least score of some classes instead',
    )
    parser.add_argument(
        '--classes',
        nargs='+',
        metavar='CLASS',
        help='classes of the model, if these are not all categories of IMAGES.json',
    )
    parser.add_argument(
        '--evaluated-on',
        nargs='+',
        default=(),
        metavar='FILE',
        help='COCO files or configs of your evaluation; their images are refused',
    )
    parser.add_argument(
        '--allow-evaluation-set',
        action='store_true',
        help='label images although they are evaluated on',
    )
    return parser, parser.parse_args(argv)


def main(argv=None):
    parser, args = parse_args(argv)
    try:
        table = export_pseudo_labels(
            args.predictions,
            args.images,
            args.out,
            args.score,
            class_scores=args.class_scores,
            classes=args.classes,
            evaluated_on=args.evaluated_on,
            evaluation_set_allowed=args.allow_evaluation_set,
        )
    except (ValueError, OSError) as error:
        parser.exit(1, f'error: {error}\n')
    Console().print(table)


if __name__ == '__main__':
    main()
