"""Print what each ingredient of the synthetic scenes is worth on the real strips of PSDet."""

import argparse

from mmdet_ext.utils.arguments import count
from mmdet_ext.utils.errors import clear_errors


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--out', default='work_dirs/scene_ablation', help='folder to write')
    parser.add_argument('--variants', nargs='*', help='some only (default: all)')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0], help='one training with each')
    parser.add_argument('--images', type=count, default=2000, help='scenes to train on')
    parser.add_argument('--epochs', type=count, default=6, help='times that each is seen')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with clear_errors():
        from rich.console import Console  # noqa: PLC0415 (--help answers at once)

        from mmdet_ext.apis.scene_ablation import (  # noqa: PLC0415 (likewise)
            VARIANTS,
            ablate_scenes,
            ablation_table,
        )

        results = ablate_scenes(
            args.out, args.variants or VARIANTS, args.seeds, args.images, args.epochs
        )
    Console().print(ablation_table(results))
    print(f'{args.out}/results.json has the numbers.')


if __name__ == '__main__':
    main()
