"""What the formats of the MATLAB label tools share: marks, and slots that name two of them.

ps2.0, DMPR, PSV, CRPS-D and bjtu-ps1 list the marking points of an image as ``marks`` and its slots as
rows ``[i, j, type, angle]``: indices of the two marks of the entrance, which count from 1, and the
interior angle in degrees. Coordinates are 1-based too. Rear corners are not labelled; readers put
them where the label tool draws them (:func:`slot_corners`).
"""

import io
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.io import loadmat
from shapely import Polygon, box

from mmdet_ext.datasets.formats.label_files import read_json
from mmdet_ext.datasets.formats.parking_slot_coco import SLOT_TYPES, ParkingImage
from mmdet_ext.datasets.formats.reader import (
    LeftOut,
    ParkingReader,
    ReadReport,
    files_by_stem,
    image_size,
)
from mmdet_ext.structures.marking_points import unit
from mmdet_ext.structures.slots import assemble_corners, separator, separator_direction

REFERENCE_HEIGHT = 600
"""Height of the images that the lengths below are given for."""

PERPENDICULAR_DEPTH, PARALLEL_DEPTH = 280, 120
LONGEST_PERPENDICULAR = 216
"""Entrance length from which on a right-angled slot is parallel: halfway between ps2.0's ranges."""

RIGHT, ACUTE, OBTUSE = 1, 2, 3
"""Types of a slot, the third number of its row."""

_RIGHT_ANGLE_TOLERANCE = 5
"""Degrees off 90 up to which a slot without a known type is right-angled."""

PERPENDICULAR, PARALLEL, SLANTED = range(len(SLOT_TYPES))

Note = Callable[..., None]
"""``note(reason, detail)`` counts what is left out or odd in the image that is being read."""


class Labelled(NamedTuple):
    """One image to read."""

    image: Path
    label: Path
    split: str | None = None
    condition: str | None = None
    group: str | None = None


class Slots(NamedTuple):
    """Slots of an image in the frame of its label: 0-based pixels."""

    corners: np.ndarray  # (M, 4, 2)
    types: np.ndarray  # (M,), labels in SLOT_TYPES
    ends: np.ndarray  # (M, 2), rows of the marks


NO_SLOTS = Slots(np.zeros((0, 4, 2)), np.zeros(0, np.int64), np.zeros((0, 2), np.int64))


class Labels(NamedTuple):
    """Labels of an image in the frame of its label: 0-based pixels."""

    points: np.ndarray  # (N, 2), NaN where a mark cannot be read
    directions: np.ndarray  # (N, 2), of any length, NaN where unknown
    shapes: np.ndarray  # (N,), labels in SHAPES, -1 unknown
    slots: Slots = NO_SLOTS


@dataclass
class MarksReader(ParkingReader):
    """Base of the readers of this family.

    Attributes:
        metres: Height of the ground that an image shows, in metres; 0: unknown.
    """

    metres: float = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_length('metres', self.metres)

    def frame(self, size: tuple[int, int]) -> tuple[int, int]:
        """Width and height of the frame that the labels of an image of ``size`` are in."""
        return size

    @abstractmethod
    def read_labels(self, path: Path, frame: tuple[int, int], note: Note) -> Labels:
        """Read a label file.

        Args:
            path: The file.
            frame: Width and height of the frame that it is in.
            note: Called for what is left out or odd.

        Raises:
            LeftOut: The file cannot be used.
        """

    def condition(self, item: Labelled) -> str | None:
        """Evaluation subset."""
        return item.condition

    def read(self, item: Labelled, report: ReadReport) -> ParkingImage:
        """Read one image's labels."""
        name = self.relative(item.label)

        def note(reason: str, detail: object = '') -> None:
            report.add(reason, f'{name} ({detail})' if detail else name, item.condition)

        width, height = image_size(item.image)
        frame = self.frame((width, height))
        labels = self.read_labels(item.label, frame, note)
        record = ParkingImage(
            file_name=self.relative(item.image),
            width=width,
            height=height,
            **labels_in_image(labels, frame, (width, height), note),
            metres_per_pixel=self.metres / height if self.metres else None,
            group=item.group,
            condition=item.condition,
            split=item.split,
        )
        if not len(record.points):
            note('image without points (kept)')
        return record


@dataclass
class MarksAndSlotsReader(MarksReader):
    """Base of the readers of labels in pixels.

    Attributes:
        label_size: Side in pixels of the square frame that the labels are in; 0: that of each image.
    """

    label_size: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_length('label_size', self.label_size)

    def frame(self, size: tuple[int, int]) -> tuple[int, int]:
        """Width and height of the frame that the labels of an image of ``size`` are in."""
        return (self.label_size, self.label_size) if self.label_size else size


