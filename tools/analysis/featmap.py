"""Feature maps: what any layer of a detector computes for an image.

featmap.py IMAGE CONFIG CHECKPOINT                     channels of the neck's outputs
featmap.py IMAGE CONFIG CHECKPOINT --layers backbone.stage4 --reduce pca
featmap.py IMAGE CONFIG CHECKPOINT --list-layers       names for --layers
"""

import argparse
import sys

from mmdet_ext.utils.arguments import add_layer_arguments
from mmdet_ext.utils.errors import clear_errors


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_layer_arguments(parser)
    parser.add_argument(
        '--reduce',
        choices=('grid', 'mean', 'max', 'pca'),
        default='grid',
        help='single channels, their mean or largest value at each place, or their first three '
        'principal components as a colour (default: %(default)s)',
    )
    parser.add_argument(
        '--channels',
        type=int,
        default=20,
        metavar='K',
        help='of a grid, those that vary most (default: %(default)s)',
    )
    parser.add_argument('--out-dir', default='work_dirs/featmap', help='(default: %(default)s)')
    return parser.parse_args(argv)


def main(argv: list[str]) -> None:
    with clear_errors('--traceback' in argv):
        args = parse_args(argv)
        from mmdet_ext.apis import explain as api  # noqa: PLC0415 (--help answers at once)

        model, subject = api.open_subject(
            args.image, args.config, args.checkpoint, args.device, args.cfg_options
        )
        if args.list_layers:
            for name, *rest in api.list_layers(model, subject):
                print(name, *rest, sep='  ')
            return
        found = api.feature_maps(model, subject, args.layers)
        files = api.write_feature_maps(subject, found, args.reduce, args.channels, args.out_dir)
    print(*files, sep='\n')


if __name__ == '__main__':
    main(sys.argv[1:])
