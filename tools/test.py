"""Evaluate a checkpoint on the test data of its config."""

import argparse
import sys

from mmdet_ext.utils.arguments import parse_run_arguments
from mmdet_ext.utils.errors import clear_errors


def parse_args(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
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
    parser.add_argument(
        '--report',
        metavar='DIR',
        help='write a report: report.html, plots, results.json, results.csv and predictions.pkl',
    )
    parser.add_argument('--tta', action='store_true', help='test-time augmentation')
    parser.add_argument(
        '--fuse-conv-bn',
        action='store_true',
        help='fold batch norms into the convolutions before them: the same results, sooner',
    )
    return parse_run_arguments(parser, argv)


def main(argv: list[str]) -> None:
    with clear_errors('--traceback' in argv):
        args = parse_args(argv)
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
            fuse_conv_bn=args.fuse_conv_bn,
            report=args.report,
            cfg_options=args.cfg_options,
            launcher=args.launcher,
        )


if __name__ == '__main__':
    main(sys.argv[1:])
