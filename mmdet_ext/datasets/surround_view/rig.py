"""The four cameras of a surround view: where they are, and which of them shows what."""

from dataclasses import dataclass, field

import numpy as np

from mmdet_ext.datasets.surround_view.cameras import Camera
from mmdet_ext.datasets.surround_view.layout import Ego
from mmdet_ext.datasets.surround_view.ranges import Range, draw

_SIGNED = {'signed': True}


@dataclass(frozen=True)
class RigConfig:
    """What rigs are drawn from.

    Attributes:
        front_height: Height of the front camera, metres.
        side_height: Of those under the mirrors.
        rear_height: Of the rear camera.
        mirrors: How far the mirrors are ahead of the car's middle, metres.
        front_pitch: How far the front camera looks down, degrees.
        side_pitch: Likewise the side cameras.
        rear_pitch: Likewise the rear camera.
        field_of_view: Of the width of each image, degrees.
        image_width: Of each camera, pixels; less means a coarser surround view.
        distortion: k1 of the lens (:class:`~.cameras.Camera`).
        angle_error: Standard deviation of what calibration does not know of each angle, degrees.
        position_error: Likewise of each coordinate, metres.
        seam_angle: Between the ego car's axis and the seams that start at its corners, degrees.
        seam_width: Of the wedges in which two images are blended, degrees.
    """

    front_height: Range = (0.55, 0.8)
    side_height: Range = (0.85, 1.15)
    rear_height: Range = (0.75, 1.05)
    mirrors: Range = (0.2, 0.8)
    front_pitch: Range = (20, 35)
    side_pitch: Range = (40, 65)
    rear_pitch: Range = (30, 45)
    field_of_view: Range = (170, 195)
    image_width: Range = (360, 720)
    distortion: Range = field(default=(-0.03, 0.02), metadata=_SIGNED)
    angle_error: Range = (0, 0.8)
    position_error: Range = (0, 0.02)
    seam_angle: Range = (25, 65)
    seam_width: Range = (1, 20)


@dataclass(frozen=True)
class Rig:
    """Cameras around the ego car, the images of which are stitched.

    Attributes:
        cameras: Front, right, rear, left: as they really are.
        believed: The same as calibration has them; the stitching uses these.
        ego: The car; seams start at its corners.
        seam_angle: Between the car's axis and the seams, radians.
        seam_width: Of the blended wedges, radians.
    """

    cameras: tuple[Camera, ...]
    believed: tuple[Camera, ...]
    ego: Ego
    seam_angle: float
    seam_width: float

    def weights(self, points: np.ndarray) -> np.ndarray:
        """How much each camera contributes to the surround view.

        Args:
            points: Metres, ``(..., 2)``.

        Returns:
            Shares that sum to 1, ``(..., 4)``.
        """
        beside_front = self._beside(points, -1)
        beside_rear = self._beside(points, 1)
        side = beside_front * beside_rear
        right = points[..., 0] > 0
        return np.stack([1 - beside_front, side * right, 1 - beside_rear, side * ~right], -1)

    def _beside(self, points: np.ndarray, end: int) -> np.ndarray:
        """From 0 ahead of the car (``end`` -1) or behind it (1) to 1 beside it."""
        outward = np.abs(points[..., 0]) - self.ego.half_width
        onward = points[..., 1] * end - self.ego.half_length
        angle = np.arctan2(outward, onward)
        share = np.clip((angle - self.seam_angle) / self.seam_width + 0.5, 0, 1)
        return np.where((outward < 0) & (onward < 0), 1.0, share)  # under the car: no matter

    def seen_at(
        self, points: np.ndarray, camera: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Where points of the ground appear in the surround view, calibration errors included.

        Args:
            points: Metres, ``(N, 2)``.
            camera: Which camera shows them, ``(N,)``; by default the one that contributes most.

        Returns:
            Metres, ``(N, 2)``, and the cameras, ``(N,)``.
        """
        on_ground = np.concatenate([points, np.zeros((len(points), 1))], -1)
        each = np.stack(
            [
                believed.ground(real.project(on_ground))
                for real, believed in zip(self.cameras, self.believed, strict=True)
            ],
            1,
        )
        if camera is None:
            shares = [self.weights(each[:, i])[:, i] for i in range(each.shape[1])]
            camera = np.stack(shares, 1).argmax(1)
        return each[np.arange(len(points)), camera], camera


def sample_rig(rng: np.random.Generator, config: RigConfig, ego: Ego) -> Rig:
    """Draw a rig for a car.

    Args:
        rng: Source of randomness.
        config: Ranges.
        ego: The car that carries the cameras.

    Returns:
        The rig.
    """
    width = int(draw(rng, config.image_width))
    lens = {
        'size': (width, width * 3 // 4),
        'focal': width / np.deg2rad(draw(rng, config.field_of_view)),
        'distortion': (draw(rng, config.distortion), 0.0),
    }
    side_height, mirrors = draw(rng, config.side_height), draw(rng, config.mirrors)
    side_pitch = draw(rng, config.side_pitch)
    across, along = ego.half_width + 0.08, ego.half_length - 0.05
    mounts = [
        ((0, -along, draw(rng, config.front_height)), -90, draw(rng, config.front_pitch)),
        ((across, -mirrors, side_height), 0, side_pitch),
        ((0, along, draw(rng, config.rear_height)), 90, draw(rng, config.rear_pitch)),
        ((-across, -mirrors, side_height), 180, side_pitch),
    ]
    believed = tuple(
        Camera(np.array(position), np.deg2rad(yaw), np.deg2rad(pitch), 0.0, **lens)
        for position, yaw, pitch in mounts
    )
    errors = draw(rng, config.angle_error), draw(rng, config.position_error)
    return Rig(
        cameras=tuple(camera.disturbed(rng, *errors) for camera in believed),
        believed=believed,
        ego=ego,
        seam_angle=np.deg2rad(draw(rng, config.seam_angle)),
        seam_width=np.deg2rad(max(draw(rng, config.seam_width), 0.1)),
    )
