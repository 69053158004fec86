"""How predictions become figures: our protocol and those of three publications.

A protocol matches the predictions of many images (``match_points``, ``match_slots``) and says what is
read off the outcome (``average_precision``, ``threshold``). Predictions and truths are the flat
arrays of :mod:`~mmdet_ext.evaluation.functional.parking_slots`; a prediction without finite
coordinates is a false positive in all protocols.
"""

from dataclasses import dataclass

import numpy as np

from mmdet_ext.evaluation.functional.context_score import context_scores
from mmdet_ext.evaluation.functional.matching import (
    match_first_choice,
    match_greedy,
    match_shared,
)
from mmdet_ext.evaluation.functional.outcomes import Outcome
from mmdet_ext.evaluation.functional.pairs import Pairs, pairs_within
from mmdet_ext.evaluation.functional.parking_slots import (
    Frames,
    Rows,
    entrance_angles,
    kept_rows,
    near_points,
    near_slots,
    point_outcome,
    repeats,
    slot_outcome,
)
from mmdet_ext.evaluation.functional.precision_recall import (
    ELEVEN_POINTS,
    average_precision,
    balanced_threshold,
    operating_point,
)


@dataclass(frozen=True)
class StrictProtocol:
    """One to one, best score first; the area under the precision-recall curve; the best F1.

    A marking point matches within ``distance`` and, where labelled, ``max_angle`` and the same
    shape; a slot when both entrance corners, in order, lie within ``distance``. The nearest free
    truth is taken. A copy of a prediction (same corners; same point, direction and shape) matches
    nothing.

    Attributes:
        distance: Largest distance of a match in pixels of a 600-pixel-high image.
        max_angle: Largest angle between the directions of matched points in degrees.
    """

    distance: float = 10.0
    max_angle: float = 30.0

    recall_grid = None
    fixed_threshold = None  # where precision, recall and F1 are read once more

    def match_points(self, predicted: Rows, truth: Rows, frames: Frames) -> Outcome:
        """Outcome of marking points."""
        pairs = near_points(predicted, truth, frames, self.distance, self.max_angle)
        keys = ('images', 'points', 'directions', 'shapes')
        copies = repeats(*(predicted[key] for key in keys))
        matched = match_greedy(predicted['scores'], pairs.select(~copies[pairs.rows]))
        return point_outcome(predicted, truth, frames, np.arange(len(matched)), matched)

    def match_slots(self, predicted: Rows, truth: Rows, frames: Frames) -> Outcome:
        """Outcome of slots."""
        pairs = near_slots(predicted, truth, frames, self.distance)
        copies = repeats(predicted['images'], predicted['corners'])
        matched = match_greedy(predicted['scores'], pairs.select(~copies[pairs.rows]))
        return slot_outcome(predicted, truth, frames, np.arange(len(matched)), matched)

    def average_precision(self, outcome: Outcome) -> float:
        """Average precision in [0, 1] as the protocol defines it; NaN without truths."""
        counted = (outcome.scores, outcome.hits, outcome.num_truths)
        return average_precision(*counted, self.recall_grid)

    def threshold(self, outcome: Outcome, kind: str) -> tuple[float, str]:
        """Where precision, recall and the errors are read.

        Args:
            outcome: Of all images.
            kind: ``'point'`` or ``'slot'``.

        Returns:
            The score, NaN if there is none, and how it was chosen.
        """
        counted = (outcome.scores, outcome.hits, outcome.num_truths)
        return operating_point(*counted)['threshold'], 'best F1'


@dataclass(frozen=True)
class DmprProtocol(StrictProtocol):
    """The published evaluation of DMPR-PS, quirks included, on square images.

    Huang et al., DMPR-PS: A Novel Approach for Parking-Slot Detection Using Directional
    Marking-Point Regression, 2019. Other than in :class:`StrictProtocol`

    - each truth takes the best-scored prediction near it; one prediction may serve several truths
      and counts as right for each of them;
    - the AP is VOC 2007's over eleven recalls: with one truth missed it cannot exceed 10 / 11;
    - only predictions that truths took give thresholds, so others with lower scores never count;
    - predictions in the outer 5 % of the image are dropped, the truths there are not; a slot goes
      with either of its entrance corners;
    - points below a score of 0.01 are dropped, and slots with a point below 0.11676871;
    - the score of a slot is the lower one of its two points if the model tells them
      (``point_scores (M, 2)``). A model that scores slots itself keeps its scores, all of them:
      the curve only needs their order, and the authors' threshold is one on point scores.

    The publication reads precision and recall off one point of the curve, here that of the best
    F1. Of equal scores it takes the first prediction, in the order of its network's cells; here the
    first row, and ParkingSlotMetric orders rows by coordinates. On images that are not square it
    would measure x and y in different units; here the height rules.
    """

    distance: float = 600 * 0.000277778**0.5  # its squared limit, a rounded (10 / 600)^2

    recall_grid = ELEVEN_POINTS
    border = 0.05
    min_point_score = 0.01
    min_slot_score = 0.11676871

    def match_points(self, predicted: Rows, truth: Rows, frames: Frames) -> Outcome:
        """Outcome of marking points."""
        kept = predicted['scores'] >= self.min_point_score
        kept &= self._off_border(predicted['points'], predicted['images'], frames)
        predicted = kept_rows(predicted, kept)
        pairs = near_points(predicted, truth, frames, self.distance, self.max_angle)
        rows = match_shared(predicted['scores'], pairs)
        return point_outcome(predicted, truth, frames, *rows)

    def match_slots(self, predicted: Rows, truth: Rows, frames: Frames) -> Outcome:
        """Outcome of slots."""
        lower = predicted['point_scores'].min(-1)  # NaN: not told
        scores = np.where(np.isnan(lower), predicted['scores'], lower)
        kept = ~(lower < self.min_slot_score)
        entrance, images = predicted['corners'][:, :2], predicted['images'][:, None]
        kept &= self._off_border(entrance, images, frames).all(-1)
        predicted = kept_rows(predicted | {'scores': scores}, kept)
        pairs = near_slots(predicted, truth, frames, self.distance)
        pairs = pairs.select(self._slots_agree(predicted, truth, pairs))
        return slot_outcome(predicted, truth, frames, *match_shared(predicted['scores'], pairs))

    def _slots_agree(self, predicted: Rows, truth: Rows, pairs: Pairs) -> np.ndarray:
        return np.ones(len(pairs.rows), dtype=bool)

    def _off_border(self, points: np.ndarray, images: np.ndarray, frames: Frames) -> np.ndarray:
        """Whether points lie off the border, ``(..., 2)`` to ``(...)``; not finite: yes."""
        place = (points + 0.5) / frames.sizes[images]
        return ~((place < self.border) | (place > 1 - self.border)).any(-1)


