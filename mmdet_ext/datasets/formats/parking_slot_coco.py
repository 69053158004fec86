"""Parking-slot COCO: one JSON that stock COCO tools read, with marking points beside the slots.

``images``, ``categories`` and ``annotations`` are plain COCO keypoints (four corners per slot);
``marking_points`` and ``info.labels`` are ours. Every other format is read into
:class:`ParkingImage` records and written by :func:`write_parking_slot_coco`.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from shapely import Polygon, box

from mmdet_ext.structures.marking_points import SHAPES
from mmdet_ext.utils.files import parse_json, write_whole

SLOT_TYPES = ('perpendicular', 'parallel', 'slanted')
LABEL_KINDS = ('marking_points', 'directions', 'shapes', 'slots', 'occupancy')
KEYPOINTS = ('entrance_left', 'entrance_right', 'rear_right', 'rear_left')
VISIBLE, HIDDEN = 2, 1
"""COCO's keypoint flags: seen in the image, and labelled although it cannot be seen."""

_OCCUPIED = {True: 1, False: 0, None: -1}


def _empty(*shape: int, dtype=np.float64):
    return field(default_factory=lambda: np.zeros((0, *shape), dtype))


@dataclass
class ParkingImage:
    """Labels of one image.

    Attributes:
        file_name: Path relative to the image folder.
        width: Image width in pixels.
        height: Image height in pixels.
        points: Marking points, ``(N, 2)``, pixels.
        directions: Unit vectors, ``(N, 2)``, NaN where unknown (see ``structures``).
        shapes: Labels in ``SHAPES``, ``(N,)``, -1 unknown.
        corners: Slots p1..p4, ``(M, 4, 2)``, pixels.
        slot_types: Labels in ``SLOT_TYPES``, ``(M,)``.
        occupied: 1, 0 or -1 unknown, ``(M,)``.
        slot_points: Rows of ``points`` that p1 and p2 hang on, ``(M, 2)``, -1 for none.
        metres_per_pixel: Ground resolution, None if unknown.
        group: Sequence or site; splits never cut through a group.
        condition: Evaluation subset such as ``indoor``.
        image_id: COCO id; given by the writer, set by the reader.
        corner_visible: ``VISIBLE`` or ``HIDDEN`` for each corner, ``(M, 4)``: hidden are those behind
            something, under the ego car and outside the image. None: by the image border alone.
        tags: Further conditions by name, such as ``{'light': 'night', 'ground': 'asphalt'}``.
        split: Part of the data set that its makers put the image into, such as ``train``.
    """

    file_name: str
    width: int
    height: int
    points: np.ndarray = _empty(2)
    directions: np.ndarray = _empty(2)
    shapes: np.ndarray = _empty(dtype=np.int64)
    corners: np.ndarray = _empty(4, 2)
    slot_types: np.ndarray = _empty(dtype=np.int64)
    occupied: np.ndarray = _empty(dtype=np.int64)
    slot_points: np.ndarray = _empty(2, dtype=np.int64)
    metres_per_pixel: float | None = None
    group: str | None = None
    condition: str | None = None
    image_id: int | None = None
    corner_visible: np.ndarray | None = None
    tags: dict[str, str] = field(default_factory=dict)
    split: str | None = None

    def __post_init__(self) -> None:
        if self.corner_visible is None:
            size = (self.width, self.height)
            inside = ((self.corners >= 0) & (self.corners <= size)).all(-1)
            self.corner_visible = np.where(inside, VISIBLE, HIDDEN)


def write_parking_slot_coco(
    path: str | Path,
    records: Iterable[ParkingImage],
    labels: Sequence[str],
    description: str = '',
    derived: Sequence[str] = (),
) -> dict:
    """Write records as one parking-slot COCO file.

    Args:
        path: JSON file to write; folders are made.
        records: Images in the order of their ids, which count from 0.
        labels: Which of :data:`LABEL_KINDS` are complete in these records.
        description: Free text for ``info``.
        derived: Those of ``labels`` that were computed from others, not labelled by anyone.

    Returns:
        The written content.

    Raises:
        ValueError: A name in ``labels`` is unknown or a slot lies outside its image.
    """
    _check_labels(labels, path)
    content = {
        'info': {'description': description, 'labels': list(labels)}
        | ({'derived': list(derived)} if derived else {}),
        'images': [],
        'categories': _categories(SLOT_TYPES),
        'annotations': [],
        'marking_points': [],
    }
    for image_id, record in enumerate(records):
        _append(content, image_id, record)
    write_whole(path, json.dumps(content, separators=(',', ':'), allow_nan=False))
    return content


def _categories(names: Sequence[str]) -> list[dict]:
    skeleton = [[1, 2], [2, 3], [3, 4], [4, 1]]
    return [
        {'id': i, 'name': name, 'keypoints': list(KEYPOINTS), 'skeleton': skeleton}
        for i, name in enumerate(names, 1)
    ]


