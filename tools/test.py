"""Evaluate a checkpoint on the test data of its config."""

import argparse
import os

from mmengine.config import DictAction

from mmdet_ext.utils.errors import clear_errors


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--work-dir', help='folder for logs and metrics (default: work_dirs/<config>)'
    )
    parser.add_argument('--out', metavar='FILE.pkl', help='write the predictions to this file')
    parser.add_argument(
        '--show', action='store_true', help='show each image with its predictions in a window'
    )
    parser.add_argument(
        '--show-dir',
        metavar='DIR',
        help='write the images with their predictions; a relative folder is made inside <work_dir>/<timestamp>',
    )
    parser.add_argument(
        '--wait-time', type=float, default=2, help='seconds that a window stays open (default: 2)'
    )
    parser.add_argument('--tta', action='store_true', help='test-time augmentation')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override config values, e.g. test_dataloader.batch_size=8',
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='how the processes were started',
    )
    parser.add_argument(
        '--local_rank', '--local-rank', type=int, default=0, help='set by old launchers'
    )
    parser.add_argument(
        '--traceback', action='store_true', help='show the whole traceback of an error'
    )
    args = parser.parse_args(argv)
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with clear_errors(args.traceback):
        from mmdet_ext.apis.run import evaluate  # noqa: PLC0415 (--help answers at once)

        evaluate(
            args.config,
            args.checkpoint,
            work_dir=args.work_dir,
            out=args.out,
            show=args.show,
            show_dir=args.show_dir,
            wait_time=args.wait_time,
            tta=args.tta,
            cfg_options=args.cfg_options,
            launcher=args.launcher,
        )


if __name__ == '__main__':
    main()