def check_length(option: str, value: Any) -> None:
    """Check a length among a reader's options.

    Raises:
        ValueError: It is no number, or negative.
    """
    if not isinstance(value, int | float) or not 0 <= value < np.inf:
        raise ValueError(f'Option {option} is {value!r}; expected a number from 0 on.')


def load_mat(path: Path) -> dict[str, Any]:
    """Read ``marks`` and ``slots`` of a MATLAB file.

    Raises:
        LeftOut: The file is damaged or lacks one of them.
        OSError: The file cannot be opened.
    """
    stream = io.BytesIO(path.read_bytes())
    try:
        content = loadmat(stream)
    except Exception as error:  # a damaged file can make loadmat raise anything
        raise LeftOut('mat file that cannot be read', error) from error
    return _with_keys(content, [key for key in content if not key.startswith('__')])


def load_json(path: Path) -> Any:
    """Read a JSON file; see :func:`read_json`.

    Raises:
        LeftOut: The file is not valid JSON.
        OSError: The file cannot be opened.
    """
    return read_json(path, 'broken JSON')


def load_label(path: Path) -> dict[str, Any]:
    """Read ``marks`` and ``slots`` of a JSON file.

    Raises:
        LeftOut: The file is not valid JSON or lacks one of them.
        OSError: The file cannot be opened.
    """
    content = load_json(path)
    if not isinstance(content, dict):
        raise LeftOut(
            'JSON without `marks` and `slots`', f'found a {type(content).__name__} for an object'
        )
    return _with_keys(content, content)


def _with_keys(content: dict[str, Any], found: Collection[str]) -> dict[str, Any]:
    if not {'marks', 'slots'} <= content.keys():
        raise LeftOut('label without `marks` and `slots`', f'found {sorted(found)}')
    return content


def number_rows(value: Any, columns: int, name: str, note: Note, *, more: bool = False):
    """Rows of numbers, of which a single one may have been collapsed to a flat list.

    MATLAB makes one row a vector, and ``jsonencode`` writes it as ``[1, 2]`` for ``[[1, 2]]``.

    Args:
        value: Nested lists or an array.
        columns: Length of a row.
        name: What a row is, for the report.
        note: Called for each row that is not ``columns`` finite numbers.
        more: Whether rows may be longer; the rest is not read.

    Returns:
        Shape ``(N, columns)``; NaN for the rows that cannot be read, so that indices stay right.

    Raises:
        LeftOut: ``value`` is no list.
    """
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, list):
        raise LeftOut(f'{name}s that are no list of rows', f'found {value!r:.60}')
    if value and not any(isinstance(row, list) for row in value):
        value = [value]
    if value == [[]]:  # an empty array of one row
        value = []
    rows = np.full((len(value), columns), np.nan)
    for i, row in enumerate(value):
        if isinstance(row, list) and _is_row(row, columns, more):
            rows[i] = row[:columns]
        else:
            note(f'{name} that is not {columns} finite numbers left out', f'{name} {i + 1}: {row}')
    return rows


def _is_row(row: list, columns: int, more: bool) -> bool:
    # The comparison is false for NaN, infinity and whole numbers too large for a float.
    return (len(row) == columns or (more and len(row) > columns)) and all(
        isinstance(v, int | float) and abs(v) < 1e9 for v in row[:columns]
    )


def shape_labels(values: np.ndarray, note: Note) -> np.ndarray:
    """Labels in ``SHAPES`` of the label tool's 0 (T) and 1 (L), shape ``(N,)``; -1 for others."""
    known = np.isin(values, (0, 1))
    for i in np.flatnonzero(~known & ~np.isnan(values)):
        note('mark whose shape is neither 0 nor 1 (shape unknown)', f'mark {i + 1}: {values[i]:g}')
    return np.where(known, np.nan_to_num(values), -1).astype(np.int64)


def arms(points: np.ndarray, ends: np.ndarray, note: Note) -> np.ndarray:
    """Vectors from marks to second points, shape ``(N, 2)``; NaN where the two are the same.

    Args:
        points: Marks, shape ``(N, 2)``, NaN for unreadable ones.
        ends: Points on the separating lines, shape ``(N, 2)``.
        note: Called for each mark without a direction.
    """
    vectors = ends - points
    same = ~vectors.any(-1)
    for i in np.flatnonzero(same):
        note('mark whose second point is the first (direction unknown)', f'mark {i + 1}')
    return np.where(same[:, None], np.nan, vectors)


