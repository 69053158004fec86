"""Resizing inside a graph: images of one size onto the canvas that a network sees."""

import torch
import torch.nn.functional as F
from torch import Tensor

_PADDING = 114.0  # grey, as in training


class Letterbox:
    """Fits images into a size, keeps their shape and pads with grey, in tensor code that traces.

    Pixels are means of what they cover (antialiased bilinear). Where both sizes are the same, nothing is
    done.

    Args:
        source: Height and width of the images: numbers, or the symbols that stand for them while a graph
            for images of any size is traced.
        target: Width and height that the network sees.
    """

    def __init__(self, source: tuple[int, int], target: tuple[int, int]) -> None:
        height, width = self.source = source
        self.target = target
        # Half a pixel is rounded up, in integers: symbols have no other rounding.
        fitting = (2 * height * target[0] + width) // (2 * width)
        rows = torch.sym_max(torch.sym_min(fitting, target[1]), 1)
        fitting = (2 * width * target[1] + height) // (2 * height)
        columns = torch.sym_max(torch.sym_min(fitting, target[0]), 1)
        self.inner = rows, columns
        self.before = (target[1] - rows) // 2, (target[0] - columns) // 2

    def resize(self, images: Tensor) -> Tensor:
        """Bring images onto the canvas.

        Args:
            images: ``(B, H, W, 3)``, uint8.

        Returns:
            ``(B, 3, h, w)``, float32, in [0, 255].
        """
        x = images.permute(0, 3, 1, 2).float()
        if self._is_idle:
            return x
        x = F.interpolate(x, size=self.inner, mode='bilinear', antialias=True)
        (top, left), (rows, columns) = self.before, self.inner
        right, bottom = self.target[0] - left - columns, self.target[1] - top - rows
        return F.pad(x, (left, right, top, bottom), value=_PADDING)

    def back(self, positions: Tensor) -> Tensor:
        """Carry positions ``(..., 2)`` on the canvas to pixels of the images."""
        if self._is_idle:
            return positions
        x, y = positions.unbind(-1)
        (top, left), (rows, columns), (height, width) = self.before, self.inner, self.source
        return torch.stack(
            [
                (x - left + 0.5) * width / columns - 0.5,
                (y - top + 0.5) * height / rows - 0.5,
            ],
            -1,
        )

    @property
    def _is_idle(self) -> bool:
        return isinstance(self.source[0], int) and self.source[::-1] == self.target
