"""One scene: geometry to image and labels."""

import numpy as np

from mmdet_ext.datasets.formats.parking_slot_coco import SLOT_TYPES, ParkingImage
from mmdet_ext.datasets.surround_view.cars import (
    Car,
    draw_car,
    draw_ego,
    draw_shadows,
    park_cars,
)
from mmdet_ext.datasets.surround_view.ground import GROUNDS, draw_ground
from mmdet_ext.datasets.surround_view.layout import Layout, sample_layout
from mmdet_ext.datasets.surround_view.light import light_scene
from mmdet_ext.datasets.surround_view.paint import (
    apply_paint,
    coverage,
    row_strokes,
    sample_colour,
    slot_numbers,
    wear,
)
from mmdet_ext.datasets.surround_view.view import View, direction


def render_scene(rng: np.random.Generator, size: int) -> tuple[np.ndarray, ParkingImage]:
    """Render a random parking scene as a surround view sees it.

    Args:
        rng: Source of all randomness: the same state gives the same scene.
        size: Image width and height in pixels.

    Returns:
        The image (BGR, uint8, shape ``(size, size, 3)``) and its labels, ``file_name`` empty.
    """
    layout = sample_layout(rng)
    view = View(size, layout.extent)
    cars = park_cars(rng, layout)
    kind = str(rng.choice(GROUNDS, p=[0.4, 0.2, 0.2, 0.2]))
    condition = 'indoor' if kind == 'epoxy' else str(rng.choice(['day', 'night'], p=[0.85, 0.15]))
    image = _paint_ground(rng, view, layout, kind)
    image = _shade(rng, image, view, cars, condition)
    for car in cars:
        draw_car(image, view, car)
    image = light_scene(rng, image, view, condition)
    draw_ego(rng, image, view, layout.ego)
    return image, make_labels(layout, cars, view, condition)


def _paint_ground(rng: np.random.Generator, view: View, layout: Layout, kind: str) -> np.ndarray:
    image = draw_ground(rng, view, kind, layout.rotation)
    left = wear(rng, view, rng.uniform(0, 1) ** 1.3)
    bare, colour = image, sample_colour(rng, image)
    for row in layout.rows:
        mask = coverage(view, row_strokes(row))
        if row.slot_type != 'parallel' and rng.random() < 0.25:
            mask = np.maximum(mask, slot_numbers(rng, view, row))
        image = apply_paint(image, mask, colour, left)
        colour = sample_colour(rng, bare) if rng.random() < 0.2 else colour
    if layout.markings:
        colour = sample_colour(rng, bare)
        image = apply_paint(image, coverage(view, layout.markings), colour, left)
    return image


def _shade(
    rng: np.random.Generator, image: np.ndarray, view: View, cars: list[Car], condition: str
) -> np.ndarray:
    reach = rng.uniform(0.1, 0.9) if condition == 'day' else 0.1
    sun = direction(rng.uniform(0, 2 * np.pi)) * reach
    shade = draw_shadows(view, cars, sun) * np.float32(rng.uniform(0.3, 0.6) / 255)
    return np.clip(image * (1 - shade[..., None]), 0, 255).astype(np.uint8)


def make_labels(layout: Layout, cars: list[Car], view: View, condition: str) -> ParkingImage:
    """Labels of a scene: every marking point in the image, every slot with both points in it.

    Args:
        layout: Geometry of the scene.
        cars: The parked cars.
        view: The view of the ground.
        condition: Evaluation subset.

    Returns:
        The labels, in pixels.
    """
    record = ParkingImage(
        '',
        view.size,
        view.size,
        metres_per_pixel=round(view.metres_per_pixel, 6),
        condition=condition,
    )
    taken = {car.slot for car in cars}
    for i, row in enumerate(layout.rows):
        points, slots = layout.is_labelled(row)
        rows = np.cumsum(points) - 1 + len(record.points)
        left = np.flatnonzero(slots)
        occupied = np.array([(i, j) in taken for j in left], np.int64)
        for name, values in {
            'points': view.to_pixels(row.junctions[points]),
            'directions': row.directions[points],
            'shapes': row.shapes[points],
            'corners': view.to_pixels(row.corners[left]),
            'slot_types': np.full(len(left), SLOT_TYPES.index(row.slot_type)),
            'occupied': occupied,
            'slot_points': np.stack([rows[left], rows[left + 1]], -1),
        }.items():
            setattr(record, name, np.concatenate([getattr(record, name), values]))
    return record
