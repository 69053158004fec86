"""Brightness, contrast, saturation and hue as torchvision changes them."""

from collections.abc import Sequence

from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS
from torchvision.transforms import v2

from .torchvision_images import from_torchvision, to_torchvision

Range = float | Sequence[float] | None


@TRANSFORMS.register_module()
class DetColorJitter(BaseTransform):
    """torchvision's ``v2.ColorJitter``, exact: brightness, contrast, saturation and hue in random order.

    MMDetection's ``Brightness``, ``Contrast`` and ``Color`` round their magnitudes, and it has no hue by
    itself. Labels are not touched.

    Required and changed key: ``img``, BGR or grey; for the types of pixels see :func:`to_torchvision`.

    Args:
        brightness: Factor, drawn evenly from ``[max(0, 1 - x), 1 + x]`` or from the range given.
        contrast: As for brightness.
        saturation: As for brightness.
        hue: Shift, in turns of the colour circle, from ``[-x, x]`` with x at most 0.5, or from the range
            given.

    Raises:
        ValueError: A value is out of range.
    """

    def __init__(
        self,
        brightness: Range = None,
        contrast: Range = None,
        saturation: Range = None,
        hue: Range = None,
    ) -> None:
        self.jitter = v2.ColorJitter(brightness, contrast, saturation, hue)

    def transform(self, results: dict) -> dict:
        """Change the image's colours."""
        image = results['img']
        results['img'] = from_torchvision(self.jitter(to_torchvision(image)), image)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.jitter.extra_repr()})'
