"""Depthwise-separable and hybrid dilated convolutions."""

import itertools

import pytest
import torch
from layer_checks import assert_same
from mmdet.models.backbones import ResNet
from mmengine.registry import DefaultScope
from torch import nn

from mmdet_ext.models.layers import DepthwiseSeparableBlock, HybridDilatedBlock
from mmdet_ext.models.layers.hybrid_dilated_convolution import check_dilations, largest_distance


def cells_left_out(dilations, kernel_size):
    """Cells between the first and the last one seen that no chain of taps ends at."""
    seen = {0}
    for dilation in dilations:
        taps = [dilation * tap for tap in range(-(kernel_size // 2), kernel_size // 2 + 1)]
        seen = {cell + tap for cell in seen for tap in taps}
    return max(seen) - min(seen) + 1 - len(seen)


def is_accepted(dilations, kernel_size):
    try:
        check_dilations(dilations, kernel_size)
    except ValueError:
        return False
    return True


def cycles():
    for length in (1, 2, 3, 4):
        yield from itertools.combinations_with_replacement(range(1, 8), length)


def test_the_papers_examples():
    assert largest_distance((1, 2, 5)) == 2
    assert largest_distance((1, 2, 9)) == 5
    assert is_accepted((1, 2, 5), 3)
    assert not is_accepted((1, 2, 9), 3)


def test_with_kernels_of_3_a_cycle_is_accepted_exactly_if_it_leaves_out_no_cell():
    for dilations in cycles():
        assert is_accepted(dilations, 3) == (cells_left_out(dilations, 3) == 0), dilations


def test_with_kernels_of_5_no_cycle_that_leaves_out_a_cell_is_accepted():
    accepted = [dilations for dilations in cycles() if is_accepted(dilations, 5)]
    assert len(accepted) > 100
    assert not any(cells_left_out(dilations, 5) for dilations in accepted)


def test_the_order_of_a_cycle_does_not_matter():
    for order in itertools.permutations((1, 2, 5)):
        check_dilations(order)
    with pytest.raises(ValueError, match='gridding'):
        check_dilations((9, 1, 2))


@pytest.mark.parametrize('dilations', [(1, 2, 5), (1, 2, 3), (1,)])
def test_every_cell_of_the_receptive_field_reaches_the_output(dilations):
    block = HybridDilatedBlock(1, dilations=dilations, norm_cfg=None).double()
    for parameter in block.parameters():
        nn.init.constant_(parameter, 0.5)
    side = 2 * sum(dilations) + 5
    x = torch.ones(1, 1, side, side, dtype=torch.double, requires_grad=True)
    block(x)[0, 0, side // 2, side // 2].backward()
    expected = nn.functional.pad(torch.ones(side - 4, side - 4).double(), [2] * 4)
    assert torch.equal((x.grad[0, 0] != 0).double(), expected)


@pytest.mark.parametrize(
    ('arguments', 'sentence'),
    [
        (dict(dilations=(2, 2, 2)), r'dilations \(2, 2, 2\) have no 1'),
        (dict(dilations=(2, 4, 8)), r'dilations \(2, 4, 8\) have no 1'),
        (dict(dilations=(1, 2, 9)), 'M_2 is 5 and may be 3 at most; raise them more slowly'),
        (dict(dilations=()), r'dilations \(\) have no 1'),
        (dict(kernel_size=4), 'kernel_size is 4: give an odd number'),
        (dict(kernel_size=1), 'kernel_size is 1: give an odd number of 3 or more'),
    ],
)
def test_a_cycle_with_gridding_is_refused(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        HybridDilatedBlock(4, **arguments)


def test_a_hybrid_dilated_block_is_its_convolutions_in_turn():
    block, x = HybridDilatedBlock(3, 5, dilations=(1, 2)).eval(), torch.randn(1, 3, 9, 8)
    expected = x
    for dilation, module in zip((1, 2), block, strict=True):
        padded = nn.functional.pad(expected, [dilation] * 4)
        output = nn.functional.conv2d(padded, module.conv.weight, dilation=dilation)
        expected = (output / (1 + 1e-5) ** 0.5).relu()
    assert_same(block(x), expected)


def test_a_depthwise_separable_block_is_a_convolution_by_channel_and_one_by_cell():
    block, x = DepthwiseSeparableBlock(4, 6, kernel_size=5, dilation=2), torch.randn(2, 4, 7, 8)
    depthwise, pointwise = block.eval().depthwise_conv.conv, block.pointwise_conv.conv
    padded = nn.functional.pad(x, [4] * 4)
    by_channel = [
        nn.functional.conv2d(padded[:, i : i + 1], depthwise.weight[i : i + 1], dilation=2)
        for i in range(4)
    ]
    maps = (torch.cat(by_channel, 1) / (1 + 1e-5) ** 0.5).relu()
    mixed = torch.einsum('oi,bihw->bohw', pointwise.weight[:, :, 0, 0], maps)
    assert_same(block(x), (mixed / (1 + 1e-5) ** 0.5).relu())


def test_a_depthwise_separable_kernel_of_even_size_is_refused():
    with pytest.raises(ValueError, match='kernel_size=2: give an odd number'):
        DepthwiseSeparableBlock(4, kernel_size=2)


@pytest.mark.parametrize('name', ['DepthwiseSeparableBlock', 'HybridDilatedBlock'])
def test_blocks_are_plugins_of_resnet(name):
    with DefaultScope.overwrite_default_scope('mmdet'):
        plugin = dict(
            cfg=dict(type=name), stages=(False, False, False, True), position='after_conv2'
        )
        backbone = ResNet(50, base_channels=8, stem_channels=8, plugins=[plugin])
    backbone.eval()
    assert backbone(torch.randn(1, 3, 64, 64))[-1].shape == (1, 256, 2, 2)
