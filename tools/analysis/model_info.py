"""Print a model's layers, parameters, MACs, memory, receptive fields and inference time.

Works with any config. The images are noise: what depends on what is found in them (post-processing, a
second stage) is only as real as the weights, so give a checkpoint for that.
"""

import argparse
import json
import sys

from mmdet_ext.utils.arguments import add_override_arguments, count
from mmdet_ext.utils.errors import clear_errors
from mmdet_ext.utils.files import write_whole


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', nargs='?', help='checkpoint (default: random weights)')
    parser.add_argument(
        '--shape',
        type=int,
        nargs=2,
        metavar=('H', 'W'),
        help='of an image (default: what the test pipeline resizes to)',
    )
    parser.add_argument(
        '--batch-size', type=count, default=1, help='to time beside 1 (default: %(default)s)'
    )
    parser.add_argument(
        '--depth', type=int, default=2, help='of the layer table (default: %(default)s)'
    )
    parser.add_argument('--device', default='cpu', help='such as cuda:0 (default: %(default)s)')
    parser.add_argument(
        '--repeats', type=count, default=5, help='timed inferences (default: %(default)s)'
    )
    parser.add_argument(
        '--samples',
        type=int,
        default=1,
        help='images for the effective receptive field; 0 leaves it out (default: %(default)s)',
    )
    parser.add_argument('--json', metavar='FILE', help='to write everything to, exact')
    add_override_arguments(parser)
    return parser.parse_args(argv)


def main(argv: list[str]) -> None:
    with clear_errors('--traceback' in argv):
        args = parse_args(argv)
        from rich.console import Console  # noqa: PLC0415 (--help answers at once)

        from mmdet_ext.apis.model_info import (  # noqa: PLC0415
            model_info,
            print_model_info,
        )

        with Console(stderr=True).status(f'measuring {args.config}'):
            info = model_info(
                args.config,
                args.checkpoint,
                shape=args.shape and tuple(args.shape),
                batch_size=args.batch_size,
                depth=args.depth,
                device=args.device,
                repeats=args.repeats,
                samples=args.samples,
                cfg_options=args.cfg_options,
            )
        print_model_info(info)
        if args.json:
            write_whole(args.json, json.dumps(info.as_dict(), indent=1))


if __name__ == '__main__':
    main(sys.argv[1:])
