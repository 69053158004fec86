"""Print how fast the loader, the training step, the forward pass and the decoding of a config are."""

import argparse

from mmdet_ext.utils.arguments import count
from mmdet_ext.utils.errors import clear_errors


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('--batch-size', type=count, default=16, help='of the forward pass')
    parser.add_argument('--size', type=count, default=512, help='side of its images in pixels')
    parser.add_argument('--repeats', type=count, default=9, help='timed calls; the median counts')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with clear_errors():
        from mmdet_ext.apis.benchmark import (  # noqa: PLC0415 (--help answers at once)
            benchmark_inference,
            benchmark_training,
        )
        from mmdet_ext.apis.run import load_config, prepare_data  # noqa: PLC0415

        cfg = load_config(args.config)
        prepare_data(cfg)
        training = benchmark_training(cfg, args.repeats)
        size = (args.size, args.size)
        inference = benchmark_inference(cfg, args.batch_size, size, args.repeats)
    print(
        'training:  loader {loader:.0f} images/s, step {train_step:.0f} images/s, '
        'loader / step = {ratio:.1f}'.format(**training)
    )
    print(
        f'inference: batch of {args.batch_size} at {args.size} px: '
        'forward {forward:.0f} ms, decoding {decode:.1f} ms, '
        'decoding / forward = {ratio:.3f}'.format(**inference)
    )


if __name__ == '__main__':
    main()
