"""Export a detector to ONNX, checked against torch.

export.py CONFIG CHECKPOINT                          images of the size of the network
export.py CONFIG CHECKPOINT --input-size 600 600     images of one size, resized inside
export.py CONFIG CHECKPOINT --dynamic                images of any size, resized inside
"""

import argparse

from mmdet_ext.utils.arguments import add_traceback_argument
from mmdet_ext.utils.errors import clear_errors


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint trained with it')
    parser.add_argument('--out', help='file to write (default: beside the checkpoint)')
    parser.add_argument('--dynamic', action='store_true', help='take images of any size')
    parser.add_argument(
        '--input-size', type=int, nargs=2, metavar=('WIDTH', 'HEIGHT'), help='of the images'
    )
    parser.add_argument('--raw', action='store_true', help='give the maps of the head')
    parser.add_argument('--half', action='store_true', help='also write a file in float16')
    parser.add_argument(
        '--int8',
        metavar='CALIB_DIR',
        help='also write one in 8-bit integers, calibrated on these images',
    )
    parser.add_argument('--opset', type=int, default=18, help='of ONNX (default: %(default)s)')
    parser.add_argument('--images', nargs='*', default=[], help='real images to check with')
    parser.add_argument(
        '--labels',
        help="parking-slot COCO that shows what --half and --int8 cost (default: the config's)",
    )
    add_traceback_argument(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with clear_errors(args.traceback):
        from mmdet_ext.deploy.exporting import export  # noqa: PLC0415 (--help answers at once)

        export(
            args.config,
            args.checkpoint,
            args.out or f'{args.checkpoint.removesuffix(".pth")}.onnx',
            dynamic=args.dynamic,
            input_size=tuple(args.input_size) if args.input_size else None,
            raw=args.raw,
            half=args.half,
            int8=args.int8,
            opset=args.opset,
            images=args.images,
            labels=args.labels,
        )


if __name__ == '__main__':
    main()
