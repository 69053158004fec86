"""Parameters and multiply-accumulates against sums by hand and published numbers."""

import pytest
import torch
from mmcv.ops import DeformConv2d, ModulatedDeformConv2d
from torch import nn
from torchvision.models import resnet50

from mmdet_ext.apis.model_info.complexity import count_macs, count_parameters

ATTENTION_MACS = 2 * 4 * 10 * 10 * 16  # queries times keys, then weights times values
MATRIX_MACS = 2 * 5 * 6 * 7


@pytest.fixture
def stack():
    """3 -> 8 -> 4 channels; the second convolution halves the map and is frozen."""
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.Sigmoid(),
        nn.Conv2d(8, 4, 1, stride=2, bias=False),
    )
    model[3].requires_grad_(False)
    return model.eval()


def test_parameters_are_counted_per_part_and_whether_they_train(stack):
    parameters = count_parameters(stack)
    assert parameters.parts == {'0': 3 * 8 * 9 + 8, '1': 2 * 8, '3': 8 * 4}
    assert parameters.total == 224 + 16 + 32
    assert (parameters.trainable, parameters.frozen) == (240, 32)


def test_shared_parameters_count_once():
    layer = nn.Linear(3, 3)
    assert count_parameters(nn.Sequential(layer, layer)).total == 12


def test_macs_are_counted_per_part_and_per_operator(stack):
    counted = count_macs(stack, torch.zeros(1, 3, 16, 10))
    first, norm, second = 16 * 10 * 8 * 27, 2 * 16 * 10 * 8, 8 * 5 * 4 * 8
    assert counted.parts == {'0': first, '1': norm, '3': second}
    assert counted.operators == {'conv': first + second, 'batch_norm': norm}
    assert counted.macs == first + norm + second
    assert counted.flops == 2 * counted.macs


def test_an_operator_that_nothing_is_counted_for_is_listed(stack):
    assert count_macs(stack, torch.zeros(1, 3, 8, 8)).uncounted == {'aten::sigmoid': 1}


def test_what_no_part_does_is_counted_as_other():
    class Model(nn.Sequential):
        def forward(self, x):
            return {'maps': [super().forward(x)], 'product': x @ x.mT}

    counted = count_macs(Model(nn.Conv2d(3, 1, 1)), torch.zeros(1, 3, 4, 6))
    assert counted.parts == {'0': 3 * 24, '(other)': 3 * 4 * 4 * 6}
    assert counted.modules['0'] == 3 * 24


def test_a_model_is_as_before_after_it_was_counted(stack):
    count_macs(stack, torch.zeros(1, 3, 8, 8))
    assert 'forward' not in vars(stack)
    assert not any(module._forward_hooks for module in stack.modules())


def test_resnet_50_has_its_published_numbers():
    model = resnet50().eval()
    assert count_parameters(model).total == 25_557_032
    assert count_parameters(model).total - count_parameters(model).parts['fc'] == 23_508_032
    counted = count_macs(model, torch.zeros(1, 3, 224, 224))
    assert counted.operators['conv'] + counted.operators['linear'] == 4_089_184_256
    assert counted.macs == pytest.approx(4.11e9, rel=1e-3)
    assert sum(counted.parts.values()) == counted.macs


class Operator(nn.Module):
    """A model of one function."""

    def __init__(self, function, layer=None):
        super().__init__()
        self.function = function
        self.layer = layer

    def forward(self, x):
        return self.function(x)


def test_attention_of_torch_is_counted():
    model = Operator(lambda x: nn.functional.scaled_dot_product_attention(x, x, x))
    assert count_macs(model, torch.zeros(1, 4, 10, 16)).macs == ATTENTION_MACS


def test_a_product_that_is_added_to_something_is_counted():
    model = Operator(lambda x: torch.baddbmm(torch.zeros(2, 5, 7), x, torch.zeros(2, 6, 7)))
    assert count_macs(model, torch.zeros(2, 5, 6)).macs == MATRIX_MACS


@pytest.mark.parametrize('modulated', [False, True])
def test_a_deformable_convolution_counts_as_a_convolution_of_its_shape(modulated):
    offset, mask = torch.zeros(1, 18, 6, 7), torch.ones(1, 9, 6, 7)
    layer = (ModulatedDeformConv2d if modulated else DeformConv2d)(4, 8, 3, padding=1, groups=2)
    model = Operator(lambda x: layer(x, offset, mask) if modulated else layer(x, offset), layer)
    counted = count_macs(model, torch.zeros(1, 4, 6, 7))
    assert counted.macs == 8 * 6 * 7 * (4 // 2) * 9
    assert counted.uncounted == {}
