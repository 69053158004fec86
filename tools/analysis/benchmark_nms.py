"""Time each NMS beside torchvision.ops.batched_nms, on boxes as a dense head gives them.

Objects of 20 to 240 px lie on an image of 1333 x 800 px; four fifths of the boxes are detections of
them, better ones with higher scores, the rest is clutter. All are of float32.
"""

import argparse
import json
import sys

from mmdet_ext.utils.arguments import add_device_argument, add_traceback_argument, count
from mmdet_ext.utils.errors import clear_errors
from mmdet_ext.utils.files import write_whole


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--boxes', type=count, default=5000, help='in all (default: %(default)s)')
    parser.add_argument('--classes', type=count, default=20, help='(default: %(default)s)')
    parser.add_argument(
        '--objects', type=count, help='that the boxes are of (default: a tenth of the boxes)'
    )
    parser.add_argument('--per-class', action='store_true', help='--boxes are those of each class')
    parser.add_argument('--iou-threshold', type=float, default=0.5, help='(default: %(default)s)')
    parser.add_argument(
        '--variants', nargs='+', metavar='NAME', help='only these rows (default: all)'
    )
    parser.add_argument('--rounds', type=count, default=15, help='(default: %(default)s)')
    parser.add_argument(
        '--threads',
        type=count,
        default=1,
        help="of torch on the CPU; torchvision's op has but one (default: %(default)s)",
    )
    parser.add_argument('--markdown', action='store_true', help='print the table as Markdown')
    parser.add_argument('--json', metavar='FILE', help='to write everything to, exact')
    add_device_argument(parser)
    add_traceback_argument(parser)
    args = parser.parse_args(argv)
    args.boxes *= args.classes if args.per_class else 1
    args.objects = args.boxes // 10 if args.objects is None else args.objects
    return args


def check_args(args: argparse.Namespace) -> None:
    if args.objects < 1:
        raise ValueError(f'--objects comes to {args.objects}: give a number of 1 or more.')


def main(argv: list[str]) -> None:
    with clear_errors('--traceback' in argv):
        args = parse_args(argv)
        check_args(args)
        import torch  # noqa: PLC0415 (--help answers at once)
        from rich.console import Console  # noqa: PLC0415

        from mmdet_ext.apis import nms_benchmark  # noqa: PLC0415
        from mmdet_ext.apis.models import usable_device  # noqa: PLC0415
        from mmdet_ext.utils.errors import did_you_mean  # noqa: PLC0415

        names = args.variants or list(nms_benchmark.VARIANTS)
        for name in names:
            if name not in nms_benchmark.VARIANTS:
                known = list(nms_benchmark.VARIANTS)
                raise ValueError(
                    f'--variants names {name!r}{did_you_mean(name, known)}: choose from '
                    f'{"; ".join(known)}.'
                )
        torch.set_num_threads(args.threads)
        device = usable_device(args.device or 'cpu')
        inputs = nms_benchmark.crowded_boxes(args.boxes, args.classes, args.objects)
        timings = nms_benchmark.benchmark_nms(
            tuple(values.to(device) for values in inputs),
            {name: nms_benchmark.VARIANTS[name] for name in names},
            args.iou_threshold,
            args.rounds,
        )
        where = f'{torch.get_num_threads()} thread(s)' if device.type == 'cpu' else str(device)
        text = (
            f'{args.boxes:,} boxes of {args.objects:,} objects in {args.classes} classes, '
            f'{where}, medians of {args.rounds} rounds; x: times torchvision.ops.batched_nms'
        )
        console = Console()
        console.print(f'{text}\n', highlight=False, soft_wrap=True)
        console.print(nms_benchmark.timing_table(timings, args.markdown))
        if args.json:
            content = {'inputs': text, 'timings': nms_benchmark.as_dicts(timings)}
            write_whole(args.json, json.dumps(content, indent=1))


if __name__ == '__main__':
    main(sys.argv[1:])
