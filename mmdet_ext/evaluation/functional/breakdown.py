"""Outcomes of slots by type and by distance from the ego car."""

from collections.abc import Sequence

from mmdet_ext.evaluation.functional.outcomes import Outcome, select

DISTANCE_BINS = (2.0, 4.0, 6.0)
"""Metres from the ego car between the bins."""
PIXELS_PER_METRE = 60
"""Scale of ps2.0: pixels of 600 that stand for a metre where ``metres_per_pixel`` is unknown."""


def by_slot_type(outcome: Outcome, num_types: int) -> dict[int, Outcome]:
    """Split an outcome of slots by the type of the truth, of a false positive by its own.

    Args:
        outcome: Of :func:`~mmdet_ext.evaluation.functional.parking_slots.slot_outcome`.
        num_types: Number of slot types.

    Returns:
        Outcome of each type that a truth or a prediction has.
    """
    return _existing(
        {
            label: select(outcome, 'slot_type', lambda types, label=label: types == label)
            for label in range(num_types)
        }
    )


def by_ego_distance(
    outcome: Outcome, in_metres: bool, edges: Sequence[float] = DISTANCE_BINS
) -> dict[str, Outcome]:
    """Split an outcome of slots by the distance of the entrance's middle from the ego car.

    The distance is the truth's, of a false positive its own; one that is not finite is in no bin.

    Args:
        outcome: Of :func:`~mmdet_ext.evaluation.functional.parking_slots.slot_outcome`.
        in_metres: Whether its ``ego_distance`` is in metres, otherwise in pixels of 600.
        edges: Metres between the bins, ascending; for pixels times :data:`PIXELS_PER_METRE`.

    Returns:
        Outcome of each bin with a truth or a prediction, named such as ``2-4m``, ``6m+`` or
        ``120-240px``; the lower edge belongs to a bin.
    """
    unit = 'm' if in_metres else 'px'
    edges = [0, *(edge * (1 if in_metres else PIXELS_PER_METRE) for edge in edges)]
    parts = {}
    for low, high in zip(edges, [*edges[1:], float('inf')], strict=True):
        name = f'{low:g}{unit}+' if high == float('inf') else f'{low:g}-{high:g}{unit}'
        parts[name] = select(
            outcome, 'ego_distance', lambda d, low=low, high=high: (d >= low) & (d < high)
        )
    return _existing(parts)


def _existing(parts: dict[str, Outcome]) -> dict[str, Outcome]:
    return {k: part for k, part in parts.items() if part.num_truths or len(part.scores)}