def _append(content: dict, image_id: int, record: ParkingImage) -> None:
    optional = {
        key: getattr(record, key)
        for key in ('metres_per_pixel', 'group', 'condition', 'tags')
        if getattr(record, key) not in (None, {})
    }
    content['images'].append(
        {
            'id': image_id,
            'file_name': record.file_name,
            'width': record.width,
            'height': record.height,
            **optional,
        }
    )
    first_point = len(content['marking_points'])
    for i, (point, direction, shape) in enumerate(
        zip(record.points, record.directions, record.shapes, strict=True)
    ):
        content['marking_points'].append(
            {
                'id': first_point + i,
                'image_id': image_id,
                'point': _rounded(point),
                'direction': None if np.isnan(direction).any() else _rounded(direction, 5),
                'shape': None if shape < 0 else SHAPES[shape],
            }
        )
    for i in range(len(record.corners)):
        content['annotations'].append(
            {
                'id': len(content['annotations'])
                + 1,  # pycocotools takes a match with id 0 for none
                'image_id': image_id,
                **_slot_annotation(record, i, first_point),
            }
        )


def _slot_annotation(record: ParkingImage, i: int, first_point: int) -> dict:
    corners = record.corners[i]
    visible = Polygon(corners).buffer(0).intersection(box(0, 0, record.width, record.height))
    if visible.is_empty or visible.area == 0:
        raise ValueError(
            f'{record.file_name}: slot {i} with corners {corners.round(1).tolist()} lies outside the '
            f'{record.width} x {record.height} image; leave it out of the record.'
        )
    x1, y1, x2, y2 = visible.bounds
    annotation = {
        'category_id': int(record.slot_types[i]) + 1,
        'iscrowd': 0,
        'keypoints': [
            value
            for corner, flag in zip(corners, record.corner_visible[i], strict=True)
            for value in (*_rounded(corner), int(flag))
        ],
        'num_keypoints': 4,  # COCO counts the labelled ones, hidden or not
        'segmentation': [
            _rounded(np.array(part.exterior.coords)[:-1].ravel())
            for part in getattr(visible, 'geoms', [visible])
            if part.geom_type == 'Polygon'
        ],
        'bbox': _rounded([x1, y1, x2 - x1, y2 - y1]),
        'area': round(visible.area, 2),
        'occupied': {1: True, 0: False, -1: None}[int(record.occupied[i])],
    }
    if (record.slot_points[i] >= 0).any():
        annotation['marking_point_ids'] = [
            first_point + int(k) if k >= 0 else None for k in record.slot_points[i]
        ]
    return annotation


def _rounded(values, digits: int = 3) -> list[float]:
    return np.asarray(values, dtype=np.float64).round(digits).tolist()


@dataclass
class ParkingSlotFile:
    """Content of one parking-slot COCO file.

    Attributes:
        path: The file.
        labels: Kinds of label that are complete in the file, a subset of ``LABEL_KINDS``.
        classes: Category names in the order of ``slot_types``.
        images: One record per image, images without any label included.
    """

    path: Path
    labels: tuple[str, ...]
    classes: tuple[str, ...]
    images: list[ParkingImage]


def read_parking_slot_coco(path: str | Path) -> ParkingSlotFile:
    """Read and check a parking-slot COCO file.

    Args:
        path: The JSON file.

    Returns:
        Its content.

    Raises:
        FileNotFoundError: The file is missing.
        ValueError: The file is not valid; the message names the entry and the remedy.
    """
    path = Path(path)
    content = _load_json(path)
    for key in ('images', 'annotations', 'categories'):
        if not isinstance(content.get(key), list):
            raise ValueError(
                f'{path}: no list `{key}` found (keys: {sorted(content)}); expected a COCO file with '
                '`images`, `annotations` and `categories`.'
            )
    labels = tuple(content.get('info', {}).get('labels', _guess_labels(content)))
    _check_labels(labels, path)
    category_rows = {c['id']: i for i, c in enumerate(content['categories'])}
    slots, points = defaultdict(list), defaultdict(list)
    image_ids = _image_ids(path, content['images'])
    for target, key in ((slots, 'annotations'), (points, 'marking_points')):
        for i, entry in enumerate(content.get(key, ())):
            if entry.get('image_id') not in image_ids:
                raise ValueError(
                    f'{path}: {key}[{i}] has image_id {entry.get("image_id")!r}, which no entry of '
                    '`images` has; remove it or add its image.'
                )
            target[entry['image_id']].append((i, entry))
    images = [
        _read_image(path, image, points[image['id']], slots[image['id']], category_rows)
        for image in content['images']
    ]
    return ParkingSlotFile(path, labels, tuple(c['name'] for c in content['categories']), images)


def _image_ids(path: Path, images: list[dict]) -> set[int]:
    ids = set()
    for i, image in enumerate(images):
        if image.get('id') is None or image['id'] in ids:
            found = (
                'no `id`' if image.get('id') is None else f'the id {image["id"]} of another image'
            )
            raise ValueError(f'{path}: images[{i}] has {found}; give each image an id of its own.')
        ids.add(image['id'])
    return ids


