"""What holds for every attention layer: gradients, half precision, compilation, export, bad input."""

import copy

import mmengine.registry
import numpy as np
import pytest
import torch
from attention_cases import (
    LAYERS,
    SHAPE,
    build,
    export_to_onnx,
    features,
    randomised,
    run_onnx,
)
from mmdet.registry import MODELS
from torch.func import functional_call

ONE_SIZE_ONLY = ('RelationAwareChannelAttention', 'RelationAwareSpatialAttention')


# Their intermediate values leave what half precision can hold, unless computed in float32.
NEED_FLOAT32 = (
    'ChannelSelfAttention',
    'GatedChannelTransformation',
    'SimpleParameterFreeAttention',
    'SpatialTransformer',
    'StyleRecalibration',
)
HALVES = pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16], ids=str)


def large_map(name, scale=10):
    return scale * features(SHAPE if name in ONE_SIZE_ONLY else (2, SHAPE[1], 48, 40))


def rounding_steps(name, x, dtype):
    """Largest error of half precision, in rounding steps of the largest value."""
    layer = build(name).eval()
    if hasattr(layer, 'gamma'):
        torch.nn.init.constant_(layer.gamma, 0.5)  # at 0 the layer is the identity
    halved = copy.deepcopy(layer).to(dtype)
    # The same rounded weights and values in both: only the arithmetic is compared.
    full = copy.deepcopy(halved).double()(x.to(dtype).double())
    try:
        half = halved(x.to(dtype))
    except RuntimeError as error:
        if "not implemented for 'Half'" not in str(error):
            raise
        pytest.skip('torch 2.1 has no float16 convolutions, poolings and norms on the CPU')
    assert half.dtype == dtype
    return ((half.double() - full).abs().max() / x.abs().max() / torch.finfo(dtype).eps).item()


