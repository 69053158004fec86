"""Class activation maps: where a detector looked for each of its boxes, slots and marking points.

cam.py IMAGE CONFIG CHECKPOINT                        the best slots and points, or boxes
cam.py IMAGE CONFIG CHECKPOINT --target slots --index 0 3
cam.py IMAGE CONFIG CHECKPOINT --method gradcam --layers backbone.stage3 backbone.stage4
cam.py IMAGE CONFIG CHECKPOINT --list-layers          names for --layers
"""

import argparse
import sys

from mmdet_ext.utils.arguments import add_layer_arguments
from mmdet_ext.utils.errors import clear_errors

METHODS = ('layercam', 'gradcam', 'gradcam++', 'eigencam', 'ablationcam')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_layer_arguments(parser)
    parser.add_argument(
        '--method',
        choices=METHODS,
        default=METHODS[0],
        help='layercam is sharpest about one prediction, eigencam and ablationcam need no gradients, '
        'ablationcam takes longest (default: %(default)s)',
    )
    which = parser.add_argument_group('which predictions')
    which.add_argument(
        '--target',
        choices=('all', 'boxes', 'slots', 'points'),
        default='all',
        help='(default: %(default)s)',
    )
    which.add_argument(
        '--index', type=int, nargs='+', default=(), metavar='K', help='these, best first from 0'
    )
    which.add_argument(
        '--score-thr', type=float, default=0.3, help='otherwise, from this (default: %(default)s)'
    )
    which.add_argument(
        '--top-k',
        type=int,
        default=5,
        help='and at most so many of each kind (default: %(default)s)',
    )
    parser.add_argument('--out-dir', default='work_dirs/cam', help='(default: %(default)s)')
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
        found = api.explain(
            model,
            subject,
            args.method,
            args.layers,
            target=args.target,
            index=args.index,
            score_threshold=args.score_thr,
            top_k=args.top_k,
        )
        files = api.write_class_activation_maps(subject, found, args.out_dir)
    print(*found.notes, *files, sep='\n')


if __name__ == '__main__':
    main(sys.argv[1:])
