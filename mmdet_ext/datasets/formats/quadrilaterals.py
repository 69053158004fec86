"""Slots that are labelled as four corners: their order, what is left out, and a guess of their type."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from shapely import Polygon, box

from mmdet_ext.datasets.formats.parking_slot_coco import (
    HIDDEN,
    SLOT_TYPES,
    VISIBLE,
    ParkingImage,
    write_parking_slot_coco,
)
from mmdet_ext.datasets.formats.reader import ParkingReader, ReadReport
from mmdet_ext.datasets.formats.slot_names import (
    IGNORE,
    Meaning,
    label_key,
    meaning_of,
    read_names,
)
from mmdet_ext.structures.slots import FLIPPED_ORDER, separator

SLANTED_FROM = np.deg2rad(15)
"""A slot whose separators stand further than this from the normal of its entrance is slanted: the
slanted slots of ps2.0 stand 23 and 39 degrees from it."""

PARALLEL_FROM = 3.6
"""Entrance length in metres from which a slot is parallel: the middle between the longest short and
the shortest long entrance (200 and 232 pixels of 1/60 m) that the label tool of ps2.0 takes."""

NEAREST = 'nearest'
"""Value of the option ``entrance``: the edge nearest the centre of the image, where the car is."""

_UNLABELLED = 0
_UNCROSSED_ORDER = (0, 1, 3, 2)
_MIN_LENGTH = 1.0  # pixels
_MIN_AREA = 1.0  # square pixels


@dataclass
class Quadrilateral:
    """A slot as its source labels it.

    Attributes:
        corners: The entrance's two corners first, ``(4, 2)``, in pixels of the image file.
        slot_type: Label in ``SLOT_TYPES``; None: guessed from the shape.
        occupied: 1, 0 or -1 unknown.
        flags: COCO's keypoint flags, ``(4,)``: 0 not labelled, ``HIDDEN`` or ``VISIBLE``.
    """

    corners: np.ndarray
    slot_type: int | None = None
    occupied: int = -1
    flags: np.ndarray = field(default_factory=lambda: np.full(4, VISIBLE))

    def reordered(self, order: Sequence[int]) -> 'Quadrilateral':
        """The same slot with its corners, and their flags, in another order."""
        return replace(self, corners=self.corners[list(order)], flags=self.flags[list(order)])


def checked_slots(
    slots: Iterable[Quadrilateral],
    image_size: tuple[int, int],
    report: ReadReport,
    place: str,
    *,
    condition: str | None = None,
    metres_per_pixel: float | None = None,
) -> dict[str, np.ndarray]:
    """Put slots in order and leave out those that are none.

    The corners come out anticlockwise on screen: those of a slot that runs clockwise are swapped in
    pairs and those of one whose separators cross lose the crossing; the entrance keeps its two
    corners. A single corner that is not labelled is completed to a parallelogram. Left out are slots
    with more than one corner unlabelled, with a coordinate that is no finite number, with an entrance
    or an area of less than a pixel, with edges that cross otherwise, and outside the image. All of
    this is counted.

    Args:
        slots: As the source labels them.
        image_size: Width and height of the image in pixels.
        report: Filled with what was changed, guessed and left out.
        place: Name of the image for the report.
        condition: The image's condition, which the report counts by.
        metres_per_pixel: Ground resolution, for :func:`guess_slot_type`.

    Returns:
        The fields of :class:`ParkingImage` that describe slots.
    """
    kept: list[Quadrilateral] = []
    for number, labelled in enumerate(slots, 1):
        slot, remarks = _mended(labelled)
        fault = _fault(slot, image_size)
        if fault is None and slot.slot_type is None:
            slot = replace(slot, slot_type=guess_slot_type(slot.corners, metres_per_pixel))
            remarks.append('slot type guessed from the shape')
        for remark in remarks if fault is None else [f'{fault} left out']:
            found = np.round(labelled.corners, 1).tolist()
            report.add(remark, f'{place}, slot {number} {found}', condition)
        if fault is None:
            kept.append(slot)
    corners = np.array([slot.corners for slot in kept], np.float64).reshape(-1, 4, 2)
    flags = np.array([slot.flags for slot in kept], np.int64).reshape(-1, 4)
    inside = ((corners >= 0) & (corners <= image_size)).all(-1)
    return {
        'corners': corners,
        'slot_types': np.array([slot.slot_type for slot in kept], np.int64),
        'occupied': np.array([slot.occupied for slot in kept], np.int64),
        'slot_points': np.full((len(kept), 2), -1),
        'corner_visible': np.where(inside, flags, HIDDEN),
    }


def _mended(slot: Quadrilateral) -> tuple[Quadrilateral, list[str]]:
    remarks = []
    missing = np.flatnonzero(slot.flags == _UNLABELLED)
    if len(missing) == 1:
        corners, flags, i = slot.corners.copy(), slot.flags.copy(), missing[0]
        corners[i] = corners[i - 1] + corners[(i + 1) % 4] - corners[i - 2]
        flags[i] = HIDDEN
        slot = replace(slot, corners=corners, flags=flags)
        remarks.append('slot with one corner unlabelled completed to a parallelogram')
    if not np.isfinite(slot.corners).all():
        return slot, remarks
    uncrossed = slot.reordered(_UNCROSSED_ORDER)
    if not Polygon(slot.corners).is_valid and Polygon(uncrossed.corners).is_valid:
        slot = uncrossed
        remarks.append('slot with crossing separators re-ordered')
    if _signed_area(slot.corners) > 0:
        slot = slot.reordered(FLIPPED_ORDER)
        remarks.append('clockwise slot re-ordered')
    return slot, remarks


def _fault(slot: Quadrilateral, image_size: tuple[int, int]) -> str | None:
    if (slot.flags == _UNLABELLED).any():
        return 'slot with several corners unlabelled'
    if not np.isfinite(slot.corners).all():
        return 'slot with a coordinate that is no finite number'
    polygon = Polygon(slot.corners)
    entrance = np.linalg.norm(slot.corners[1] - slot.corners[0])
    if entrance < _MIN_LENGTH or polygon.convex_hull.area < _MIN_AREA:
        return 'degenerate slot'
    if not polygon.is_valid:
        return 'slot with crossing edges'
    if polygon.intersection(box(0, 0, *image_size)).area < _MIN_AREA:
        return 'slot outside the image'
    return None


def _signed_area(corners: np.ndarray) -> float:
    """Twice the area in square pixels: positive if the corners run clockwise on screen."""
    x, y = corners.T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())


def guess_slot_type(corners: np.ndarray, metres_per_pixel: float | None = None) -> int:
    """Guess the type of a slot from its shape.

    It is slanted if the mean direction of its separators is more than :data:`SLANTED_FROM` away from
    the normal of its entrance. Otherwise it is parallel if its entrance is at least
    :data:`PARALLEL_FROM` long or, with an unknown resolution, longer than its separators (so a
    perpendicular slot of which the image holds only the front is taken for a parallel one).

    Args:
        corners: Shape ``(4, 2)``, in pixels.
        metres_per_pixel: Ground resolution, None if unknown.

    Returns:
        Label in ``SLOT_TYPES``.
    """
    entrance = corners[1] - corners[0]
    length = np.linalg.norm(entrance)
    direction, depth = separator(corners)
    if abs(direction @ entrance) > length * np.sin(SLANTED_FROM):
        return SLOT_TYPES.index('slanted')
    is_parallel = (
        length > depth if metres_per_pixel is None else length * metres_per_pixel >= PARALLEL_FROM
    )
    return SLOT_TYPES.index('parallel' if is_parallel else 'perpendicular')


def scale_to_image(
    points: np.ndarray, frame: tuple[float, float] | None, image_size: tuple[int, int]
) -> np.ndarray:
    """Carry points from the frame that was labelled to the pixels of the image file.

    Args:
        points: Shape ``(..., 2)``, the centre of the frame's first pixel at (0, 0).
        frame: Width and height that were labelled; None, or one that is not positive: the image's.
        image_size: Width and height of the image file.

    Returns:
        Shape ``(..., 2)``, the centre of the image's first pixel at (0, 0).
    """
    if frame is None or min(frame) <= 0 or tuple(frame) == tuple(image_size):
        return points
    return (points + 0.5) * (np.array(image_size) / frame) - 0.5


def border_flags(corners: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """Flags for a slot whose rear corners its labellers moved onto the image border.

    Args:
        corners: Shape ``(4, 2)``.
        image_size: Width and height of the image.

    Returns:
        ``HIDDEN`` for rear corners within a pixel of the border or beyond, else ``VISIBLE``, ``(4,)``.
    """
    at_border = ((corners < 1) | (corners > np.array(image_size) - 2)).any(-1)
    return np.where(at_border & [False, False, True, True], HIDDEN, VISIBLE)


@dataclass
class QuadrilateralReader(ParkingReader):
    """Reader of a format in which people label quadrilaterals and name them as they like.

    Attributes:
        root: Folder or file of the data set.
        names: What labels stand for: ``LABEL:WORDS``, one or a list of them, or a mapping. The words
            are those of :func:`meaning_of`, such as ``perpendicular_occupied``; ``slot`` leaves the
            type to be guessed from the shape, ``ignore`` leaves the label out. A label that is not
            in here is read as such words itself.
        entrance: Edge that is the entrance: 1 between the first and the second corner labelled, up
            to 4 between the last and the first; or ``nearest``, the one whose middle is nearest the
            centre of the image.
        metres_per_pixel: Ground resolution of the images, None if unknown.
    """

    names: Mapping[str, str] | Sequence[str] | str = field(default_factory=dict)
    entrance: int | str = 1
    metres_per_pixel: float | None = None

    labels = ('slots',)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.names = read_names(self.names)
        if self.entrance not in (1, 2, 3, 4, NEAREST):
            raise ValueError(
                f'Option `entrance` is {self.entrance!r}; expected 1, 2, 3 or 4 for an edge of the '
                f"quadrilateral, or '{NEAREST}' for the one nearest the centre of the image."
            )

    def meaning(self, label: str, default: Meaning | None = None) -> Meaning | None:
        """What a label says of a slot; ``default`` if nothing, None if it is to be left out."""
        words = self.words(label)
        return None if words == IGNORE else meaning_of(words) or default

    def words(self, label: str) -> str:
        """What a label stands for."""
        return self.names.get(label_key(label), str(label))

    def quadrilateral(
        self,
        corners: np.ndarray,
        meaning: Meaning,
        image_size: tuple[int, int],
        flags: np.ndarray | None = None,
    ) -> Quadrilateral:
        """A labelled slot with its entrance moved to the front; flags that are no number become 0."""
        slot = Quadrilateral(corners, *meaning)
        if flags is not None:
            slot.flags = np.nan_to_num(flags).clip(_UNLABELLED, VISIBLE).astype(np.int64)
        first = self.entrance
        if first == NEAREST:
            middles = (corners + np.roll(corners, -1, 0)) / 2
            first = 1 + int(np.linalg.norm(middles - np.array(image_size) / 2, axis=-1).argmin())
        return slot.reordered(np.roll(range(4), 1 - first))

    def write(self, path: Path, records: Iterable[ParkingImage], description: str) -> None:
        """Write parking-slot COCO, labelled complete in what these records have."""
        records = list(records)
        write_parking_slot_coco(path, records, label_kinds(records), description)


def label_kinds(records: Sequence[ParkingImage]) -> list[str]:
    """Kinds of label that records of hand-labelled images have: slots, and what occurs beside them."""
    kinds = ['slots']
    if any((record.occupied >= 0).any() for record in records):
        kinds.append('occupancy')
    if any(len(record.points) for record in records):
        kinds.insert(0, 'marking_points')
        if all((record.shapes >= 0).all() for record in records):
            kinds.insert(1, 'shapes')
    return kinds
