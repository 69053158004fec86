"""Direction loss: the angle alone counts, and the length goes to 1."""

import numpy as np
import pytest
import torch

from mmdet_ext.models.losses import UnitDirectionLoss


def loss_of(pred, target, **options):
    loss = UnitDirectionLoss(reduction='none', **options)
    return loss(torch.as_tensor(pred), torch.as_tensor(target))


def test_it_is_one_minus_the_cosine_plus_the_squared_error_of_the_length():
    generator = np.random.default_rng(0)
    pred, target = generator.normal(size=(100, 2)), generator.normal(size=(100, 2))
    angle = np.arctan2(pred[:, 1], pred[:, 0]) - np.arctan2(target[:, 1], target[:, 0])
    expected = 1 - np.cos(angle) + 0.3 * (np.hypot(*pred.T) - 1) ** 2
    np.testing.assert_allclose(loss_of(pred, target, norm_weight=0.3), expected, rtol=1e-9)


@pytest.mark.parametrize(('degrees', 'expected'), [(0, 0), (60, 0.5), (90, 1), (180, 2)])
def test_a_unit_vector_costs_by_its_angle(degrees, expected):
    angle = np.radians(degrees)
    loss = loss_of([[np.cos(angle), np.sin(angle)]], [[1.0, 0.0]])
    assert loss.item() == pytest.approx(expected, abs=1e-12)


def test_an_unknown_direction_costs_nothing():
    pred = torch.tensor([[3.0, 1.0]], requires_grad=True)
    loss = loss_of(pred, [[0.0, 0.0]])
    loss.sum().backward()
    assert loss.item() == 0
    assert not pred.grad.any()


def test_masked_vectors_cost_nothing():
    pred, target = torch.randn(4, 2), torch.randn(4, 2)
    weight = torch.tensor([1.0, 0, 0, 1])
    loss = UnitDirectionLoss()
    expected = loss(pred[[0, 3]], target[[0, 3]], avg_factor=2)
    torch.testing.assert_close(loss(pred, target, weight, avg_factor=2), expected)


def test_a_vector_of_zero_has_a_bounded_gradient_towards_the_target():
    pred = torch.zeros(1, 2, requires_grad=True)
    loss_of(pred, [[0.0, 1.0]]).sum().backward()
    np.testing.assert_allclose(pred.grad, [[0, -100]], rtol=1e-6)


def test_descent_turns_the_vector_and_brings_its_length_to_one():
    vector = torch.tensor([[-0.3, 0.1]], requires_grad=True)
    optimizer = torch.optim.Adam([vector], lr=0.05)
    for _ in range(400):
        optimizer.zero_grad()
        loss_of(vector, [[0.6, -0.8]]).sum().backward()
        optimizer.step()
    np.testing.assert_allclose(vector.detach(), [[0.6, -0.8]], atol=1e-3)
