"""GridMask with a policy for what it covers."""

import numpy as np
from mmdet.registry import TRANSFORMS

from .covering import Covering, Fill
from .options import check_between, check_range


@TRANSFORMS.register_module()
class DetGridMask(Covering):
    """Cover a grid of squares: all over the image, and each only in part.

    Chen et al., GridMask Data Augmentation, 2020, without the rotation, which gained nothing there.
    For the labels see :class:`Covering`.

    Args:
        unit: Range of the distance between squares in pixels (d); both ends can be drawn.
        keep: Width of the gap between squares over the unit (r): the squares cover ``(1 - keep)^2`` of
            the image.
        prob: Probability that an image is covered; the paper lets it grow to 0.8.
        fill: See :class:`Covering`, as for the rest.
        drop_covered: Boxes and slots covered by more than this fraction are dropped.
        drop_covered_points: Drop covered marking points.

    Raises:
        ValueError: An option is out of range.
    """

    def __init__(
        self,
        unit: tuple[int, int] = (96, 224),
        keep: float = 0.6,
        prob: float = 0.8,
        fill: Fill = 0,
        drop_covered: float | None = None,
        drop_covered_points: bool = False,
    ) -> None:
        super().__init__(prob, fill, drop_covered, drop_covered_points)
        self.unit = check_range(self, 'unit', unit, 2, 1e6)
        self.keep = check_between(self, 'keep', keep, 0, 1)

    def _draw(self, height: int, width: int) -> np.ndarray:
        """Keep those squares of the grid that show in the image."""
        unit = np.random.randint(self.unit[0], self.unit[1] + 1)  # noqa: NPY002
        side = round(unit * (1 - self.keep))
        x1, y1 = (
            np.arange(-np.random.randint(unit), length, unit)  # noqa: NPY002
            for length in (width, height)
        )
        low = np.stack(np.meshgrid(x1, y1), -1).reshape(-1, 2)
        edges = np.concatenate([low, low + side], 1).clip(0, (width, height) * 2)
        return edges[(edges[:, 2:] > edges[:, :2]).all(1)]

    def __repr__(self) -> str:
        return self._repr('unit', 'keep')
