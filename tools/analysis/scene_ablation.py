"""Print what each ingredient of the synthetic scenes is worth on the real strips of PSDet."""

import argparse

from mmdet_ext.utils.arguments import count
from mmdet_ext.utils.errors import clear_errors


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--out', default='work_dirs/scene_ablation', help='folder to write')
    parser.add_argument('--variants', nargs='*', help='some only (default: all)')
    parser.add_argument('--images', type=count, default=2000, help='scenes to train on')
    parser.add_argument('--epochs', type=count, default=6, help='times that each is seen')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with clear_errors():
        from mmdet_ext.apis.scene_ablation import (  # noqa: PLC0415 (--help answers at once)
            VARIANTS,
            ablate_scenes,
        )

        results = ablate_scenes(args.out, args.variants or VARIANTS, args.images, args.epochs)
    print(f'{"scenes with":34} precision recall    f1    ap')
    for name, values in results.items():
        figures = (values[key] for key in ('precision', 'recall', 'f1', 'ap'))
        print(f'{name:34}' + ''.join(f'{value:8.3f}' for value in figures))


if __name__ == '__main__':
    main()