def _load_json(path: Path) -> dict:
    if not path.is_file():
        raise FileNotFoundError(
            f'Annotation file {path.absolute()} not found; check `data_root` and `ann_file` of the config.'
        )
    try:
        content = parse_json(path)
    except ValueError as error:
        raise ValueError(f'{path}: not valid JSON ({error}); write the file again.') from error
    if not isinstance(content, dict):
        raise ValueError(f'{path}: found a JSON {type(content).__name__}, expected a COCO object.')
    return content


def _guess_labels(content: dict) -> list[str]:
    """Kinds of label that a plain COCO file without ``info.labels`` can be complete in."""
    labels = ['slots'] if content['annotations'] else []
    return labels + (['marking_points'] if content.get('marking_points') else [])


def _check_labels(labels: Sequence[str], path: str | Path) -> None:
    unknown = [label for label in labels if label not in LABEL_KINDS]
    if unknown:
        raise ValueError(f'{path}: unknown label kinds {unknown}; expected some of {LABEL_KINDS}.')


def _read_image(path, image, points, slots, category_rows) -> ParkingImage:
    missing = [key for key in ('file_name', 'width', 'height') if key not in image]
    if missing:
        raise ValueError(f'{path}: the image with id {image["id"]} lacks {missing}; add them.')
    rows = {entry.get('id'): row for row, (_, entry) in enumerate(points)}
    return ParkingImage(
        file_name=image['file_name'],
        width=image['width'],
        height=image['height'],
        points=_stack([_vector(path, i, e, 'point') for i, e in points], 2),
        directions=_stack([_vector(path, i, e, 'direction') for i, e in points], 2),
        shapes=_stack([_shape(path, i, e) for i, e in points], dtype=np.int64),
        corners=_stack([_corners(path, i, e) for i, e in slots], 4, 2),
        slot_types=_stack(
            [_slot_type(path, i, e, category_rows) for i, e in slots], dtype=np.int64
        ),
        occupied=_stack([_occupied(path, i, e) for i, e in slots], dtype=np.int64),
        slot_points=_stack(
            [[rows.get(k, -1) for k in e.get('marking_point_ids', (None, None))] for _, e in slots],
            2,
            dtype=np.int64,
        ),
        metres_per_pixel=image.get('metres_per_pixel'),
        group=image.get('group'),
        condition=image.get('condition'),
        image_id=image['id'],
        corner_visible=_stack([_flags(e) for _, e in slots], 4, dtype=np.int64),
        tags=image.get('tags', {}),
    )


def _stack(rows: list, *shape: int, dtype=np.float64) -> np.ndarray:
    return np.array(rows, dtype=dtype).reshape(len(rows), *shape)


def _vector(path: Path, i: int, entry: dict, key: str) -> list[float]:
    value = entry.get(key)
    if key == 'direction' and value is None:
        return [np.nan, np.nan]
    if not _finite_numbers(value, 2):
        raise ValueError(
            f'{path}: marking_points[{i}] (id {entry.get("id")}) has {key} {value!r}; '
            'expected two finite numbers [x, y].'
        )
    return value


def _shape(path: Path, i: int, entry: dict) -> int:
    shape = entry.get('shape')
    if shape is not None and shape not in SHAPES:
        raise ValueError(
            f'{path}: marking_points[{i}] (id {entry.get("id")}) has shape {shape!r}; '
            f'expected one of {SHAPES} or null.'
        )
    return -1 if shape is None else SHAPES.index(shape)


def _corners(path: Path, i: int, entry: dict) -> list[list[float]]:
    keypoints = entry.get('keypoints')
    if not _finite_numbers(keypoints, 12):
        found = f'{len(keypoints) / 3:g} corners' if isinstance(keypoints, list) else 'no list'
        if isinstance(keypoints, list) and len(keypoints) == 12:
            found = 'a value that is not a finite number'
        raise ValueError(
            f'{path}: annotations[{i}] (id {entry.get("id")}) has {found} in `keypoints`; expected the four '
            'corners entrance_left, entrance_right, rear_right, rear_left as 12 finite numbers x, y, v.'
        )
    return [keypoints[k : k + 2] for k in (0, 3, 6, 9)]


def _flags(entry: dict) -> list[int]:
    return [VISIBLE if flag == VISIBLE else HIDDEN for flag in entry['keypoints'][2::3]]


def _occupied(path: Path, i: int, entry: dict) -> int:
    occupied = entry.get('occupied')
    if not (occupied is None or isinstance(occupied, bool)):
        raise ValueError(
            f'{path}: annotations[{i}] (id {entry.get("id")}) has occupied {occupied!r}; '
            'expected true, false or null.'
        )
    return _OCCUPIED[occupied]


def _slot_type(path: Path, i: int, entry: dict, category_rows: dict) -> int:
    if entry.get('category_id') not in category_rows:
        raise ValueError(
            f'{path}: annotations[{i}] (id {entry.get("id")}) has category_id '
            f'{entry.get("category_id")!r}; `categories` has {sorted(category_rows)}.'
        )
    return category_rows[entry['category_id']]


def _finite_numbers(value, count: int) -> bool:
    return (
        isinstance(value, list)
        and len(value) == count
        and all(isinstance(v, int | float) and np.isfinite(v) for v in value)
    )
