"""Write a checkpoint to hand on: weights and classes, without the state of the training."""

import argparse

from mmdet_ext.utils.errors import clear_errors


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('checkpoint', help='what training wrote')
    parser.add_argument('out', help='file to write, .pth')
    parser.add_argument('--half', action='store_true', help='store weights as float16')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with clear_errors():
        from mmdet_ext.apis.publishing import publish_checkpoint  # noqa: PLC0415 (--help at once)

        size = publish_checkpoint(args.checkpoint, args.out, args.half)
    print(f'{args.out}: {size / 1e6:.1f} MB')


if __name__ == '__main__':
    main()
