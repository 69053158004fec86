"""Time exported files, and the model that they came from, from images in memory to findings.

One engine after the other is timed in each round, so that what else the machine does hits all alike.
Given are medians in milliseconds for a whole batch: `prepare` brings images to the network's size, `run`
is the network with decoding and suppression, `finish` makes findings of its outputs; `load` and `first`
are the start and the first image. `x` is how many times faster than DMPR-PS as published (512 x 512 px,
fp32, its own assembly of slots left out) in the same runtime, or else in onnxruntime.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from mmdet_ext.utils.arguments import add_traceback_argument, count
from mmdet_ext.utils.errors import clear_errors
from mmdet_ext.utils.figures import png_of
from mmdet_ext.utils.files import write_whole

_WIDTH = 160  # of the table; files have no width
_MOST_IMAGES = 16


def parse_args(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('files', nargs='+', metavar='FILE', help='of tools/export.py, fp32 first')
    parser.add_argument('--config', help='that FILE was exported from, to run it with torch, too')
    parser.add_argument('--checkpoint', help='likewise')
    parser.add_argument(
        '--runtimes',
        nargs='+',
        metavar='NAME',
        help='onnxruntime, openvino, torch, "torch compiled" (default: all that are here but the last)',
    )
    parser.add_argument('--images', metavar='FOLDER', help='(default: synthetic scenes)')
    parser.add_argument('--batch-sizes', nargs='+', type=count, default=[1, 2, 4, 8, 16])
    parser.add_argument(
        '--threads',
        nargs='+',
        type=count,
        default=sorted({1, os.cpu_count() or 1}),
        help='(default: 1 and all)',
    )
    parser.add_argument('--rounds', type=count, default=15, help='(default: %(default)s)')
    parser.add_argument('--no-reference', action='store_true', help='leave DMPR-PS out')
    parser.add_argument('--markdown', action='store_true', help='print the table as Markdown')
    parser.add_argument('--out', metavar='FOLDER', help='for deploy.json and deploy.png')
    add_traceback_argument(parser)
    return parser.parse_args(argv)


def check_args(args: argparse.Namespace) -> None:
    if (args.config is None) != (args.checkpoint is None):
        raise ValueError('--config and --checkpoint go together: give both or neither.')


def main(argv: list[str]) -> None:
    args = parse_args(argv)
    with clear_errors(args.traceback), tempfile.TemporaryDirectory() as folder:
        check_args(args)
        from rich.console import Console  # noqa: PLC0415 (--help answers at once)
        from rich.progress import track  # noqa: PLC0415

        from mmdet_ext.deploy import benchmark, benchmark_engines, benchmark_results  # noqa: PLC0415
        from mmdet_ext.deploy.images import read_images, synthetic_images  # noqa: PLC0415 (likewise)

        graph = None
        if args.config:
            graph = benchmark_engines.graph_of(args.files[0], args.config, args.checkpoint)
        candidates = benchmark_engines.candidates_of(args.files, args.runtimes, graph)
        candidates.append(benchmark_engines.network_candidate(args.files[0], folder))
        if not args.no_reference:
            from mmdet_ext.deploy.benchmark_reference import reference_candidates  # noqa: PLC0415

            candidates += reference_candidates(folder)
        if args.images:
            images = read_images(args.images, _MOST_IMAGES)
        else:
            images = synthetic_images([600] * _MOST_IMAGES, 'benchmark')
        load = os.getloadavg()[0]
        timings = benchmark.benchmark_engines(
            candidates,
            images,
            args.batch_sizes,
            args.threads,
            args.rounds,
            lambda numbers: track(numbers, 'rounds', console=Console(stderr=True)),
        )
        cold = benchmark.cold_start(args.files[0], images[0], folder, max(args.threads))
    text = (
        f'{os.cpu_count()} cores, load {load:.1f} before; {len(images)} images; {args.rounds} rounds; '
        f'ms; import, load and first result in a new process: {cold:.2f} s with onnxruntime'
    )
    console = Console(width=max(Console().width, _WIDTH))
    console.print(f'{text}\n', highlight=False, soft_wrap=True)
    console.print(benchmark_results.timing_table(timings, args.markdown))
    if args.out:
        Path(args.out).mkdir(parents=True, exist_ok=True)
        content = {'inputs': text, 'timings': benchmark_results.timing_rows(timings)}
        write_whole(Path(args.out) / 'deploy.json', json.dumps(content, indent=1))
        picture = png_of(benchmark_results.timing_figure(timings), dpi=120)
        write_whole(Path(args.out) / 'deploy.png', picture)


if __name__ == '__main__':
    main(sys.argv[1:])
