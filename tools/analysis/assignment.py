"""Draw which priors or points an assigner makes positive for each object of an image.

assignment.py CONFIG 5                     of the sixth image of its training data, random weights
assignment.py CONFIG 000005.jpg --checkpoint CHECKPOINT
assignment.py configs/ext/assignment/ota.py 5; assignment.py configs/ext/assignment/atss.py 5
"""

import argparse
import sys

from mmdet_ext.utils.arguments import add_device_argument, add_override_arguments
from mmdet_ext.utils.errors import clear_errors


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', metavar='CONFIG', help='config file')
    parser.add_argument(
        'image', metavar='IMAGE_OR_INDEX', help="index, or the end of the image's path"
    )
    parser.add_argument('--checkpoint', help='trained with CONFIG (default: random weights)')
    parser.add_argument(
        '--seed', type=int, default=0, help='of all that is random (default: %(default)s)'
    )
    parser.add_argument('--out-dir', default='work_dirs/assignment', help='(default: %(default)s)')
    add_device_argument(parser)
    add_override_arguments(parser)
    return parser.parse_args(argv)


def main(argv: list[str]) -> None:
    with clear_errors('--traceback' in argv):
        args = parse_args(argv)
        from mmdet_ext.apis.assignment_view import view_assignment  # noqa: PLC0415 (--help answers at once)

        path, lines = view_assignment(
            args.config,
            args.image,
            args.checkpoint,
            seed=args.seed,
            device=args.device,
            out_dir=args.out_dir,
            cfg_options=args.cfg_options,
        )
    print(*lines, path, sep='\n')


if __name__ == '__main__':
    main(sys.argv[1:])
