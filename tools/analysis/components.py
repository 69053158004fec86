"""Print the kit's attention layers, layers, necks and backbones: parameters, MACs, CPU time, paper, file."""

import argparse
import json
import sys

from mmdet_ext.utils.arguments import add_traceback_argument, count
from mmdet_ext.utils.errors import clear_errors
from mmdet_ext.utils.files import write_whole


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--kind',
        nargs='+',
        choices=['attention', 'layer', 'neck', 'backbone'],
        help='only these (default: all)',
    )
    parser.add_argument(
        '--repeats', type=count, default=9, help='timed calls of each (default: %(default)s)'
    )
    parser.add_argument('--markdown', action='store_true', help='print the table as Markdown')
    parser.add_argument('--json', metavar='FILE', help='to write everything to, exact')
    add_traceback_argument(parser)
    return parser.parse_args(argv)


def main(argv: list[str]) -> None:
    with clear_errors('--traceback' in argv):
        args = parse_args(argv)
        from mmdet_ext.apis.components import (  # noqa: PLC0415 (--help answers at once)
            as_dict,
            measure_components,
            print_components,
        )

        components = measure_components(args.kind, args.repeats)
        print_components(components, args.markdown)
        if args.json:
            write_whole(args.json, json.dumps(as_dict(components), indent=1))


if __name__ == '__main__':
    main(sys.argv[1:])
