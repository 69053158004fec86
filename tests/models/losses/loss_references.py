"""The losses in NumPy, float64, one item after another, from the papers."""

import math

import numpy as np
import shapely


def box_losses(pred, target):
    """GIoU, DIoU and CIoU losses of each pair of boxes, (N, 3)."""
    return np.array([_box_loss(p, t) for p, t in zip(pred.tolist(), target.tolist(), strict=True)])


def _box_loss(p, t):
    def area(x1, y1, x2, y2):
        return max(x2 - x1, 0) * max(y2 - y1, 0)

    common = area(
        *(max(a, b) for a, b in zip(p[:2], t[:2], strict=True)),
        *(min(a, b) for a, b in zip(p[2:], t[2:], strict=True)),
    )
    union = area(*p) + area(*t) - common
    width, height = (max(p[i + 2], t[i + 2]) - min(p[i], t[i]) for i in (0, 1))
    iou = common / union
    giou = iou - (width * height - union) / (width * height)
    apart = sum(((p[i] + p[i + 2]) - (t[i] + t[i + 2])) ** 2 / 4 for i in (0, 1))
    diou = iou - apart / (width**2 + height**2)
    angles = [math.atan((b[2] - b[0]) / (b[3] - b[1])) for b in (p, t)]
    v = 4 / math.pi**2 * (angles[1] - angles[0]) ** 2
    alpha = v / (1 - iou + v) if v else 0
    return 1 - giou, 1 - diou, 1 - (diou - alpha * v)


def polygon_giou_losses(pred, target):
    """1 - GIoU of each pair of quadrilaterals, (M,), by shapely."""
    a, b = shapely.polygons(pred), shapely.polygons(target)
    common = shapely.area(shapely.intersection(a, b))
    union = shapely.area(a) + shapely.area(b) - common
    hull = shapely.area(shapely.convex_hull(shapely.multipolygons(np.stack([a, b], 1))))
    return 1 - (common / union - (hull - union) / hull)


def softmax(logits):
    """Of each row."""
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def smoothed_cross_entropies(logits, labels, smoothing):
    """Softmax cross-entropy of each row, (N,)."""
    count = logits.shape[1]
    target = (1 - smoothing) * np.eye(count)[labels] + smoothing / count
    return -(target * np.log(softmax(logits))).sum(1)


def one_hot(labels, count):
    """Rows with a one at the label; none for the background, which is ``count``."""
    return np.eye(count + 1)[labels][:, :count]


def smoothed_binary_cross_entropies(logits, target, smoothing):
    """Sigmoid cross-entropy of each element."""
    p = 1 / (1 + np.exp(-logits))
    target = np.where(target == 1, 1 - smoothing / 2, smoothing / 2)
    return -(target * np.log(p) + (1 - target) * np.log(1 - p))


def focal_losses(logits, target, alpha, gamma):
    """Sigmoid focal loss of each element; target of 0 and 1; no weighting without alpha."""
    p = 1 / (1 + np.exp(-logits))
    p = np.where(target == 1, p, 1 - p)
    balance = 1 if alpha is None else np.where(target == 1, alpha, 1 - alpha)
    return -balance * (1 - p) ** gamma * np.log(p)
