"""Drawing of parking slots and marking points; needs neither torch nor mmdet."""

from collections.abc import Sequence
from dataclasses import fields
from functools import lru_cache

import cv2
import numpy as np

from mmdet_ext.structures.marking_points import SHAPES, rotate_quarter
from mmdet_ext.structures.predictions import ParkingSlotPredictions

from .canvas import FRACTION, draw_lines, enlarged, fixed, line_width, text_size
from .legend import draw_legend, draw_scale_bar
from .lettering import DARK, Pasteboard, outlined_text, slot_sign

POINT_COLOUR = (255, 255, 0)  # RGB, as all colours here
ENTRANCE_COLOUR = (255, 255, 255)
HIDDEN_COLOUR = (255, 0, 255)
_OPACITY = 0.35
_SIGN_PLACES = np.stack(np.meshgrid((0.3, 0.5, 0.7), np.linspace(0.05, 0.95, 19)), -1).reshape(
    -1, 2
)
"""Where a sign may be in a slot: share of the way from p1 to p2 and from the entrance to the rear."""
_TEXT_ANGLES = np.radians([180, 135, 225, 90, 270, 0])  # to the direction of a point, best first


def draw_predictions(
    image: np.ndarray,
    predictions: ParkingSlotPredictions,
    classes: Sequence[str],
    palette: Sequence[tuple[int, int, int]],
    metres_per_pixel: float | None = None,
) -> np.ndarray:
    """Picture of what was found in an image: slots, marking points, legend and scale bar.

    For what is drawn see :func:`draw_slots`, :func:`draw_points` and :func:`draw_signs`; points have
    their score only where the network was trained on no shapes. There is no legend where there is no
    slot or where it would cover something.

    Args:
        image: RGB, shape ``(H, W, 3)``, uint8.
        predictions: In its pixels, only those to be drawn (see ``above``), best first; those with
            coordinates that are not finite have no place in a picture. NaN stands for no score and
            for unknown occupancy.
        classes: Names of the slot types.
        palette: Their colours, RGB; repeated when there are fewer.
        metres_per_pixel: Ground resolution of ``image``, None if unknown.

    Returns:
        A new picture, RGB, uint8, shape ``(k H, k W, 3)``: small images are enlarged by the whole
        number k that makes the shorter side 256 pixels or more.
    """
    canvas, factor = enlarged(image)
    shown = _finite(predictions)
    corners, points = ((each + 0.5) * factor - 0.5 for each in (shown.corners, shown.points))
    chance = shown.occupied_scores
    occupied = np.where(np.isnan(chance), -1, chance >= 0.5).astype(int)
    canvas = draw_slots(canvas, corners, shown.labels, occupied, palette)
    scores = shown.point_scores if shown.shapes is None else None
    draw_points(canvas, points, shown.directions, shown.shapes, scores)
    draw_signs(canvas, corners, occupied, shown.scores)
    in_use = _in_use(canvas, corners, points)
    if metres_per_pixel:
        draw_scale_bar(canvas, metres_per_pixel / factor, in_use)
    if len(corners):
        draw_legend(canvas, classes, palette, in_use, occupancy=bool((occupied >= 0).any()))
    return canvas


def draw_truth(
    image: np.ndarray,
    classes: Sequence[str],
    palette: Sequence[tuple[int, int, int]],
    *,
    corners: np.ndarray,
    labels: np.ndarray,
    occupied: np.ndarray,
    points: np.ndarray,
    directions: np.ndarray,
    shapes: np.ndarray,
    metres_per_pixel: float | None = None,
) -> np.ndarray:
    """Picture of an image's labels, drawn as :func:`draw_predictions` draws what was found.

    Args:
        image: RGB, shape ``(H, W, 3)``, uint8.
        classes: Names of the slot types.
        palette: Their colours, RGB; repeated when there are fewer.
        corners: Corners p1..p4 of the slots, ``(M, 4, 2)``, pixels.
        labels: Slot types, ``(M,)``.
        occupied: 1, 0 or -1 unknown, ``(M,)``.
        points: Marking points, ``(N, 2)``, pixels.
        directions: Unit vectors, zero where unknown, ``(N, 2)``.
        shapes: Labels in ``SHAPES``, -1 where unknown, ``(N,)``.
        metres_per_pixel: Ground resolution of ``image``, None if unknown.

    Returns:
        As :func:`draw_predictions`.
    """
    truth = ParkingSlotPredictions(
        corners=corners,
        labels=labels,
        scores=np.full(len(corners), np.nan),
        occupied_scores=np.where(occupied < 0, np.nan, occupied),
        points=points,
        point_scores=np.full(len(points), np.nan),
        directions=directions,
        shapes=shapes,
    )
    return draw_predictions(image, truth, classes, palette, metres_per_pixel)


