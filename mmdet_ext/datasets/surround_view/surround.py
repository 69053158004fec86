"""The surround view as a real system makes it: four fisheye pictures, unwarped and stitched."""

from dataclasses import dataclass

import cv2
import numpy as np

from mmdet_ext.datasets.surround_view.cameras import Camera, interpolated
from mmdet_ext.datasets.surround_view.ranges import Range, draw
from mmdet_ext.datasets.surround_view.rig import Rig
from mmdet_ext.datasets.surround_view.sight import Scene, look_from
from mmdet_ext.datasets.surround_view.view import View

_MARGIN = 8  # fisheye pixels kept around those that the surround view uses


@dataclass(frozen=True)
class CameraConfig:
    """What exposure and picture quality are drawn from.

    Attributes:
        exposure: Standard deviation of the logarithm of each camera's gain.
        white_balance: Likewise of each channel of each camera.
        vignetting: Part of the light that is lost 90 degrees off the axis.
        blur: Of the lens, standard deviation in fisheye pixels.
        noise: Of the sensor, standard deviation in grey levels.
    """

    exposure: Range = (0, 0.18)
    white_balance: Range = (0, 0.05)
    vignetting: Range = (0, 0.5)
    blur: Range = (0.3, 1.2)
    noise: Range = (0.5, 6)


def overhead(scene: Scene, view: View, height: float) -> tuple[np.ndarray, np.ndarray]:
    """The surround view of one ideal camera high above the ego car.

    Args:
        scene: What there is.
        view: The surround view.
        height: Of the camera, metres.

    Returns:
        BGR, uint8, and what is hidden, uint8; both as ``view`` shows it.
    """
    layer = look_from(scene, np.array([0, 0, height]))
    left, top = np.round(scene.canvas.to_pixels(view.to_metres(np.zeros(2)))).astype(int)
    layer = layer[top : top + view.height, left : left + view.width]
    return layer[..., :3].copy(), layer[..., 3].copy()


def stitch(
    rng: np.random.Generator, config: CameraConfig, scene: Scene, view: View, rig: Rig
) -> tuple[np.ndarray, np.ndarray]:
    """Take the fisheye pictures, unwarp them onto the ground and blend them.

    Args:
        rng: Source of randomness.
        config: Exposure and picture quality.
        scene: What there is.
        view: The surround view.
        rig: The cameras.

    Returns:
        BGR, uint8, and what is hidden, uint8; both as ``view`` shows it.
    """
    shares = interpolated(
        lambda pixels: rig.weights(view.to_metres(pixels)), (view.width, view.height)
    )
    total = np.zeros((*view.shape, 4), np.float32)
    quality = Quality.sample(rng, config)
    for share, real, believed in zip(shares, rig.cameras, rig.believed, strict=True):
        gain = quality.gain(rng)
        left, top, width, height = cv2.boundingRect((share > 0).astype(np.uint8))
        if not width:
            continue
        part = np.s_[top : top + height, left : left + width]
        where = interpolated(
            lambda pixels, camera=believed, corner=(left, top): quality.see(
                camera, on_ground(view.to_metres(pixels + corner))
            ),
            (width, height),
        )
        window = used_window(where[:2], share[part] > 0)
        pixels = [np.ascontiguousarray(m) for m in to_canvas(scene.canvas, real.ground_map(window))]
        picture = quality.develop(rng, sample(look_from(scene, real.position), *pixels))
        unwarp = where[0] - np.float32(window[0]), where[1] - np.float32(window[1])
        lit = share[part] * where[2]
        light = cv2.merge([lit * gain[0], lit * gain[1], lit * gain[2], share[part]])
        total[part] += cv2.multiply(sample(picture, *unwarp), light, dtype=cv2.CV_32F)
    total = np.clip(total, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(total[..., :3]), total[..., 3].copy()


def to_canvas(canvas: View, metres: tuple[np.ndarray, np.ndarray]) -> list[np.ndarray]:
    """Pixels x and y of a view, of planes of ground coordinates x and y."""
    origin = canvas.to_pixels(np.zeros(2))
    scale = np.float32(1 / canvas.metres_per_pixel)
    return [plane * scale + np.float32(o) for plane, o in zip(metres, origin, strict=True)]


def on_ground(points: np.ndarray) -> np.ndarray:
    """Points of the ground in space, ``(..., 2)`` to ``(..., 3)``."""
    return np.concatenate([points, np.zeros((*points.shape[:-1], 1))], -1)


def used_window(where: list[np.ndarray], used: np.ndarray) -> tuple[int, int, int, int]:
    """The part of a fisheye picture that the surround view is made of.

    Args:
        where: Fisheye pixels x and y of the pixels of the surround view, each ``(H, W)``.
        used: Which of them are shown, ``(H, W)``.

    Returns:
        Left, top, right and bottom edge in fisheye pixels.
    """
    used = used[::3, ::3]  # the margin makes up for what is skipped
    shown = [plane[::3, ::3][used if used.any() else ...] for plane in where]
    low = [int(np.floor(plane.min())) - _MARGIN for plane in shown]
    high = [int(np.ceil(plane.max())) + _MARGIN for plane in shown]
    return (*low, *high)


def sample(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Read an image at pixels ``(H, W)``, linearly; beyond its border as at the border."""
    return cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


@dataclass(frozen=True)
class Quality:
    """Exposure and picture quality of one rig: drawn from a :class:`CameraConfig`."""

    exposure: float
    white_balance: float
    vignetting: float
    blur: float
    noise: np.ndarray

    @classmethod
    def sample(cls, rng: np.random.Generator, config: CameraConfig) -> 'Quality':
        """Draw it."""
        grain = rng.standard_normal((192, 192), dtype=np.float32)
        return cls(
            draw(rng, config.exposure),
            draw(rng, config.white_balance),
            draw(rng, config.vignetting),
            draw(rng, config.blur),
            np.round(cv2.merge([grain] * 3 + [0 * grain]) * draw(rng, config.noise)).astype(
                np.int16
            ),
        )

    def gain(self, rng: np.random.Generator) -> np.ndarray:
        """Gain of each channel of a camera, ``(3,)``."""
        return np.exp(
            self.exposure * rng.standard_normal() + self.white_balance * rng.standard_normal(3)
        ).astype(np.float32)

    def see(self, camera: Camera, points: np.ndarray) -> np.ndarray:
        """Where a camera shows points, and how bright.

        Args:
            camera: The camera.
            points: Metres, ``(..., 3)``.

        Returns:
            Pixels x and y, and the part of the light that vignetting leaves, ``(..., 3)``.
        """
        pixels = camera.project(points)
        offset = (pixels - (np.array(camera.size) - 1) / 2) / (camera.focal * np.pi / 2)
        light = 1 - self.vignetting * np.minimum((offset**2).sum(-1), 1.2)
        return np.concatenate([pixels, light[..., None]], -1)

    def develop(self, rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
        """What comes out of a camera.

        Args:
            rng: Source of randomness.
            picture: What falls onto a part of its sensor: BGR and what is hidden, uint8, ``(H, W, 4)``.

        Returns:
            The same, uint8.
        """
        if self.blur > 0.35:
            picture = cv2.GaussianBlur(picture, (0, 0), self.blur)
        height, width = picture.shape[:2]
        grain = np.roll(self.noise, rng.integers(0, len(self.noise), 2), (0, 1))
        repeats = -(-height // len(grain)), -(-width // len(grain)), 1
        return cv2.add(picture, np.tile(grain, repeats)[:height, :width], dtype=cv2.CV_8U)
