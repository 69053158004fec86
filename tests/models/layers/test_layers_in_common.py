"""What holds for every layer: evaluation, gradients, half precision, compilation, ONNX, the registry."""

import copy

import pytest
import torch
from layer_checks import assert_same, onnx_outputs, skipped_where_float16_is_missing
from mmdet.registry import MODELS

from mmdet_ext.models import layers

LAYERS = {
    'GroupNorm16': dict(num_channels=32),
    'CBN': dict(num_features=32),
    'CmBN': dict(num_features=32),
    'ClampedDropBlock': dict(block_size=3),
    'Dropout2d': dict(),
    'GaussianDropout': dict(),
    'UniformDropout': dict(),
    'StochasticPool2d': dict(),
    'DepthwiseSeparableBlock': dict(in_channels=32),
    'HybridDilatedBlock': dict(in_channels=32),
    'ResizeConv': dict(in_channels=32),
    'BilinearDeconv': dict(in_channels=32),
    'ICNRPixelShuffle': dict(in_channels=32),
}
RANDOM = {'ClampedDropBlock', 'Dropout2d', 'GaussianDropout', 'UniformDropout'}
CONVOLUTIONAL = {name for name, arguments in LAYERS.items() if 'in_channels' in arguments}

every_layer = pytest.mark.parametrize('name', LAYERS)


@pytest.fixture
def layer(name):
    """A layer in evaluation mode, with running statistics and scales that are not those of the start."""
    torch.manual_seed(0)
    layer = MODELS.build(dict(type=name, **LAYERS[name]))
    for key, tensor in [*layer.named_buffers(), *layer.named_parameters()]:
        if key.endswith('var'):
            tensor.data.uniform_(0.5, 2)
        elif key.endswith('mean') or tensor.dim() == 1:
            tensor.data.uniform_(-0.5, 1)
    return layer.eval()


@pytest.fixture
def maps():
    return torch.randn(2, 32, 6, 8, generator=torch.Generator().manual_seed(1))


@every_layer
def test_gradients_are_those_of_finite_differences(name, layer):
    layer = layer.double()
    if 'in_channels' in LAYERS[name]:  # fewer numbers to differentiate by
        layer = MODELS.build(dict(type=name, in_channels=2)).eval().double()
    small = torch.randn(1, 2 if name in CONVOLUTIONAL else 32, 2, 4, dtype=torch.double)
    assert torch.autograd.gradcheck(layer, (small.abs() + 0.1).requires_grad_())


@every_layer
@pytest.mark.parametrize('training', [False, True])
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_keeps_its_type_and_its_values(name, layer, maps, dtype, training):
    layer.train(training)
    expected = copy.deepcopy(layer)(maps)
    with skipped_where_float16_is_missing():
        output = layer.to(dtype)(maps.to(dtype))
    assert output.dtype == dtype
    assert output.isfinite().all()
    if not training or name not in RANDOM | {'StochasticPool2d'}:
        assert_same(output.float(), expected, 10 * torch.finfo(dtype).eps)


@every_layer
def test_compiled_it_gives_the_same(name, layer, maps):
    torch._dynamo.reset()
    compiled = torch.compile(layer, backend='aot_eager', fullgraph=True)
    assert_same(compiled(maps), layer(maps))


@every_layer
def test_onnxruntime_gives_the_same(name, layer, maps):
    assert_same(onnx_outputs(layer, maps), layer(maps))


@pytest.mark.parametrize('name', sorted(RANDOM | {'StochasticPool2d'}))
def test_a_seed_makes_training_reproducible(layer, maps):
    outputs = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        outputs.append(layer.train()(maps))
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])


@pytest.mark.parametrize('name', sorted(RANDOM))
def test_dropouts_change_nothing_in_evaluation(layer, maps):
    assert layer(maps) is maps


@every_layer
def test_no_library_has_a_layer_of_that_name(name):
    registry = MODELS.parent
    while registry is not None:
        assert name not in registry.module_dict
        registry = registry.parent
    assert MODELS.module_dict[name] in vars(layers).values()
