"""Random erasing as published."""

import numpy as np
from mmdet.registry import TRANSFORMS

from .covering import Covering, Fill
from .options import check_between, check_range


@TRANSFORMS.register_module()
class DetRandomErasing(Covering):
    """Erase one rectangle of random area and aspect ratio, with probability ``prob``.

    Zhong et al., Random Erasing Data Augmentation, 2017. MMDetection's ``RandomErasing`` draws the sides
    instead, always erases and knows no aspect ratio. For the labels see :class:`Covering`.

    Args:
        prob: Probability that an image loses a rectangle.
        area: Range of its area as a fraction of the image's (s_l, s_h).
        aspect: Smallest height over width (r_1); drawn evenly from ``aspect`` to ``1 / aspect``.
        tries: Rectangles drawn until one fits into the image; if none does, nothing is erased.
        fill: See :class:`Covering`, as for the rest; the paper's best is ``'random'``, its mean is
            that of the data set, in pixel values.
        drop_covered: Boxes and slots covered by more than this fraction are dropped.
        drop_covered_points: Drop covered marking points.

    Raises:
        ValueError: An option is out of range.
    """

    def __init__(
        self,
        prob: float = 0.5,
        area: tuple[float, float] = (0.02, 0.4),
        aspect: float = 0.3,
        tries: int = 100,
        fill: Fill = 'random',
        drop_covered: float | None = None,
        drop_covered_points: bool = False,
    ) -> None:
        super().__init__(prob, fill, drop_covered, drop_covered_points)
        self.area = check_range(self, 'area', area, 0, 1)
        self.aspect = check_between(self, 'aspect', aspect, 1e-3, 1)
        self.tries = tries

    def _draw(self, height: int, width: int) -> np.ndarray:
        """Draw one rectangle that fits, or none."""
        for _ in range(self.tries):
            area = height * width * np.random.uniform(*self.area)  # noqa: NPY002
            aspect = np.random.uniform(self.aspect, 1 / self.aspect)  # noqa: NPY002
            rows, columns = round(np.sqrt(area * aspect)), round(np.sqrt(area / aspect))
            if 0 < rows < height and 0 < columns < width:
                y = np.random.randint(height - rows + 1)  # noqa: NPY002
                x = np.random.randint(width - columns + 1)  # noqa: NPY002
                return np.array([[x, y, x + columns, y + rows]])
        return np.zeros((0, 4), int)

    def __repr__(self) -> str:
        return self._repr('area', 'aspect', 'tries')
