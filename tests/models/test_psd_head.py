"""PSDHead: losses, masks for partial labels, decoding, refinement, frames."""

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mmdet_ext.models.dense_heads import PSDHead
from mmdet_ext.models.task_modules.decoding import (
    DecodingConfig,
    centre_cells,
    decode_points,
    decode_slots,
    fuse_scores,
    snap_entrances,
)
from mmdet_ext.structures.marking_points import SHAPES
from mmdet_ext.structures.slots import assemble_corners

ALL_KINDS = ('marking_points', 'directions', 'shapes', 'slots', 'occupancy')
STRIDE = 8
SIZE = (30, 30)  # cells; 240 pixels


def unit(angle):
    return torch.tensor([np.cos(angle), np.sin(angle)], dtype=torch.float32)


# A slanted slot between a T and an L, and a lone point.
P1, P2 = torch.tensor([60.0, 130.0]), torch.tensor([117.0, 144.0])
DIRECTION, DEPTH = unit(-1.2), torch.tensor(90.0)
CORNERS = assemble_corners(P1, P2, DIRECTION, DEPTH)
POINTS = torch.stack([P1, P2, torch.tensor([200.0, 33.0])])
DIRECTIONS = torch.stack([DIRECTION, unit(2.0), unit(0.3)])
SHAPE_LABELS = torch.tensor([SHAPES.index('T'), SHAPES.index('L'), SHAPES.index('I')])


def make_sample(kinds=ALL_KINDS, **meta):
    sample = DetDataSample()
    sample.gt_instances = InstanceData(
        bboxes=torch.zeros(1, 4),
        labels=torch.tensor([2]),
        corners=CORNERS[None],
        occupied=torch.tensor([1]),
    )
    sample.gt_marking_points = InstanceData(
        points=POINTS,
        directions=DIRECTIONS,
        has_direction=torch.ones(3, dtype=torch.bool),
        shapes=SHAPE_LABELS.clone(),
    )
    sample.set_metainfo(
        dict(
            label_kinds=kinds,
            img_shape=(240, 240),
            ori_shape=(240, 240),
            homography_matrix=np.eye(3),
            **meta,
        )
    )
    return sample


def ideal_maps():
    """Maps that say exactly what is in the sample, written cell by cell."""
    point_maps = torch.zeros(1, 5 + len(SHAPES), *SIZE)
    slot_maps = torch.zeros(1, 12, *SIZE)
    point_maps[:, 0] = slot_maps[:, 0] = -9
    for point, direction, shape in zip(POINTS, DIRECTIONS, SHAPE_LABELS, strict=True):
        u = (point + 0.5) / STRIDE
        column, row = u.floor().long().tolist()
        point_maps[0, 0, row, column] = 4
        point_maps[0, 1:3, row, column] = u - u.floor() - 0.5
        point_maps[0, 3:5, row, column] = 2 * direction  # any length
        point_maps[0, 5 + shape, row, column] = 3
    u = ((P1 + P2) / 2 + 0.5) / STRIDE
    column, row = u.floor().long().tolist()
    slot_maps[0, 0, row, column] = 3
    slot_maps[0, 1:3, row, column] = u - u.floor() - 0.5
    slot_maps[0, 3:5, row, column] = (P2 - P1) / 2 / (8 * STRIDE)
    slot_maps[0, 5:7, row, column] = DIRECTION
    slot_maps[0, 7, row, column] = torch.log(DEPTH / (8 * STRIDE))
    slot_maps[0, 11, row, column] = 5
    column, row = ((CORNERS.mean(0) + 0.5) / STRIDE).floor().long().tolist()
    slot_maps[0, 8, row, column] = 2  # where the car would stand
    return point_maps, slot_maps


def make_head(**kwargs):
    torch.manual_seed(0)
    defaults = dict(
        num_classes=3, in_channels=8, feat_channels=8, point_stride=STRIDE, slot_level=0
    )
    head = PSDHead(**{**defaults, **kwargs})
    head.init_weights()
    return head