def slot_corners(
    p1: np.ndarray,
    p2: np.ndarray,
    angle: float,
    slanted: bool,
    pixels: float,
    longest_perpendicular: float = LONGEST_PERPENDICULAR,
) -> tuple[np.ndarray, int]:
    """Complete a slot from its entrance and interior angle, as the label tool of ps2.0 draws it.

    Right-angled slots are 280 px deep behind a short entrance and 120 px behind a long one, slanted
    ones ``280 px / sin(angle)`` (Zhang et al., Vision-based parking-slot detection: a DCNN-based
    approach and a large-scale benchmark dataset, 2018).

    Args:
        p1: Left end of the entrance, shape ``(2,)``.
        p2: Right end of the entrance, shape ``(2,)``.
        angle: Interior angle at p1 in degrees, in (0, 180).
        slanted: Whether the slot is slanted.
        pixels: Pixels per pixel of a 600-pixel-high image.
        longest_perpendicular: Entrance length in pixels of 600 from which on a right-angled slot is
            parallel.

    Returns:
        Corners, shape ``(4, 2)``, and the label in ``SLOT_TYPES``.
    """
    turn = np.radians(angle)
    if slanted:
        slot_type, depth = SLANTED, PERPENDICULAR_DEPTH / np.sin(turn)
    elif np.linalg.norm(p2 - p1) < longest_perpendicular * pixels:
        slot_type, depth = PERPENDICULAR, PERPENDICULAR_DEPTH
    else:
        slot_type, depth = PARALLEL, PARALLEL_DEPTH
    direction = separator_direction(p2 - p1, turn)
    return assemble_corners(p1, p2, direction, np.array(depth * pixels)), slot_type


def read_slots(
    value: Any,
    points: np.ndarray,
    frame: tuple[int, int],
    note: Note,
    *,
    typed: bool = True,
    longest_perpendicular: float = LONGEST_PERPENDICULAR,
) -> Slots:
    """Read the slots of a label.

    Args:
        value: Rows ``[i, j, type, angle]``, as in the file.
        points: Marks that they name, 0-based pixels, shape ``(N, 2)``, NaN for unreadable ones.
        frame: Width and height of the image that the marks are in.
        note: Called for each slot that is left out or odd.
        typed: Whether the type says what is slanted; else the angle does.
        longest_perpendicular: See :func:`slot_corners`.

    Raises:
        LeftOut: ``value`` is no list.
    """
    pixels = frame[1] / REFERENCE_HEIGHT
    corners, types, ends = [], [], []
    for number, row in enumerate(number_rows(value, 4, 'slot', note, more=True), 1):
        if np.isnan(row).any():
            continue
        slanted, angle, oddity = _slant(row, typed)
        problem = _problem(row, angle, points, ends)
        if problem or oddity:
            note(f'{problem} left out' if problem else oddity, f'slot {number}: {row.tolist()}')
        if problem:
            continue
        i, j = row[:2].astype(int) - 1
        quad, slot_type = slot_corners(
            points[i], points[j], angle, slanted, pixels, longest_perpendicular
        )
        corners.append(quad)
        types.append(slot_type)
        ends.append((i, j))
    return Slots(*(np.array(rows) for rows in (corners, types, ends))) if ends else NO_SLOTS


def _problem(
    row: np.ndarray, angle: float, points: np.ndarray, earlier: list[tuple[int, int]]
) -> str | None:
    """Why a slot cannot be used."""
    whole = (row[:2] % 1 == 0) & (row[:2] >= 1) & (row[:2] <= len(points))
    if not whole.all():
        return 'slot naming a mark that there is not'
    i, j = row[:2].astype(int) - 1
    if np.isnan(points[[i, j]]).any():
        return 'slot on an unreadable mark'
    if (points[i] == points[j]).all():
        return 'slot with both ends at one place'
    if not 0 < angle < 180:
        return 'slot with an angle outside 0 to 180 degrees'
    return 'slot given twice' if (i, j) in earlier else None


def _slant(row: np.ndarray, typed: bool) -> tuple[bool, float, str | None]:
    """Whether a slot is slanted, its interior angle in degrees, and what is odd about it."""
    kind, angle = row[2:]
    right = abs(angle - 90) <= _RIGHT_ANGLE_TOLERANCE
    if not typed or (kind == RIGHT and right):
        return not right, angle, None
    if kind == ACUTE:
        return True, angle, 'slot of type 2 with an obtuse angle (kept)' if angle > 90 else None
    if kind == OBTUSE and angle >= 90:
        return True, angle, None
    if kind == OBTUSE:  # two versions of the label tool differ
        return True, 180 - angle, 'slot of type 3 with an acute angle (read as 180 - angle)'
    if angle == 0:  # DMPR-PS uses neither type nor angle, so some files have zeros there
        return False, 90.0, 'slot without an angle (read as 90 degrees)'
    return not right, angle, 'slot whose type is unknown or denies its angle (the angle decides)'


