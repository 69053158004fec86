"""YOLOv1's and DMPR-PS's networks: published sizes, strides, and what every backbone stands."""

import pytest
import torch
from backbone_checks import assert_exports_compiles_and_runs_in_bfloat16
from torch import nn

from mmdet_ext.models.backbones import DMPRDarknet, YOLOv1Darknet

BOTH = pytest.mark.parametrize('backbone', [YOLOv1Darknet, DMPRDarknet])


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_yolov1_with_its_two_dense_layers_has_the_known_number_of_parameters():
    with torch.device('meta'):
        backbone = YOLOv1Darknet(out_indices=(5,), norm_cfg=None)
    dense = (7 * 7 * 1024 + 1) * 4096 + (4096 + 1) * 7 * 7 * (2 * 5 + 20)
    assert parameters(backbone) + dense == 271_703_550
    assert sum(isinstance(part, nn.Conv2d) for part in backbone.modules()) == 24


def test_dmpr_ps_with_its_prediction_layer_has_the_published_number_of_parameters():
    with torch.device('meta'):
        backbone = DMPRDarknet(last_bottlenecks=3)
    prediction = 1024 * 6
    assert (parameters(backbone) + prediction) / 1e6 == pytest.approx(30.3071, abs=1e-4)


def test_a_stage_of_dmpr_ps_has_the_parameters_of_its_convolutions():
    def convolution(fan_in, fan_out, kernel):
        return fan_in * fan_out * kernel**2 + 2 * fan_out  # and the two of batch normalisation

    bottleneck = convolution(256, 128, 1) + convolution(128, 256, 3)
    third_stage = convolution(128, 256, 4) + 2 * bottleneck
    assert parameters(DMPRDarknet(out_indices=(2,)).stages[2]) == third_stage


@pytest.mark.parametrize(
    ('backbone', 'shapes'),
    [
        (YOLOv1Darknet, [(16, 64), (48, 32), (128, 16), (256, 8), (256, 4), (256, 2)]),
        (DMPRDarknet, [(16, 64), (32, 32), (64, 16), (128, 8), (256, 4)]),
    ],
)
def test_stages_halve_the_image_one_after_the_other(backbone, shapes):
    outputs = backbone(range(len(shapes)), widen_factor=0.25)(torch.randn(1, 3, 128, 256))
    assert [tuple(output.shape) for output in outputs] == [(1, c, h, 2 * h) for c, h in shapes]


@BOTH
def test_stages_after_the_last_output_are_not_built(backbone):
    assert len(backbone(out_indices=(1, 2), widen_factor=0.125).stages) == 3


@torch.no_grad()
def test_dmpr_ps_is_a_chain_of_convolutions_without_shortcuts():
    torch.manual_seed(0)
    backbone = DMPRDarknet(out_indices=(4,), widen_factor=0.125).eval()
    image = torch.randn(1, 3, 64, 64)
    x = image
    for part in backbone.modules():
        if isinstance(part, nn.Conv2d):
            padding = {1: 0, 3: 1, 4: 1}[part.kernel_size[0]]
            x = nn.functional.conv2d(x, part.weight, stride=part.stride, padding=padding)
            x = nn.functional.leaky_relu(x / (1 + 1e-5) ** 0.5, 0.1)  # fresh running statistics
    torch.testing.assert_close(backbone(image)[0], x)


@BOTH
def test_frozen_stages_do_not_learn_and_the_others_do(backbone):
    model = backbone(widen_factor=0.125, frozen_stages=1).train()
    sum(output.square().mean() for output in model(torch.randn(2, 3, 64, 64))).backward()
    learning = {
        name.split('.')[1] for name, value in model.named_parameters() if value.grad is not None
    }
    assert learning == {'2', '3', '4'}
    assert not any(part.training for stage in model.stages[:2] for part in stage.modules())


@BOTH
def test_norm_eval_keeps_the_running_statistics(backbone):
    model = backbone(widen_factor=0.125, norm_eval=True).train()
    model(torch.randn(2, 3, 64, 64))
    means = [value for name, value in model.named_buffers() if name.endswith('running_mean')]
    assert means
    assert not any(mean.any() for mean in means)


@BOTH
def test_weights_are_loaded_from_a_file_of_the_whole_network_but_not_of_another(backbone, tmp_path):
    path = str(tmp_path / 'darknet.pth')
    whole = backbone(out_indices=(4,), widen_factor=0.125)
    torch.save(whole.state_dict(), path)
    init_cfg = dict(type='Pretrained', checkpoint=path)
    loaded = backbone(out_indices=(1,), widen_factor=0.125, init_cfg=init_cfg)
    loaded.init_weights()
    torch.testing.assert_close(loaded.stages.state_dict(), whole.stages[:2].state_dict())
    wider = backbone(out_indices=(1,), widen_factor=0.25, init_cfg=init_cfg)
    with pytest.raises(ValueError, match=f'another network than {backbone.__name__}: .* has shape'):
        wider.init_weights()


@BOTH
def test_gradients_are_right(backbone):
    torch.manual_seed(0)
    model = backbone(out_indices=(0, 1), widen_factor=0.0625, act_cfg=dict(type='GELU')).double()
    image = torch.randn(2, 3, 16, 16, dtype=torch.float64, requires_grad=True)
    model.eval()
    assert torch.autograd.gradcheck(model, (image,), fast_mode=True)


@BOTH
def test_it_exports_compiles_and_runs_in_bfloat16(backbone, tmp_path):
    torch.manual_seed(0)
    model = backbone(widen_factor=0.125)
    assert_exports_compiles_and_runs_in_bfloat16(model, torch.randn(1, 3, 64, 96), tmp_path)


@BOTH
@pytest.mark.parametrize('option', [dict(out_indices=(2, 6)), dict(frozen_stages=6)])
def test_a_stage_that_does_not_exist_is_refused(backbone, option):
    (name,) = option
    with pytest.raises(ValueError, match=f'`{name}` of {backbone.__name__} has 6, .* and [45]'):
        backbone(widen_factor=0.125, **option)
