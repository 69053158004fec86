"""Print what attention layers are worth on parking slots: slot F1 and time, with the same budget."""

import argparse

from mmdet_ext.utils.arguments import count
from mmdet_ext.utils.errors import clear_errors


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--out', default='work_dirs/attention_ablation', help='folder to write')
    parser.add_argument(
        '--variants',
        nargs='+',
        help='some only, or registered layers (default: none SE ECA CBAM Coordinate SimAM)',
    )
    parser.add_argument('--seeds', nargs='+', type=int, default=[0], help='one training with each')
    parser.add_argument('--epochs', type=count, default=16, help='of each training')
    parser.add_argument('--images', type=count, help='train on the first so many (default: all)')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with clear_errors():
        from rich.console import Console  # noqa: PLC0415 (--help answers at once)

        from mmdet_ext.apis.attention_ablation import (  # noqa: PLC0415
            VARIANTS,
            ablate_attention,
            ablation_table,
        )

        results = ablate_attention(
            args.out, args.variants or VARIANTS, args.seeds, args.epochs, args.images
        )
    Console().print(ablation_table(results))
    print(f'{args.out}/results.png shows F1 against time; results.json has the numbers.')


if __name__ == '__main__':
    main()
