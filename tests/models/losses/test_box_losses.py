"""GIoU, DIoU and CIoU: the papers' values, finite everywhere."""

import numpy as np
import pytest
import torch
from loss_references import box_losses

from mmdet_ext.models.losses.box_losses import ciou_losses, diou_losses, giou_losses

FUNCTIONS = {'GIoU': giou_losses, 'DIoU': diou_losses, 'CIoU': ciou_losses}
BOX = [10.0, 20.0, 30.0, 28.0]
each = pytest.mark.parametrize('name', FUNCTIONS)


def random_boxes(count, seed, dtype=torch.float64):
    generator = np.random.default_rng(seed)
    low = generator.uniform(-50, 50, (count, 2))
    return torch.tensor(np.hstack([low, low + generator.uniform(1, 60, (count, 2))]), dtype=dtype)


def loss_and_gradient(name, pred, target):
    pred = torch.tensor([pred], requires_grad=True)
    loss = FUNCTIONS[name](pred, torch.tensor([target]))
    loss.sum().backward()
    return loss.item(), pred.grad[0]


def test_values_are_those_of_the_formulas_on_3000_pairs_negative_coordinates_among_them():
    pred, target = random_boxes(3000, 0), random_boxes(3000, 1)
    expected = box_losses(pred, target)
    for column, function in enumerate(FUNCTIONS.values()):
        torch.testing.assert_close(
            function(pred, target), torch.tensor(expected[:, column]), rtol=0, atol=1e-7
        )


@pytest.mark.parametrize('name', ['GIoU', 'DIoU'])
def test_gradients_are_those_of_finite_differences(name):
    pred, target = random_boxes(20, 2).requires_grad_(), random_boxes(20, 3).requires_grad_()
    assert torch.autograd.gradcheck(FUNCTIONS[name], (pred, target))


def test_the_gradient_of_ciou_is_that_with_a_constant_alpha_as_in_the_paper():
    pred, target = random_boxes(20, 2), random_boxes(20, 3)
    iou = 1 - (box_losses(pred, target)[:, 1] - _distance_terms(pred, target))
    v = _aspect_terms(pred, target)
    alpha = v / (1 - torch.tensor(iou) + v)

    def reference(p):
        return diou_losses(p, target) + alpha * _aspect_terms(p, target)

    def gradient(function):
        leaf = pred.clone().requires_grad_()
        function(leaf).sum().backward()
        return leaf.grad

    torch.testing.assert_close(
        gradient(lambda p: ciou_losses(p, target)), gradient(reference), rtol=1e-5, atol=1e-7
    )


def _aspect_terms(pred, target):
    angles = [torch.atan2(*(box[:, 2:] - box[:, :2]).unbind(1)) for box in (pred, target)]
    return 4 / torch.pi**2 * (angles[0] - angles[1]) ** 2


def _distance_terms(pred, target):
    apart = ((pred[:, :2] + pred[:, 2:] - target[:, :2] - target[:, 2:]) / 2).square().sum(1)
    size = pred[:, 2:].maximum(target[:, 2:]) - pred[:, :2].minimum(target[:, :2])
    return (apart / size.square().sum(1)).numpy()


@each
def test_an_exact_match_costs_nothing_and_has_a_finite_gradient(name):
    loss, gradient = loss_and_gradient(name, BOX, BOX)
    assert loss == pytest.approx(0, abs=1e-6)
    assert gradient.isfinite().all()


@each
@pytest.mark.parametrize(
    ('pred', 'target'),
    [
        ([15.0, 22.0, 15.0, 22.0], BOX),  # a point
        ([15.0, 22.0, 25.0, 22.0], BOX),  # a line
        ([30.0, 28.0, 10.0, 20.0], BOX),  # the wrong way round
        ([30.0, 20.0, 10.0, 28.0], BOX),  # so in x alone
        (BOX, [0.0, 0.0, 0.0, 0.0]),  # mmdet's target of a background anchor
        ([0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]),
        ([1e8, 1e8, 2e8, 1.5e8], BOX),
        ([5.0, 5.0, 5.0 + 1e-6, 5.0 + 1e-6], BOX),
        ([0.0, 0.0, 1e-20, 1e4], BOX),
    ],
)
def test_degenerate_boxes_give_finite_losses_and_gradients(name, pred, target):
    loss, gradient = loss_and_gradient(name, pred, target)
    assert 0 <= loss <= 3
    assert gradient.isfinite().all()


@each
def test_a_box_of_negative_size_is_a_point_at_its_centre_that_is_drawn_to_the_target(name):
    loss, gradient = loss_and_gradient(name, [70.0, 60.0, 60.0, 50.0], BOX)
    assert loss == loss_and_gradient(name, [65.0, 55.0, 65.0, 55.0], BOX)[0]
    assert (gradient.view(2, 2).sum(0) > 0).all()  # the target lies to the left and above


def test_a_box_without_height_has_no_aspect_ratio():
    line = [15.0, 22.0, 25.0, 22.0]
    assert loss_and_gradient('CIoU', line, BOX)[0] == loss_and_gradient('DIoU', line, BOX)[0]
