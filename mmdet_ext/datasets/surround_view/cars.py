"""Cars: parked ones, drawn with the outward lean of a surround view, and the ego car."""

from dataclasses import dataclass

import cv2
import numpy as np

from mmdet_ext.datasets.surround_view.layout import Ego, Layout, Row
from mmdet_ext.datasets.surround_view.view import View, direction

_CLEARANCE = 0.15  # metres that a car stays away from every marking point
_PAINTS = ((225, 225, 225), (170, 170, 172), (45, 45, 48), (110, 112, 115), (40, 40, 150))
_MORE_PAINTS = ((140, 80, 30), (70, 95, 60), (120, 160, 180), (200, 205, 215))


@dataclass(frozen=True)
class Car:
    """A parked car.

    Attributes:
        centre: Metres, ``(2,)``.
        heading: Unit vector, ``(2,)``.
        length: Metres.
        width: Metres.
        lean: How far its roof is carried away from the image centre, as a part of its distance.
        paint: BGR.
        slot: Row and slot that it stands in, None outside slots.
    """

    centre: np.ndarray
    heading: np.ndarray
    length: float
    width: float
    lean: float
    paint: tuple[int, int, int]
    slot: tuple[int, int] | None = None

    def at(self, outline: np.ndarray, height: float) -> np.ndarray:
        """An outline of the car as it appears on the ground plane.

        Args:
            outline: Along and across the car in halves of its length and width, ``(K, 2)``.
            height: Height of the outline as a part of the car's.

        Returns:
            Metres, shape ``(K, 2)``.
        """
        side = np.array([-self.heading[1], self.heading[0]])
        half = np.array([self.length, self.width]) / 2
        placed = self.centre + (outline * half) @ np.stack([self.heading, side])
        return placed * (1 + self.lean * height)

    def silhouette(self) -> np.ndarray:
        """Everything the car hides, as a convex polygon in metres, ``(K, 2)``."""
        return _hull(self.at(_BODY, 0), self.at(_BODY, _WAIST), self.at(_ROOF, 1))


def park_cars(rng: np.random.Generator, layout: Layout) -> list[Car]:
    """Fill some slots with cars; none of them hides a marking point or the ego car.

    Args:
        rng: Source of randomness.
        layout: Geometry of the scene.

    Returns:
        Cars, the farthest from the ego car first.
    """
    lean, rate = rng.uniform(0.04, 0.17), rng.uniform(0.1, 0.8)
    cars = [
        _in_slot(rng, row, (i, j), lean)
        for i, row in enumerate(layout.rows)
        for j in range(row.count)
        if rng.random() < rate
    ]
    if not layout.rows:
        cars = [_anywhere(rng, layout, lean) for _ in range(rng.integers(0, 4))]
    points = [row.junctions for row in layout.rows]
    ego = layout.ego.outline
    kept: list[Car] = []
    for car in sorted(cars, key=lambda car: np.linalg.norm(car.centre)):
        clear = not any(_overlap(car.at(_BODY, 0), other.at(_BODY, 0)) for other in kept)
        if clear and not _hides(car, points) and not _overlap(car.silhouette(), ego):
            kept.append(car)
    return kept[::-1]


def _in_slot(rng: np.random.Generator, row: Row, slot: tuple[int, int], lean: float) -> Car:
    corners, into = row.corners[slot[1]], row.separator
    parallel = row.slot_type == 'parallel'
    heading = (row.along if parallel else into) * rng.choice([-1, 1])
    turn = rng.normal(0, np.deg2rad(1.5))
    heading = direction(np.arctan2(heading[1], heading[0]) + turn)
    free = row.entrance * np.sin(row.angle) if not parallel else row.depth
    length, width = rng.uniform(3.9, 4.8), min(rng.uniform(1.68, 1.9), free - 0.35)
    car = Car(corners.mean(0), heading, length, width, lean, _sample_paint(rng), slot)
    shift = rng.normal(0, 0.06 if not parallel else 0.2) * row.along + rng.normal(0, 0.15) * into
    # the corner of the car nearest to the entrance line keeps its distance from it
    nearest = ((car.at(_BODY, 0) + shift) @ row.normal).min() - row.distance
    gap = rng.uniform(0.2, 0.35)
    if nearest < gap:
        shift = shift + into * (gap - nearest) / (into @ row.normal)
    return _moved(car, car.centre + shift)


def _anywhere(rng: np.random.Generator, layout: Layout, lean: float) -> Car:
    heading = direction(layout.rotation + rng.integers(4) * np.pi / 2 + rng.normal(0, 0.1))
    centre = direction(rng.uniform(0, 2 * np.pi)) * rng.uniform(3, layout.extent * 0.65)
    size = rng.uniform(3.9, 4.8), rng.uniform(1.68, 1.9)
    return Car(centre, heading, *size, lean, _sample_paint(rng))


def _moved(car: Car, centre: np.ndarray) -> Car:
    return Car(centre, car.heading, car.length, car.width, car.lean, car.paint, car.slot)


