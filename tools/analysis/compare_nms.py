"""Print what each NMS is worth: AP and recall of one detector's boxes after each of them."""

import argparse
import sys

from mmdet_ext.utils.arguments import add_device_argument, add_override_arguments, count
from mmdet_ext.utils.errors import clear_errors


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file of a detector of boxes')
    parser.add_argument('checkpoint', help='trained with it')
    parser.add_argument(
        '--variants', nargs='+', metavar='NAME', help='as of benchmark_nms.py (default: all)'
    )
    parser.add_argument('--iou-threshold', type=float, default=0.5, help='(default: %(default)s)')
    parser.add_argument(
        '--max-per-img', type=count, default=100, help='boxes kept (default: %(default)s)'
    )
    add_device_argument(parser)
    add_override_arguments(parser)
    return parser.parse_args(argv)


def main(argv: list[str]) -> None:
    with clear_errors('--traceback' in argv):
        args = parse_args(argv)
        from rich.console import Console  # noqa: PLC0415 (--help answers at once)

        from mmdet_ext.apis.nms_comparison import (  # noqa: PLC0415
            compare_nms,
            comparison_table,
        )

        results = compare_nms(
            args.config,
            args.checkpoint,
            args.variants,
            args.iou_threshold,
            args.max_per_img,
            args.device,
            args.cfg_options,
        )
    Console().print(comparison_table(results))


if __name__ == '__main__':
    main(sys.argv[1:])
