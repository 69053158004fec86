"""Convert a checkpoint of mmdet, torchvision, timm or others to one of a config, as far as it fits."""

import argparse
import sys

from mmdet_ext.utils.arguments import add_override_arguments
from mmdet_ext.utils.errors import clear_errors


def parse_args(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help='file, or an address')
    parser.add_argument('config', metavar='CONFIG', help='config file whose model it is for')
    parser.add_argument('out', metavar='OUT', help='file to write, .pth')
    parser.add_argument('--entry', help='entry of the checkpoint that has the weights')
    parser.add_argument(
        '--strip', metavar='PREFIX', help='take only names that start so, and take it off'
    )
    parser.add_argument('--add', metavar='PREFIX', help='put this before all names')
    parser.add_argument(
        '--rename',
        nargs=2,
        action='append',
        default=[],
        metavar=('REGEX', 'NEW'),
        help='rename by a regular expression; may be given several times',
    )
    parser.add_argument(
        '--drop',
        nargs='+',
        default=[],
        metavar='PATTERN',
        help="leave out by name: a prefix, a glob or 're:...'",
    )
    parser.add_argument(
        '--mismatch',
        nargs='+',
        default=['drop'],
        metavar='[PATTERN=]MODE',
        help='drop (default), slice or reinitialise where shapes differ, e.g. slice bbox_head=drop',
    )
    parser.add_argument(
        '--allow-pickle', action='store_true', help='load a file that could run code'
    )
    add_override_arguments(parser)
    return parser.parse_args(argv)


def main(argv: list[str]) -> None:
    with clear_errors('--traceback' in argv):
        args = parse_args(argv)
        from mmdet_ext.apis.checkpoint_conversion import convert_checkpoint  # noqa: PLC0415 (--help)
        from mmdet_ext.apis.run import load_config  # noqa: PLC0415

        modes = dict(mode.rpartition('=')[::2] for mode in args.mismatch)
        report = convert_checkpoint(
            args.checkpoint,
            load_config(args.config, args.cfg_options),
            args.out,
            entry=args.entry,
            strip=args.strip,
            add=args.add,
            rename=args.rename,
            drop=args.drop,
            mismatch={pattern or '*': mode for pattern, mode in modes.items()},
            allow_pickle=args.allow_pickle,
        )
        print(report.table())
    print(f'written to {args.out}')


if __name__ == '__main__':
    main(sys.argv[1:])
