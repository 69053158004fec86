"""Images to check and to time exported files with."""

from collections.abc import Sequence
from itertools import islice

import numpy as np

from mmdet_ext.apis.frame_sources import Location, load_or_reason, open_frames
from mmdet_ext.datasets.surround_view.making import scene_rng
from mmdet_ext.datasets.surround_view.presets import scene_config
from mmdet_ext.datasets.surround_view.render import render_scene


def read_images(
    inputs: Location | Sequence[Location], at_most: int | None = None
) -> list[np.ndarray]:
    """Read all that there is to look at.

    Args:
        inputs: See :func:`~mmdet_ext.apis.frame_sources.open_frames`.
        at_most: The first of them only.

    Returns:
        BGR, ``(H, W, 3)``, uint8.

    Raises:
        FileNotFoundError: There is none.
        ValueError: One cannot be read.
    """
    images = []
    for frame in islice(open_frames(inputs).frames, at_most):
        image, reason = load_or_reason(frame)
        if image is None:
            raise ValueError(f'{frame.name} cannot be read: {reason}')
        images.append(image)
    return images


def synthetic_images(sizes: Sequence[int], purpose: str) -> list[np.ndarray]:
    """Render scenes, the same ones each time.

    Args:
        sizes: Width and height of each, in pixels.
        purpose: Other ones for another purpose.

    Returns:
        BGR, ``(H, W, 3)``, uint8.
    """
    scenes = (
        render_scene(scene_rng(0, purpose, i), scene_config('plain', size))[0]
        for i, size in enumerate(sizes)
    )
    return [np.ascontiguousarray(scene) for scene in scenes]
