"""DIoU-NMS."""

from functools import partial

from torch import Tensor

from .blocks import Block
from .overlaps import Overlaps
from .suppression import Selection, check_range, class_aware_nms, suppress


def diou_nms(
    boxes: Tensor, scores: Tensor, labels: Tensor, iou_threshold: float = 0.5, beta: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Non-maximum suppression that spares boxes whose centres are apart.

    Zheng, Wang, Liu, Li, Ye and Ren: Distance-IoU Loss: Faster and Better Learning for Bounding Box
    Regression, AAAI 2020, arXiv:1911.08287; ``beta``: Zheng et al., Enhancing Geometric Factors in Model
    Learning and Inference, 2021, arXiv:2005.03572.

    A box is removed if ``IoU - (d^2 / c^2)^beta > iou_threshold`` with a kept better box of its class,
    d being the distance between their centres and c the diagonal of the smallest box around both.

    Args:
        boxes: ``x1, y1, x2, y2``, shape ``(N, 4)``.
        scores: Shape ``(N,)``.
        labels: Class of each, shape ``(N,)``.
        iou_threshold: From 0 to 1.
        beta: Greater than 0. Distance counts less the greater it is: plain NMS in the limit; near 0
            everything is kept whose centres differ.

    Returns:
        Boxes and scores ``(K, 5)``, best first, and the position of each in the input, ``(K,)``.

    Raises:
        ValueError: An option or a shape does not fit.
    """
    check_range('diou_nms', 'iou_threshold', iou_threshold, 0, 1)
    check_range('diou_nms', 'beta', beta, 1e-6, 1e6)

    def select(block: Block) -> Selection:
        overlaps = Overlaps(block.boxes)
        measure = partial(overlaps.diou, beta=beta)
        return Selection(suppress(block, measure, overlaps, iou_threshold))

    return class_aware_nms(boxes, scores, labels, select)
