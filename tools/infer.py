"""Find parking slots (or the boxes of any detector of mmdet), draw them, and list them in JSON and CSV.

infer.py INPUT                   with the checkpoint that comes with the package
infer.py INPUT --checkpoint C    with its own config
infer.py INPUT --config F --checkpoint C
infer.py INPUT --checkpoint X.onnx   what tools/export.py wrote, with neither torch nor mmdet

INPUT: images; folders, with their sub-folders; globs; a list (.txt); labels in parking-slot COCO (.json);
videos; the number of a camera; the address of a stream (rtsp://, http://).
"""

import argparse
import sys

from mmdet_ext.utils.arguments import add_device_argument, add_traceback_argument
from mmdet_ext.utils.errors import clear_errors


def parse_args(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('inputs', nargs='+', metavar='INPUT', help='what to look at, see above')
    parser.add_argument('--config', help='config file (default: the one in the checkpoint)')
    parser.add_argument('--checkpoint', help='(default: the one that comes with the package)')
    parser.add_argument(
        '--backend', choices=['torch', 'onnx'], help="(default: as the checkpoint's name ends)"
    )
    parser.add_argument('--out-dir', default='work_dirs/infer', help='(default: %(default)s)')
    add_device_argument(parser)
    parser.add_argument(
        '--amp', action='store_true', help='half precision, where the device does that fast'
    )
    parser.add_argument(
        '--score-thr',
        type=float,
        default=0.4,
        help='leave out what scores less (default: %(default)s)',
    )
    parser.add_argument(
        '--batch-size', type=int, default=8, help='images at a time (default: %(default)s)'
    )
    parser.add_argument(
        '--metres-per-pixel', type=float, help='of images whose labels (.json) do not tell'
    )
    parser.add_argument('--fps', type=float, help='of videos written (default: as their source)')
    parser.add_argument('--max-frames', type=int, help='look at no more images or frames')
    parser.add_argument('--no-pictures', action='store_true', help='write JSON and CSV alone')
    parser.add_argument('--show', action='store_true', help='open a window for each picture, too')
    add_traceback_argument(parser)
    return parser.parse_args(argv)


def main(argv: list[str]) -> None:
    args = parse_args(argv)
    with clear_errors(args.traceback):
        from mmdet_ext.apis.infer import infer  # noqa: PLC0415 (--help answers at once)

        done = infer(
            args.inputs,
            args.config,
            args.checkpoint,
            out_dir=args.out_dir,
            device=args.device,
            amp=args.amp,
            score_thr=args.score_thr,
            batch_size=args.batch_size,
            metres_per_pixel=args.metres_per_pixel,
            fps=args.fps,
            max_frames=args.max_frames,
            pictures=not args.no_pictures,
            show=args.show,
            backend=args.backend,
        )
    print(*done.lines(), f'written to {args.out_dir}', sep='\n')
    if done.stopped_by:
        raise SystemExit(128 + done.stopped_by)  # as a shell reports it


if __name__ == '__main__':
    main(sys.argv[1:])