def test_points_decode_to_what_the_maps_say():
    points = decode_points(ideal_maps()[0], STRIDE, DecodingConfig())
    order = points['points'][0, :3, 0].argsort()
    torch.testing.assert_close(points['points'][0, :3][order], POINTS)
    torch.testing.assert_close(points['directions'][0, :3][order], DIRECTIONS)
    assert points['shapes'][0, :3][order].tolist() == SHAPE_LABELS.tolist()
    torch.testing.assert_close(points['scores'][0, :3], torch.full((3,), 4.0).sigmoid())


def test_slanted_slots_decode_to_what_the_maps_say():
    slots = decode_slots(ideal_maps()[1], STRIDE, DecodingConfig())
    torch.testing.assert_close(slots['corners'][0, 0], CORNERS, atol=1e-3, rtol=0)
    assert slots['labels'][0, 0] == 2
    assert slots['scores'][0, 0].item() == pytest.approx(torch.tensor(3.0).sigmoid().item())
    assert slots['occupied_scores'][0, 0].item() == pytest.approx(1 / (1 + np.exp(-2)))


def test_occupancy_is_read_at_the_border_when_the_centre_is_outside():
    corners = torch.tensor([[[9.0, 0.0], [9.0, 4.0], [12.0, 4.0], [12.0, 0.0]]])  # x centre 10.5
    centres, cells = centre_cells(corners, 6, 10)
    assert centres.tolist() == [[9.5, 2.0]]
    assert cells.tolist() == [2 * 10 + 9]


def test_occupancy_is_learned_around_the_centre_of_the_slot_alone():
    slot_maps = ideal_maps()[1].requires_grad_()
    losses = make_head().loss_by_feat(ideal_maps()[0], slot_maps, [make_sample()])
    losses['loss_slot_occupied'].backward()
    row, column = slot_maps.grad[0, 8].nonzero().double().mean(0)
    x, y = (CORNERS.double().mean(0) + 0.5) / STRIDE
    assert abs(column + 0.5 - x) < 0.5
    assert abs(row + 0.5 - y) < 0.5
    assert slot_maps.grad[0, 8].count_nonzero() <= 9


def test_decoding_is_batched():
    maps = torch.randn(3, 10, *SIZE)
    together = decode_points(maps, STRIDE, DecodingConfig())
    for i in range(3):
        alone = decode_points(maps[i : i + 1], STRIDE, DecodingConfig())
        for key, value in alone.items():
            torch.testing.assert_close(together[key][i : i + 1], value)


def test_entrances_move_onto_points_within_reach_and_keep_separator():
    points = torch.stack([P1 + 3, P2 + 40])[None]
    moved = snap_entrances(CORNERS[None, None], points, torch.ones(1, 2), 10.0, 0.2)[0, 0]
    torch.testing.assert_close(moved, assemble_corners(P1 + 3, P2, DIRECTION, DEPTH))


def test_entrances_do_not_move_onto_doubtful_points():
    points = torch.stack([P1 + 3, P2 + 3])[None]
    moved = snap_entrances(CORNERS[None, None], points, torch.tensor([[0.1, 0.9]]), 10.0, 0.2)[0, 0]
    torch.testing.assert_close(moved, assemble_corners(P1, P2 + 3, DIRECTION, DEPTH))


def test_ideal_maps_have_no_regression_loss_at_the_centres():
    head = make_head(radius=0.0)
    losses = head.loss_by_feat(*ideal_maps(), [make_sample()])
    for name in ('point_offset', 'slot_entrance', 'slot_separator'):
        assert losses[f'loss_{name}'].item() == pytest.approx(0, abs=1e-6), name


def test_offset_loss_is_the_smooth_l1_over_the_supervised_cells():
    head = make_head(radius=0.0, loss_offset=dict(type='SmoothL1Loss', beta=0.1))
    maps = ideal_maps()
    maps[0][:, 1:3] += 0.5
    losses = head.loss_by_feat(*maps, [make_sample()])
    # Per point 2 coordinates with |error| 0.5 and beta 0.1, averaged over points.
    assert losses['loss_point_offset'].item() == pytest.approx(2 * (0.5 - 0.05), rel=1e-5)


