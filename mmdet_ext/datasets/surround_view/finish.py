"""From the stitched view to the picture on file: resolution, brightness, blur, noise, JPEG; and the ego car."""

from dataclasses import dataclass, field

import cv2
import numpy as np

from mmdet_ext.datasets.surround_view.layout import Ego
from mmdet_ext.datasets.surround_view.ranges import Range, Weights, chance, choose, draw
from mmdet_ext.datasets.surround_view.view import View

_SIGNED = {'signed': True}


@dataclass(frozen=True)
class FinishConfig:
    """What the last steps are drawn from.

    Attributes:
        resolution: Part of the pixels in each axis that the surround view really had.
        motion_blur: Probability that the ego car moves.
        speed: How far it moves while the picture is taken, metres.
        brightness: Grey levels added.
        contrast: Factor about medium grey.
        saturation: Factor of the colours.
        noise: Standard deviation in grey levels.
        jpeg: Quality of the compression, 100 for none.
        ego: The ego car as a black ``box``, a drawn ``car``, or a ``rounded`` box.
        ego_margin: How far the box reaches beyond the car, metres.
    """

    resolution: Range = (0.5, 1)
    motion_blur: float = 0.15
    speed: Range = (0.02, 0.12)
    brightness: Range = field(default=(-12, 12), metadata=_SIGNED)
    contrast: Range = (0.75, 1.15)
    saturation: Range = (0.6, 1.2)
    noise: Range = (0, 3)
    jpeg: Range = (35, 100)
    ego: Weights = field(default_factory=lambda: {'box': 0.5, 'car': 0.3, 'rounded': 0.2})
    ego_margin: Range = (0, 0.25)


def finish_picture(
    rng: np.random.Generator, config: FinishConfig, view: View, image: np.ndarray
) -> np.ndarray:
    """Apply what happens after stitching.

    Args:
        rng: Source of randomness.
        config: Ranges.
        view: The surround view.
        image: BGR, uint8, as ``view`` shows it.

    Returns:
        BGR, uint8, of the same shape.
    """
    part = draw(rng, config.resolution)
    if part < 0.95:
        small = cv2.resize(image, None, fx=part, fy=part, interpolation=cv2.INTER_AREA)
        image = cv2.resize(small, (view.width, view.height), interpolation=cv2.INTER_LINEAR)
    if chance(rng, config.motion_blur):
        length = max(round(draw(rng, config.speed) / view.metres_per_pixel), 1)
        image = cv2.blur(image, (1, length))
    image = _graded(rng, config, image)
    quality = round(draw(rng, config.jpeg))
    if quality < 100:
        _, data = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, quality])
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return image


def _graded(rng: np.random.Generator, config: FinishConfig, image: np.ndarray) -> np.ndarray:
    contrast, saturation = draw(rng, config.contrast), draw(rng, config.saturation)
    grey = np.full((3, 3), (1 - saturation) / 3) + saturation * np.eye(3)
    shift = np.full((3, 1), 110 * (1 - contrast) + draw(rng, config.brightness))
    image = cv2.transform(image, np.concatenate([contrast * grey, shift], 1))
    noise = draw(rng, config.noise)
    if noise > 0.3:
        grain = rng.standard_normal(image.shape[:2], dtype=np.float32) * np.float32(noise)
        image = cv2.add(image, cv2.merge([grain] * 3), dtype=cv2.CV_8U)
    return image


def draw_ego(
    rng: np.random.Generator, config: FinishConfig, view: View, image: np.ndarray, ego: Ego
) -> np.ndarray:
    """Put the ego car into the picture, in place.

    Args:
        rng: Source of randomness.
        config: Ranges.
        view: The surround view.
        image: BGR, uint8, as ``view`` shows it.
        ego: The ego car.

    Returns:
        Metres ``(4, 2)``: the rectangle that it hides.
    """
    kind, margin = choose(rng, config.ego), draw(rng, config.ego_margin)
    half = np.array([ego.half_width, ego.half_length]) + margin
    outline = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
    if kind == 'rounded':
        _fill_rounded(view, image, half)
        return outline
    view.fill(image, outline, (0, 0, 0))
    if kind == 'car':
        _draw_car_icon(rng, view, image, half)
    return outline


def _fill_rounded(view: View, image: np.ndarray, half: np.ndarray) -> None:
    turn = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    circle = np.stack([np.cos(turn), np.sin(turn)], -1)
    view.fill(image, np.sign(circle) * np.abs(circle) ** 0.35 * half, (0, 0, 0))


def _draw_car_icon(
    rng: np.random.Generator, view: View, image: np.ndarray, half: np.ndarray
) -> None:
    """A car seen from above: body, glass, roof, lamps."""
    tone, glass = int(rng.integers(25, 230)), (38, 34, 30)
    body = np.array(
        [
            [-0.75, -1],
            [0.75, -1],
            [0.95, -0.8],
            [0.95, 0.85],
            [0.7, 1],
            [-0.7, 1],
            [-0.95, 0.85],
            [-0.95, -0.8],
        ]
    )
    cabin = np.array([[-0.8, -0.4], [0.8, -0.4], [0.85, 0.75], [-0.85, 0.75]])
    roof = np.array([[-0.65, -0.15], [0.65, -0.15], [0.65, 0.55], [-0.65, 0.55]])
    lamp = np.array([[-0.12, -0.03], [0.12, -0.03], [0.12, 0.03], [-0.12, 0.03]])
    for part, colour in ((body, (tone,) * 3), (cabin, glass), (roof, (min(tone + 12, 255),) * 3)):
        view.fill(image, part * half, colour)
    for side in (-0.62, 0.62):
        view.fill(image, (lamp + np.array([side, -0.94])) * half, (215, 228, 232))
        view.fill(image, (lamp + np.array([side, 0.96])) * half, (40, 40, 160))
