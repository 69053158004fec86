"""Upsampling without a checkerboard."""

import pytest
import torch
import torch.nn.functional as F
from layer_checks import assert_same
from mmcv.cnn import build_upsample_layer
from mmengine.model import BaseModule
from mmengine.registry import DefaultScope
from torch import nn

from mmdet_ext.models.layers import BilinearDeconv, ICNRPixelShuffle, ResizeConv

LAYERS = ['ResizeConv', 'BilinearDeconv', 'ICNRPixelShuffle']


def build(name, *args, **arguments):
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmdet'):
        return build_upsample_layer(dict(type=name, **arguments), *args)


def unevenness(layer):
    """Greatest difference between cells that a constant map is upsampled to, borders apart."""
    output = layer(torch.ones(1, layer.in_channels, 8, 8))[..., 6:-6, 6:-6]
    return (output.amax((2, 3)) - output.amin((2, 3))).max().item()


@pytest.mark.parametrize('scale_factor', [2, 3, 4])
@pytest.mark.parametrize('name', LAYERS)
def test_a_constant_map_stays_constant_at_the_start(name, scale_factor):
    layer = build(name, in_channels=3, out_channels=5, scale_factor=scale_factor)
    assert layer(torch.ones(2, 3, 4, 5)).shape == (2, 5, 4 * scale_factor, 5 * scale_factor)
    assert unevenness(layer) < 1e-5


def test_stock_transposed_and_sub_pixel_convolutions_make_a_checkerboard():
    assert unevenness(build('deconv', 3, 5, kernel_size=3, stride=2)) > 0.1
    stock = build('pixel_shuffle', 3, 5, scale_factor=2, upsample_kernel=3)
    assert unevenness(stock) > 0.1


def test_resize_convolution_has_no_checkerboard_whatever_it_learns():
    layer = ResizeConv(3)
    for seed in range(3):
        torch.manual_seed(seed)
        nn.init.normal_(layer.weight)
        assert unevenness(layer) < 1e-5


@pytest.mark.parametrize('mode', ['nearest', 'bilinear'])
def test_resize_convolution_convolves_the_interpolated_map(mode):
    layer, x = ResizeConv(2, 3, scale_factor=3, mode=mode), torch.randn(1, 2, 4, 5)
    expected = F.conv2d(
        F.interpolate(x, size=(12, 15), mode=mode), layer.weight, layer.bias, padding=1
    )
    assert_same(layer(x), expected)


@pytest.mark.parametrize(('scale_factor', 'kernel_size'), [(2, 4), (2, 8), (3, 9), (4, 8), (4, 16)])
def test_deconvolution_starts_as_bilinear_interpolation(scale_factor, kernel_size):
    layer = BilinearDeconv(3, scale_factor=scale_factor, kernel_size=kernel_size).double()
    x, border = torch.randn(1, 3, 6, 7, dtype=torch.double), 2 * scale_factor
    expected = F.interpolate(x, scale_factor=scale_factor, mode='bilinear', align_corners=False)
    inside = (..., slice(border, -border), slice(border, -border))
    assert_same(layer(x)[inside], expected[inside], 1e-6)


@pytest.mark.parametrize('scale_factor', [2, 3])
def test_deconvolution_whose_taps_do_not_overlap_starts_as_nearest_neighbour(scale_factor):
    layer = BilinearDeconv(3, scale_factor=scale_factor, kernel_size=scale_factor)
    x = torch.randn(1, 3, 6, 7)
    assert_same(layer(x), F.interpolate(x, scale_factor=scale_factor, mode='nearest'))


def test_deconvolution_to_other_channels_starts_as_interpolated_projection():
    layer, x = BilinearDeconv(3, 5), torch.randn(1, 3, 6, 7)
    projection = layer.weight[:, :, 1, 1] / 0.75**2
    expected = F.interpolate(
        torch.einsum('io,bihw->bohw', projection, x), scale_factor=2, mode='bilinear'
    )
    assert_same(layer(x)[..., 2:-2, 2:-2], expected[..., 2:-2, 2:-2])


def test_sub_pixel_convolution_starts_as_convolution_and_nearest_neighbour():
    layer, x = ICNRPixelShuffle(3, 5, scale_factor=3), torch.randn(1, 3, 6, 7)
    kernels = layer.upsample_conv.weight[::9]
    expected = F.interpolate(F.conv2d(x, kernels, padding=1), scale_factor=3, mode='nearest')
    assert_same(layer(x), expected)
    assert kernels.var().item() == pytest.approx(1 / 27, rel=0.3)  # LeCun: 1 / fan_in


@pytest.mark.parametrize('name', ['BilinearDeconv', 'ICNRPixelShuffle'])
def test_the_start_outlives_the_initialisation_of_the_model_around(name):
    class Neck(BaseModule):
        def __init__(self):
            super().__init__(dict(type='Normal', std=1, layer=['ConvTranspose2d', 'Conv2d']))
            self.upsample = build(name, in_channels=3)

    neck = Neck()
    neck.init_weights()
    assert unevenness(neck.upsample) < 1e-5


@pytest.mark.parametrize(
    ('layer', 'arguments', 'sentence'),
    [
        (ResizeConv, dict(kernel_size=2), 'kernel_size=2: give an odd number'),
        (ResizeConv, dict(mode='cubic'), "mode='cubic': give 'nearest' or 'bilinear'"),
        (BilinearDeconv, dict(kernel_size=3), 'overlap unevenly .* multiple of 2, such as 4'),
        (BilinearDeconv, dict(scale_factor=3, kernel_size=6), 'half a cell: give an odd multiple'),
        (ICNRPixelShuffle, dict(upsample_kernel=4), 'upsample_kernel=4: give an odd number'),
    ],
)
def test_kernels_that_do_not_fit_are_refused(layer, arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        layer(3, **arguments)
