"""DropBlock on maps of any size."""

import numpy as np
import pytest
import torch
from layer_checks import assert_same
from mmdet.models.backbones import ResNet
from mmengine.registry import DefaultScope
from scipy.ndimage import maximum_filter

from mmdet_ext.models.layers import ClampedDropBlock


def ones_after(drop_prob, block_size, shape):
    torch.manual_seed(0)
    return ClampedDropBlock(drop_prob, block_size).train()(torch.ones(shape))


@pytest.mark.parametrize(
    ('height', 'width', 'block'),
    [(12, 9, 7), (7, 7, 7), (6, 20, 5), (4, 4, 3), (3, 5, 3), (2, 2, 1), (1, 1, 1)],
)
def test_what_is_dropped_is_made_of_blocks_that_fit_into_the_map(height, width, block):
    dropped = (ones_after(0.2, 7, (400, 2, height, width)) == 0).flatten(0, 1).numpy()
    assert dropped.any()
    inner = np.lib.stride_tricks.sliding_window_view(dropped, (block, block), axis=(1, 2))
    centres = np.zeros_like(dropped)
    half = block // 2
    centres[:, half : height - half, half : width - half] = inner.all((-1, -2))
    assert np.array_equal(maximum_filter(centres, (1, block, block), mode='constant'), dropped)


@pytest.mark.parametrize(('size', 'block'), [(12, 5), (4, 3)])
def test_each_cell_is_dropped_as_often_as_the_formula_says(size, block):
    dropped = (ones_after(0.1, 7 if size == 4 else block, (4000, 2, size, size)) == 0).float()
    seeds = size - block + 1
    gamma = 0.1 * size**2 / (block**2 * seeds**2)
    # number of block centres, all inside the map, that reach each cell
    reach = [min(i, seeds - 1) - max(i - block + 1, 0) + 1 for i in range(size)]
    expected = 1 - (1 - gamma) ** np.outer(reach, reach)
    np.testing.assert_allclose(dropped.mean((0, 1)), expected, atol=0.02)
    assert dropped.mean().item() == pytest.approx(0.1, abs=0.02)  # the paper's approximation


def test_the_sum_is_kept():
    output = ones_after(0.2, 3, (4, 8, 16, 16))
    assert output.mean().item() == pytest.approx(1, abs=1e-4)
    assert output.unique().numel() == 2


def test_float16_keeps_the_scale_on_maps_with_more_cells_than_float16_can_count():
    torch.manual_seed(0)
    output = ClampedDropBlock(0.1).train()(torch.ones(2, 8, 128, 128, dtype=torch.float16))
    assert output.float().mean().item() == pytest.approx(1, abs=1e-3)


def test_gradients_pass_where_nothing_is_dropped():
    x = torch.randn(1, 2, 5, 5, dtype=torch.double, requires_grad=True)
    layer = ClampedDropBlock(0.3, 3).train()

    def call(x):
        torch.manual_seed(1)
        return layer(x)

    assert (call(x) == 0).any()
    assert torch.autograd.gradcheck(call, x)


def test_a_probability_of_zero_changes_nothing_in_training():
    x = torch.randn(1, 2, 5, 5)
    assert_same(ClampedDropBlock(0.0).train()(x), x)


def test_it_is_a_plugin_of_resnet():
    with DefaultScope.overwrite_default_scope('mmdet'):
        plugin = dict(cfg=dict(type='ClampedDropBlock', drop_prob=0.2), position='after_conv3')
        backbone = ResNet(50, base_channels=8, stem_channels=8, plugins=[plugin])
    layers = [m for m in backbone.modules() if isinstance(m, ClampedDropBlock)]
    assert [layer.drop_prob for layer in layers] == [0.2] * 16
    assert backbone(torch.randn(2, 3, 64, 64))[-1].shape == (2, 256, 2, 2)


@pytest.mark.parametrize(
    ('arguments', 'sentence'),
    [
        (dict(drop_prob=1.0), r'drop_prob=1\.0: give a share from 0 to below 1'),
        (dict(drop_prob=-0.1), r'drop_prob=-0\.1: give a share'),
        (dict(block_size=6), 'block_size=6: give an odd number'),
        (dict(block_size=-1), 'block_size=-1: give an odd number'),
    ],
)
def test_impossible_arguments_are_refused(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        ClampedDropBlock(**arguments)