@pytest.mark.parametrize('name', LAYERS)
def test_gradients_of_inputs_and_weights_are_those_of_finite_differences(name):
    layer = randomised(build(name)).double().train()
    weights = dict(layer.named_parameters())

    def run(x, *values):
        return functional_call(layer, dict(zip(weights, values, strict=True)), (x,))

    x = features(dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(run, (x, *weights.values()), fast_mode=True)


@HALVES
@pytest.mark.parametrize('name', LAYERS)
def test_half_precision_is_close_to_full_precision(name, dtype):
    # The exponentials of its softmax magnify what the products are rounded by.
    most = 16 if name == 'PositionSelfAttention' else 4
    assert rounding_steps(name, large_map(name), dtype) < most


@HALVES
@pytest.mark.parametrize('name', NEED_FLOAT32)
def test_half_precision_stands_values_whose_squares_it_cannot_hold(name, dtype):
    assert rounding_steps(name, large_map(name, scale=300), dtype) < 1


@pytest.mark.parametrize('name', LAYERS)
def test_a_step_with_mixed_precision_gives_finite_gradients(name):
    layer, x = build(name).train(), large_map(name).requires_grad_()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        y = layer(x)
    y.float().square().mean().backward()
    assert y.isfinite().all()
    gradients = [x.grad, *(p.grad for p in layer.parameters())]
    assert all(g.isfinite().all() for g in gradients)
    assert x.grad.abs().max() > 0


@pytest.mark.parametrize('name', LAYERS)
def test_an_exported_layer_computes_the_same(name):
    pytest.importorskip('onnxruntime')
    layer, x = randomised(build(name)).eval(), features()
    (exported,) = run_onnx(export_to_onnx(layer, (x,)), x)
    np.testing.assert_allclose(exported, layer(x).detach(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('name', LAYERS)
def test_other_channels_are_named(name):
    shape = (2, 6, *SHAPE[2:])
    with pytest.raises(
        ValueError, match=rf'{name} was built for maps \(B, 8, H, W\), but got \(2, 6'
    ):
        build(name)(features(shape))


@pytest.mark.parametrize('name', LAYERS)
def test_channels_that_are_no_number_are_named(name):
    with pytest.raises(ValueError, match=f"{name}: in_channels is '8', but must be the number of"):
        build(name, in_channels='8')


@pytest.mark.parametrize(
    ('name', 'arguments', 'message'),
    [
        ('SqueezeExcitation', dict(reduction=16), 'reduction is 16, but must be between 1 and 8'),
        ('BottleneckAttention', dict(reduction=9), 'reduction is 9, but must be between 1 and 8'),
        ('ConvolutionalBlockAttention', dict(reduction=0), 'reduction is 0, but must be between 1'),
        ('ConcurrentSqueezeExcitation', dict(reduction=9), 'reduction is 9, but must be between'),
        ('ConcurrentSqueezeExcitation', dict(fusion='mean'), "fusion is 'mean', but must be 'add'"),
        ('PositionSelfAttention', dict(reduction=9), 'reduction is 9, but must be between 1 and 8'),
        ('RelationAwareChannelAttention', dict(reduction=9), 'must be between 1 and 8'),
        ('RelationAwareSpatialAttention', dict(spatial_size=(1, 2)), 'must be between 1 and 2'),
        ('SpatialTransformer', dict(reduction=9), 'reduction is 9, but must be between 1 and 8'),
        ('FrequencyChannelAttention', dict(reduction=9), 'must be between 1 and 8'),
        ('FrequencyChannelAttention', dict(frequencies=3), 'multiple of the 3 frequencies: choose'),
        ('FrequencyChannelAttention', dict(frequencies=0), 'multiple of the 0 frequencies: choose'),
        ('GlobalSecondOrderPooling', dict(covariance_channels=9), 'must not exceed the 8 channels'),
        ('EfficientChannelAttention', dict(kernel_size=4), 'kernel_size is 4, but must be odd'),
        ('ConvolutionalBlockAttention', dict(kernel_size=4), 'kernel_size is 4, but must be odd'),
        ('TripletAttention', dict(kernel_size=4), 'kernel_size is 4, but must be odd'),
        ('StripPooling', dict(kernel_size=4), 'kernel_size is 4, but must be odd'),
        ('SelfCalibratedConvolution', dict(in_channels=7), 'in_channels is 7, but must be even'),
        ('ResidualAttention', dict(in_channels=6), 'in_channels is 6, but must be a multiple of 4'),
        ('ResidualAttention', dict(depth=0), 'depth is 0, but must be 1 or more'),
    ],
)
def test_arguments_that_cannot_work_are_named_when_the_layer_is_built(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        build(name, **arguments)


@pytest.mark.parametrize('name', ONE_SIZE_ONLY)
def test_maps_of_another_size_than_configured_are_named(name):
    with pytest.raises(
        ValueError, match=r'maps of 7 x 5 \(height x width\), but got 5 x 7: set its'
    ):
        build(name)(features((2, SHAPE[1], 5, 7)))


def test_a_map_that_is_too_small_for_the_frequencies_is_named():
    layer = build('FrequencyChannelAttention', frequencies=[(0, 0), (1, 3)])
    layer(features((1, SHAPE[1], 2, 4)))
    with pytest.raises(
        ValueError, match=r'need a map of 2 x 4 \(height x width\) or more, but got 2 x 3'
    ):
        layer(features((1, SHAPE[1], 2, 3)))


@pytest.mark.parametrize(
    'name', sorted(set(LAYERS) - {*ONE_SIZE_ONLY, 'FrequencyChannelAttention'})
)
def test_a_map_of_one_position_keeps_its_shape(name):
    shape = (2, SHAPE[1], 1, 1)
    y = build(name)(features(shape))
    assert y.shape == shape
    assert y.isfinite().all()


def test_no_layer_has_the_name_of_one_in_mmengine_or_mmcv():
    assert not set(LAYERS) & set(mmengine.registry.MODELS.module_dict)
    assert all(MODELS.module_dict[name].__module__.startswith('mmdet_ext.') for name in LAYERS)
