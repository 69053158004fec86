"""Time each transform of ours beside the nearest one of MMDetection or torchvision.

The image is of smooth noise, with 20 boxes or 20 slots. A nearest one named v2.* is torchvision's, on
tensors that are ready; in the rows "by name" (of TorchvisionTransform) its time includes the way
from NumPy and back.
"""

import argparse
import json
import sys

from mmdet_ext.utils.arguments import add_traceback_argument, count
from mmdet_ext.utils.errors import clear_errors
from mmdet_ext.utils.files import write_whole


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--size', type=int, default=512, help='side of the image in pixels (default: %(default)s)'
    )
    parser.add_argument(
        '--only', nargs='+', metavar='NAME', help='rows whose name starts like this (default: all)'
    )
    parser.add_argument('--rounds', type=count, default=60, help='(default: %(default)s)')
    parser.add_argument('--markdown', action='store_true', help='print the table as Markdown')
    parser.add_argument('--json', metavar='FILE', help='to write everything to, exact')
    add_traceback_argument(parser)
    return parser.parse_args(argv)


def check_args(args: argparse.Namespace) -> None:
    if args.size < 128:
        raise ValueError(f'--size is {args.size}: give a number of 128 or more.')


def main(argv: list[str]) -> None:
    with clear_errors('--traceback' in argv):
        args = parse_args(argv)
        check_args(args)
        import cv2  # noqa: PLC0415 (--help answers at once)
        import torch  # noqa: PLC0415
        from rich.console import Console  # noqa: PLC0415

        from mmdet_ext.apis import transform_benchmark  # noqa: PLC0415
        from mmdet_ext.utils.errors import did_you_mean  # noqa: PLC0415

        known = transform_benchmark.pairs(args.size)
        for name in args.only or ():
            if not any(row.startswith(name) for row in known):
                raise ValueError(
                    f'--only names {name!r}{did_you_mean(name, list(known))}: choose from '
                    f'{"; ".join(known)}.'
                )
        wanted = tuple(args.only or known)
        chosen = {name: pair for name, pair in known.items() if name.startswith(wanted)}
        torch.set_num_threads(1)  # as in a loader worker
        cv2.setNumThreads(1)
        timings = transform_benchmark.benchmark_transforms(chosen, args.size, args.rounds)
        text = (
            f'an image of {args.size} x {args.size} px, 1 thread, medians of {args.rounds} rounds; x: '
            'times the nearest'
        )
        console = Console()
        console.print(f'{text}\n', highlight=False, soft_wrap=True)
        console.print(transform_benchmark.timing_table(timings, args.markdown))
        if args.json:
            content = {'inputs': text, 'timings': transform_benchmark.as_dicts(timings)}
            write_whole(args.json, json.dumps(content, indent=1))


if __name__ == '__main__':
    main(sys.argv[1:])