@pytest.mark.parametrize(
    ('kinds', 'silent'),
    [
        (('marking_points',), 'slot'),
        (('slots',), 'point'),
    ],
)
def test_losses_of_absent_labels_are_masked(kinds, silent):
    head = make_head()
    maps = [torch.randn_like(m).requires_grad_() for m in ideal_maps()]
    losses = head.loss_by_feat(*maps, [make_sample(kinds)])
    sum(losses.values()).backward()
    point_grad, slot_grad = (m.grad.abs().sum().item() for m in maps)
    assert (slot_grad if silent == 'slot' else point_grad) == 0
    assert (point_grad if silent == 'slot' else slot_grad) > 0


def test_unknown_directions_shapes_and_occupancy_are_not_learned():
    head = make_head()
    sample = make_sample()
    sample.gt_marking_points.has_direction[:] = False
    sample.gt_marking_points.shapes[:] = -1
    sample.gt_instances.occupied[:] = -1
    losses = head.loss_by_feat(*ideal_maps(), [sample])
    for name in ('point_direction', 'point_shape', 'slot_occupied'):
        assert losses[f'loss_{name}'].item() == 0, name


def test_kinds_that_the_data_set_is_not_used_for_are_not_learned():
    losses = make_head().loss_by_feat(*ideal_maps(), [make_sample(('marking_points', 'slots'))])
    for name in ('point_direction', 'point_shape', 'slot_occupied'):
        assert losses[f'loss_{name}'].item() == 0, name


def test_only_labelled_images_of_a_mixed_batch_count():
    head = make_head()
    maps = [torch.randn(2, *m.shape[1:]).requires_grad_() for m in ideal_maps()]
    losses = head.loss_by_feat(*maps, [make_sample(('marking_points',)), make_sample()])
    losses['loss_slot_cls'].backward()
    assert maps[1].grad[0].abs().sum() == 0
    assert maps[1].grad[1].abs().sum() > 0


def test_images_without_any_label_still_train_the_confidence():
    head = make_head()
    sample = make_sample()
    sample.gt_instances = sample.gt_instances[:0]
    sample.gt_marking_points = sample.gt_marking_points[:0]
    maps = [m.requires_grad_() for m in ideal_maps()]
    losses = head.loss_by_feat(*maps, [sample])
    sum(losses.values()).backward()
    assert losses['loss_point_cls'] > 0
    assert losses['loss_slot_cls'] > 0
    assert all(torch.isfinite(m.grad).all() for m in maps)


def test_predictions_come_back_in_the_frame_of_the_original_image():
    head = make_head()
    original_to_input = np.array([[-0.5, 0, 230], [0, 0.5, 10], [0, 0, 1.0]])  # mirrored, halved
    meta = make_sample().metainfo | dict(homography_matrix=original_to_input, ori_shape=(460, 460))
    slots, points = head.predict_by_feat(*ideal_maps(), [meta])[0]
    expected = (
        np.concatenate([CORNERS.numpy(), np.ones((4, 1))], 1) @ np.linalg.inv(original_to_input).T
    )
    np.testing.assert_allclose(slots.corners[0], expected[[1, 0, 3, 2], :2], atol=1e-2)
    lone = points.shapes.tolist().index(SHAPES.index('I'))
    np.testing.assert_allclose(points.points[lone], [(230 - 200) / 0.5, (33 - 10) / 0.5], atol=1e-3)
    np.testing.assert_allclose(points.directions[lone], unit(np.pi - 0.3), atol=1e-5)
    np.testing.assert_allclose(
        slots.bboxes[0], [*expected[:, :2].min(0), *expected[:, :2].max(0)], atol=1e-2
    )


