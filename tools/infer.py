"""Draw the slots and marking points that a checkpoint finds in images."""

import argparse
from pathlib import Path

from mmdet_ext.utils.errors import clear_errors


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('source', help='image, or folder of images')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--out-dir', default='work_dirs/infer', help='(default: %(default)s)')
    parser.add_argument('--score-thr', type=float, default=0.4, help='(default: %(default)s)')
    parser.add_argument('--batch-size', type=int, default=8, help='(default: %(default)s)')
    parser.add_argument('--device', default='cpu', help='(default: %(default)s)')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with clear_errors():
        from mmcv import imread  # noqa: PLC0415 (--help answers at once)
        from rich.progress import track  # noqa: PLC0415

        from mmdet_ext.apis.inference import find_images, load_model, predict  # noqa: PLC0415
        from mmdet_ext.visualization import ParkingSlotVisualizer  # noqa: PLC0415

        images = find_images(args.source)
        model, cfg = load_model(args.config, args.checkpoint, args.device)
        visualizer = ParkingSlotVisualizer(name='infer')
        samples = predict(model, cfg, images, args.batch_size)
        for i, (path, sample) in enumerate(
            zip(images, track(samples, 'predicting', len(images)), strict=True)
        ):
            visualizer.add_datasample(
                path.name,
                imread(str(path), channel_order='rgb'),
                sample,
                pred_score_thr=args.score_thr,
                out_file=str(Path(args.out_dir) / f'{i:06d}_{path.stem}.jpg'),
            )
    print(f'{len(images)} pictures written to {args.out_dir}')


if __name__ == '__main__':
    main()
