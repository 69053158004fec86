"""Slots as YOLO poses, the pose format of ultralytics: a reader and a writer."""

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import yaml
from shapely import Polygon, box

from mmdet_ext.datasets.formats.label_files import read_text, split_of_folder
from mmdet_ext.datasets.formats.parking_slot_coco import SLOT_TYPES, ParkingImage
from mmdet_ext.datasets.formats.quadrilaterals import (
    Quadrilateral,
    QuadrilateralReader,
    checked_slots,
)
from mmdet_ext.datasets.formats.reader import (
    IMAGE_SUFFIXES,
    ReadReport,
    files_by_stem,
    image_size,
)
from mmdet_ext.datasets.formats.slot_names import Meaning
from mmdet_ext.structures.slots import FLIPPED_ORDER
from mmdet_ext.utils.files import write_whole

NO_SPLIT = 'no_split'
"""List of the images without a split; a key of ``data.yaml`` that ultralytics does not look at."""

_SPLIT_KEYS = ('train', 'val', 'test', NO_SPLIT)
_OCCUPANCY = {-1: '', 0: ' vacant', 1: ' occupied'}
_NUM_VALUES = {13: 2, 17: 3}
"""Values of a line (class, box, four keypoints) -> values of a keypoint."""

_PIXEL_DIGITS = 6
"""Corners are read to a millionth of a pixel, so that what is written reads the same again."""

_DIGITS = 12


@dataclass
class YoloPoseReader(QuadrilateralReader):
    """Images and labels as ultralytics finds them: ``.../images/a.jpg`` and ``.../labels/a.txt``.

    One line per slot: class, box (not needed here), then ``x y`` or ``x y v`` for each of the four
    corners, all as shares of the image size. ``data.yaml`` names the classes and, as folders or list
    files, the splits; without it every image counts, and a folder ``train``, ``val`` or ``test`` is
    the split. Type and occupancy follow from the class name, or from ``names``; a name that says
    nothing leaves the type to be guessed from the shape. An image without a txt has no slots.

    Attributes:
        root: Folder of the data set, or its ``data.yaml``.
        names: What class names (without ``data.yaml``, class numbers) stand for, e.g.
            ``[0:parallel, 1:perpendicular_occupied, 2:ignore]``; see :class:`QuadrilateralReader`.
        entrance: Edge that is the entrance, for corners in another order: 1 (between the first two
            keypoints), 2, 3, 4 or ``nearest`` (to the centre of the image).
        metres_per_pixel: Ground resolution of the images, None if unknown.
    """

    def find(self, report: ReadReport) -> Sequence[tuple[Path, str | None]]:
        """List images with their split."""
        if self._description is None:
            found = {
                image: split_of_folder(self.relative(image.parent)) for image in self._all_images()
            }
        else:
            found = self._listed_images(report)
        if not any(label_path(image.absolute()).is_file() for image in found):
            raise FileNotFoundError(
                f'{self.root.absolute()}: no image with a label found; expected the pose format of '
                'ultralytics, e.g. data.yaml, images/train/1.jpg and labels/train/1.txt.'
            )
        return list(found.items())

    @functools.cached_property
    def _description(self) -> dict | None:
        """Content of ``data.yaml``; it travels to the workers with the reader."""
        path = _data_file(self.root)
        return None if path is None else _load(path)

    def _listed_images(self, report: ReadReport) -> dict[Path, str | None]:
        found = {}
        for split in _SPLIT_KEYS:
            for image in _split_images(self.folder, self._description, split, report):
                if image in found:
                    report.add('image in two splits (kept in the first)', self.relative(image))
                else:
                    found[image] = None if split == NO_SPLIT else split
        return found

    def _all_images(self) -> list[Path]:
        images = list(files_by_stem(self.root, IMAGE_SUFFIXES).values())
        return [path for path in images if 'images' in path.absolute().parts] or images

    def read(self, item: tuple[Path, str | None], report: ReadReport) -> ParkingImage:
        """Read one image."""
        image, split = item
        size, place = image_size(image), self.relative(image)
        label = label_path(image.absolute())
        slots = []
        if label.is_file():
            place = self.relative(label)
            slots = list(self._slots(read_text(label), size, report, place))
        else:
            report.add('image without txt (kept, without slots)', place)
        return ParkingImage(
            file_name=self.relative(image),
            width=size[0],
            height=size[1],
            metres_per_pixel=self.metres_per_pixel,
            split=split,
            **checked_slots(slots, size, report, place, metres_per_pixel=self.metres_per_pixel),
        )

    def _slots(
        self, text: str, size: tuple[int, int], report: ReadReport, place: str
    ) -> Iterator[Quadrilateral]:
        classes = None if self._description is None else self._description['names']
        for line in filter(str.strip, text.splitlines()):
            try:
                values = np.array(line.split(), dtype=np.float64)
                number = str(int(values[0]))
                keypoints = values[5:].reshape(4, _NUM_VALUES[len(values)])
            except (KeyError, OverflowError, ValueError):
                report.add(
                    'line without class, box and four keypoints left out', f'{place}: {line}'
                )
                continue
            name = number if classes is None else classes.get(number)
            if name is None:
                report.add(
                    'line of a class that data.yaml does not name left out', f'{place}: {line}'
                )
                continue
            meaning = self.meaning(name, Meaning())
            if meaning is None:
                report.add('line of an ignored class left out', f'{place}: {line}')
                continue
            corners = np.round(keypoints[:, :2] * size, _PIXEL_DIGITS)
            flags = keypoints[:, 2] if keypoints.shape[1] == 3 else None
            yield self.quadrilateral(corners, meaning, size, flags)


