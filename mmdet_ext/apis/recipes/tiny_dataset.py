"""A few tiny images with labels in the formats that recipes read."""

import json
import shutil
from pathlib import Path
from xml.etree import ElementTree as Xml

from mmdet_ext.datasets.surround_view.dataset import make_dataset

IMAGES = 4  # of which two make a batch
BATCH_SIZE = 2
SIZE = 128  # pixels
CLASSES = ('perpendicular', 'parallel', 'slanted')


def write_tiny_dataset(folder: Path) -> None:
    """Write a few scenes as parking-slot COCO and as Pascal VOC.

    Args:
        folder: Where to: ``train.json`` and ``val.json``; ``Annotations``, ``JPEGImages`` and
            ``ImageSets/Main``.
    """
    make_dataset(folder, {'train': IMAGES, 'val': BATCH_SIZE}, size=SIZE, num_workers=1)
    for split in ('train', 'val'):
        _write_voc(folder, split)


def _write_voc(folder: Path, split: str) -> None:
    content = json.loads((folder / f'{split}.json').read_text())
    for name in ('Annotations', 'JPEGImages', 'ImageSets/Main'):
        (folder / name).mkdir(parents=True, exist_ok=True)
    names = []
    for image in content['images']:
        names.append(f'{split}{image["id"]}')
        shutil.copy(folder / image['file_name'], folder / f'JPEGImages/{names[-1]}.jpg')
        root = Xml.Element('annotation')
        _add(root, 'size', width=image['width'], height=image['height'])
        for label in content['annotations']:
            if label['image_id'] == image['id']:
                x, y, width, height = label['bbox']
                entry = _add(root, 'object', name=CLASSES[label['category_id'] - 1], difficult=0)
                _add(entry, 'bndbox', xmin=x + 1, ymin=y + 1, xmax=x + width, ymax=y + height)
        Xml.ElementTree(root).write(folder / f'Annotations/{names[-1]}.xml')
    (folder / f'ImageSets/Main/{split}.txt').write_text('\n'.join(names))


def _add(parent: Xml.Element, tag: str, **texts: object) -> Xml.Element:
    child = Xml.SubElement(parent, tag)
    for name, text in texts.items():
        Xml.SubElement(child, name).text = str(text)
    return child