def mean_separators(count: int, slots: Slots, note: Note) -> np.ndarray:
    """Direction of each mark: the mean separator direction of the slots that hang on it.

    After Yu et al., SPFCN: Select and Prune the Fully Convolutional Networks for Real-time Parking
    Slot Detection, 2020.

    Args:
        count: Number of marks, N.
        slots: The slots.
        note: Called for each mark whose slots lie on opposite sides.

    Returns:
        Vectors, shape ``(N, 2)``; NaN for marks without a slot or with slots on opposite sides.
    """
    total, number = np.zeros((count, 2)), np.zeros(count)
    direction, _ = separator(slots.corners)
    np.add.at(total, slots.ends, direction[:, None])
    np.add.at(number, slots.ends, 1)
    # Two unit vectors less than 120 degrees apart have a mean longer than a half.
    agree = np.linalg.norm(total, axis=-1) > number / 2
    for i in np.flatnonzero(~agree & (number > 0)):
        note('mark with slots on opposite sides (direction unknown)', f'mark {i + 1}')
    return np.where(agree[:, None], total, np.nan)


def labels_in_image(
    labels: Labels, frame: tuple[int, int], size: tuple[int, int], note: Note
) -> dict[str, np.ndarray]:
    """Carry labels from the frame they are in to the pixels of the image file.

    Args:
        labels: In 0-based pixels of ``frame``.
        frame: Width and height that the labels are made for.
        size: Width and height of the image file.
        note: Called for the points and slots outside the image, which are left out.

    Returns:
        Fields of :class:`ParkingImage`.
    """
    scale = np.divide(size, frame)
    readable = ~np.isnan(labels.points).any(-1)
    inside = ((labels.points >= -0.5) & (labels.points <= np.subtract(frame, 0.5))).all(-1)
    for i in np.flatnonzero(readable & ~inside):
        x, y = labels.points[i] + 1
        note('point outside the image left out', f'mark {i + 1} at {x:g}, {y:g}')
    corners = _scaled(labels.slots.corners, scale)
    seen = np.array([_overlaps(quad, size) for quad in corners], bool)
    for i in np.flatnonzero(~seen):
        j, k = labels.slots.ends[i] + 1
        note('slot outside the image left out', f'between marks {j} and {k}')
    rows = np.where(inside, np.cumsum(inside) - 1, -1)
    return {
        'points': _scaled(labels.points[inside], scale),
        'directions': unit(labels.directions[inside] * scale),
        'shapes': labels.shapes[inside],
        'corners': corners[seen],
        'slot_types': labels.slots.types[seen],
        'occupied': np.full(seen.sum(), -1),
        'slot_points': rows[labels.slots.ends[seen]],
    }


def _scaled(points: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Scale 0-based pixels about the image's upper left corner, which is at -0.5."""
    return (points + 0.5) * scale - 0.5


def _overlaps(corners: np.ndarray, size: tuple[int, int]) -> bool:
    return Polygon(corners).buffer(0).intersection(box(0, 0, *size)).area > 0


def stems_below(
    folder: Path, suffixes: Sequence[str], splits: Mapping[str, str]
) -> dict[str, Path]:
    """Files by stem (see :func:`files_by_stem`), where ``folder`` may be one split of a data set.

    Args:
        folder: Folder of the data set, or one of its folders in ``splits``.
        suffixes: Endings in lower case.
        splits: Folder names that stand for a split.
    """
    prefix = f'{folder.name}/' if folder.name in splits else ''
    return {f'{prefix}{stem}': path for stem, path in files_by_stem(folder, suffixes).items()}


def split_of(stem: str, splits: Mapping[str, str]) -> str | None:
    """Split that the innermost of a file's folders stands for."""
    return next((splits[p] for p in reversed(stem.split('/')[:-1]) if p in splits), None)


def pair_files(
    labels: Mapping[str, Path],
    images: Mapping[str, Path],
    reader: ParkingReader,
    report: ReadReport,
    image_stems: Callable[[str], Iterable[str]] = lambda stem: (stem,),
    condition: Callable[[str], str | None] = lambda stem: None,
) -> dict[str, tuple[Path, Path]]:
    """Find the image of each label.

    Args:
        labels: Label files by stem.
        images: Image files by stem.
        reader: Whose root the report's paths are relative to.
        report: Filled with labels without image and images without label.
        image_stems: Where the image of a label may be, the best place first.
        condition: Evaluation subset of a stem, for the report.

    Returns:
        Image and label by the label's stem.
    """
    pairs, used = {}, set()
    for stem, label in labels.items():
        found = next((place for place in image_stems(stem) if place in images), None)
        if found is None:
            report.add('label without image left out', reader.relative(label), condition(stem))
        else:
            used.add(found)
            pairs[stem] = images[found], label
    for stem, image in images.items():
        if stem not in used:
            report.add('image without label left out', reader.relative(image), condition(stem))
    return pairs