def _sample_paint(rng: np.random.Generator) -> tuple[int, int, int]:
    palette = _PAINTS if rng.random() < 0.75 else _MORE_PAINTS
    shade = rng.uniform(0.85, 1.1)
    return tuple(int(np.clip(c * shade, 8, 245)) for c in palette[rng.integers(len(palette))])


def _hides(car: Car, points: list[np.ndarray]) -> bool:
    outline = car.silhouette().astype(np.float32)
    return any(
        cv2.pointPolygonTest(outline, (float(x), float(y)), True) > -_CLEARANCE
        for x, y in np.concatenate([*points, np.zeros((0, 2))])
    )


def _overlap(first: np.ndarray, second: np.ndarray) -> bool:
    return (
        cv2.intersectConvexConvex(
            _hull(first).astype(np.float32), _hull(second).astype(np.float32)
        )[0]
        > 0
    )


def _hull(*outlines: np.ndarray) -> np.ndarray:
    return cv2.convexHull(np.concatenate(outlines).astype(np.float32))[:, 0]


def _rounded(front: float, rear: float, side: float, corner: float) -> np.ndarray:
    """Outline with cut corners, in halves of the car's length and width, ``(8, 2)``."""
    right = [
        (front, side - 2.2 * corner),
        (front - corner, side),
        (rear + corner, side),
        (rear, side - 2.2 * corner),
    ]
    return np.array(right + [(x, -y) for x, y in right[::-1]])


_BODY, _WAIST = _rounded(1, -1, 1, 0.12), 0.5
_CABIN, _ROOF = _rounded(0.45, -0.8, 0.86, 0.05), _rounded(0.15, -0.6, 0.76, 0.05)
_SKIRT = _BODY * 0.97


def draw_shadows(view: View, cars: list[Car], sun: np.ndarray) -> np.ndarray:
    """Where cars keep the light off the ground.

    Args:
        view: The view of the ground.
        cars: The cars.
        sun: Metres that the shadow of a roof is thrown, ``(2,)``.

    Returns:
        uint8, 0 in the light to 255 in the shade, shape ``(size, size)``.
    """
    mask = np.zeros((view.size, view.size), np.uint8)
    for car in cars:
        view.fill(mask, _hull(car.at(_BODY * 1.06, 0), car.at(_ROOF, 0) + sun), 255)
    blur = max(0.06 / view.metres_per_pixel, 0.5)
    return cv2.GaussianBlur(mask, (0, 0), blur)


def draw_car(image: np.ndarray, view: View, car: Car) -> None:
    """Draw a parked car in place.

    Args:
        image: BGR, uint8, shape ``(size, size, 3)``.
        view: The view of the ground.
        car: The car.
    """

    def shade(factor: float) -> tuple[int, ...]:
        return tuple(int(min(c * factor, 255)) for c in car.paint)

    glass = (38, 34, 30)
    view.fill(image, _hull(car.at(_SKIRT, 0), car.at(_BODY, _WAIST)), shade(0.55))
    for along in (-0.62, 0.62):
        for side in (-0.97, 0.97):
            wheel = np.array([along, side]) + 0.14 * np.array(
                [[-1, 0], [0, -0.6], [1, 0], [0, 0.6]]
            )
            view.fill(image, _hull(car.at(wheel, 0), car.at(wheel, 0.25)), (22, 22, 22))
    view.fill(image, _hull(car.at(_BODY, 0.2), car.at(_BODY, _WAIST)), shade(0.75))
    view.fill(image, car.at(_BODY, _WAIST), shade(1))
    view.fill(image, _hull(car.at(_CABIN, _WAIST), car.at(_ROOF, 1)), glass)
    view.fill(image, car.at(_ROOF, 1), shade(1.06))
    for side in (-0.7, 0.7):
        lamp = np.array([0.93, side]) + np.array([[-1, -3], [1, -3], [1, 3], [-1, 3]]) * 0.03
        view.fill(image, car.at(lamp, _WAIST), (210, 225, 230))
        view.fill(image, car.at(lamp * [-1, 1], _WAIST), (40, 40, 150))


def draw_ego(rng: np.random.Generator, image: np.ndarray, view: View, ego: Ego) -> None:
    """Draw the ego car in place: a black box, or a picture of a dark car.

    Args:
        rng: Source of randomness.
        image: BGR, uint8, shape ``(size, size, 3)``.
        view: The view of the ground.
        ego: The ego car.
    """
    if rng.random() < 0.5:
        view.fill(image, ego.outline, (0, 0, 0))
        return
    tone = int(rng.integers(15, 70))
    size = 2 * ego.half_length, 2 * ego.half_width
    car = Car(np.zeros(2), ego.heading, *size, 0, (tone, tone, tone))
    if rng.random() < 0.5:
        view.fill(image, ego.outline, (0, 0, 0))
    draw_car(image, view, car)
