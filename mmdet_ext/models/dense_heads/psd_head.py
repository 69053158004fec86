"""The parking-slot head."""

import numpy as np
import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmdet.utils import reduce_mean
from mmengine.dist import get_world_size
from mmengine.model import bias_init_with_prob, normal_init
from mmengine.structures import InstanceData
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from mmdet_ext.structures.marking_points import SHAPES, rotate_quarter, transform_directions
from mmdet_ext.structures.slots import (
    assemble_corners,
    clipped_boxes,
    separator,
    transform_corners,
    transform_points,
)

from ..task_modules.decoding import (
    ENTRANCE_UNIT,
    DecodingConfig,
    centre_cells,
    decode_points,
    decode_slots,
    paired_slots,
    refine_slots,
    split_point_maps,
    split_slot_maps,
    suppress_points,
)
from ..task_modules.dense_points import assign_cells, cell_centres


@MODELS.register_module()
class PSDHead(BaseDenseHead):
    """Predicts marking points and parking slots densely, in one pass.

    Two branches work on the sum of all feature maps, each at the size of one of them. The point
    branch gives confidence, position, direction and shape of each junction. The slot branch gives
    at the midpoint of each entrance both entrance corners, separator direction, depth and type, and
    at the centre of each slot its occupancy; slanted slots come out as such. Entrance corners are
    then refined by the points they land on. Global and local predictions in one network are the idea of Suhr and Jung
    (End-to-End Trainable One-Stage Parking Slot Detection Integrating Global and Local
    Information, 2020); confidence as peaks of a map that of CenterNet (Zhou et al., Objects as
    Points, 2019).

    A loss is computed only on images that are labelled for it (``label_kinds``), so that a set
    with points alone trains the same head.

    Args:
        num_classes: Number of slot types.
        in_channels: Channels of the features.
        feat_channels: Channels inside the branches.
        point_dilations: Dilations of the 3 x 3 convolutions of the point branch.
        slot_dilations: Likewise of the slot branch, which has to see both ends of an entrance.
        point_level: Index of the feature map whose size the point branch works at.
        point_stride: Its stride in pixels.
        slot_level: Likewise of the slot branch.
        slot_stride: Its stride in pixels.
        point_sigma: Width of the confidence targets of points, in cells.
        slot_sigma: Width of the confidence targets of slots, in cells.
        radius: Cells this close to a point or midpoint learn its attributes, in cells.
        loss_cls: Confidence of points and slots, on probabilities.
        loss_offset: Position of points, in cells.
        loss_direction: Direction of points, as unit vectors.
        loss_shape: Shape of points.
        loss_entrance: Midpoint (cells) and half entrance (8 cells) of slots.
        loss_separator: Separator direction and logarithm of the depth.
        loss_type: Type of slots.
        loss_occupied: Occupancy of slots.
        loss_corners: Corners of slots, in cells, such as ``PolygonGIoULoss``; none by default.
        norm_cfg: Normalisation of the convolutions.
        act_cfg: Activation of the convolutions.
        train_cfg: Unused; mmdet passes it.
        test_cfg: Fields of :class:`~mmdet_ext.models.task_modules.decoding.DecodingConfig`.
        init_cfg: As for any mmengine module.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        feat_channels: int = 64,
        point_dilations: tuple[int, ...] = (1, 1),
        slot_dilations: tuple[int, ...] = (1, 2, 4),
        point_level: int = 0,
        point_stride: int = 4,
        slot_level: int = 1,
        slot_stride: int = 8,
        point_sigma: float = 1.0,
        slot_sigma: float = 1.0,
        radius: float = 1.5,
        loss_cls: dict = dict(type='GaussianFocalLoss', loss_weight=1.0),
        loss_offset: dict = dict(type='SmoothL1Loss', beta=0.05, loss_weight=1.0),
        loss_direction: dict = dict(type='SmoothL1Loss', beta=0.05, loss_weight=1.0),
        loss_shape: dict = dict(type='CrossEntropyLoss', loss_weight=1.0),
        loss_entrance: dict = dict(type='SmoothL1Loss', beta=0.02, loss_weight=2.0),
        loss_separator: dict = dict(type='SmoothL1Loss', beta=0.02, loss_weight=2.0),
        loss_type: dict = dict(type='CrossEntropyLoss', loss_weight=1.0),
        loss_occupied: dict = dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0),
        loss_corners: dict | None = None,
        norm_cfg: dict = dict(type='BN'),
        act_cfg: dict = dict(type='SiLU', inplace=True),
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.num_classes = num_classes
        self.point_level, self.point_stride = point_level, point_stride
        self.slot_level, self.slot_stride = slot_level, slot_stride
        self.point_sigma, self.slot_sigma, self.radius = point_sigma, slot_sigma, radius
        self.decoding = DecodingConfig(**(test_cfg or {}))
        self.loss_cls = MODELS.build(loss_cls)
        self.loss_offset = MODELS.build(loss_offset)
        self.loss_direction = MODELS.build(loss_direction)
        self.loss_shape = MODELS.build(loss_shape)
        self.loss_entrance = MODELS.build(loss_entrance)
        self.loss_separator = MODELS.build(loss_separator)
        self.loss_type = MODELS.build(loss_type)
        self.loss_occupied = MODELS.build(loss_occupied)
        self.loss_corners = MODELS.build(loss_corners) if loss_corners else None

        def branch(out_channels: int, dilations: tuple[int, ...]) -> nn.Sequential:
            layers = [
                ConvModule(
                    feat_channels if i else in_channels,
                    feat_channels,
                    3,
                    padding=dilation,
                    dilation=dilation,
                    norm_cfg=norm_cfg,
                    act_cfg=act_cfg,
                )
                for i, dilation in enumerate(dilations)
            ]
            return nn.Sequential(*layers, nn.Conv2d(feat_channels, out_channels, 1))

        self.point_branch = branch(5 + len(SHAPES), point_dilations)
        self.slot_branch = branch(9 + num_classes, slot_dilations)

    def init_weights(self) -> None:
        """Start with small outputs and a confidence of 0.01 everywhere."""
        super().init_weights()
        for last in (self.point_branch[-1], self.slot_branch[-1]):
            normal_init(last, std=0.01)
            nn.init.constant_(last.bias[:1], bias_init_with_prob(0.01))

    def forward(self, x: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """Compute both dense maps.

        Args:
            x: Features, each ``(B, in_channels, H_i, W_i)``.

        Returns:
            Point maps ``(B, 5 + S, H, W)`` and slot maps ``(B, 9 + C, h, w)``; for their channels
            see :func:`split_point_maps` and :func:`split_slot_maps`.
        """
        merged = {level: self._merge(x, level) for level in {self.point_level, self.slot_level}}
        return (
            self.point_branch(merged[self.point_level]),
            self.slot_branch(merged[self.slot_level]),
        )

    @staticmethod
    def _merge(x: tuple[Tensor, ...], level: int) -> Tensor:
        """Sum of all maps at the size of one."""
        return sum(F.interpolate(other, size=x[level].shape[-2:]) for other in x)

    def loss(self, x: tuple[Tensor, ...], batch_data_samples: SampleList) -> dict[str, Tensor]:
        """Losses of a batch.

        Args:
            x: Features, each ``(B, in_channels, H_i, W_i)``.
            batch_data_samples: With ``gt_instances``, ``gt_marking_points`` and ``label_kinds``.

        Returns:
            One scalar per loss.
        """
        return self.loss_by_feat(*self(x), batch_data_samples)

    def loss_by_feat(
        self, point_maps: Tensor, slot_maps: Tensor, batch_data_samples: SampleList
    ) -> dict[str, Tensor]:
        """Losses from the dense maps.

        Args:
            point_maps: Shape ``(B, 5 + S, H, W)``.
            slot_maps: Shape ``(B, 9 + C, h, w)``.
            batch_data_samples: As for :meth:`loss`.

        Returns:
            One scalar per loss.
        """
        return {
            **self._point_losses(point_maps.float(), batch_data_samples),
            **self._slot_losses(slot_maps.float(), batch_data_samples),
        }

    def _point_losses(self, maps: Tensor, samples: SampleList) -> dict[str, Tensor]:
        truth = [sample.gt_marking_points for sample in samples]
        points = _padded([(t.points + 0.5) / self.point_stride for t in truth])
        heat, supervised, index = assign_cells(
            points,
            _valid([t.points for t in truth]),
            *maps.shape[-2:],
            self.point_sigma,
            self.radius,
        )
        labelled = _labelled(samples, 'marking_points', maps)
        confidence, offset, direction, shape = split_point_maps(maps)
        batch, cell = (supervised & labelled[:, None]).nonzero(as_tuple=True)
        row = index[batch, cell]

        def loss_at(loss: nn.Module, prediction: Tensor, target: Tensor, use: Tensor) -> Tensor:
            prediction = prediction.flatten(2).transpose(1, 2)[batch, cell]
            return loss(prediction[use], target[use], avg_factor=_average(use.sum()))

        centres = cell_centres(*maps.shape[-2:], maps)
        directions = _padded([t.directions for t in truth])[batch, row]
        has_direction = _padded([t.has_direction for t in truth])[batch, row]
        has_direction &= _labelled(samples, 'directions', maps)[batch]
        shapes = _padded([t.shapes for t in truth])[batch, row]
        has_shape = (shapes >= 0) & _labelled(samples, 'shapes', maps)[batch]
        return {
            'loss_point_cls': self._confidence_loss(confidence, heat, labelled),
            'loss_point_offset': loss_at(
                self.loss_offset,
                offset,
                points[batch, row] - centres[cell],
                torch.ones_like(has_direction),
            ),
            'loss_point_direction': loss_at(
                self.loss_direction, direction, directions, has_direction
            ),
            'loss_point_shape': loss_at(self.loss_shape, shape, shapes, has_shape),
        }

    def _slot_losses(self, maps: Tensor, samples: SampleList) -> dict[str, Tensor]:
        truth = [sample.gt_instances for sample in samples]
        corners = _padded([(t.corners + 0.5) / self.slot_stride for t in truth])
        middle = corners[:, :, :2].mean(2)
        valid = _valid([t.corners for t in truth])
        size = maps.shape[-2:]
        heat, supervised, index = assign_cells(middle, valid, *size, self.slot_sigma, self.radius)
        labelled = _labelled(samples, 'slots', maps)
        confidence, entrance, separating, occupied, types = split_slot_maps(maps)
        batch, cell = (supervised & labelled[:, None]).nonzero(as_tuple=True)
        row = index[batch, cell]
        average = _average(torch.tensor(len(row), device=maps.device))

        def at(prediction: Tensor) -> Tensor:
            return prediction.flatten(2).transpose(1, 2)[batch, cell]

        quads = corners[batch, row]
        offset = middle[batch, row] - cell_centres(*size, maps)[cell]
        half = (quads[:, 1] - quads[:, 0]) / (2 * ENTRANCE_UNIT)
        direction, depth = separator(quads)
        depth = (depth / ENTRANCE_UNIT).clamp(min=1e-3).log()
        losses = {
            'loss_slot_cls': self._confidence_loss(confidence, heat, labelled),
            'loss_slot_entrance': self.loss_entrance(
                at(entrance), torch.cat([offset, half], -1), avg_factor=average
            ),
            'loss_slot_separator': self.loss_separator(
                at(separating), torch.cat([direction, depth[:, None]], -1), avg_factor=average
            ),
            'loss_slot_type': self.loss_type(
                at(types), _padded([t.labels for t in truth])[batch, row], avg_factor=average
            ),
            'loss_slot_occupied': self._occupancy_loss(occupied, corners, samples),
        }
        if self.loss_corners:
            predicted = _slot_corners(cell_centres(*size, maps)[cell], at(entrance), at(separating))
            losses['loss_slot_corners'] = self.loss_corners(predicted, quads, avg_factor=average)
        return losses

    def _occupancy_loss(self, logits: Tensor, corners: Tensor, samples: SampleList) -> Tensor:
        occupancy = _padded([sample.gt_instances.occupied for sample in samples])
        valid = _valid([sample.gt_instances.corners for sample in samples])
        size = logits.shape[-2:]
        centres, _ = centre_cells(corners, *size)
        _, supervised, index = assign_cells(centres, valid, *size, self.slot_sigma, self.radius)
        known = (occupancy >= 0) & _labelled(samples, 'occupancy', logits)[:, None]
        batch, cell = supervised.nonzero(as_tuple=True)
        row = index[batch, cell]
        use = known[batch, row]
        batch, cell, row = batch[use], cell[use], row[use]
        return self.loss_occupied(
            logits.flatten(2).transpose(1, 2)[batch, cell],
            occupancy[batch, row, None],
            avg_factor=_average(use.sum()),
        )

    def _confidence_loss(self, logits: Tensor, heat: Tensor, labelled: Tensor) -> Tensor:
        weight = labelled[:, None].to(heat).expand_as(heat)
        average = _average(((heat == 1) * weight).sum())
        return self.loss_cls(logits.flatten(1).sigmoid(), heat, weight=weight, avg_factor=average)

    def decode(
        self, point_maps: Tensor, slot_maps: Tensor
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Decode a batch in the frame of the network input, traceable to ONNX.

        Args:
            point_maps: Shape ``(B, 5 + S, H, W)``.
            slot_maps: Shape ``(B, 9 + C, h, w)``.

        Returns:
            Points and slots as :func:`decode_points` and :func:`decode_slots` give them, the
            slots' entrances refined; or slots made of the points, as ``pairing`` says.
        """
        height = point_maps.shape[-2] * self.point_stride
        points = decode_points(point_maps.float(), self.point_stride, self.decoding)
        suppress_points(points, height, self.decoding)
        if self.decoding.pairing:
            return points, paired_slots(points, height, self.decoding)
        slots = decode_slots(slot_maps.float(), self.slot_stride, self.decoding)
        refine_slots(slots, points, height, self.decoding)
        return points, slots

    def predict_by_feat(
        self,
        point_maps: Tensor,
        slot_maps: Tensor,
        batch_img_metas: list[dict],
        rescale: bool = True,
    ) -> list[tuple[InstanceData, InstanceData]]:
        """Slots and marking points of each image.

        Args:
            point_maps: Shape ``(B, 5 + S, H, W)``.
            slot_maps: Shape ``(B, 9 + C, h, w)``.
            batch_img_metas: With ``ori_shape``, ``img_shape`` and ``homography_matrix``.
            rescale: Return pixels of the original image instead of the network input.

        Returns:
            Per image: slots (``bboxes``, ``scores``, ``labels``, ``corners``,
            ``occupied_scores``) and points (``points``, ``scores``, ``directions``, ``shapes``), both in
            descending order of score.
        """
        points, slots = self.decode(point_maps, slot_maps)
        results = []
        for i, meta in enumerate(batch_img_metas):
            point = InstanceData(**{k: v[i] for k, v in points.items()})
            slot = InstanceData(**{k: v[i] for k, v in slots.items()})
            point = point[point.scores >= self.decoding.score_thr]
            slot = slot[slot.scores >= self.decoding.score_thr]
            shape = meta['ori_shape'] if rescale else meta['img_shape']
            if rescale:
                _to_original(point, slot, np.linalg.inv(meta['homography_matrix']))
            results.append((self._visible(slot, *shape[:2]), point))
        return results

    def _visible(self, slots: InstanceData, height: int, width: int) -> InstanceData:
        """Drop slots whose entrance leaves the image; add boxes."""
        margin = self.decoding.entrance_margin * height / 600
        limit = slots.corners.new_tensor([width, height])
        entrance = slots.corners[:, :2]
        inside = (entrance >= -margin) & (entrance <= limit + margin)
        slots = slots[inside.flatten(1).all(1)]
        slots.bboxes = clipped_boxes(slots.corners, width, height)
        return slots


