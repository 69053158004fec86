"""GIoU of quadrilaterals by their corners."""

import torch
from mmdet.registry import MODELS
from torch import Tensor

from .reduction import ReducedLoss, at_least_float32

_LEAST_AREA = 1e-7  # of coordinates within -1..1; less is no area


def polygon_giou_losses(pred: Tensor, target: Tensor) -> Tensor:
    """1 - GIoU of pairs of quadrilaterals (after Rezatofighi et al., Generalized IoU, 2019).

    The enclosing shape is the convex hull of both. Exact in value and gradient for convex
    quadrilaterals, whose corners may run either way round; where a prediction is not convex the value is
    finite and in [0, 2], but no longer that of its outline.

    Args:
        pred: Corners ``(M, 4, 2)``, finite.
        target: Corners ``(M, 4, 2)`` of convex quadrilaterals; without area their overlap is zero.

    Returns:
        Shape ``(M,)``, in [0, 2].
    """
    with torch.no_grad():  # GIoU does not change with place and size, rounding does
        both = torch.cat([pred, target], 1)
        centre = both.mean(1, keepdim=True)
        size = (both - centre).abs().amax((1, 2), keepdim=True).clamp(min=_tiny(pred))
    pred, target = (pred - centre) / size, (target - centre) / size
    pred_area, target_area = signed_area(pred).abs(), signed_area(target).abs()
    common = signed_area(clip_to_convex(pred, target)).abs()
    common = common.minimum(pred_area).minimum(target_area)
    union = pred_area + target_area - common
    hull = hull_area(torch.cat([pred, target], 1)).maximum(union)
    return 1 - _ratio(common, union) + _ratio(hull - union, hull)


def signed_area(polygons: Tensor) -> Tensor:
    """Area of polygons, negative for those that run clockwise when y points up.

    Args:
        polygons: Corners ``(M, K, 2)``.

    Returns:
        Shape ``(M,)``.
    """
    return _cross(polygons, polygons.roll(-1, 1)).sum(1) / 2


def clip_to_convex(polygons: Tensor, windows: Tensor) -> Tensor:
    """Cut polygons to convex windows (Sutherland and Hodgman, Reentrant Polygon Clipping, 1974).

    Args:
        polygons: Corners ``(M, K, 2)``.
        windows: Corners ``(M, L, 2)``, either way round.

    Returns:
        Corners ``(M, K + 2L, 2)``, some of them repeated; all the same where nothing is left.
    """
    reverse = (signed_area(windows) < 0)[:, None, None]
    windows = torch.where(reverse, windows.flip(1), windows)
    for start, end in zip(windows.unbind(1), windows.roll(-1, 1).unbind(1), strict=True):
        polygons = _clip_to_half_plane(polygons, start[:, None], end[:, None])
    return polygons


def hull_area(points: Tensor) -> Tensor:
    """Area of the convex hull.

    Args:
        points: Shape ``(M, K, 2)``, within -1..1 or so.

    Returns:
        Shape ``(M,)``.
    """
    on_hull = _hull_edges(points.detach())
    return (_cross(points[:, :, None], points[:, None]) * on_hull).sum((1, 2)) / 2


@MODELS.register_module()
class PolygonGIoULoss(ReducedLoss):
    """1 - GIoU of quadrilaterals, such as parking slots; see :func:`polygon_giou_losses`.

    Predictions and targets are corners ``(M, 4, 2)`` or ``(M, 8)``. Fits the slot ``loss_corners`` of
    ``PSDHead``.

    Args:
        reduction: ``none``, ``mean`` or ``sum``.
        loss_weight: Factor of the loss.
    """

    def item_losses(self, pred: Tensor, target: Tensor) -> Tensor:
        """Loss of each quadrilateral: ``(M,)``."""
        return polygon_giou_losses(_corners(pred, 'predictions'), _corners(target, 'targets'))


def _corners(values: Tensor, what: str) -> Tensor:
    if values.shape[1:] not in ((4, 2), (8,)):
        raise ValueError(
            f'PolygonGIoULoss: {what} are {tuple(values.shape)}, but must be corners (M, 4, 2) or '
            '(M, 8).'
        )
    return at_least_float32(values).reshape(-1, 4, 2)


def _clip_to_half_plane(polygons: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """What lies left of lines ``(M, 1, 2)``: of each edge its start and its crossing, where kept."""
    side = _cross(end - start, polygons - start)
    inside = side >= 0
    crosses = inside != inside.roll(-1, 1)
    step = side / torch.where(crosses, side - side.roll(-1, 1), 1)
    crossing = polygons + step[..., None] * (polygons.roll(-1, 1) - polygons)
    points = torch.stack([polygons, crossing], 2).flatten(1, 2)
    keep = torch.stack([inside, crosses], 2).flatten(1)
    kept_first = (~keep).int().argsort(dim=1, stable=True)[:, : polygons.shape[1] + 2]
    index = torch.where(keep.gather(1, kept_first), kept_first, kept_first[:, :1])
    return points.gather(1, index[..., None].expand(-1, -1, 2))


def _hull_edges(points: Tensor) -> Tensor:
    """Which pairs ``(M, K, K)`` are edges of the hull, from the first to the second."""
    points = points.double()
    number = torch.arange(points.shape[1], device=points.device, dtype=points.dtype)
    # Nudged apart by far less than rounding in float32, no three points are in line.
    points = points + 1e-9 * torch.stack([(number**2 * 0.7).sin(), (number**2 * 1.3).cos()], -1)
    vectors = points[:, None] - points[:, :, None]
    turns = _cross(vectors[:, :, :, None], vectors[:, :, None])
    others = ~torch.eye(points.shape[1], dtype=torch.bool, device=points.device)
    return (turns >= 0).all(-1) & others


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    return part / torch.where(whole > _LEAST_AREA, whole, 1)


def _cross(a: Tensor, b: Tensor) -> Tensor:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def _tiny(like: Tensor) -> float:
    return torch.finfo(like.dtype).tiny
