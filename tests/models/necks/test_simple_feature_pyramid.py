"""SimpleFeaturePyramid against the layers that the paper names, written out."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmdet_ext.models.necks import SimpleFeaturePyramid


def build(**options):
    torch.manual_seed(0)
    neck = SimpleFeaturePyramid(**{'in_channels': 16, 'out_channels': 8, **options})
    for parameter in neck.parameters():
        nn.init.normal_(parameter)
    return neck


def weights_of(level):
    return [
        (part.weight, part.bias)
        for part in level.modules()
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d | nn.LayerNorm)
    ]


def normalised(x, weight, bias):
    """Mean and variance over the channels of each position."""
    x = (x - x.mean(1, keepdim=True)) / (x.var(1, keepdim=True, unbiased=False) + 1e-6).sqrt()
    return x * weight[:, None, None] + bias[:, None, None]


def output_layers(x, reduce, norm, smooth, last_norm):
    x = normalised(F.conv2d(x, reduce[0]), *norm)
    return normalised(F.conv2d(x, smooth[0], padding=1), *last_norm)


@torch.no_grad()
def test_levels_are_those_of_the_paper():
    neck = build()
    x = torch.randn(2, 16, 5, 6)
    quarter, half, same, double = map(weights_of, neck.levels)
    first = F.gelu(normalised(F.conv_transpose2d(x, *quarter[0], stride=2), *quarter[1]))
    expected = [
        output_layers(F.conv_transpose2d(first, *quarter[2], stride=2), *quarter[3:]),
        output_layers(F.conv_transpose2d(x, *half[0], stride=2), *half[1:]),
        output_layers(x, *same),
        output_layers(F.max_pool2d(x, 2), *double),
    ]
    torch.testing.assert_close(list(neck((x,))), expected, atol=1e-4, rtol=1e-4)


def test_further_levels_are_subsampled_from_the_last():
    outputs = build(out_strides=(8, 16, 32), num_outs=5)([torch.randn(1, 16, 8, 12)])
    assert [output.shape[-2:] for output in outputs] == [(16, 24), (8, 12), (4, 6), (2, 3), (1, 2)]
    assert torch.equal(outputs[3], outputs[2][:, :, ::2, ::2])


def test_only_the_last_map_is_used():
    neck = build()
    x = torch.randn(1, 16, 4, 4)
    torch.testing.assert_close(neck((torch.zeros(1, 3, 8, 8), x)), neck((x,)))


def test_strides_follow_from_that_of_the_map():
    outputs = build(in_stride=8, out_strides=(4, 16))([torch.randn(1, 16, 4, 4)])
    assert [output.shape[-1] for output in outputs] == [8, 2]


def test_normalisation_can_be_chosen():
    kinds = {type(part) for part in build(norm_cfg=dict(type='BN')).modules()}
    assert nn.BatchNorm2d in kinds
    assert not any(issubclass(kind, nn.LayerNorm) for kind in kinds)


def test_gradients_are_right():
    neck = build().double()
    x = torch.randn(1, 16, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: neck((x,)), (x,), fast_mode=True)


@pytest.mark.parametrize('stride', [2, 12, 64])
def test_a_stride_that_cannot_be_made_is_refused(stride):
    with pytest.raises(
        ValueError, match=f'has {stride}, but a map of stride 16 gives 4, 8, 16 and 32'
    ):
        build(out_strides=(8, stride))


def test_fewer_outputs_than_strides_are_refused():
    with pytest.raises(ValueError, match='`num_outs` is 3, fewer than the 4 `out_strides`'):
        build(num_outs=3)
