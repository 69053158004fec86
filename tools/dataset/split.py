"""Split a COCO file: by ratios, into folds, nested subsets or balanced sets.

Works on any COCO JSON, parking-slot COCO included; ids, `info`, `licenses` and all else are kept.
Images are not copied and their file names stay as they are. To put COCO files together, such as
train and val after tuning, list them under `datasets` of a `ConcatDataset` in the config.
"""

import argparse
import sys

from mmdet_ext.utils.arguments import add_traceback_argument
from mmdet_ext.utils.errors import clear_errors

BELONGS_TO = {
    'names': ['ratios'],
    'cap': ['resamples'],
    'group': ['ratios', 'folds', 'fractions'],
}


def parse_args(argv):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('ann', metavar='ANN', help='COCO JSON')
    parser.add_argument('out', metavar='OUT', help='folder to write to')
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument(
        '--ratios', metavar='6:2:2', help='train.json, val.json and, of three, test.json'
    )
    how.add_argument(
        '--folds', type=int, metavar='K', help='fold_0/train.json, fold_0/val.json ...'
    )
    how.add_argument(
        '--fractions',
        type=float,
        nargs='+',
        metavar='F',
        help='nested subsets for a learning curve, e.g. 0.01 0.05 0.1: subset_0.01.json ...',
    )
    how.add_argument(
        '--resamples',
        type=int,
        metavar='K',
        help='sets with frequent classes under-sampled: resample_0.json ...',
    )
    how.add_argument(
        '--tomek-links',
        metavar='EMBEDDINGS',
        help='.npy with a row for each image: list images too near to one of a rarer class in '
        'tomek_links.txt',
    )
    parser.add_argument('--names', nargs='+', metavar='NAME', help='names of the parts of --ratios')
    parser.add_argument(
        '--stratify',
        nargs='+',
        default=(),
        metavar='WHAT',
        help='share out evenly (of --resamples: balance): class, condition, another key or tag of images',
    )
    parser.add_argument(
        '--group',
        help='keep together what has the same value of this key of images (e.g. group), or of this '
        'regular expression on file_name',
    )
    parser.add_argument(
        '--cap', type=int, help='images per class of --resamples (default: as the rarest has)'
    )
    parser.add_argument('--seed', type=int, default=0, help='same seed, same split (default: 0)')
    add_traceback_argument(parser)
    args = parser.parse_args(argv)
    for option, modes in BELONGS_TO.items():
        if getattr(args, option) and not any(getattr(args, mode) for mode in modes):
            parser.error(f'--{option} goes with {" or ".join("--" + mode for mode in modes)} only')
    return args


def run(args):
    from mmdet_ext.datasets import coco_split  # noqa: PLC0415 (--help answers at once)
    from mmdet_ext.datasets.splits import parse_ratios  # noqa: PLC0415

    options = dict(stratify=args.stratify, group=args.group, seed=args.seed)
    by = args.stratify or ('class',)
    if args.ratios:
        ratios = parse_ratios(args.ratios)
        return coco_split.split_coco(args.ann, args.out, ratios, names=args.names, **options)
    if args.folds is not None:
        return coco_split.fold_coco(args.ann, args.out, args.folds, **options)
    if args.fractions:
        return coco_split.subset_coco(args.ann, args.out, args.fractions, **options)
    if args.resamples is not None:
        return coco_split.resample_coco(
            args.ann, args.out, args.resamples, cap=args.cap, by=by, seed=args.seed
        )
    return coco_split.list_tomek_links(args.ann, args.out, args.tomek_links, by=by)


def main(argv):
    with clear_errors('--traceback' in argv):
        report = run(parse_args(argv))
        from rich.console import Console  # noqa: PLC0415

        Console().print(report.table)
        for warning in report.warnings:
            print(f'warning: {warning}', file=sys.stderr)


if __name__ == '__main__':
    main(sys.argv[1:])
