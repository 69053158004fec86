"""The corner and direction losses in the slots of PSDHead."""

import numpy as np
import pytest
import torch
from loss_references import polygon_giou_losses
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mmdet_ext.models.dense_heads import PSDHead

STRIDE = 8
# A slanted slot whose entrance lies about (88, 137), and a point with a direction at either end.
CORNERS = torch.tensor([[60.0, 130], [117, 144], [149, 60], [92, 46]])
DIRECTION = torch.nn.functional.normalize(CORNERS[3] - CORNERS[0], dim=0)


def make_head(**losses):
    torch.manual_seed(0)
    return PSDHead(3, 16, point_stride=STRIDE, slot_level=0, slot_stride=STRIDE, **losses)


def make_sample(has_direction=(True, True)):
    sample = DetDataSample()
    sample.gt_instances = InstanceData(
        bboxes=torch.zeros(1, 4),
        labels=torch.tensor([2]),
        corners=CORNERS[None],
        occupied=torch.tensor([1]),
    )
    sample.gt_marking_points = InstanceData(
        points=CORNERS[:2],
        directions=DIRECTION.repeat(2, 1),
        has_direction=torch.tensor(has_direction),
        shapes=torch.tensor([0, 1]),
    )
    return sample


def perfect_slot_maps():
    """Maps (1, 12, 30, 30) whose every cell predicts the slot, its channels as decoded."""
    y, x = torch.meshgrid(torch.arange(30.0), torch.arange(30.0), indexing='ij')
    corners = (CORNERS + 0.5) / STRIDE
    middle, half = (corners[0] + corners[1]) / 2, (corners[1] - corners[0]) / 2
    depth = torch.linalg.vector_norm(corners[3] - corners[0])
    maps = torch.zeros(1, 12, 30, 30)
    maps[0, 1], maps[0, 2] = middle[0] - x - 0.5, middle[1] - y - 0.5
    maps[0, 3:5] = (half / 8).view(2, 1, 1)
    maps[0, 5:7] = 1.7 * DIRECTION.view(2, 1, 1)
    maps[0, 7] = (depth / 8).log()
    return maps


def losses_of(head, slot_maps=None, point_maps=None, **options):
    slot_maps = torch.randn(1, 12, 30, 30) if slot_maps is None else slot_maps
    point_maps = torch.randn(1, 10, 30, 30) if point_maps is None else point_maps
    return head.loss_by_feat(point_maps, slot_maps, [make_sample(**options)])


def test_by_default_there_is_no_corner_loss():
    assert 'loss_slot_corners' not in losses_of(make_head())


def test_predictions_of_the_right_corners_cost_nothing():
    head = make_head(loss_corners=dict(type='PolygonGIoULoss'))
    loss = losses_of(head, perfect_slot_maps())['loss_slot_corners']
    assert loss.item() == pytest.approx(0, abs=1e-5)


def test_wrong_corners_cost_what_they_lack_in_giou():
    head = make_head(loss_corners=dict(type='PolygonGIoULoss', loss_weight=2.0))
    maps = perfect_slot_maps()
    maps[0, 1] += 1  # cells to the right
    maps[0, 7] += np.log(1.5)  # half as deep again
    corners = CORNERS.double().numpy() + np.array([STRIDE, 0])
    corners[2:] += 0.5 * (corners[[3]] - corners[[0]])
    expected = polygon_giou_losses(corners[None], CORNERS[None].double().numpy())
    loss = losses_of(head, maps)['loss_slot_corners']
    assert loss.item() == pytest.approx(2 * expected.item(), rel=1e-4)


def test_the_gradient_of_the_corner_loss_reaches_entrance_direction_and_depth():
    head = make_head(loss_corners=dict(type='PolygonGIoULoss'))
    maps = (perfect_slot_maps() + 0.1 * torch.randn(1, 12, 30, 30)).requires_grad_()
    losses_of(head, maps)['loss_slot_corners'].backward()
    used = maps.grad[0].flatten(1).ne(0).any(1).tolist()
    assert used == [False] + [True] * 7 + [False] * 4


def test_an_image_without_slots_costs_nothing():
    head = make_head(loss_corners=dict(type='PolygonGIoULoss'))
    sample = make_sample()
    sample.gt_instances = sample.gt_instances[:0]
    maps = torch.randn(1, 12, 30, 30, requires_grad=True)
    loss = head.loss_by_feat(torch.randn(1, 10, 30, 30), maps, [sample])['loss_slot_corners']
    loss.backward()
    assert loss.item() == 0
    assert not maps.grad.any()


@pytest.mark.parametrize(('length', 'expected'), [(1.0, 0.0), (2.0, 0.1)])
def test_the_direction_loss_counts_known_directions_and_the_length(length, expected):
    head = make_head(loss_direction=dict(type='UnitDirectionLoss', norm_weight=0.1))
    maps = torch.zeros(1, 10, 30, 30)
    maps[0, 3:5] = length * DIRECTION.view(2, 1, 1)
    loss = losses_of(head, point_maps=maps, has_direction=(True, False))['loss_point_direction']
    assert loss.item() == pytest.approx(expected, abs=1e-6)
    unknown = losses_of(head, point_maps=maps, has_direction=(False, False))
    assert unknown['loss_point_direction'].item() == 0