def label_path(image: Path | PurePosixPath) -> Path | PurePosixPath:
    """Where ultralytics looks for the label of an image: ``labels`` for the last folder ``images``."""
    parts = list(image.parts)
    if 'images' in parts[:-1]:
        parts[max(i for i, part in enumerate(parts[:-1]) if part == 'images')] = 'labels'
    return type(image)(*parts).with_suffix('.txt')


def _data_file(root: Path) -> Path | None:
    """The data set's YAML, None if there is none."""
    if root.is_file():
        return root
    files = sorted((*root.glob('*.yaml'), *root.glob('*.yml')))
    named = [path for path in files if path.stem == 'data'] or files
    if len(named) > 1:
        raise ValueError(
            f'{root}: found {[path.name for path in named]}; give the one that describes the data set '
            'instead of the folder.'
        )
    return named[0] if named else None


def _load(path: Path) -> dict:
    """Content of a data set's YAML, with the class names as a mapping."""
    try:
        content = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        raise ValueError(f'{path}: not valid YAML ({" ".join(str(error).split())}).') from error
    names = content.get('names') if isinstance(content, dict) else None
    if not isinstance(names, list | dict):
        raise ValueError(
            f'{path}: no `names` found; expected the YAML of a pose data set, with names and kpt_shape.'
        )
    shape = content.get('kpt_shape', [4])
    if not (isinstance(shape, list) and shape and shape[0] == 4):
        raise ValueError(
            f'{path}: kpt_shape is {shape!r}; expected [4, 2] or [4, 3], the corners of a slot.'
        )
    pairs = names.items() if isinstance(names, dict) else enumerate(names)
    return content | {'names': {str(number): str(name) for number, name in pairs}}


def _split_images(
    folder: Path, description: dict, split: str, report: ReadReport
) -> Iterator[Path]:
    """Images of one split, in order; one that a list names may be missing."""
    base = folder / str(description.get('path') or '')
    base = base if base.is_dir() else folder
    entries = description.get(split) or []
    for entry in entries if isinstance(entries, list) else [entries]:
        # Roboflow writes ../train/images for what lies beside the YAML.
        places = [base / str(entry), base / str(entry).removeprefix('../')]
        place = next((path for path in places if path.exists()), None)
        if place is None:
            report.add('split of data.yaml that does not exist left out', f'{split}: {entry}')
        elif place.is_dir():
            yield from files_by_stem(place, IMAGE_SUFFIXES).values()
        else:
            for line in filter(str.strip, read_text(place).splitlines()):
                name = line.strip().replace('\\', '/')
                yield (place.parent if name.startswith('./') else base) / name


