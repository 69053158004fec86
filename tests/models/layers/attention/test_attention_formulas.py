"""Each attention layer computes its paper's formula."""

import re

import attention_reference
import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from attention_cases import ARGUMENTS, LAYERS, SHAPE, build, features, randomised

from mmdet_ext.models.layers.attention.frequency_channel_attention import lowest_frequencies
from mmdet_ext.models.layers.attention.spatial_transformer import adaptive_average, sampling_grid

AT_START_THE_IDENTITY = (
    'ChannelSelfAttention',
    'GatedChannelTransformation',
    'PositionSelfAttention',
    'SpatialTransformer',
)


def snake_case(name):
    return re.sub(r'(?<!^)(?=[A-Z])', '_', name).lower()


@pytest.mark.parametrize('name', LAYERS)
def test_a_layer_computes_the_formula_of_its_paper(name):
    layer, x = randomised(build(name)).double().eval(), features(dtype=torch.float64)
    weights = {key: value.numpy() for key, value in layer.state_dict().items()}
    formula = getattr(attention_reference, snake_case(name))
    expected = formula(x.numpy(), weights, **ARGUMENTS.get(name, {}))
    np.testing.assert_allclose(layer(x).detach(), expected, rtol=1e-9, atol=1e-9)
    assert not np.allclose(expected, x, atol=1e-2)  # the weights matter


@pytest.mark.parametrize('name', AT_START_THE_IDENTITY)
def test_a_layer_that_starts_as_the_identity_does_so_whatever_its_parent_initialises(name):
    layer, x = build(name), features()
    torch.testing.assert_close(layer(x), x, atol=1e-5, rtol=0)
    parent = torch.nn.Sequential(layer)
    for module in parent.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            torch.nn.init.normal_(module.weight)
    layer.init_weights()
    torch.testing.assert_close(layer(x), x, atol=1e-5, rtol=0)


def test_squeeze_excitation_is_that_of_torchvision():
    layer = randomised(build('SqueezeExcitation'))
    other = torchvision.ops.SqueezeExcitation(SHAPE[1], SHAPE[1] // 4)
    other.load_state_dict(
        dict(zip(other.state_dict(), layer.state_dict().values(), strict=True)),
    )
    torch.testing.assert_close(layer(features()), other(features()))


@pytest.mark.parametrize('channels', [8, 16, 64, 96, 512])
def test_efficient_channel_attention_is_that_of_timm(channels):
    eca = pytest.importorskip('timm.layers.eca')
    layer = build('EfficientChannelAttention', channels)
    other = eca.EcaModule(channels)
    assert layer.conv.kernel_size == other.conv.kernel_size
    other.load_state_dict(layer.state_dict())
    x = features((2, channels, 5, 4))
    torch.testing.assert_close(layer(x), other(x))


def test_the_kernel_of_efficient_channel_attention_grows_as_the_paper_says():
    sizes = {c: build('EfficientChannelAttention', c).conv.kernel_size[0] for c in (64, 128, 2048)}
    assert sizes == {64: 3, 128: 5, 2048: 7}


def test_convolutional_block_attention_is_that_of_timm():
    cbam = pytest.importorskip('timm.layers.cbam')
    layer = randomised(build('ConvolutionalBlockAttention', 32, reduction=8)).eval()
    other = cbam.CbamModule(32, rd_ratio=1 / 8).eval()
    other.load_state_dict(
        dict(zip(other.state_dict(), layer.state_dict().values(), strict=True)),
    )
    x = features((2, 32, 6, 9))
    torch.testing.assert_close(layer(x), other(x))


def test_coordinate_attention_is_that_of_timm():
    coord_attn = pytest.importorskip('timm.layers.coord_attn')
    layer = randomised(build('CoordinateAttention', 64, reduction=4)).eval()
    other = coord_attn.CoordAttn(64, rd_channels=16, bias=True).eval()
    weights = list(layer.state_dict().values())
    weights.insert(1, torch.zeros(16))  # timm's first convolution has a bias besides its norm
    other.load_state_dict(dict(zip(other.state_dict(), weights, strict=True)))
    x = features((2, 64, 6, 9))
    torch.testing.assert_close(layer(x), other(x))


def test_frequency_zero_is_squeeze_and_excitation():
    frequency = randomised(build('FrequencyChannelAttention', frequencies=[(0, 0)]))
    plain = torchvision.ops.SqueezeExcitation(SHAPE[1], SHAPE[1] // 4)
    for conv, source in (
        (plain.fc1, frequency.excitation[0]),
        (plain.fc2, frequency.excitation[2]),
    ):
        torch.nn.init.zeros_(conv.bias)
        conv.weight = source.weight
    torch.testing.assert_close(frequency(features()), plain(features()))


def test_the_lowest_frequencies_come_first():
    assert lowest_frequencies(6) == [(0, 0), (0, 1), (1, 0), (0, 2), (1, 1), (2, 0)]


def test_fusion_by_maximum_takes_the_larger_of_both():
    x = features()
    both = randomised(build('ConcurrentSqueezeExcitation', fusion='max'))
    by_channel = x * both.channel(x.mean((2, 3), keepdim=True)).sigmoid()
    by_position = x * both.spatial(x).sigmoid()
    expected = np.maximum(by_channel.detach().numpy(), by_position.detach().numpy())
    np.testing.assert_array_equal(both(x).detach(), expected)


def test_a_map_of_one_position_is_finite_in_layers_that_take_its_variance():
    x = features((2, 8, 1, 1))
    torch.testing.assert_close(
        build('SimpleParameterFreeAttention')(x), x * torch.tensor(0.5).sigmoid()
    )
    assert randomised(build('StyleRecalibration')).eval()(x).isfinite().all()


def test_the_sampling_grid_is_that_of_torch():
    matrices = features((3, 2, 3), dtype=torch.float64)
    expected = F.affine_grid(matrices, (3, 1, 5, 7), align_corners=False)
    torch.testing.assert_close(sampling_grid(matrices, 5, 7), expected)


@pytest.mark.parametrize('size', [(4, 4), (7, 5), (2, 13)])
def test_the_adaptive_average_is_that_of_torch(size):
    x = features((2, 3, *size), dtype=torch.float64)
    torch.testing.assert_close(adaptive_average(x, 4), F.adaptive_avg_pool2d(x, 4))


def test_a_spatial_transformer_moves_the_map():
    layer = build('SpatialTransformer')
    with torch.no_grad():
        layer.affine.bias.copy_(torch.tensor([1.0, 0, 2 / SHAPE[3], 0, 1, 0]))  # one pixel
    moved, x = layer(features()), features()
    torch.testing.assert_close(moved[..., :-1], x[..., 1:], atol=1e-5, rtol=0)
    assert moved[..., -1].abs().max() < 1e-5  # zero comes in
