"""Stochastic pooling."""

import numpy as np
import pytest
import torch
from layer_checks import assert_same
from numpy.lib.stride_tricks import sliding_window_view

from mmdet_ext.models.layers import StochasticPool2d


def windows_of(x, size, stride, padding):
    """Windows ``(B, C, H', W', size * size)`` of the activations that can be drawn, float64."""
    x = np.pad(x.numpy().astype(np.float64).clip(0), [(0, 0), (0, 0), *[(padding, padding)] * 2])
    windows = sliding_window_view(x, (size, size), axis=(2, 3))[:, :, ::stride, ::stride]
    return windows.reshape(*windows.shape[:4], -1)


@pytest.mark.parametrize(('size', 'stride', 'padding'), [(2, None, 0), (3, 2, 1), (3, 1, 1)])
def test_evaluation_gives_the_expectation_of_the_draw(size, stride, padding):
    x = torch.randn(2, 3, 7, 9)
    windows = windows_of(x, size, stride or size, padding)
    sums = windows.sum(-1, keepdims=True)
    expected = (windows * windows / np.where(sums, sums, 1)).sum(-1)
    layer = StochasticPool2d(size, stride, padding).eval()
    assert_same(layer(x), expected)
    assert layer(x).shape == torch.nn.MaxPool2d(size, stride, padding)(x).shape


def test_training_draws_each_activation_with_a_probability_proportional_to_it():
    window = torch.tensor([[1.0, 0.0], [-3.0, 4.0]])
    torch.manual_seed(0)
    drawn = StochasticPool2d(2).train()(window.repeat(100, 100, 10, 10))
    values, counts = drawn.unique(return_counts=True)
    assert values.tolist() == [1, 4]
    np.testing.assert_allclose(counts / drawn.numel(), [0.2, 0.8], atol=0.002)


@pytest.mark.parametrize(('size', 'stride', 'padding'), [(2, None, 0), (3, 2, 1)])
def test_training_draws_from_the_right_window(size, stride, padding):
    x = torch.rand(1, 2, 8, 8)
    drawn = StochasticPool2d(size, stride, padding).train()(x)
    windows = windows_of(x, size, stride or size, padding)
    assert np.isclose(windows, drawn.numpy()[..., None]).any(-1).all()
    assert (drawn > 0).all()


def test_a_window_without_a_positive_activation_gives_0():
    for layer in (StochasticPool2d(2).train(), StochasticPool2d(2).eval()):
        assert layer(torch.full((1, 1, 2, 2), -1.0)).item() == 0


def test_gradients_of_training_go_to_the_activations_that_were_drawn():
    def call(x):
        torch.manual_seed(1)
        return StochasticPool2d(3, 2, 1).train()(x)

    x = (torch.rand(1, 2, 4, 4, dtype=torch.double) + 0.1).requires_grad_()
    call(x).sum().backward()
    assert set(x.grad.unique().tolist()) <= {0, 1, 2, 3, 4}
    assert x.grad.sum() == 8
    # few steps of finite differences change a draw: the probabilities are not differentiated
    assert torch.autograd.gradcheck(call, x, eps=1e-9, atol=1e-4)


@pytest.mark.parametrize(
    'arguments', [dict(kernel_size=0), dict(stride=0), dict(kernel_size=3, padding=2)]
)
def test_impossible_windows_are_refused(arguments):
    with pytest.raises(ValueError, match='StochasticPool2d got kernel_size='):
        StochasticPool2d(**arguments)


def test_a_map_smaller_than_the_window_is_refused():
    with pytest.raises(ValueError, match='windows of 4 cells, but the map has only 3 x 8'):
        StochasticPool2d(4)(torch.zeros(1, 1, 3, 8))
