"""Precision-recall curves in TensorBoard."""

import numpy as np
from mmdet.registry import HOOKS
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner

from mmdet_ext.engine.training_state import trains
from mmdet_ext.evaluation.functional.outcomes import Outcome

from .tensorboard_writer import tensorboard_writer

_THRESHOLDS = np.linspace(0, 1, 101)  # TensorBoard takes them to be evenly spread over [0, 1]


@HOOKS.register_module()
class TensorboardPRCurveHook(Hook):
    """Write precision-recall curves of slots and marking points after each validation.

    They are those of the metrics that keep ``outcomes`` by name, as ``ParkingSlotMetric`` does, and
    stand on TensorBoard's page "PR curves" with a slider over the epochs (or iterations).
    """

    @master_only
    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Write the curves of the model as it is now."""
        writer = tensorboard_writer(runner.visualizer)
        if writer is None:
            return
        for metric in runner.val_loop.evaluator.metrics:
            for name, outcome in getattr(metric, 'outcomes', {}).items():
                tag = f'{name}/precision_recall'
                writer.add_pr_curve_raw(
                    tag, *pr_counts(outcome), global_step=_step(runner), num_thresholds=101
                )


def pr_counts(outcome: Outcome, thresholds: np.ndarray = _THRESHOLDS) -> np.ndarray:
    """Counts, precision and recall of the predictions that reach each threshold.

    Args:
        outcome: P predictions, matched or not.
        thresholds: Scores, ``(K,)``.

    Returns:
        True positives, false positives, true negatives (0: detection has none), false negatives,
        precision and recall, ``(6, K)``; 0 where precision or recall is not defined.
    """
    hits = outcome.hits.astype(bool)
    predicted, true = (
        len(scores) - np.searchsorted(np.sort(scores), thresholds)
        for scores in (outcome.scores, outcome.scores[hits])
    )
    counts = [true, predicted - true, np.zeros_like(true), outcome.num_truths - true]
    ratios = [true / np.maximum(predicted, 1), true / max(outcome.num_truths, 1)]
    return np.array([*counts, *ratios], float)


def _step(runner: Runner) -> int:
    if not trains(runner):
        return 0
    return runner.iter if isinstance(runner.train_loop, IterBasedTrainLoop) else runner.epoch
