"""Convert a COCO or parking-slot COCO file for `ColumnarDataset`, which maps it instead of loading it.

For sets whose annotations are too large to hold in every process: use OUT as `ann_file` of
`dict(type='ColumnarDataset')`, and everything else of the config as it was.
"""

import argparse

from mmdet_ext.datasets.columnar.convert import KINDS, convert_json


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('source', metavar='ANN', help='annotation file (.json)')
    parser.add_argument('target', metavar='OUT', help='file to write or replace (.arrow)')
    parser.add_argument('--kind', choices=KINDS, help='of the source (default: what it looks like)')
    args = parser.parse_args(argv)
    try:
        done = convert_json(args.source, args.target, args.kind)
    except (ValueError, OSError, ImportError) as error:
        parser.exit(1, f'error: {error}\n')
    print(f'{args.target}: {done.images} images, kind {done.kind}')
    if done.left_out:
        print(f'left out: {done.left_out} annotations whose `image_id` no image has')


if __name__ == '__main__':
    main()
