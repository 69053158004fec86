"""Make a set of synthetic surround-view parking scenes, labels in parking-slot COCO.

An interrupted run is gone on with by the same command. With --sheet: one picture of many scenes
instead of a set.
"""

import argparse
from pathlib import Path

import cv2

from mmdet_ext.datasets.surround_view.dataset import SPLITS, make_dataset
from mmdet_ext.datasets.surround_view.presets import PRESETS
from mmdet_ext.datasets.surround_view.sheet import contact_sheet


def parse_args(argv):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--preset', default='plain', help=f'one of {", ".join(PRESETS)} (default: %(default)s)'
    )
    parser.add_argument(
        '--size', type=int, help="image height in pixels; the width follows (default: the preset's)"
    )
    parser.add_argument(
        '--seed', type=int, default=0, help='same seed, same images (default: %(default)s)'
    )
    files = parser.add_argument_group('set')
    files.add_argument(
        '--out', default='data/surround_view', help='folder to write (default: %(default)s)'
    )
    for split, name in (('train', 'training'), ('val', 'validation')):
        files.add_argument(
            f'--{split}',
            type=int,
            default=SPLITS[split],
            help=f'{name} images, 0 for none (default: %(default)s)',
        )
    files.add_argument('--workers', type=int, help='processes (default: one per core)')
    files.add_argument(
        '--overwrite',
        action='store_true',
        help='begin anew, and replace another set that is in the folder',
    )
    sheet = parser.add_argument_group('contact sheet')
    sheet.add_argument('--sheet', metavar='FILE', help='picture to write (.png or .jpg)')
    sheet.add_argument('--count', type=int, default=12, help='scenes on it (default: %(default)s)')
    sheet.add_argument(
        '--columns', type=int, default=4, help='scenes in a row (default: %(default)s)'
    )
    sheet.add_argument('--labels', action='store_true', help='draw the labels')
    return parser, parser.parse_args(argv)


def main(argv=None):
    parser, args = parse_args(argv)
    try:
        if args.sheet:
            write_sheet(args)
        else:
            write_set(args)
    except (ValueError, OSError) as error:
        parser.exit(1, f'error: {error}\n')
    except KeyboardInterrupt:
        parser.exit(130, 'Interrupted; the same command goes on with the finished images.\n')


def write_set(args):
    counts = {'train': args.train, 'val': args.val}
    splits = {split: count for split, count in counts.items() if count}
    make_dataset(args.out, splits, args.preset, args.size, args.seed, args.workers, args.overwrite)


def write_sheet(args):
    if Path(args.sheet).suffix.lower() not in ('.png', '.jpg', '.jpeg'):
        raise ValueError(f'--sheet is {args.sheet}; expected a file name in .png or .jpg.')
    overrides = {} if args.size is None else {'size': args.size}
    picture = contact_sheet(
        args.preset, args.count, args.columns, args.seed, args.labels, overrides
    )
    Path(args.sheet).parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(args.sheet, picture):
        raise OSError(f'could not write {args.sheet}; check the free space and permissions there.')


if __name__ == '__main__':
    main()
