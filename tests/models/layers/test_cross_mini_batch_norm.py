"""Cross mini-batch normalisation."""

import copy

import pytest
import torch
from layer_checks import assert_same
from mmcv.cnn import build_norm_layer
from mmengine.optim import OptimWrapper
from mmengine.registry import DefaultScope
from torch import nn

from mmdet_ext.engine.optimizers import FusedAdamW
from mmdet_ext.models.layers import CrossMiniBatchNorm


def make_maps(count, seed=0):
    """Mini-batches of different sizes, means and deviations, in float64."""
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(1 + i, 4, 3, 2 + i, generator=generator, dtype=torch.double) * (i + 1) + i
        for i in range(count)
    ]


def normalised(maps, statistics_of):
    """What BN gives for ``maps`` with the statistics of other maps, (C,) computed from all pixels."""
    pixels = torch.cat([other.transpose(0, 1).flatten(1) for other in statistics_of], 1)
    mean, variance = pixels.mean(1), pixels.var(1, unbiased=False)
    return (maps - mean[:, None, None]) / (variance + 1e-5).sqrt()[:, None, None]


def test_statistics_are_those_of_all_pixels_of_the_batch_so_far():
    norm, maps = CrossMiniBatchNorm(4).double(), make_maps(4)
    for i, mini_batch in enumerate(maps):
        assert_same(norm(mini_batch), normalised(mini_batch, maps[: i + 1]), 1e-10)


@pytest.mark.parametrize('optimiser', [torch.optim.SGD, torch.optim.AdamW, FusedAdamW])
def test_an_optimiser_step_begins_a_new_batch(optimiser):
    norm = CrossMiniBatchNorm(4).double()
    wrapper = OptimWrapper(optimiser(norm.parameters(), lr=1e-3), accumulative_counts=2)
    wrapper.initialize_count_status(norm, 0, 6)
    maps = make_maps(6)
    for i, mini_batch in enumerate(maps):
        expected = normalised(mini_batch, maps[i // 2 * 2 : i + 1])
        weight, bias = norm.weight.detach().clone(), norm.bias.detach().clone()
        output = norm(mini_batch)
        assert_same(output, expected * weight[:, None, None] + bias[:, None, None], 1e-9)
        wrapper.update_params(output.pow(3).mean())
        assert torch.equal(norm.weight, weight) == (i % 2 == 0)


def test_a_layer_that_starts_at_zero_pools_from_its_first_batch():
    norm, maps = CrossMiniBatchNorm(4).double(), make_maps(2)
    nn.init.zeros_(norm.weight)
    norm(maps[0])
    norm(maps[1])
    pixels = torch.cat([m.transpose(0, 1).flatten(1) for m in maps], 1)
    assert_same(norm._past_mean, pixels.mean(1), 1e-10)
    assert_same(norm._past_variance, pixels.var(1, unbiased=False), 1e-10)


def test_gradients_flow_through_the_statistics_of_this_mini_batch():
    norm = CrossMiniBatchNorm(4).double()
    norm(make_maps(1)[0])

    def call(maps, scale, shift):
        layer = copy.deepcopy(norm)
        output = layer(maps)  # with scale 1 and shift 0
        return output * scale[:, None, None] + shift[:, None, None]

    maps = torch.randn(2, 4, 2, 3, dtype=torch.double, requires_grad=True)
    scale, shift = (torch.randn(4, dtype=torch.double, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(call, (maps, scale, shift))


def test_running_statistics_evaluation_and_checkpoints_are_those_of_bn():
    norm, stock = CrossMiniBatchNorm(4).double(), nn.BatchNorm2d(4).double()
    for mini_batch in make_maps(3):
        norm(mini_batch)
        stock(mini_batch)
    assert norm.state_dict().keys() == stock.state_dict().keys()
    for key, value in stock.state_dict().items():
        assert_same(norm.state_dict()[key], value, 1e-10)
    x = make_maps(1, seed=1)[0]
    assert_same(norm.eval()(x), stock.eval()(x), 1e-10)


def test_training_compiles_to_one_graph():
    torch._dynamo.reset()
    norm, compiled = CrossMiniBatchNorm(4).double(), CrossMiniBatchNorm(4).double()
    call = torch.compile(compiled, backend='aot_eager', fullgraph=True)
    for mini_batch in make_maps(1) * 2:
        assert_same(call(mini_batch), norm(mini_batch), 1e-10)
    assert compiled._past_count == norm._past_count == 12


def test_a_norm_cfg_builds_it():
    with DefaultScope.overwrite_default_scope('mmdet'):
        name, layer = build_norm_layer(dict(type='CmBN', momentum=0.03), 8, postfix=2)
    assert (name, type(layer), layer.momentum) == ('bn2', CrossMiniBatchNorm, 0.03)


def test_frozen_scales_are_refused_in_training_only():
    norm = CrossMiniBatchNorm(4).requires_grad_(False)
    norm.eval()(torch.ones(1, 4, 2, 2))
    with pytest.raises(ValueError, match='which are frozen here: remove requires_grad=False'):
        norm.train()(torch.ones(1, 4, 2, 2))
