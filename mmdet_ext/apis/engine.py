"""What an inferencer asks of a runtime."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np

from mmdet_ext.structures.predictions import ParkingSlotPredictions


class Engine(Protocol):
    """Runs a parking-slot detector; :class:`TorchEngine` and :class:`OnnxEngine` are such.

    Attributes:
        classes: Names of the slot types.
        palette: Their colours, RGB.
    """

    classes: tuple[str, ...]
    palette: list[tuple[int, int, int]]

    def prepare(self, image: np.ndarray) -> Any:
        """Make an item of a batch of a BGR image, ``(H, W, 3)``, uint8; any thread may."""

    def predict(self, batch: Sequence[Any]) -> list[ParkingSlotPredictions]:
        """Slots and marking points of each item, in the pixels of its image; any thread may."""

    def shared_threads(self) -> AbstractContextManager[int]:
        """Share the cores out to threads that each do a whole batch; gives how many to start."""
