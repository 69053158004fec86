"""Whether more or less of a metric is better, told by its name."""

from mmengine.hooks import CheckpointHook

RULES = ('greater', 'less')
# As for the best checkpoint, and the names of our metrics.
_GREATER = {*CheckpointHook._default_greater_keys, 'recall', 'f1'}
_LESS = {*CheckpointHook._default_less_keys, 'error'}


def rule_of(metric: str, rule: str | None = None) -> str:
    """Tell whether more or less of a metric is better.

    Args:
        metric: Its name, such as ``slot/f1`` or ``coco/bbox_mAP``.
        rule: ``greater`` or ``less`` if it is known; else it is told by the name as
            ``CheckpointHook`` does, but by words for errors first (``top1_error``).

    Returns:
        ``greater`` or ``less``.

    Raises:
        ValueError: The name does not tell, or there is no such rule.
    """
    name = metric.lower()
    if rule is None and any(word in name for word in _LESS):
        return 'less'
    if rule is None and (any(w.lower() in name for w in _GREATER) or name.endswith(('/ap', '_ap'))):
        return 'greater'
    if rule not in RULES:
        raise ValueError(
            f'the name of the metric {metric} does not tell whether more of it is better: give '
            f"rule='greater' or rule='less', not {rule!r}."
        )
    return rule
