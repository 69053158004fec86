"""What a detector found in one image, as arrays: the same for every engine that runs the network."""

from dataclasses import dataclass, fields

import numpy as np


@dataclass
class ParkingSlotPredictions:
    """Slots and marking points of one image, in its pixels, best score first.

    Attributes:
        corners: Corners p1..p4 of the slots, ``(M, 4, 2)``.
        labels: Slot types, ``(M,)``, int.
        scores: Scores of the slots in [0, 1], ``(M,)``.
        occupied_scores: Probability that a slot is occupied, ``(M,)``.
        points: Marking points, ``(N, 2)``.
        point_scores: Scores of the points in [0, 1], ``(N,)``.
        directions: Unit vectors of the points, ``(N, 2)``; None if the network was not trained on any.
        shapes: Indices into ``marking_points.SHAPES``, ``(N,)``; None as for ``directions``.
    """

    corners: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    occupied_scores: np.ndarray
    points: np.ndarray
    point_scores: np.ndarray
    directions: np.ndarray | None = None
    shapes: np.ndarray | None = None

    def above(self, score: float) -> 'ParkingSlotPredictions':
        """Those slots and points that score at least ``score``."""
        slots, points = self.scores >= score, self.point_scores >= score
        of_slots = ('corners', 'labels', 'scores', 'occupied_scores')
        kept = {
            field.name: value[slots if field.name in of_slots else points]
            for field in fields(self)
            if (value := getattr(self, field.name)) is not None
        }
        return ParkingSlotPredictions(**kept)
