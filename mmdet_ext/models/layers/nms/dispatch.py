"""``batched_nms`` of mmcv, with the kit's variants beside mmcv's own."""

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module

import torch
from torch import Tensor

from mmdet_ext.utils.errors import did_you_mean

from .adaptive import adaptive_nms
from .cluster import cluster_nms
from .diou import diou_nms
from .matrix import matrix_nms
from .softer import softer_nms
from .weighted import weighted_nms

VARIANTS: dict[str, Callable[..., tuple[Tensor, Tensor]]] = {
    'adaptive_nms': adaptive_nms,
    'cluster_nms': cluster_nms,
    'diou_nms': diou_nms,
    'matrix_nms': matrix_nms,
    'softer_nms': softer_nms,
    'weighted_nms': weighted_nms,
}
"""The kit's variants by the ``type`` that selects them."""

_MMCV = ('nms', 'soft_nms', 'nms_rotated', 'nms_quadri')
_ANY = ('type', 'class_agnostic', 'max_num', 'split_thr')


def batched_nms(
    boxes: Tensor,
    scores: Tensor,
    idxs: Tensor,
    nms_cfg: Mapping | None,
    class_agnostic: bool = False,
) -> tuple[Tensor, Tensor]:
    """Non-maximum suppression of each class by itself.

    With a ``type`` of :data:`VARIANTS` classes are really apart: nothing is added to coordinates,
    through which boxes at negative ones would suppress those of other classes. Boxes of equal score are
    taken in the order of their coordinates, whatever their order in the input. Everything else
    (``nms_cfg`` None, mmcv's own types, functions) is left to mmcv's ``batched_nms`` as it is.

    Args:
        boxes: ``x1, y1, x2, y2``, shape ``(N, 4)``, or what mmcv's type takes. For the kit's variants:
            boxes with a NaN or infinite coordinate, area or score neither survive nor suppress; those
            with ``x2 <= x1`` or ``y2 <= y1`` count as empty, overlap nothing and survive.
        scores: Shape ``(N,)``.
        idxs: Class of each, shape ``(N,)``.
        nms_cfg: ``type`` (default ``nms``) and its options; for the kit's variants also
            ``class_agnostic``, ``max_num`` (of boxes to keep; -1: all) and mmcv's ``split_thr``, which
            they do not need.
        class_agnostic: Take all boxes for one class.

    Returns:
        Boxes and scores ``(K, 5)``, best first, and the position of each in the input, ``(K,)``.

    Raises:
        ValueError: The type or an option is unknown, or a value does not fit.
    """
    if not check_nms_cfg(nms_cfg):
        return mmcv_batched_nms()(boxes, scores, idxs, nms_cfg, class_agnostic)
    options = {name: value for name, value in nms_cfg.items() if name not in _ANY}
    if nms_cfg.get('class_agnostic', class_agnostic):
        idxs = torch.zeros_like(idxs)
    kept, index = VARIANTS[nms_cfg['type']](boxes, scores, idxs, **options)
    most = nms_cfg.get('max_num', -1)
    return (kept[:most], index[:most]) if most > 0 else (kept, index)


def check_nms_cfg(nms_cfg: Mapping | None) -> bool:
    """Check the names in the ``nms`` of a test_cfg.

    Args:
        nms_cfg: As of :func:`batched_nms`.

    Returns:
        Whether it selects one of :data:`VARIANTS`.

    Raises:
        ValueError: The type is neither one of them nor of mmcv, or it has no such option.
    """
    kind = 'nms' if nms_cfg is None else nms_cfg.get('type', 'nms')
    # mmcv evaluates the text among its own names, to which users may have added theirs.
    if callable(kind) or hasattr(import_module('mmcv.ops.nms'), kind):
        return False
    if kind not in VARIANTS:
        known = [*_MMCV, *VARIANTS]
        raise ValueError(
            f'The NMS type {kind!r} is unknown{did_you_mean(kind, known)}: choose one of '
            f'{", ".join(known)} in the `nms` of the test_cfg.'
        )
    options = [*list(inspect.signature(VARIANTS[kind]).parameters)[3:], *_ANY]
    for name in nms_cfg:
        if name not in options:
            raise ValueError(
                f'{kind} has no option {name!r}{did_you_mean(name, options)}: its options are '
                f'{", ".join(options[: -len(_ANY)])}; give them as nms=dict(_delete_=True, '
                f"type='{kind}', ...) to drop those of another type."
            )
    return True


def mmcv_batched_nms() -> Callable[..., tuple[Tensor, Tensor]]:
    """Return the function of mmcv that ``install`` put ours in place of."""
    found = import_module('mmcv.ops.nms').batched_nms
    return getattr(found, 'mmcv_batched_nms', found)
