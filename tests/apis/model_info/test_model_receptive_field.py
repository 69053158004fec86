"""Receptive fields against the closed form and against what gradients reach."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import interpolate, pad, scaled_dot_product_attention

from mmdet_ext.apis.model_info.receptive_field import (
    IN_EFFECT,
    effective_receptive_fields,
    theoretical_receptive_fields,
)

SIZE = (96, 80)


def conv(kernel, **options):
    return nn.Conv2d(1, 1, kernel, bias=False, **options)


class Stage(nn.Module):
    """Wraps functions of a tensor so that the model has a child to look at."""

    def __init__(self, *steps):
        super().__init__()
        self.steps = steps
        self.layers = nn.ModuleList(step for step in steps if isinstance(step, nn.Module))

    def forward(self, x):
        for step in self.steps:
            x = step(x)
        return x


def closed_form(layers):
    """1 + sum over layers of (k - 1) d times the product of the strides before."""
    side, jump = 1, 1
    for kernel, stride, dilation in layers:
        side += (kernel - 1) * dilation * jump
        jump *= stride
    return side


@pytest.mark.parametrize(
    'layers',
    [
        [(3, 1, 1)],
        [(3, 1, 1), (3, 1, 1), (3, 1, 1)],
        [(3, 1, 1), (3, 1, 2), (3, 1, 4)],
        [(7, 2, 1), (3, 2, 1), (1, 1, 1), (3, 2, 2)],
        [(5, 3, 1), (2, 2, 1), (4, 1, 3)],
    ],
)
def test_a_stack_of_convolutions_sees_what_the_closed_form_says(layers):
    stack = nn.Sequential(*(conv(k, stride=s, dilation=d, padding=1) for k, s, d in layers))
    fields = theoretical_receptive_fields(stack, torch.zeros(1, 1, *SIZE))
    expected = [closed_form(layers[: i + 1]) for i in range(len(layers))]
    assert [item.theoretical for item in fields] == [(side, side) for side in expected]
    assert [item.stage for item in fields] == [f'{i}[0]' for i in range(len(layers))]


def test_what_lies_in_the_gaps_of_a_transposed_convolution_sees_nothing():
    stack = nn.Sequential(nn.ConvTranspose2d(1, 1, 1, 2))
    assert theoretical_receptive_fields(stack, torch.zeros(1, 1, 4, 4)) == []  # unit 3 of 7
    (at_a_tap,) = theoretical_receptive_fields(stack, torch.zeros(1, 1, 5, 5))  # unit 4 of 9
    assert at_a_tap.theoretical == (1, 1)


def test_the_closed_form_holds_beyond_the_image():
    stack = nn.Sequential(*(conv(7, padding=3) for _ in range(5)))
    fields = theoretical_receptive_fields(stack, torch.zeros(1, 1, 9, 9))
    assert fields[-1].theoretical == (31, 31)


def test_strides_and_sizes_of_the_maps_are_told():
    stack = nn.Sequential(conv(3, stride=2, padding=1), nn.MaxPool2d((2, 4)))
    first, second = theoretical_receptive_fields(stack, torch.zeros(1, 1, *SIZE))
    assert (first.map_size, first.stride) == ((48, 40), (2, 2))
    assert (second.map_size, second.stride) == ((24, 10), (4, 8))
    assert second.theoretical == (3 + 2 * 1, 3 + 2 * 3)


def windows(x):
    """Attention within windows of 8 x 8."""
    n, c, h, w = x.shape
    x = x.permute(0, 2, 3, 1).reshape(n, h // 8, 8, w // 8, 8, c).transpose(2, 3)
    x = x.reshape(-1, 64, c)
    x = (x @ x.transpose(1, 2) + 1) @ x
    return (
        x.reshape(n, h // 8, w // 8, 8, 8, c)
        .transpose(2, 3)
        .reshape(n, h, w, c)
        .permute(0, 3, 1, 2)
    )


def written_in_place(x):
    result = torch.zeros_like(x)
    result.copy_(x)
    return result.mul_(2)


def gradient_support(stage, x):
    """Height and width of what a gradient reaches; all weights are positive, so that none cancel."""
    for parameter in stage.parameters():
        nn.init.uniform_(parameter, 0.5, 1)
    x = (torch.rand_like(x) + 0.5).requires_grad_()
    y = stage(x)
    y[0, :, y.shape[2] // 2, y.shape[3] // 2].sum().backward()
    rows, columns = x.grad[0].abs().sum(0).nonzero().T
    return tuple(int(indices.max() - indices.min() + 1) for indices in (rows, columns))


@pytest.mark.parametrize(
    'steps',
    [
        pytest.param([conv((5, 3), padding=(2, 1), dilation=(1, 2))], id='oblong kernel'),
        pytest.param([conv(3, padding=1), nn.AvgPool2d(3, 2)], id='average pooling'),
        pytest.param(
            [conv(3, stride=2), nn.ConvTranspose2d(1, 1, 4, 2, 1), conv(3)], id='transposed'
        ),
        pytest.param([nn.ConvTranspose2d(1, 1, 2, 3), conv(3)], id='transposed with gaps'),
        pytest.param(
            [conv(3, stride=4, padding=1), lambda x: interpolate(x, scale_factor=2), conv(3)],
            id='nearest',
        ),
        pytest.param(
            [
                conv(3, stride=4, padding=1),
                lambda x: interpolate(x, scale_factor=2, mode='bilinear'),
                conv(3),
            ],
            id='bilinear',
        ),
        pytest.param([lambda x: interpolate(x, size=(31, 47), mode='bicubic')], id='bicubic'),
        pytest.param(
            [lambda x: interpolate(x, size=(31, 37), mode='nearest-exact'), conv(4)],
            id='nearest exact',
        ),
        pytest.param([conv(3, padding=1), nn.AdaptiveAvgPool2d((7, 5))], id='adaptive pooling'),
        pytest.param(
            [lambda x: torch.cat([x[..., ::2, ::2], x[..., 1::2, 1::2]], 1).mean(1, True), conv(3)],
            id='space to depth',
        ),
        pytest.param(
            [lambda x: x + interpolate(conv(3, stride=8, padding=1)(x).abs(), SIZE), conv(3)],
            id='pyramid',
        ),
        pytest.param(
            [lambda x: pad(x, (2, 0, 5, 1)), lambda x: x.roll((3, 9), (2, 3)), conv(3)], id='moved'
        ),
        pytest.param(
            [
                lambda x: x.permute(0, 2, 3, 1),
                nn.Linear(1, 4),
                nn.LayerNorm(4),
                lambda x: nn.functional.pixel_shuffle(x.permute(0, 3, 1, 2), 2),
                conv(4, padding=1),
            ],
            id='channels last and pixel shuffle',
        ),
        pytest.param(
            [lambda x: torch.stack(x.split((40, 56), 2)[1].unbind(3), 3), conv(3)],
            id='split and stacked',
        ),
        pytest.param([written_in_place, conv(5)], id='in place'),
        pytest.param(
            [
                lambda x: nn.functional.unfold(x, (3, 2), (2, 1), 1, (1, 2)).mT @ torch.ones(6, 1),
                lambda x: x.view(1, 1, 94, 41),
                conv(3),
            ],
            id='patches',
        ),
        pytest.param([windows], id='window attention'),
        pytest.param(
            [windows, lambda x: x.roll((4, 4), (2, 3)), windows], id='shifted window attention'
        ),
        pytest.param([conv(3, padding=1), windows], id='window attention of a convolution'),
    ],
)
def test_no_more_and_no_less_is_seen_than_gradients_reach(steps):
    torch.manual_seed(0)
    stage = Stage(*steps)
    image = torch.zeros(1, 1, *SIZE)
    (item,) = theoretical_receptive_fields(nn.Sequential(stage), image)
    assert item.unknown == []
    assert item.theoretical == gradient_support(stage, image)


@pytest.mark.parametrize(
    'step',
    [
        lambda x: x * x.mean((2, 3), keepdim=True),
        lambda x: x * nn.functional.adaptive_avg_pool2d(x, 1),
        lambda x: (x.flatten(2).mT @ x.flatten(2) @ x.flatten(2).mT).mT.view_as(x),
        lambda x: scaled_dot_product_attention(*[x.flatten(2).mT] * 3).mT.reshape(x.shape),
    ],
    ids=['mean', 'pooling', 'product', 'attention'],
)
def test_what_mixes_all_positions_sees_all_of_the_image(step):
    model = nn.Sequential(Stage(conv(3, padding=1), step, conv(3, padding=1)))
    (item,) = theoretical_receptive_fields(model, torch.zeros(1, 1, 16, 12))
    assert item.theoretical == (None, None)
    assert item.unknown == []


def test_an_operator_of_unknown_reach_counts_as_seeing_all_and_is_named():
    model = nn.Sequential(conv(3), Stage(lambda x: torch.fft.fft2(x).abs()))
    first, second = theoretical_receptive_fields(model, torch.zeros(1, 1, 16, 12))
    assert (first.theoretical, first.unknown) == ((3, 3), [])
    assert second.theoretical == (None, None)
    assert len(second.unknown) == 1
    assert 'fft' in second.unknown[0]


def test_writing_into_part_of_a_tensor_is_not_overlooked():
    def write(x):
        result = torch.zeros_like(x)
        result[..., ::2] = x[..., ::2]
        return result

    model = nn.Sequential(Stage(write))
    (item,) = theoretical_receptive_fields(model, torch.zeros(1, 1, 16, 12))
    assert item.unknown == ['writing into a part']
    assert item.theoretical == (
        None,
        11,
    )  # of the columns the last but one is the last that is read


def test_a_map_that_does_not_depend_on_the_image_has_no_field():
    model = nn.Sequential(conv(3), Stage(lambda x: torch.ones(1, 1, 5, 5)))
    fields = theoretical_receptive_fields(model, torch.zeros(1, 1, 16, 12))
    assert [item.stage for item in fields] == ['0[0]']


def test_maps_of_one_part_that_see_the_same_are_told_once():
    model = nn.Sequential(Stage(lambda x: (x, x + 1, x[..., ::2, ::2])))
    fields = theoretical_receptive_fields(model, torch.zeros(1, 1, 16, 12))
    assert [(item.stage, item.map_size) for item in fields] == [
        ('0[0]', (16, 12)),
        ('0[2]', (8, 6)),
    ]


def test_the_effective_field_of_box_filters_is_that_of_their_repeated_convolution():
    stack = nn.Sequential(*(conv(5, padding=2) for _ in range(6)))
    for layer in stack:
        nn.init.ones_(layer.weight)
    noise = torch.randn(2, 1, 41, 41)
    line = np.ones(1)
    for i in range(6):
        line = np.convolve(line, np.ones(5))
        plane = np.outer(line, line)
        expected = np.sqrt((plane > 0.0455 * plane.max()).sum())
        stage = f'{i}[0]'
        (side,) = effective_receptive_fields(stack, noise, {stage}).values()
        assert side == pytest.approx(expected)
    assert expected < len(line)  # 17 of 25 pixels


def test_the_effective_field_is_averaged_over_the_images():
    gate = nn.Sequential(Stage(lambda x: x.relu() + x[..., :1].relu()))
    images = torch.tensor([[[[1.0, -1, -1, -1, 1]] * 2], [[[-1.0, -1, 1, -1, 1]] * 2]])
    one = effective_receptive_fields(gate, images[:1], {'0[0]'})
    both = effective_receptive_fields(gate, images, {'0[0]'})
    assert one == {'0[0]': 1}  # the first column of its row
    assert both == {'0[0]': 2**0.5}  # and the centre


def test_a_pixel_counts_from_4_55_percent_of_the_strongest():
    assert pytest.approx(0.0455) == IN_EFFECT
    weights = torch.tensor([0.045, 1.0, 0.046]).view(1, 1, 1, 3)
    stack = nn.Sequential(conv((1, 3), padding=(0, 1)))
    stack[0].weight.data = weights
    (side,) = effective_receptive_fields(stack, torch.zeros(1, 1, 5, 5), {'0[0]'}).values()
    assert side == pytest.approx(2**0.5)


def test_a_map_without_gradient_is_left_out():
    model = nn.Sequential(Stage(lambda x: x.detach() * 2), conv(3))
    assert effective_receptive_fields(model, torch.zeros(1, 1, 8, 8), {'0[0]'}) == {}
