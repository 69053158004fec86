"""Cutout with a policy for what it covers."""

import numpy as np
from mmdet.registry import TRANSFORMS

from .covering import Covering, Fill
from .options import check_between, check_size


@TRANSFORMS.register_module()
class DetCutOut(Covering):
    """Cover squares around random pixels; they may reach beyond the image.

    DeVries and Taylor, Improved Regularization of Convolutional Neural Networks with Cutout, 2017.
    Unlike MMDetection's ``CutOut`` it can drop what is covered, and knows marking points and slots.
    For the labels see :class:`Covering`.

    Args:
        holes: How many, at least 1.
        size: Width and height in pixels, or one number for both.
        prob: Probability that an image gets holes.
        fill: See :class:`Covering`, as for the rest.
        drop_covered: Boxes and slots covered by more than this fraction are dropped.
        drop_covered_points: Drop covered marking points.

    Raises:
        ValueError: An option is out of range.
    """

    def __init__(
        self,
        holes: int = 1,
        size: int | tuple[int, int] = 64,
        prob: float = 1.0,
        fill: Fill = 0,
        drop_covered: float | None = None,
        drop_covered_points: bool = False,
    ) -> None:
        super().__init__(prob, fill, drop_covered, drop_covered_points)
        self.holes = check_between(self, 'holes', holes, 1, float('inf'))
        self.size = check_size(self, 'size', size)

    def _draw(self, height: int, width: int) -> np.ndarray:
        centres = np.random.randint((width, height), size=(self.holes, 2))  # noqa: NPY002
        low = centres - np.array(self.size) // 2
        edges = np.concatenate([low, low + self.size], 1)
        return edges.clip(0, (width, height) * 2)

    def __repr__(self) -> str:
        return self._repr('holes', 'size')
