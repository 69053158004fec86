"""Cross-iteration batch normalisation."""

import copy

import numpy as np
import pytest
import torch
from layer_checks import assert_same
from mmcv.cnn import ConvModule
from mmengine.registry import DefaultScope
from numpy.lib.stride_tricks import sliding_window_view
from torch import nn

from mmdet_ext.models.layers import CrossIterationBatchNorm

WINDOW = 3


def make_block(window=WINDOW, **arguments):
    """A convolution and the layer, in float64."""
    torch.manual_seed(0)
    conv = nn.Conv2d(2, 4, 3, bias=False)
    return nn.Sequential(conv, CrossIterationBatchNorm(4, window=window, **arguments)).double()


def make_iterations(count):
    """Inputs whose statistics differ, and the change of the weights after each."""
    generator = np.random.default_rng(0)
    for i in range(count):
        x = generator.normal(i, 1 + i, size=(2, 2, 6, 5))
        yield torch.from_numpy(x), torch.from_numpy(generator.normal(0, 0.02, size=(4, 2, 3, 3)))


def patches_of(x):
    """Rows of a convolution's input matrix, ``(positions, taps)``."""
    windows = sliding_window_view(x.numpy(), (3, 3), axis=(2, 3))
    return windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, 18)


def paper_statistics(inputs, weights):
    """Equations 3 to 8 of the paper: mean and mean square, both expanded to first order."""
    now, means, squares = weights[-1], [], []
    for x, weight in zip(inputs, weights, strict=True):
        patches = patches_of(x)
        output = patches @ weight.T
        mean_slope = patches.mean(0)
        square_slope = 2 * output.T @ patches / len(patches)
        mean = output.mean(0) + (now - weight) @ mean_slope
        square = (output**2).mean(0) + (square_slope * (now - weight)).sum(1)
        means.append(mean)
        squares.append(np.maximum(square, mean**2))
    mean = np.mean(means, axis=0)
    return mean, np.mean(squares, axis=0) - mean**2


def test_statistics_are_the_papers_over_the_last_iterations():
    block = make_block()
    conv, norm = block
    nn.init.uniform_(norm.weight)
    nn.init.uniform_(norm.bias)
    inputs, weights = [], []
    for x, change in make_iterations(6):
        inputs.append(x)
        weights.append(conv.weight.detach().numpy().reshape(4, 18).copy())
        mean, variance = paper_statistics(inputs[-WINDOW:], weights[-WINDOW:])
        normalised = (patches_of(x) @ weights[-1].T - mean) / np.sqrt(variance + norm.eps)
        expected = normalised * norm.weight.detach().numpy() + norm.bias.detach().numpy()
        expected = expected.reshape(2, 4, 3, 4).transpose(0, 3, 1, 2)
        assert_same(block(x), expected, 1e-10)
        conv.weight.data += change


def test_an_old_mean_is_what_the_new_weights_would_have_given():
    block = make_block(window=2)
    (x, change), _ = make_iterations(2)
    block(x)
    block[0].weight.data += change
    mean, _ = block[1]._past[0].with_weight(block[0].weight)
    assert_same(mean, block[0](x).mean((0, 2, 3)), 1e-12)


def test_an_old_variance_is_right_to_first_order():
    (x, change), _ = make_iterations(2)
    errors = []
    for size in (1e-2, 1e-3):
        block = make_block(window=2)
        block(x)
        block[0].weight.data += size * change
        _, variance = block[1]._past[0].with_weight(block[0].weight)
        errors.append((variance - block[0](x).var((0, 2, 3), unbiased=False)).abs().max().item())
    assert errors[1] == pytest.approx(errors[0] / 100, rel=0.05)


