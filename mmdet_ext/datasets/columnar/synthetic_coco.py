"""Random annotations, for measuring what very large sets cost."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mmdet_ext.utils.files import moved_into_place


def write_synthetic_coco(path: str | Path, images: int, boxes: int = 7, seed: int = 0) -> None:
    """Write a COCO file of random boxes, image by image.

    Args:
        path: JSON file to write.
        images: Number of images.
        boxes: Mean number of boxes per image; each image has 0 to twice as many.
        seed: Same seed, same file.
    """
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 2 * boxes + 1, images)
    categories = [{'id': i + 1, 'name': f'class_{i}'} for i in range(80)]
    with moved_into_place(path) as aside, Path(aside).open('w') as file:
        file.write('{"images":[')
        _write_list(file, map(_synthetic_image, range(images)))
        file.write('],"annotations":[')
        _write_list(file, _synthetic_annotations(counts, rng))
        file.write(f'],"categories":{json.dumps(categories)}}}')


def _write_list(file, entries: Iterator[dict]) -> None:
    for i, entry in enumerate(entries):
        file.write((',' if i else '') + json.dumps(entry, separators=(',', ':')))


def _synthetic_image(index: int) -> dict[str, Any]:
    return {'id': index, 'file_name': f'{index:012d}.jpg', 'width': 640, 'height': 480}


def _synthetic_annotations(counts: np.ndarray, rng: np.random.Generator) -> Iterator[dict]:
    number = 0
    for image, count in enumerate(counts.tolist()):
        boxes = rng.uniform([0, 0, 8, 8], [500, 350, 140, 130], (count, 4)).round(2).tolist()
        for box, category in zip(boxes, rng.integers(1, 81, count).tolist(), strict=True):
            number += 1
            yield {
                'id': number,
                'image_id': image,
                'category_id': category,
                'bbox': box,
                'area': round(box[2] * box[3], 2),
                'iscrowd': 0,
            }
