"""Print how fast images are looked at from file to file, beside the network alone."""

import argparse
import sys

from mmdet_ext.utils.arguments import add_device_argument, count
from mmdet_ext.utils.errors import clear_errors


def parse_args(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('folder', help='images, the more the better')
    parser.add_argument('--config', help='config file (default: the one in the checkpoint)')
    parser.add_argument('--checkpoint', help='(default: the one that comes with the package)')
    add_device_argument(parser)
    parser.add_argument('--amp', action='store_true', help='half precision')
    parser.add_argument(
        '--batch-size', type=count, default=8, help='images at a time (default: %(default)s)'
    )
    parser.add_argument(
        '--repeats', type=count, default=3, help='the median counts (default: %(default)s)'
    )
    return parser.parse_args(argv)


def main(argv: list[str]) -> None:
    args = parse_args(argv)
    with clear_errors():
        from mmdet_ext.apis import ParkingSlotInferencer  # noqa: PLC0415 (--help answers at once)
        from mmdet_ext.apis.inference_benchmark import benchmark_inference_on_files  # noqa: PLC0415

        inferencer = ParkingSlotInferencer(args.config, args.checkpoint, args.device, args.amp)
        speed = benchmark_inference_on_files(inferencer, args.folder, args.batch_size, args.repeats)
    print(
        f'network alone {speed.forward:.1f} images/s ({speed.forward_cpu:.1f} ms of CPU each), '
        f'files to files {speed.end_to_end:.1f} images/s ({speed.end_to_end_cpu:.1f} ms), '
        f'ratio {speed.ratio:.2f}'
    )


if __name__ == '__main__':
    main(sys.argv[1:])