def test_slots_whose_entrance_leaves_the_image_are_dropped():
    head = make_head(test_cfg=dict(entrance_margin=5.0))
    shift = np.eye(3)
    shift[0, 2] = P1[0] + 1  # p1 lies 1 pixel outside the original image: 2.5 of 600
    slots, _ = head.predict_by_feat(
        *ideal_maps(), [make_sample().metainfo | dict(homography_matrix=shift)]
    )[0]
    assert len(slots) == 1
    shift[0, 2] = P1[0] + 3
    slots, _ = head.predict_by_feat(
        *ideal_maps(), [make_sample().metainfo | dict(homography_matrix=shift)]
    )[0]
    assert len(slots) == 0


def test_predictions_below_the_threshold_are_dropped():
    head = make_head(test_cfg=dict(score_thr=0.97, fuse_scores=False))
    slots, points = head.predict_by_feat(*ideal_maps(), [make_sample().metainfo])[0]
    assert len(slots) == 0  # sigmoid(3) = 0.953
    assert len(points) == 3  # sigmoid(4) = 0.982


def test_an_unknown_test_option_is_named():
    with pytest.raises(TypeError, match='snap_radios'):
        make_head(test_cfg=dict(snap_radios=3))


def test_the_confidence_starts_near_one_percent():
    head = make_head()
    point_maps, slot_maps = head((torch.randn(2, 8, 16, 16),))
    for maps in (point_maps, slot_maps):
        assert maps[:, 0].sigmoid().mean().item() == pytest.approx(0.01, rel=0.2)


def test_slots_and_points_vouch_for_each_other_and_come_back_in_order():
    at = torch.tensor
    corners = at(
        [[[0.0, 0], [50, 0], [50, -90], [0, -90]], [[0, 200], [50, 200], [50, 90], [0, 90]]]
    )
    slots = dict(corners=corners[None], scores=at([[0.9, 0.8]]), labels=at([[0, 1]]))
    points = dict(
        points=at([[[200.0, 200], [50, 201], [0, 200], [0, 1]]]),
        scores=at([[0.85, 0.7, 0.6, 0.5]]),
        shapes=at([[0, 1, 2, 3]]),
    )
    fuse_scores(slots, points, radius=5)
    # The second slot has both of its points, the first only one, weak and missing (0.05).
    expected = [(0.8 * 0.7 * 0.6) ** (1 / 3), (0.9 * 0.5 * 0.05) ** (1 / 3)]
    np.testing.assert_allclose(slots['scores'][0], expected, rtol=1e-5)
    assert slots['labels'].tolist() == [[1, 0]]
    assert slots['corners'][0, 0, 0].tolist() == [0, 200]
    # The lone point keeps its score, the others rise with their slots.
    expected = {0: 0.85, 1: (0.7 * 0.8) ** 0.5, 2: (0.6 * 0.8) ** 0.5, 3: (0.5 * 0.9) ** 0.5}
    order = points['shapes'][0].tolist()
    assert order == sorted(expected, key=expected.get, reverse=True)
    np.testing.assert_allclose(points['scores'][0], [expected[i] for i in order], rtol=1e-5)


def test_geometric_pairing_takes_slots_from_the_points_and_not_from_the_slot_branch():
    entrance = dict(label=1, length=(110, 180), depth=225, angle=(50, 130))
    head = make_head(test_cfg=dict(pairing='geometric', entrances=[entrance]))
    point_maps, slot_maps = ideal_maps()
    along = torch.nn.functional.normalize(P2 - P1, dim=0)
    cell = ((P2 + 0.5) / STRIDE).long()
    point_maps[0, 3:5, cell[1] - 1 : cell[1] + 2, cell[0] - 1 : cell[0] + 2] = -along[:, None, None]
    slots, _ = head.predict_by_feat(point_maps, slot_maps - 100, [make_sample().metainfo])[0]
    assert slots.labels.tolist() == [1]
    expected = assemble_corners(P1, P2, DIRECTION, torch.tensor(225 * 240 / 600))
    torch.testing.assert_close(slots.corners[0], expected, atol=0.05, rtol=0)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(pairing='geometry'), "pairing is 'geometry'; expected 'geometric'"),
        (dict(pairing='geometric'), 'entrances is empty: list what slots may look like'),
    ],
)
def test_a_pairing_that_cannot_work_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        DecodingConfig(**options)
