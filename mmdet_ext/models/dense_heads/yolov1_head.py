"""The head of YOLOv1: prediction layers, loss and decoding."""

from dataclasses import dataclass

import torch
from mmcv.cnn import build_activation_layer
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.models.utils import filter_scores_and_topk
from mmdet.registry import MODELS
from mmdet.structures.bbox import bbox_overlaps, get_box_tensor
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor, nn
from torch.nn.modules.utils import _pair


@dataclass
class _Objects:
    """K objects, no two of them in one cell; lengths are relative to the image."""

    images: Tensor  # (K,)
    rows: Tensor  # (K,)
    columns: Tensor  # (K,)
    offsets: Tensor  # (K, 2): x and y of the centre from the corner of its cell, in cells
    sizes: Tensor  # (K, 2): width and height
    labels: Tensor  # (K,)
    crowded_out: Tensor  # (), share of the objects that are not among the K

    @property
    def cells(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.images, self.rows, self.columns


@MODELS.register_module()
class YOLOv1Head(BaseDenseHead):
    """Head of YOLOv1 for one feature map, for ``SingleStageDetector``.

    Each cell of a grid over the (padded) image predicts ``num_boxes`` boxes with a confidence each, and
    one set of class probabilities. The cell that an object's centre falls into detects it, by the box
    that overlaps it most; where none overlaps, by the nearest. As in the paper, the loss is a sum of
    squared errors over an image, averaged over the images; the network gives the square roots of width
    and height; outputs are linear; a class scores its probability times the box's confidence.

    Since a cell has one set of class probabilities, it can learn one object. Of several the largest is
    taken; the share of objects that are thus lost is logged as ``crowded_out``. Regions to ignore are
    ordinary background.

    Redmon, Divvala, Girshick and Farhadi: You Only Look Once: Unified, Real-Time Object Detection,
    CVPR 2016, arXiv:1506.02640.

    Args:
        num_classes: Number of classes C.
        in_channels: Channels of the feature map.
        grid_size: Rows and columns S of the grid, which two fully connected layers predict as in the
            paper; the images must all have one size then. None: two convolutions (3 x 3 and 1 x 1)
            predict a cell for each place of the feature map, from images of any size.
        num_boxes: Boxes per cell, B.
        feature_size: Rows and columns of the feature map that the fully connected layers take; by
            default as many as the grid has.
        hidden_channels: Outputs of the first of the two layers.
        dropout: Probability of dropping one of them in training.
        act_cfg: Activation after the first layer.
        lambda_coord: Weight of the errors of centre and size.
        lambda_noobj: Weight of the confidences of boxes that detect nothing.
        lambda_obj: Weight of the confidences of boxes that detect an object.
        lambda_class: Weight of the class probabilities.
        confidence_target: What the confidence of a box that detects an object is to be: ``'iou'``, its
            IoU with the object, as in the paper, or ``'one'``.
        train_cfg: Not used.
        test_cfg: ``score_thr``, ``nms_pre``, ``min_bbox_size``, ``nms`` and ``max_per_img``, as for any
            dense head.
        init_cfg: As for any mmengine module.

    Raises:
        ValueError: An option is out of range, or the detector gives another number or size of feature
            maps than the head was built for.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        grid_size: int | tuple[int, int] | None = 7,
        num_boxes: int = 2,
        feature_size: int | tuple[int, int] | None = None,
        hidden_channels: int = 4096,
        dropout: float = 0.5,
        act_cfg: dict = dict(type='LeakyReLU', negative_slope=0.1),
        lambda_coord: float = 5.0,
        lambda_noobj: float = 0.5,
        lambda_obj: float = 1.0,
        lambda_class: float = 1.0,
        confidence_target: str = 'iou',
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if confidence_target not in ('iou', 'one'):
            raise ValueError(
                f"YOLOv1Head got confidence_target={confidence_target!r}: give 'iou' or 'one'."
            )
        if num_classes < 1 or num_boxes < 1:
            raise ValueError(
                f'YOLOv1Head got num_classes={num_classes} and num_boxes={num_boxes}: give at least 1 '
                'of each.'
            )
        self.num_classes, self.num_boxes = num_classes, num_boxes
        self.lambda_coord, self.lambda_noobj = lambda_coord, lambda_noobj
        self.lambda_obj, self.lambda_class = lambda_obj, lambda_class
        self.confidence_target = confidence_target
        self.train_cfg, self.test_cfg = train_cfg, test_cfg and ConfigDict(test_cfg)
        self.feature_size = None if grid_size is None else _pair(feature_size or grid_size)
        self.layers = self._layers(in_channels, grid_size, hidden_channels, dropout, act_cfg)

    def _layers(
        self,
        in_channels: int,
        grid_size: int | tuple[int, int] | None,
        hidden_channels: int,
        dropout: float,
        act_cfg: dict,
    ) -> nn.Sequential:
        activation, drop = build_activation_layer(act_cfg), nn.Dropout(dropout)
        out_channels = 5 * self.num_boxes + self.num_classes
        if grid_size is None:
            hidden = nn.Conv2d(in_channels, hidden_channels, 3, padding=1)
            return nn.Sequential(
                hidden, activation, drop, nn.Conv2d(hidden_channels, out_channels, 1)
            )
        (in_rows, in_columns), (rows, columns) = self.feature_size, _pair(grid_size)
        return nn.Sequential(
            nn.Flatten(),
            nn.Linear(in_channels * in_rows * in_columns, hidden_channels),
            activation,
            drop,
            nn.Linear(hidden_channels, out_channels * rows * columns),
            nn.Unflatten(1, (out_channels, rows, columns)),
        )

    def forward(self, x: tuple[Tensor]) -> tuple[Tensor]:
        """Predict the cells.

        Args:
            x: One feature map, ``(N, in_channels, H, W)``.

        Returns:
            One map ``(N, 5 B + C, rows, columns)``: for each box x and y of its centre from the cell's
            corner in cells, square roots of width and height relative to the image, and confidence;
            then the class probabilities.
        """
        if len(x) != 1:
            raise ValueError(
                f'YOLOv1Head takes one feature map but got {len(x)}: give the backbone one of '
                '`out_indices`, such as (5,) of YOLOv1Darknet.'
            )
        size = tuple(x[0].shape[-2:])
        if self.feature_size is not None and size != self.feature_size:
            raise ValueError(
                f'YOLOv1Head was built for feature maps of {self.feature_size} cells (rows, columns) but '
                f'got {size}: set `feature_size={size}` for images of this size, resize all images to '
                'one, or set `grid_size=None` for images of any size.'
            )
        return (self.layers(x[0]),)

    def loss_by_feat(
        self,
        predictions: Tensor,
        batch_gt_instances: list[InstanceData],
        batch_img_metas: list[dict],
        batch_gt_instances_ignore: list[InstanceData] | None = None,
    ) -> dict[str, Tensor]:
        """Compute the losses, each summed over an image and averaged over the images.

        Args:
            predictions: As :meth:`forward` gives them.
            batch_gt_instances: ``bboxes`` ``x1 y1 x2 y2`` in pixels, and ``labels``.
            batch_img_metas: With ``batch_input_shape``, or without padding ``img_shape``.
            batch_gt_instances_ignore: Not used.

        Returns:
            ``loss_xy``, ``loss_wh``, ``loss_obj``, ``loss_noobj``, ``loss_class``; and
            ``crowded_out``, which is no loss.
        """
        boxes, classes = self._split(predictions)
        objects = _objects(batch_gt_instances, batch_img_metas, boxes)
        candidates = boxes[objects.cells]
        iou, responsible = _responsible(candidates, objects, boxes.shape[1:3])
        rows = torch.arange(len(responsible), device=boxes.device)
        found, confidences = candidates[rows, responsible], boxes[..., 4]
        overlap = iou[rows, responsible]
        expected = overlap if self.confidence_target == 'iou' else torch.ones_like(overlap)
        empty = torch.ones_like(confidences)
        empty[(*objects.cells, responsible)] = 0
        probabilities = nn.functional.one_hot(objects.labels, self.num_classes)
        errors = {
            'loss_xy': self.lambda_coord * (found[:, :2] - objects.offsets).square(),
            'loss_wh': self.lambda_coord * (found[:, 2:4] - objects.sizes.sqrt()).square(),
            'loss_obj': self.lambda_obj * (found[:, 4] - expected).square(),
            'loss_noobj': self.lambda_noobj * confidences.square() * empty,
            'loss_class': self.lambda_class * (classes[objects.cells] - probabilities).square(),
        }
        losses = {name: error.sum() / len(predictions) for name, error in errors.items()}
        return losses | {'crowded_out': objects.crowded_out}

    def predict_by_feat(
        self,
        predictions: Tensor,
        batch_img_metas: list[dict],
        cfg: ConfigDict | None = None,
        rescale: bool = False,
        with_nms: bool = True,
    ) -> list[InstanceData]:
        """Decode boxes and suppress those that overlap a better one of their class.

        Args:
            predictions: As :meth:`forward` gives them.
            batch_img_metas: With ``img_shape``, ``batch_input_shape`` if there is padding, and
                ``scale_factor`` to rescale.
            cfg: Instead of ``test_cfg``.
            rescale: Give boxes in pixels of the image before it was resized.
            with_nms: False: give all boxes above the score threshold.

        Returns:
            For each image ``bboxes`` ``(K, 4)``, clipped to it, ``scores`` and ``labels`` ``(K,)``.
        """
        cfg = self.test_cfg if cfg is None else cfg
        boxes, classes = self._split(predictions.detach().float())  # mmcv's NMS takes no double
        corners = _decode(boxes).flatten(1, 3)
        scores = boxes[..., 4:].clamp(0, 1) * classes[..., None, :].clamp(0, 1)
        return [
            self._bbox_post_process(
                _above_threshold(corners[i], scores[i].flatten(0, 2), meta, cfg),
                cfg,
                rescale,
                with_nms,
                meta,
            )
            for i, meta in enumerate(batch_img_metas)
        ]

    def _split(self, predictions: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes ``(N, rows, columns, B, 5)`` and class probabilities ``(N, rows, columns, C)``."""
        dtype = torch.promote_types(predictions.dtype, torch.float32)  # no half precision
        cells = predictions.to(dtype).permute(0, 2, 3, 1)
        boxes, classes = cells.split([5 * self.num_boxes, self.num_classes], -1)
        return boxes.unflatten(-1, (self.num_boxes, 5)), classes


def _input_size(meta: dict) -> tuple[int, int]:
    """Width and height of what the network saw, padding included."""
    height, width = meta.get('batch_input_shape', meta['img_shape'])[:2]
    return width, height


def _objects(
    batch_gt_instances: list[InstanceData], batch_img_metas: list[dict], like: Tensor
) -> _Objects:
    """Objects of a batch, of those in one cell the largest, for predictions like ``like``."""
    rows, columns = like.shape[1:3]
    boxes = [get_box_tensor(instances.bboxes).to(like) for instances in batch_gt_instances]
    counts = like.new_tensor([len(each) for each in boxes], dtype=torch.long)
    images = torch.arange(len(boxes), device=like.device).repeat_interleave(counts)
    sizes = like.new_tensor([2 * _input_size(meta) for meta in batch_img_metas])
    low, high = (torch.cat(boxes) / sizes[images]).split(2, 1)
    centres = (low + high) / 2 * like.new_tensor([columns, rows])
    places = centres.floor().clamp(like.new_zeros(2), like.new_tensor([columns - 1, rows - 1]))
    column, row = places.long().unbind(1)
    size = (high - low).clamp(min=0)
    kept = _largest_of_each((images * rows + row) * columns + column, size.prod(1))
    return _Objects(
        images[kept],
        row[kept],
        column[kept],
        (centres - places)[kept],
        size[kept],
        torch.cat([instances.labels for instances in batch_gt_instances]).to(like.device)[kept],
        like.new_tensor((len(size) - len(kept)) / max(len(size), 1)),
    )


def _largest_of_each(keys: Tensor, sizes: Tensor) -> Tensor:
    """Indices with the largest of ``sizes`` among equal ``keys``, the first if several are."""
    by_size = sizes.argsort(descending=True, stable=True)
    order = by_size[keys[by_size].argsort(stable=True)]
    ordered = keys[order]
    is_first = torch.ones_like(ordered, dtype=torch.bool)
    is_first[1:] = ordered[1:] != ordered[:-1]
    return order[is_first]


@torch.no_grad()
def _responsible(
    candidates: Tensor, objects: _Objects, grid: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """IoU of each box of a cell with the cell's object, ``(K, B)``, and which box detects it."""
    scale = candidates.new_tensor([grid[1], grid[0]])  # cells in the image
    centres, sizes = candidates[..., :2] / scale, candidates[..., 2:4].square()
    true_centres, true_sizes = (objects.offsets / scale)[:, None], objects.sizes[:, None]
    # In cells, for the products of lengths relative to the image are tiny.
    iou = bbox_overlaps(
        _corners(centres, sizes) * scale.repeat(2),
        _corners(true_centres, true_sizes) * scale.repeat(2),
    ).squeeze(-1)
    distances = (centres - true_centres).square().sum(-1) + (sizes - true_sizes).square().sum(-1)
    return iou, torch.where(iou.amax(1) > 0, iou.argmax(1), distances.argmin(1))


def _corners(centres: Tensor, sizes: Tensor) -> Tensor:
    return torch.cat([centres - sizes / 2, centres + sizes / 2], -1)


def _decode(boxes: Tensor) -> Tensor:
    """Boxes ``x1 y1 x2 y2`` relative to the image, ``(N, rows, columns, B, 4)``."""
    rows, columns = boxes.shape[1:3]
    row = torch.arange(rows, device=boxes.device)
    column = torch.arange(columns, device=boxes.device)
    cells = torch.stack(torch.meshgrid(column, row, indexing='xy'), -1)[:, :, None]
    centres = (boxes[..., :2] + cells) / boxes.new_tensor([columns, rows])
    return _corners(centres, boxes[..., 2:4].square())


def _above_threshold(corners: Tensor, scores: Tensor, meta: dict, cfg: ConfigDict) -> InstanceData:
    """Boxes and classes of one image that score enough, best first; not yet suppressed."""
    limit = cfg.get('nms_pre', -1)
    scores, labels, chosen, _ = filter_scores_and_topk(
        scores, cfg.get('score_thr', 0), limit if limit > 0 else scores.numel()
    )
    height, width = meta['img_shape'][:2]
    boxes = corners[chosen] * corners.new_tensor(2 * _input_size(meta))
    limits = boxes.new_tensor([width, height, width, height])
    boxes = torch.minimum(boxes.clamp(min=0), limits)
    return InstanceData(bboxes=boxes, scores=scores, labels=labels)
