"""The kit's NMS variants by name in the ``test_cfg`` of stock heads.

mmdet's heads have no registry of NMS types and no hook around NMS. They call ``mmcv.ops.batched_nms``,
by names that they imported, and it evaluates ``type`` as Python among mmcv's own functions, keeps
classes apart by an offset that negative coordinates defeat, and throws away boxes that a type has
changed. So the only way to add types without a subclass of every head is to put another
``batched_nms`` in its place. With mmcv's types it calls mmcv's function: nothing changes for them.

Dense heads take new scores from what ``batched_nms`` returns, but pick the boxes themselves from the
tensor that they passed. A variant that changes boxes therefore writes them to that tensor, too, at the
positions that it keeps. It does so beneath autograd: who differentiates through boxes after NMS gets
the gradient of the unchanged ones.
"""

import functools
import sys
from collections.abc import Mapping
from importlib import import_module
from types import ModuleType

from torch import Tensor

from . import dispatch

_CHANGE_BOXES = ('cluster_nms', 'softer_nms', 'weighted_nms')


def install() -> None:
    """Put the kit's ``batched_nms`` in place of mmcv's, wherever modules have imported that.

    Modules that import it later get the kit's. Importing ``mmdet_ext.models`` does this, and so does
    building any model with ``mmdet_ext`` in the config's ``custom_imports``. Doing it again, after
    further imports, does no harm. Without mmcv's compiled ops there is nothing to replace.
    """
    try:
        module = import_module('mmcv.ops.nms')
    except ImportError:
        return
    original = dispatch.mmcv_batched_nms()
    ours = module.batched_nms if module.batched_nms is not original else _made(original)
    for holder in list(sys.modules.values()):
        if isinstance(holder, ModuleType) and vars(holder).get('batched_nms') is original:
            holder.batched_nms = ours


def _made(original):
    @functools.wraps(original)
    def batched_nms(
        boxes: Tensor,
        scores: Tensor,
        idxs: Tensor,
        nms_cfg: Mapping | None,
        class_agnostic: bool = False,
    ) -> tuple[Tensor, Tensor]:
        kept, index = dispatch.batched_nms(boxes, scores, idxs, nms_cfg, class_agnostic)
        if nms_cfg is not None and nms_cfg.get('type') in _CHANGE_BOXES:
            boxes.detach()[index] = kept[:, :4].detach().to(boxes.dtype)
        return kept, index

    batched_nms.mmcv_batched_nms = original
    return batched_nms
