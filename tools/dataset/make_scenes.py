"""Make synthetic surround-view parking scenes with labels in parking-slot COCO."""

import argparse

from mmdet_ext.datasets.surround_view.dataset import SPLITS, make_dataset


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument('--out', default='data/surround_view', help='folder to write')
    parser.add_argument('--train', type=int, default=SPLITS['train'], help='training images')
    parser.add_argument('--val', type=int, default=SPLITS['val'], help='validation images')
    parser.add_argument('--size', type=int, default=512, help='image width and height in pixels')
    parser.add_argument('--seed', type=int, default=0, help='same seed, same images')
    parser.add_argument('--workers', type=int, help='processes (default: one per core)')
    return parser.parse_args()


def main():
    args = parse_args()
    counts = {'train': args.train, 'val': args.val}
    splits = {split: count for split, count in counts.items() if count}
    make_dataset(args.out, splits, args.size, args.seed, args.workers)


if __name__ == '__main__':
    main()
