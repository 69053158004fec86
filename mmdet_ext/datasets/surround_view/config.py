"""What scenes are drawn from: one dataclass of ranges for everything, and presets."""

from dataclasses import dataclass, field

import numpy as np

from mmdet_ext.datasets.surround_view.finish import FinishConfig
from mmdet_ext.datasets.surround_view.ground import GroundConfig
from mmdet_ext.datasets.surround_view.layout import LayoutConfig
from mmdet_ext.datasets.surround_view.light import LightConfig
from mmdet_ext.datasets.surround_view.objects import ObjectsConfig
from mmdet_ext.datasets.surround_view.paint import PaintConfig
from mmdet_ext.datasets.surround_view.ranges import (
    Range,
    Weights,
    choose,
    draw,
)
from mmdet_ext.datasets.surround_view.rig import RigConfig
from mmdet_ext.datasets.surround_view.surround import CameraConfig
from mmdet_ext.datasets.surround_view.view import View

_SMALLEST = 64  # pixels


@dataclass(frozen=True)
class ViewConfig:
    """Which part of the ground the picture shows, and at what size.

    Attributes:
        width: Of the picture in pixels.
        height: Of the picture in pixels.
        metres: Height of the ground shown.
        side: The ego car in the ``middle``, or a strip to its ``left`` or ``right``.
        ego_shown: How much of the ego car's width a strip shows, metres.
        ahead: How far the middle of a strip is ahead of the ego car's, metres.
    """

    width: int = 512
    height: int = 512
    metres: Range = (9, 14)
    side: Weights = field(default_factory=lambda: {'middle': 1})
    ego_shown: Range = (0.1, 0.35)
    ahead: Range = field(default=(-0.3, 1), metadata={'signed': True})

    def check(self, name: str) -> None:
        """Check what :func:`~.ranges.check_config` cannot know."""
        for side in ('width', 'height'):
            if getattr(self, side) < _SMALLEST:
                value = getattr(self, side)
                raise ValueError(f'{name}.{side} is {value}; expected at least {_SMALLEST} pixels.')
        if self.metres[0] <= 0:
            raise ValueError(f'{name}.metres is {self.metres}; expected more than 0.')


@dataclass(frozen=True)
class SceneConfig:
    """What scenes are drawn from. The defaults are the whole variety.

    Attributes:
        view: The picture.
        layout: Rows of slots and other paint.
        ground: What the ground is made of.
        paint: Colour and wear of the paint.
        objects: What stands on the ground.
        light: Sun, lamps and shadows.
        rig: The fisheye cameras that the view is stitched from; None for one ideal camera high above.
        overhead_height: Height of that one, metres.
        camera: Exposure and picture quality of the cameras.
        finish: What happens to the stitched picture, and the ego car.
    """

    view: ViewConfig = ViewConfig()
    layout: LayoutConfig = LayoutConfig()
    ground: GroundConfig = GroundConfig()
    paint: PaintConfig = PaintConfig()
    objects: ObjectsConfig = ObjectsConfig()
    light: LightConfig = LightConfig()
    rig: RigConfig | None = RigConfig()
    overhead_height: Range = (12, 30)
    camera: CameraConfig = CameraConfig()
    finish: FinishConfig = FinishConfig()


def sample_view(rng: np.random.Generator, config: ViewConfig) -> View:
    """Draw which part of the ground is shown.

    Args:
        rng: Source of randomness.
        config: Ranges.

    Returns:
        The view.
    """
    metres_per_pixel = draw(rng, config.metres) / config.height
    side = choose(rng, config.side)
    if side == 'middle':
        return View(config.width, config.height, metres_per_pixel)
    across = HALF_EGO - draw(rng, config.ego_shown) + config.width * metres_per_pixel / 2
    centre = (across if side == 'right' else -across), -draw(rng, config.ahead)
    return View(config.width, config.height, metres_per_pixel, centre)


HALF_EGO = 0.95
"""Half of the ego car's width that strips start from, metres."""
