"""Whether an exported file says what another one, or torch, says."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import nn

from mmdet_ext.deploy.runtime import BoxPredictions, OnnxEngine, Prepared
from mmdet_ext.structures.predictions import ParkingSlotPredictions

POSITION_TOLERANCE = 0.05  # pixels
SCORE_TOLERANCE = 1e-4
_FAR = 1e6


@dataclass
class Parity:
    """Largest differences between a file and what it is compared with.

    Attributes:
        images: Number of images compared.
        objects: Number of slots and points, or of boxes, in them.
        unmatched: Number of objects that only one of the two found.
        position: Of corners and points, or of boxes, in pixels.
        score: Of all scores.
    """

    images: int = 0
    objects: int = 0
    unmatched: int = 0
    position: float = 0.0
    score: float = 0.0

    def is_kept(self, position: float = POSITION_TOLERANCE, score: float = SCORE_TOLERANCE) -> bool:
        """Whether the differences are within tolerances."""
        return not self.unmatched and self.position <= position and self.score <= score

    def __str__(self) -> str:
        return (
            f'{self.objects} objects in {self.images} images, {self.unmatched} of them found by one alone; '
            f'largest differences: {self.position:.2g} px, {self.score:.2g} in score'
        )


Found = ParkingSlotPredictions | BoxPredictions


def as_torch_says(engine: OnnxEngine, graph: nn.Module) -> Callable[[Prepared], Found]:
    """Make what :func:`compare` compares with, of the module that a file was exported from."""

    def find(image: Prepared) -> Found:
        with torch.no_grad():
            outputs = graph(torch.from_numpy(image.pixels[None].copy()))
        return engine.finish([output[0].numpy() for output in outputs], image)

    return find


def compare(
    engine: OnnxEngine,
    reference: Callable[[Prepared], Found],
    images: Iterable[np.ndarray],
    score_thr: float = 0.1,
) -> Parity:
    """Run a file and something else on the same images.

    Args:
        engine: Of the file.
        reference: What else finds objects in images that the engine prepared.
        images: BGR, uint8, of any size.
        score_thr: Objects below it are not compared.
    """
    parity = Parity()
    for image in images:
        prepared = engine.prepare(image)
        ours, theirs = engine.predict([prepared])[0], reference(prepared)
        parity.images += 1
        for kind in zip(_objects(ours), _objects(theirs), strict=True):
            _add(parity, *kind, score_thr)
    return parity


def _objects(found: Found) -> list[tuple[np.ndarray, np.ndarray]]:
    """Positions ``(M, D)`` and scores ``(M, S)``, the one to compare by first, by kind of object."""
    if isinstance(found, BoxPredictions):
        return [(found.boxes, found.scores[:, None])]
    scores = np.stack([found.scores, found.occupied_scores], 1)
    return [
        (found.corners.reshape(-1, 8), scores),
        (found.points, found.point_scores[:, None]),
    ]


def _add(
    parity: Parity,
    ours: tuple[np.ndarray, np.ndarray],
    theirs: tuple[np.ndarray, np.ndarray],
    score_thr: float,
) -> None:
    position = np.abs(ours[0][:, None] - theirs[0]).max(-1, initial=0)
    score = np.abs(ours[1][:, None] - theirs[1]).max(-1, initial=0)
    rows, columns = linear_sum_assignment(position + _FAR * (score > 0.5))
    best = np.maximum(ours[1][rows, 0], theirs[1][columns, 0]) >= score_thr
    rows, columns = rows[best], columns[best]
    alone = [
        (scores[np.setdiff1d(np.arange(len(scores)), matched), 0] >= score_thr).sum()
        for (_, scores), matched in ((ours, rows), (theirs, columns))
    ]
    parity.objects += len(rows)
    parity.unmatched += int(sum(alone))
    parity.position = max(parity.position, float(position[rows, columns].max(initial=0)))
    parity.score = max(parity.score, float(score[rows, columns].max(initial=0)))
