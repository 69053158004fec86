"""GIoU of quadrilaterals against shapely; finite wherever corners are."""

import numpy as np
import pytest
import torch
from loss_references import polygon_giou_losses as reference

from mmdet_ext.models.losses import PolygonGIoULoss
from mmdet_ext.models.losses.box_losses import giou_losses
from mmdet_ext.models.losses.polygon_giou_loss import polygon_giou_losses


def convex_quadrilaterals(count, seed, spread=6.0):
    """Corners on circles, either way round, at coordinates of about 50."""
    generator = np.random.default_rng(seed)
    angles = np.sort(generator.uniform(0, 2 * np.pi, (count, 4)), 1)
    radius = generator.uniform(2, 10, (count, 1))
    corners = np.stack([radius * np.cos(angles), radius * np.sin(angles)], -1)
    corners = corners + 50 + generator.uniform(-spread, spread, (count, 1, 2))
    reverse = generator.random(count) < 0.5
    corners[reverse] = corners[reverse, ::-1]
    return corners


def rectangles(*boxes):
    return torch.tensor([[[a, b], [c, b], [c, d], [a, d]] for a, b, c, d in boxes])


SQUARE = rectangles((0.0, 0.0, 2.0, 2.0))


@pytest.mark.parametrize(('dtype', 'tolerance'), [(torch.float64, 1e-12), (torch.float32, 3e-5)])
@pytest.mark.parametrize('spread', [2.0, 6.0, 30.0])
def test_values_are_those_of_shapely_on_2000_pairs_either_way_round(dtype, tolerance, spread):
    pred, target = convex_quadrilaterals(2000, 0, spread), convex_quadrilaterals(2000, 1, spread)
    actual = polygon_giou_losses(torch.tensor(pred, dtype=dtype), torch.tensor(target, dtype=dtype))
    np.testing.assert_allclose(actual, reference(pred, target), atol=tolerance)


def test_values_of_axis_aligned_boxes_are_those_of_the_boxes_where_the_hull_is_a_box():
    boxes = torch.tensor(
        [[0.0, 0, 2, 2], [1, 0, 3, 2], [2, 0, 4, 2], [0.5, 0.5, 1, 1], [0, 5, 2, 6]]
    )
    expected = giou_losses(torch.tensor([[0.0, 0, 2, 2]]).repeat(5, 1), boxes)
    actual = polygon_giou_losses(SQUARE.repeat(5, 1, 1), rectangles(*boxes.tolist()))
    torch.testing.assert_close(actual, expected, atol=1e-6, rtol=0)


def test_an_exact_match_costs_nothing_whatever_the_first_corner_and_the_direction():
    target = torch.tensor(convex_quadrilaterals(500, 2), dtype=torch.float32)
    for match in (target, target.roll(1, 1), target.flip(1)):
        pred = match.clone().requires_grad_()
        loss = polygon_giou_losses(pred, target)
        loss.sum().backward()
        assert loss.abs().max() < 1e-5
        assert pred.grad.isfinite().all()


def test_matches_up_to_rounding_have_their_value_too():
    target = convex_quadrilaterals(2000, 3).astype(np.float32)
    noise = np.random.default_rng(4).normal(0, 1, target.shape)
    for size in (1e-6, 1e-5, 1e-4, 1e-3):
        pred = (target + size * noise).astype(np.float32)
        actual = polygon_giou_losses(torch.tensor(pred), torch.tensor(target))
        expected = reference(pred.astype(float), target.astype(float))
        thin = expected > 0.01  # slivers, for which such a shift is not small
        np.testing.assert_allclose(actual[~thin], expected[~thin], atol=1e-3)


def test_gradients_are_those_of_finite_differences():
    pred = torch.tensor(convex_quadrilaterals(4, 5), requires_grad=True)
    target = torch.tensor(convex_quadrilaterals(4, 6), requires_grad=True)
    assert torch.autograd.gradcheck(polygon_giou_losses, (pred, target))


@pytest.mark.parametrize(
    ('pred', 'target', 'expected'),
    [
        (torch.zeros(1, 4, 2), torch.zeros(1, 4, 2), 1),  # points at one place
        (torch.zeros(1, 4, 2), SQUARE, 1),  # a point on its edge
        (SQUARE, torch.ones(1, 4, 2), 1),
        (rectangles((0.0, 0.0, 2.0, 0.0)), SQUARE, 1),  # lines
        (SQUARE, rectangles((0.0, 0.0, 2.0, 0.0)), 1),
        (rectangles((0.0, 0.0, 2.0, 0.0)), rectangles((0.0, 0.0, 2.0, 0.0)), 1),
        (rectangles((0.0, 2.0, 2.0, 2.0)), rectangles((0.0, 0.0, 2.0, 0.0)), 2),
        (SQUARE[:, [0, 1, 2, 2]], SQUARE, 0.5),  # a triangle
        (SQUARE * 1e6, SQUARE, 1),
    ],
)
def test_degenerate_quadrilaterals_give_finite_losses_and_gradients(pred, target, expected):
    pred = pred.clone().requires_grad_()
    loss = polygon_giou_losses(pred, target)
    loss.sum().backward()
    assert loss.item() == pytest.approx(expected, abs=1e-5)
    assert pred.grad.isfinite().all()


def test_predictions_that_are_not_convex_give_losses_between_0_and_2():
    generator = torch.Generator().manual_seed(0)
    pred = (torch.randn(5000, 4, 2, generator=generator) * 9).requires_grad_()
    target = torch.tensor(convex_quadrilaterals(5000, 7), dtype=torch.float32) - 50
    loss = polygon_giou_losses(pred, target)
    loss.sum().backward()
    assert (loss >= 0).all()
    assert (loss <= 2).all()
    assert pred.grad.isfinite().all()


def test_descent_brings_a_square_to_slots_of_any_angle():
    angle = torch.linspace(0, torch.pi, 7)
    turn = torch.stack([angle.cos(), angle.sin(), -angle.sin(), angle.cos()], 1).view(-1, 2, 2)
    target = (SQUARE - 1) * torch.tensor([2.5, 5.0]) @ turn
    pred = (4 * SQUARE.repeat(7, 1, 1) - 2).requires_grad_()
    optimizer = torch.optim.Adam([pred], lr=0.2)
    for step in range(120):
        optimizer.param_groups[0]['lr'] = 0.2 * (1 - step / 120)
        optimizer.zero_grad()
        polygon_giou_losses(pred, target).sum().backward()
        optimizer.step()
    assert polygon_giou_losses(pred, target).max() < 0.05


def test_corners_come_as_pairs_or_in_a_row_and_else_are_refused():
    loss = PolygonGIoULoss()
    pairs = loss(SQUARE + 0.5, SQUARE)
    torch.testing.assert_close(loss((SQUARE + 0.5).flatten(1), SQUARE.flatten(1)), pairs)
    with pytest.raises(ValueError, match=r'predictions are \(1, 4\), but must be corners'):
        loss(torch.zeros(1, 4), SQUARE)
