"""Evaluation without tables."""

import logging
from collections.abc import Sequence

from mmengine.evaluator import BaseMetric


def evaluate_quietly(metric: BaseMetric, samples: Sequence[dict]) -> dict[str, float]:
    """Compute a metric, for a caller who has a table of its own.

    Args:
        metric: Fresh.
        samples: Data samples as dicts, with predictions.

    Returns:
        Its values, without its prefix.
    """
    logging.disable(logging.WARNING)
    try:
        metric.process(None, samples)
        return metric.compute_metrics(metric.results)
    finally:
        logging.disable(logging.NOTSET)
