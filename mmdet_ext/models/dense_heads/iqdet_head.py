"""The head of IQDet."""

import torch
from mmcv.cnn import Scale
from mmdet.models.dense_heads.anchor_free_head import AnchorFreeHead
from mmdet.models.utils import multi_apply, unpack_gt_instances
from mmdet.registry import MODELS, TASK_UTILS
from mmdet.structures import SampleList
from mmdet.utils import reduce_mean
from mmengine.structures import InstanceData
from torch import Tensor, nn

from .quality_distribution import (
    QualityDistributionEncoder,
    point_log_probabilities,
    quality_divergence,
)


@MODELS.register_module()
class IQDetHead(AnchorFreeHead):
    """Points as in FCOS, trained on positives that are drawn where predictions are good.

    Ma et al., IQDet: Instance-wise Quality Distribution Sampling for Object Detection, CVPR 2021. In
    training an encoder estimates for each object, from its RoIAligned features, how the quality of
    predictions is distributed over the points of all levels; positives are drawn from this distribution;
    the classification learns the IoU of what is predicted (quality focal loss). Prediction knows nothing of
    the encoder and has no centreness: it is a convolution cheaper than FCOS.

    What the abstract leaves open is chosen here and may differ from the authors' code: components of a
    mixture are Gaussians in x, y and level; the encoder is fitted by the divergence of its estimate
    from ``IoU ** sharpness``; an object draws as many positives as OTA's dynamic k.

    Args:
        num_classes: Without background.
        in_channels: Of the feature maps.
        num_components: Gaussians of an object's mixture.
        sharpness: See :func:`~.quality_distribution.quality_divergence`.
        loss_quality_weight: Of the encoder's loss.
        loss_cls: A loss of labels with qualities.
        loss_bbox: A loss of boxes.
        norm_cfg: Of the convolutions.
        train_cfg: ``assigner`` (default: ``QualitySamplingAssigner``).
        init_cfg: Initial weights.
        kwargs: As for :class:`mmdet.models.dense_heads.AnchorFreeHead`, such as ``strides``.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        num_components: int = 4,
        sharpness: float = 4.0,
        loss_quality_weight: float = 0.5,
        loss_cls: dict = dict(type='QualityFocalLoss', use_sigmoid=True, beta=2.0),
        loss_bbox: dict = dict(type='GIoULoss', loss_weight=2.0),
        norm_cfg: dict = dict(type='GN', num_groups=32, requires_grad=True),
        train_cfg: dict | None = None,
        init_cfg: dict = dict(
            type='Normal',
            layer='Conv2d',
            std=0.01,
            override=dict(type='Normal', name='conv_cls', std=0.01, bias_prob=0.01),
        ),
        **kwargs,
    ) -> None:
        self.num_components = num_components
        self.sharpness = sharpness
        self.loss_quality_weight = loss_quality_weight
        super().__init__(
            num_classes,
            in_channels,
            loss_cls=loss_cls,
            loss_bbox=loss_bbox,
            norm_cfg=norm_cfg,
            train_cfg=train_cfg,
            init_cfg=init_cfg,
            **kwargs,
        )
        assigner = (train_cfg or {}).get('assigner') or dict(type='QualitySamplingAssigner')
        self.assigner = TASK_UTILS.build(assigner)

    def _init_layers(self) -> None:
        super()._init_layers()
        self.scales = nn.ModuleList([Scale(1.0) for _ in self.strides])
        self.quality_encoder = QualityDistributionEncoder(
            self.in_channels, self.strides, self.num_components
        )

    def forward(self, x: tuple[Tensor, ...]) -> tuple[list[Tensor], list[Tensor]]:
        """Predict classes and boxes.

        Args:
            x: Feature maps of all levels.

        Returns:
            Of each level logits ``(B, num_classes, H, W)`` and distances from the point to the left, top,
            right and bottom side in pixels ``(B, 4, H, W)``.
        """
        return multi_apply(self.forward_single, x, self.scales, self.strides)

    def forward_single(self, x: Tensor, scale: Scale, stride: int) -> tuple[Tensor, Tensor]:
        """See :meth:`forward`, one level."""
        classes, distances, _, _ = super().forward_single(x)
        return classes, scale(distances).float().exp() * stride

    def loss(self, x: tuple[Tensor, ...], batch_data_samples: SampleList) -> dict[str, Tensor]:
        """Compute the losses of a batch.

        Args:
            x: Feature maps of all levels.
            batch_data_samples: With ``gt_instances``.

        Returns:
            ``loss_cls``, ``loss_bbox`` and the encoder's ``loss_quality``.
        """
        objects, _, metas = unpack_gt_instances(batch_data_samples)
        encoded = self.quality_encoder(x, [instances.bboxes for instances in objects])
        return self.loss_by_feat(*self(x), objects, metas, encoded=encoded)

    def loss_by_feat(
        self,
        cls_scores: list[Tensor],
        bbox_preds: list[Tensor],
        batch_gt_instances: list[InstanceData],
        batch_img_metas: list[dict],
        batch_gt_instances_ignore: list[InstanceData] | None = None,
        *,
        encoded: list[Tensor],
    ) -> dict[str, Tensor]:
        """Compute the losses from predictions.

        Args:
            cls_scores: See :meth:`forward`.
            bbox_preds: See :meth:`forward`.
            batch_gt_instances: ``bboxes`` (G, 4) and ``labels`` (G,) of each image.
            batch_img_metas: Not used.
            batch_gt_instances_ignore: Not used.
            encoded: The encoder's output for each image.

        Returns:
            ``loss_cls``, ``loss_bbox`` and ``loss_quality``.
        """
        priors = torch.cat(
            self.prior_generator.grid_priors(
                [level.shape[-2:] for level in cls_scores],
                dtype=torch.float32,
                device=cls_scores[0].device,
                with_stride=True,
            )
        )
        logits = _flat(cls_scores).float()
        boxes = self.bbox_coder.decode(priors[:, :2].expand(len(logits), -1, 2), _flat(bbox_preds))
        classes, targets, qualities, divergences = self.get_targets(
            priors, boxes.detach(), batch_gt_instances, encoded
        )
        positive = classes < self.num_classes
        total = reduce_mean(positive.sum().float()).clamp(min=1).item()
        certain = reduce_mean(qualities.sum()).clamp(min=1).item()
        objects = reduce_mean(divergences.new_tensor(float(len(divergences)))).clamp(min=1)
        return {
            'loss_cls': self.loss_cls(logits.flatten(0, 1), (classes, qualities), avg_factor=total),
            'loss_bbox': self.loss_bbox(
                boxes.flatten(0, 1)[positive],
                targets[positive],
                weight=qualities[positive],
                avg_factor=certain,
            ),
            'loss_quality': self.loss_quality_weight * divergences.sum() / objects,
        }

    def get_targets(
        self,
        priors: Tensor,
        boxes: Tensor,
        batch_gt_instances: list[InstanceData],
        encoded: list[Tensor],
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Draw the positives of a batch.

        Args:
            priors: ``x y stride_x stride_y`` in pixels, ``(N, 4)``.
            boxes: Predicted, detached, ``(B, N, 4)``.
            batch_gt_instances: ``bboxes`` (G, 4) and ``labels`` (G,) of each image.
            encoded: The encoder's output for each image.

        Returns:
            Of the points of all images: classes ``(B * N,)``, ``num_classes`` for background; boxes
            ``(B * N, 4)``; qualities ``(B * N,)``, the IoU of what is predicted; and of all objects the
            divergence of the estimated distribution, which alone has gradients.
        """
        columns = [
            self._targets_of_image(priors, *image)
            for image in zip(boxes, batch_gt_instances, encoded, strict=True)
        ]
        classes, targets, qualities, divergences = map(torch.cat, zip(*columns, strict=True))
        return classes, targets, qualities, divergences

    def _targets_of_image(
        self, priors: Tensor, boxes: Tensor, objects: InstanceData, encoded: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        truth = objects.bboxes
        log_probabilities = point_log_probabilities(encoded, priors, truth)
        overlaps = self.assigner.iou_calculator(boxes, truth).nan_to_num(0)
        divergences = quality_divergence(log_probabilities, overlaps, self.sharpness)
        result = self.assigner.assign(
            InstanceData(bboxes=boxes, priors=priors),
            objects,
            log_probabilities=log_probabilities.detach(),
        )
        positive = result.gt_inds > 0
        classes = result.labels.masked_fill(~positive, self.num_classes)
        targets = torch.zeros_like(boxes)
        targets[positive] = truth[result.gt_inds[positive] - 1].to(targets)
        return classes, targets, result.max_overlaps, divergences


def _flat(levels: list[Tensor]) -> Tensor:
    """All points of each image, ``(B, N, C)``."""
    return torch.cat([level.flatten(2).transpose(1, 2) for level in levels], 1)