@dataclass(frozen=True)
class CrpsProtocol(DmprProtocol):
    """The evaluation published with CRPS-D, which also judges the angle of a slot.

    Advancing Real-World Parking Slot Detection with Large-Scale Dataset and Semi-Supervised
    Baseline, 2025 (arXiv 2509.13133). Other than in :class:`DmprProtocol`

    - a slot's angle between entrance and separators is off by less than 0.346 rad (19.8 degrees);
    - the AP is the area under the curve;
    - precision and recall are read at the best F1 of the points of the curve where they differ by
      less than 0.02 (precision NaN, recall and F1 0 if there is none), and at a score of 0.55;
    - predictions near the border stay.

    Its marks have a second direction and say whether they are slanted, and both count there; a
    parking-slot COCO file keeps one direction, which is what is compared here.
    """

    recall_grid = None
    fixed_threshold = 0.55
    border = -np.inf
    max_slot_angle = np.degrees(0.20757113548987695 + 0.1384059287593468)

    def _slots_agree(self, predicted: Rows, truth: Rows, pairs: Pairs) -> np.ndarray:
        angles = entrance_angles(predicted['corners'])[pairs.rows]
        return (
            np.abs(angles - entrance_angles(truth['corners'])[pairs.columns]) < self.max_slot_angle
        )

    def threshold(self, outcome: Outcome, kind: str) -> tuple[float, str]:
        """Where precision, recall and the errors are read; see :class:`StrictProtocol`."""
        counted = (outcome.scores, outcome.hits, outcome.num_truths)
        return balanced_threshold(*counted), 'best F1 with |precision - recall| < 0.02'


@dataclass(frozen=True)
class PilProtocol(StrictProtocol):
    """The evaluation published with PIL-park, by area and place of the whole quadrilateral.

    Do & Choi, Context-Based Parking Slot Detection With a Realistic Dataset, 2020. Other than in
    :class:`StrictProtocol`

    - a slot matches with a :func:`context_scores` above 0.8; it may only take the truth of its best
      one, and that once;
    - only empty slots are judged: the truths not labelled as occupied, against the probability of
      an empty slot, which is the score times one minus ``occupied_scores`` (alone the score where
      a model does not tell occupancy);
    - predictions below 0.3, their detector's threshold, are dropped; precision and recall are those
      of all others, the AP is the area under their curve.

    It has no marking points; they are judged as in :class:`StrictProtocol`.
    """

    min_context_score = 0.8
    min_slot_score = 0.3

    def match_slots(self, predicted: Rows, truth: Rows, frames: Frames) -> Outcome:
        """Outcome of slots."""
        scores = predicted['scores'] * (1 - np.nan_to_num(predicted['occupied_scores']))
        predicted = kept_rows(predicted | {'scores': scores}, scores >= self.min_slot_score)
        truth = kept_rows(truth, truth['occupied'] != 1)

        def costs(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
            return -context_scores(predicted['corners'][rows], truth['corners'][columns])

        limit = -self.min_context_score
        pairs = pairs_within(predicted['images'], truth['images'], costs, limit)
        matched = match_first_choice(predicted['scores'], pairs, limit)
        return slot_outcome(predicted, truth, frames, np.arange(len(matched)), matched)

    def threshold(self, outcome: Outcome, kind: str) -> tuple[float, str]:
        """Where precision, recall and the errors are read; see :class:`StrictProtocol`."""
        if kind == 'slot':
            return self.min_slot_score, "its authors' threshold"
        return super().threshold(outcome, kind)


PROTOCOLS = {
    'strict': StrictProtocol,
    'dmpr': DmprProtocol,
    'pil': PilProtocol,
    'crps': CrpsProtocol,
}