def _slot_corners(cells: Tensor, entrance: Tensor, separating: Tensor) -> Tensor:
    """Corners ``(M, 4, 2)`` in cells that the slot branch predicts at cells, as decoded."""
    offset, half = entrance.split(2, -1)
    direction, depth = separating.split([2, 1], -1)
    return assemble_corners(
        cells + offset - half * ENTRANCE_UNIT,
        cells + offset + half * ENTRANCE_UNIT,
        F.normalize(direction, dim=-1),
        depth.squeeze(-1).clamp(max=4).exp() * ENTRANCE_UNIT,
    )


def _padded(items: list[Tensor]) -> Tensor:
    return pad_sequence(items, batch_first=True)


def _valid(items: list[Tensor]) -> Tensor:
    """Which entries of :func:`_padded` are not padding: ``(B, N)``."""
    return _padded([torch.ones(len(item), dtype=torch.bool, device=item.device) for item in items])


def _labelled(samples: SampleList, kind: str, like: Tensor) -> Tensor:
    """Which images are labelled for a kind: ``(B,)``; all where the data do not say."""
    flags = [kind in sample.metainfo.get('label_kinds', (kind,)) for sample in samples]
    return torch.tensor(flags, device=like.device)


def _average(count: Tensor) -> float:
    """Mean over processes, so that their gradients average to those of all images together."""
    return max(reduce_mean(count.float()).item(), 1 / get_world_size())


def _to_original(points: InstanceData, slots: InstanceData, matrix: np.ndarray) -> None:
    """Carry predictions through ``matrix`` (3, 3) in place, mirroring maps included."""
    device = points.points.device

    def moved(array: np.ndarray) -> Tensor:
        return torch.from_numpy(array.astype(np.float32)).to(device)

    directions = points.directions.detach().cpu().numpy()
    directions, _ = transform_directions(
        directions, rotate_quarter(directions), points.shapes.cpu().numpy(), matrix
    )
    points.points = moved(transform_points(points.points.detach().cpu().numpy(), matrix))
    points.directions = moved(directions)
    slots.corners = moved(transform_corners(slots.corners.detach().cpu().numpy(), matrix))