def test_gradients_flow_through_the_statistics_of_this_iteration_alone():
    block = make_block()
    for x, change in make_iterations(2):
        block(x)
        block[0].weight.data += change
    weight = block[0].weight.detach()

    def call(maps):
        norm = copy.deepcopy(block[1])
        return norm(nn.functional.conv2d(maps, weight))

    x = torch.randn(2, 2, 4, 4, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(call, x)


@pytest.mark.parametrize('momentum', [0.1, None])
def test_a_window_of_one_trains_and_evaluates_as_bn(momentum):
    norm = CrossIterationBatchNorm(4, momentum=momentum, window=1)
    stock = nn.BatchNorm2d(4, momentum=momentum)
    for seed in range(3):
        x = torch.randn(3, 4, 5, 6, generator=torch.Generator().manual_seed(seed)) + seed
        assert_same(norm(x), stock(x))
    assert_same(norm.running_mean, stock.running_mean)
    assert_same(norm.running_var, stock.running_var)
    assert norm.num_batches_tracked == stock.num_batches_tracked == 3
    assert_same(norm.eval()(x), stock.eval()(x))


def test_checkpoints_of_bn_load_and_past_statistics_are_not_saved():
    block, stock = make_block(), nn.BatchNorm2d(4)
    for x, _ in make_iterations(2):
        block(x)
    assert block[1].state_dict().keys() == stock.state_dict().keys()
    stock.load_state_dict(block[1].state_dict())


def test_without_gradients_it_is_bn_and_remembers_nothing():
    block, (x, _) = make_block(), next(make_iterations(1))
    block(x)
    with torch.no_grad():
        output = block(x + 1)
    assert_same(output, nn.BatchNorm2d(4).double()(block[0](x + 1)), 1e-10)
    assert len(block[1]._past) == 1


def test_a_frozen_convolution_needs_no_correction():
    block = make_block()
    block[0].requires_grad_(False)
    inputs = [x for x, _ in make_iterations(3)]
    for x in inputs:
        output = block(x.requires_grad_())
    maps = torch.stack([block[0](x) for x in inputs])
    mean = maps.mean((0, 1, 3, 4))
    variance = maps.square().mean((0, 1, 3, 4)) - mean**2
    expected = (maps[-1] - mean[:, None, None]) / (variance + 1e-5).sqrt()[:, None, None]
    assert_same(output, expected, 1e-10)


def test_burn_in_trains_as_bn_and_goes_on_after_a_checkpoint():
    block, stock = make_block(burn_in=3), nn.BatchNorm2d(4).double()
    iterations = [x for x, _ in make_iterations(5)]
    for x in iterations[:2]:
        assert_same(block(x), stock(block[0](x)), 1e-10)
    resumed = make_block(burn_in=3)
    resumed.load_state_dict(block.state_dict())
    assert_same(resumed(iterations[2]), stock(resumed[0](iterations[2])), 1e-10)
    output = resumed(iterations[3])
    assert (output - stock(resumed[0](iterations[3]))).abs().max() > 0.1


def test_mixed_precision_finds_the_weights_behind_their_casts():
    block, exact = make_block().float(), make_block().float()
    for x, change in make_iterations(4):
        with torch.autocast('cpu', dtype=torch.bfloat16):
            output = block(x.float())
        assert output.dtype == torch.bfloat16
        assert_same(output.float(), exact(x.float()), 0.1)
        block[0].weight.data += change
        exact[0].weight.data += change
    assert block[1]._past[0].weight.dtype == torch.float32


def test_a_conv_module_trains_with_it():
    with DefaultScope.overwrite_default_scope('mmdet'):
        module = ConvModule(2, 4, 3, norm_cfg=dict(type='CBN', window=2))
    optimiser = torch.optim.SGD(module.parameters(), lr=0.1)
    for x, _ in make_iterations(3):
        optimiser.zero_grad()
        module(x.float()).square().mean().backward()
        optimiser.step()
    assert module.norm_name == 'bn'
    assert len(module.norm._past) == 1


@pytest.mark.parametrize(
    ('before', 'named'),
    [(nn.ReLU(), 'ReluBackward'), (nn.ConvTranspose2d(4, 4, 1), 'a transposed convolution')],
)
def test_something_else_than_a_convolution_before_it_is_refused(before, named):
    block = nn.Sequential(nn.Conv2d(2, 4, 3), before, CrossIterationBatchNorm(4))
    with pytest.raises(ValueError, match=f'CBN has to follow a convolution.*{named}.*use BN there'):
        block(torch.randn(2, 2, 6, 6))


class TwoConvolutions(nn.Module):
    """Compiled, both end up in one node of the autograd graph."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 4, 3), nn.Conv2d(4, 4, 1)
        self.norm = CrossIterationBatchNorm(4)

    def forward(self, x):
        return self.norm(self.second(self.first(x).relu()))


def test_training_is_refused_where_compilation_hides_the_convolution():
    torch._dynamo.reset()
    with pytest.raises(ValueError, match=r'which torch\.compile hides: train without compilation'):
        torch.compile(TwoConvolutions(), backend='aot_eager')(torch.randn(2, 2, 6, 6))


def test_impossible_windows_are_refused():
    with pytest.raises(ValueError, match='window=0'):
        CrossIterationBatchNorm(4, window=0)
    with pytest.raises(ValueError, match='burn_in=5 with track_running_stats=False'):
        CrossIterationBatchNorm(4, burn_in=5, track_running_stats=False)