def write_yolo_pose(folder: str | Path, records: Iterable[ParkingImage]) -> ReadReport:
    """Write the slots of records as a pose data set of ultralytics.

    Written are ``labels/**.txt``, one list of images per split and ``data.yaml``. Classes are the
    slot types, with the occupancy where any is known (``parallel occupied``). Images are not copied,
    but ultralytics finds a label only by the path of its image: it puts ``labels`` for the last
    folder ``images`` of the path and ``.txt`` for the suffix. So the lists name ``images/<file_name>``
    below ``folder`` (or just ``file_name`` if that has a folder ``images`` in it), and before training
    the images have to be there, most easily through a link::

        ln -s /path/to/the/image/folder FOLDER/images
        yolo pose train data=FOLDER/data.yaml model=yolo11n-pose.pt

    Records without a ``split`` go to ``no_split.txt``, which ultralytics does not use; set the field
    to ``train`` and ``val`` before. ``flip_idx`` mends the order of the corners after a horizontal
    flip; older releases do not use it for vertical ones, so leave ``flipud`` at its default of 0.

    Ultralytics refuses an image one of whose keypoints lies outside it. Such a corner is written as
    not labelled (``0 0 0``), which is what ultralytics does to a corner that an augmentation moves
    out; when read again a single one is completed to a parallelogram, and a slot with more is left
    out. Everything else, to a millionth of a pixel, reads as it was written.

    Args:
        folder: Folder to write to.
        records: Images; their slots are written, marking points have no place in the format.

    Returns:
        What the format cannot hold.

    Raises:
        ValueError: An image lies outside the image folder, or two would share one label.
    """
    folder, records, report = Path(folder), list(records), ReadReport()
    classes = _classes(records)
    lists: dict[str, list[str]] = {}
    labels: dict[PurePosixPath, str] = {}
    for record in records:
        image = _listed_path(record.file_name)
        label = label_path(image)
        if label in labels:
            raise ValueError(
                f'{record.file_name}: its label {label} would be that of {labels[label]}, too; rename '
                'one of the images.'
            )
        labels[label] = record.file_name
        lists.setdefault(record.split or NO_SPLIT, []).append(f'./{image}\n')
        lines = [_line(record, i, classes, report) for i in range(len(record.corners))]
        write_whole(folder / label, ''.join(lines))
        if len(record.points):
            report.add('image whose marking points were not written', record.file_name)
    for split, images in lists.items():
        write_whole(folder / f'{split}.txt', ''.join(images))
    content = {split: f'{split}.txt' for split in lists} | {
        'kpt_shape': [4, 3],
        'flip_idx': list(FLIPPED_ORDER),
        'names': {
            number: SLOT_TYPES[slot_type] + _OCCUPANCY[occupied]
            for (slot_type, occupied), number in classes.items()
        },
    }
    write_whole(folder / 'data.yaml', yaml.safe_dump(content, sort_keys=False))
    return report


def _classes(records: Sequence[ParkingImage]) -> dict[tuple[int, int], int]:
    """Slot type and occupancy -> class number; a class for each type, also if it does not occur."""
    found = {int(value) for record in records for value in record.occupied}
    if found & {0, 1}:
        found |= {0, 1}
    keys = [(slot_type, o) for o in sorted(found or {-1}) for slot_type in range(len(SLOT_TYPES))]
    return {key: number for number, key in enumerate(keys)}


def _listed_path(file_name: str) -> PurePosixPath:
    path = PurePosixPath(file_name)
    if path.is_absolute() or '..' in path.parts:
        raise ValueError(
            f'{file_name}: lies outside the image folder, where ultralytics would not find its label; '
            'make file_name relative to a folder that holds all images.'
        )
    return path if 'images' in path.parts[:-1] else 'images' / path


def _line(
    record: ParkingImage, i: int, classes: dict[tuple[int, int], int], report: ReadReport
) -> str:
    size, corners = (record.width, record.height), record.corners[i]
    inside = ((corners >= 0) & (corners <= size)).all(-1)
    flags = np.where(inside, record.corner_visible[i], 0)
    if not inside.all():
        report.add(
            'slot with corners outside the image (written as not labelled)', record.file_name
        )
    seen = Polygon(corners).buffer(0).intersection(box(0, 0, *size))
    if seen.is_empty:
        report.add('slot outside the image left out', record.file_name)
        return ''
    low, high = np.array(seen.bounds).reshape(2, 2) / size
    keypoints = np.where(inside[:, None], corners / size, 0)
    values = [*(low + high) / 2, *(high - low)]
    values += [value for point, v in zip(keypoints, flags, strict=True) for value in (*point, v)]
    number = classes[int(record.slot_types[i]), int(record.occupied[i])]
    texts = (np.format_float_positional(v, precision=_DIGITS, trim='-') for v in values)
    return f'{number} {" ".join(texts)}\n'