def _finite(predictions: ParkingSlotPredictions) -> ParkingSlotPredictions:
    slots = np.isfinite(predictions.corners).all((1, 2))
    points = np.isfinite(predictions.points).all(1)
    of_slots = ('corners', 'labels', 'scores', 'occupied_scores')
    kept = {
        field.name: value[slots if field.name in of_slots else points]
        for field in fields(predictions)
        if (value := getattr(predictions, field.name)) is not None
    }
    return ParkingSlotPredictions(**kept)


def _in_use(canvas: np.ndarray, corners: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Where slots and points are drawn: non-zero, ``(H, W)``."""
    in_use = np.zeros(canvas.shape[:2], np.uint8)
    for quad in fixed(corners):
        cv2.fillPoly(in_use, [quad], 1, shift=FRACTION)
    around = 2 * text_size(canvas)
    for x, y in np.clip(points.round().astype(int), 0, canvas.shape[1::-1]).tolist():
        in_use[max(y - around, 0) : y + around, max(x - around, 0) : x + around] = 1
    return in_use


def draw_slots(
    image: np.ndarray,
    corners: np.ndarray,
    labels: np.ndarray,
    occupied: np.ndarray,
    palette: Sequence[tuple[int, int, int]],
) -> np.ndarray:
    """Draw slots in the colour of their type, occupied ones striped, others filled; entrances white.

    Args:
        image: RGB, shape ``(H, W, 3)``, uint8.
        corners: Finite, shape ``(M, 4, 2)``, pixels.
        labels: Slot types, ``(M,)``.
        occupied: 1, 0 or -1 unknown, ``(M,)``.
        palette: Colours of the types, RGB; repeated when there are fewer.

    Returns:
        A new image of the same shape.
    """
    width = line_width(image)
    colours = [palette[label % len(palette)] for label in labels]
    fill, gaps = image.copy(), np.zeros(image.shape[:2], np.uint8)
    for quad, colour, taken in zip(fixed(corners), colours, occupied, strict=True):
        cv2.fillPoly(fill, [quad], colour, shift=FRACTION)
        if taken == 1:
            cv2.fillPoly(gaps, [quad], 1, shift=FRACTION)
    cv2.copyTo(image, gaps & _between_stripes(*image.shape[:2], width + 1), fill)
    canvas = cv2.addWeighted(fill, _OPACITY, image, 1 - _OPACITY, 0)
    sides, entrances = fixed(corners[:, [1, 2, 3, 0]]), fixed(corners[:, :2])
    draw_lines(canvas, sides, DARK, width + 2)
    for side, colour in zip(sides, colours, strict=True):
        draw_lines(canvas, [side], colour, width)
    draw_lines(canvas, entrances, DARK, 2 * width + 3)
    draw_lines(canvas, entrances, ENTRANCE_COLOUR, 2 * width + 1)
    return canvas


@lru_cache(8)
def _between_stripes(height: int, width: int, stripe: int) -> np.ndarray:
    """1 between diagonal stripes, 0 on them, ``(height, width)``."""
    across = np.add.outer(np.arange(height), np.arange(width))
    return (across % (6 * stripe) >= 2 * stripe).astype(np.uint8)


def _inside(quad: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Points of a slot from shares of p1 to p2 and of entrance to rear, each ``(..., 2)``."""
    u, v = shares[..., :1], shares[..., 1:]
    return (quad[0] * (1 - u) + quad[1] * u) * (1 - v) + (quad[3] * (1 - u) + quad[2] * u) * v


def draw_signs(
    image: np.ndarray,
    corners: np.ndarray,
    occupied: np.ndarray,
    scores: np.ndarray | None = None,
) -> np.ndarray:
    """Put signs into the visible parts of slots: a P for free, a cross for occupied, and the score.

    A sign is moved until it covers neither an entrance nor another sign. Where there is no such
    place the score is left out, then the sign.

    Args:
        image: RGB, shape ``(H, W, 3)``, uint8; drawn on in place.
        corners: Finite, shape ``(M, 4, 2)``, pixels.
        occupied: 1, 0 or -1 unknown, ``(M,)``.
        scores: In [0, 1], NaN for none, ``(M,)``, or None; the first slots find a place first.

    Returns:
        The image.
    """
    size = text_size(image)
    board = Pasteboard(image, corners[:, :2], size // 3)
    for i, (quad, state) in enumerate(zip(corners, occupied, strict=True)):
        centres = _sign_centres(quad, image.shape[1::-1])
        score = '' if scores is None else _short(scores[i])
        if score and board.paste_first(slot_sign(state, score, size), centres):
            continue
        if state >= 0:
            board.paste_first(slot_sign(state, '', size), centres)
    return image


def _sign_centres(quad: np.ndarray, limit: tuple[int, int]) -> np.ndarray:
    """Places in the visible part of a slot, from its middle outwards, ``(K, 2)``."""
    centres = _inside(quad, _SIGN_PLACES)
    seen = ((centres > 0) & (centres < limit)).all(1)
    across, along = _SIGN_PLACES[seen].T
    middle = (along.min(initial=1) + along.max(initial=0)) / 2
    return centres[seen][
        np.argsort(np.abs(along - middle) + 2 * np.abs(across - 0.5), kind='stable')
    ]


def _short(score: float) -> str:
    """A score as ``.97``; nothing for NaN."""
    return '' if np.isnan(score) else f'{score:.2f}'.removeprefix('0')


def draw_points(
    image: np.ndarray,
    points: np.ndarray,
    directions: np.ndarray | None = None,
    shapes: np.ndarray | None = None,
    scores: np.ndarray | None = None,
) -> np.ndarray:
    """Circle marking points, with an arrow where the direction is known and a text behind.

    The text is the letter of the shape, else the score; it is left out where it would cover another.

    Args:
        image: RGB, shape ``(H, W, 3)``, uint8; drawn on in place.
        points: Finite, shape ``(N, 2)``, pixels.
        directions: Unit vectors, zero where unknown, ``(N, 2)``, or None.
        shapes: Labels in ``SHAPES``, -1 where unknown, ``(N,)``, or None.
        scores: In [0, 1], NaN for none, ``(N,)``, or None.

    Returns:
        The image.
    """
    width = line_width(image)
    radius = 1.5 + 1.5 * width
    if directions is None:
        directions = np.zeros_like(points)
    arrows, centres = fixed(_arrows(points, directions, radius)), fixed(points).tolist()
    draw_lines(image, arrows, DARK, width + 2)
    draw_lines(image, arrows, POINT_COLOUR, width)
    for reach, colour in (
        (width / 2 + 1, DARK),
        (width / 2, POINT_COLOUR),
        (-2 * radius / 3, DARK),
    ):
        around = round((radius + reach) * 2**FRACTION)
        for centre in centres:
            cv2.circle(image, centre, around, colour, cv2.FILLED, cv2.LINE_AA, FRACTION)
    texts = [''] * len(points) if scores is None else [_short(score) for score in scores]
    if shapes is not None:
        texts = [SHAPES[k] if k >= 0 else text for k, text in zip(shapes, texts, strict=True)]
    _write_behind(image, texts, points, directions, radius)
    return image


def _arrows(points: np.ndarray, directions: np.ndarray, radius: float) -> np.ndarray:
    known = directions.any(1)
    points, ahead = points[known], radius * directions[known]
    aside, tip = rotate_quarter(ahead), points + 5 * ahead
    left, right = tip - 1.6 * ahead - 1.2 * aside, tip - 1.6 * ahead + 1.2 * aside
    return np.stack([points + ahead, tip, left, tip, right], 1)


def _write_behind(
    image: np.ndarray,
    texts: Sequence[str],
    points: np.ndarray,
    directions: np.ndarray,
    radius: float,
) -> None:
    board = Pasteboard(image)
    ahead = np.where(directions.any(1), np.arctan2(*directions.T[::-1]), np.pi)
    angles = ahead[:, None] + _TEXT_ANGLES
    away = np.stack([np.cos(angles), np.sin(angles)], -1)
    for point, ways, text in zip(points, away, texts, strict=True):
        if text:
            stamp = outlined_text(text, text_size(image), POINT_COLOUR)
            reach = radius + 2 + np.abs(ways) @ stamp.size / 2
            board.paste_first(stamp, point + ways * reach[:, None])


def draw_hidden_corners(image: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Put a cross on corners that are labelled although they cannot be seen.

    Args:
        image: RGB, shape ``(H, W, 3)``, uint8; drawn on in place.
        corners: Shape ``(K, 2)``, pixels.

    Returns:
        The image.
    """
    for place in np.clip(corners, -9999, 9999).round().astype(int).tolist():
        cv2.drawMarker(image, place, HIDDEN_COLOUR, cv2.MARKER_TILTED_CROSS, 10, 1, cv2.LINE_AA)
    return image
