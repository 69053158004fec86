"""Print what each loss is worth: AP and recall of one detector with each, on the same budget."""

import argparse
import sys

from mmdet_ext.utils.arguments import add_traceback_argument, count
from mmdet_ext.utils.errors import clear_errors


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'config',
        nargs='?',
        default='ext/retinanet_parking_slots.py',
        help='one of our configs of a stock detector (default: %(default)s)',
    )
    parser.add_argument(
        '--slot',
        choices=['loss_bbox', 'loss_cls'],
        default='loss_bbox',
        help='of `model.bbox_head` (default: %(default)s)',
    )
    parser.add_argument(
        '--variants',
        nargs='+',
        help='some only, or registered losses (default: L1 IoU GIoU DIoU CIoU, or for loss_cls focal, '
        '"torchvision focal", "focal, alpha < 0", BCE, "smoothed BCE")',
    )
    parser.add_argument('--out', default='work_dirs/loss_comparison', help='folder to write')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0], help='one training with each')
    parser.add_argument('--epochs', type=count, default=8, help='of each training')
    parser.add_argument('--images', type=count, help='train on the first so many (default: all)')
    add_traceback_argument(parser)
    return parser.parse_args(argv)


def main(argv: list[str]) -> None:
    with clear_errors('--traceback' in argv):
        args = parse_args(argv)
        from rich.console import Console  # noqa: PLC0415 (--help answers at once)

        from mmdet_ext.apis.loss_comparison import (  # noqa: PLC0415
            compare_losses,
            comparison_table,
        )

        results = compare_losses(
            args.out, args.slot, args.variants, args.seeds, args.epochs, args.images, args.config
        )
        Console().print(comparison_table(results))
        print(f'{args.out}/results.json has the numbers.')


if __name__ == '__main__':
    main(sys.argv[1:])
