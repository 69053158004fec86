"""Any torchvision network as a backbone: its outputs are those of the network itself."""

import re
import shutil
import sys
import urllib.error
import urllib.request

import pytest
import torch
import torchvision
from backbone_checks import assert_exports_compiles_and_runs_in_bfloat16
from mmdet.models.backbones import ResNet
from mmdet.registry import MODELS
from torch import nn
from torchvision.models import MaxVit

from mmdet_ext.models.backbones import TorchvisionBackbone
from mmdet_ext.models.backbones.__main__ import main
from mmdet_ext.models.backbones.torchvision_nodes import fixed_image_size, trace

# The modules whose outputs the literature calls C3, C4 and C5.
STAGES = {
    'alexnet': {'features.4': 8, 'features.11': 16, 'features.12': 32},
    'convnext_tiny': {'features.3': 8, 'features.5': 16, 'features.7': 32},
    'densenet121': {'features.denseblock2': 8, 'features.denseblock3': 16, 'features.norm5': 32},
    'efficientnet_b0': {'features.3': 8, 'features.5': 16, 'features.8': 32},
    'googlenet': {'inception3b': 8, 'inception4e': 16, 'inception5b': 32},
    'mobilenet_v2': {'features.6': 8, 'features.13': 16, 'features.18': 32},
    'mobilenet_v3_small': {'features.3': 8, 'features.8': 16, 'features.12': 32},
    'regnet_y_400mf': {
        'trunk_output.block2': 8,
        'trunk_output.block3': 16,
        'trunk_output.block4': 32,
    },
    'resnet18': {'layer2': 8, 'layer3': 16, 'layer4': 32},
    'shufflenet_v2_x0_5': {'stage2': 8, 'stage3': 16, 'conv5': 32},
    'squeezenet1_1': {'features.7': 8, 'features.12': 16},
    'swin_t': {'features.3': 8, 'features.5': 16, 'permute': 32},
}
SEEN_BY_HOOKS = {
    'densenet121': {'features.norm5': nn.functional.relu},  # a function, which has no hook, follows
    'swin_t': {name: lambda x: x.permute(0, 3, 1, 2) for name in ('features.3', 'features.5')},
}


def outputs_of(model, state, image, modules):
    """Outputs of modules within torchvision's own network, with the weights of the backbone."""
    network = torchvision.models.get_model(model, weights=None, **init(model)).eval()
    network.load_state_dict(state, strict=False)
    seen = {}
    for name in modules:
        after = SEEN_BY_HOOKS.get(model, {}).get(name, lambda x: x)
        network.get_submodule(name).register_forward_hook(
            lambda _, __, output, name=name, after=after: seen.update({name: after(output)})
        )
    network(image)
    return [seen[name] for name in modules]


def init(model):
    special = dict(init_weights=False, transform_input=True)
    return special if model in ('googlenet', 'inception_v3') else {}


def build(model, **options):
    torch.manual_seed(0)
    return TorchvisionBackbone(model, model_args=init(model), **options)


def randomise_statistics(module):
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(std=0.1)
            part.running_var.uniform_(0.5, 1.5)


@pytest.fixture(scope='module')
def resnet18():
    backbone = build('resnet18').eval()
    randomise_statistics(backbone)
    return backbone


@pytest.mark.parametrize('model', STAGES)
@torch.no_grad()
def test_by_default_the_outputs_of_the_stages_at_strides_8_16_32_are_given(model):
    backbone = build(model).eval()
    randomise_statistics(backbone)
    image = torch.randn(2, 3, 64, 96)
    outputs = backbone(image)
    expected = outputs_of(model, backbone.body.state_dict(), image, STAGES[model])
    torch.testing.assert_close(list(outputs), expected)
    assert backbone.out_strides == list(STAGES[model].values())
    assert backbone.out_channels == [output.shape[1] for output in outputs]


@torch.no_grad()
def test_a_vit_gives_its_tokens_as_a_map_without_the_class_token():
    torch.manual_seed(0)
    backbone = TorchvisionBackbone('vit_b_32', model_args=dict(image_size=96)).eval()
    network = torchvision.models.vit_b_32(image_size=96).eval()
    network.load_state_dict(backbone.body.state_dict(), strict=False)
    seen = []
    network.encoder.register_forward_hook(lambda *arguments: seen.append(arguments[2]))
    image = torch.randn(2, 3, 96, 96)
    network(image)
    (output,) = backbone(image)
    assert output.shape == (2, 768, 3, 3)
    assert (backbone.out_strides, backbone.out_channels) == ([32], [768])
    torch.testing.assert_close(output[:, :, 1, 2], seen[0][:, 1 + 5])  # row 1, column 2
    with pytest.raises(ValueError, match=r'vit_b_32 takes images of 96 x 96 .* gets 96 x 128'):
        backbone(torch.zeros(1, 3, 96, 128))


def test_maxvit_has_its_stages_as_outputs_and_one_image_size():
    network = MaxVit(
        input_size=(64, 64), stem_channels=8, partition_size=2, block_channels=[8, 16, 24, 32],
        block_layers=[1, 1, 1, 1], head_dim=8, stochastic_depth_prob=0.1,
    )  # fmt: skip
    assert fixed_image_size(network) == (64, 64)
    last = trace(network).last_of_each_octave()
    found = {node.stride: (node.name.split('.layers')[0], node.channels) for node in last.values()}
    del found[2]
    assert found == {
        4: ('blocks.0', 8),
        8: ('blocks.1', 16),
        16: ('blocks.2', 24),
        32: ('blocks.3', 32),
    }


@torch.no_grad()
def test_outputs_are_chosen_by_name_of_a_module_or_a_node(resnet18):
    image = torch.randn(1, 3, 64, 64)
    chosen = build('resnet18', out_nodes=['layer1', 'layer3.0.relu_1']).eval()
    chosen.body.load_state_dict(resnet18.body.state_dict(), strict=False)
    assert chosen.out_nodes == ['layer1.1.relu_1', 'layer3.0.relu_1']
    assert chosen.out_strides == [4, 16]
    expected = outputs_of('resnet18', chosen.body.state_dict(), image, ['layer1', 'layer3.0'])
    torch.testing.assert_close(list(chosen(image)), expected)


def test_what_comes_after_the_last_output_is_cut_off():
    names = dict(build('resnet18', out_strides=[4, 8]).body.named_parameters())
    assert {name.split('.')[0] for name in names} == {'conv1', 'bn1', 'layer1', 'layer2'}


def test_training_outputs_leave_out_the_auxiliary_classifiers():
    backbone = build('googlenet').train()
    assert [tuple(output.shape) for output in backbone(torch.randn(2, 3, 64, 64))] == [
        (2, 480, 8, 8), (2, 832, 4, 4), (2, 1024, 2, 2),
    ]  # fmt: skip
    assert not [name for name, _ in backbone.named_parameters() if 'aux' in name]


@pytest.mark.parametrize('frozen_stages', [-1, 0, 2, 4])
def test_frozen_stages_of_a_resnet_are_those_of_mmdet(frozen_stages):
    ours = build('resnet50', frozen_stages=frozen_stages).train()
    mmdets = ResNet(50, frozen_stages=frozen_stages, norm_eval=False)
    mmdets.train()

    def trained(module):
        parameters = {name for name, value in module.named_parameters() if value.requires_grad}
        return parameters | {
            name for name, part in module.named_modules()
            if isinstance(part, nn.BatchNorm2d) and part.training
        }  # fmt: skip

    assert trained(ours.body) == trained(mmdets)


def test_norm_eval_keeps_the_running_statistics():
    backbone = build('resnet18', norm_eval=True).train()
    before = {name: value.clone() for name, value in backbone.named_buffers()}
    backbone(torch.randn(2, 3, 64, 64))
    assert all(torch.equal(before[name], value) for name, value in backbone.named_buffers())
    assert backbone.body.conv1.training


def test_all_parameters_get_gradients():
    backbone = build('mobilenet_v3_small').train()
    sum(output.square().mean() for output in backbone(torch.randn(2, 3, 64, 64))).backward()
    assert all(value.grad.abs().sum() > 0 for _, value in backbone.named_parameters())


@pytest.mark.parametrize('model', ['resnet18', 'mobilenet_v3_small'])
def test_it_exports_compiles_and_runs_in_bfloat16(model, tmp_path):
    torch.manual_seed(0)
    backbone = build(model)
    assert_exports_compiles_and_runs_in_bfloat16(backbone, torch.randn(1, 3, 64, 96), tmp_path)


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    def refuse(*arguments, **options):
        raise urllib.error.URLError('no network')

    monkeypatch.setattr(urllib.request, 'urlopen', refuse)
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    return tmp_path / 'hub/checkpoints'


@pytest.fixture
def resnet18_file(tmp_path):
    torch.manual_seed(7)
    path = tmp_path / 'resnet18.pth'
    torch.save(torchvision.models.resnet18().state_dict(), path)
    return str(path)


def assert_loaded(backbone, path):
    saved = torch.load(path, weights_only=True)
    loaded = backbone.body.state_dict()
    assert set(saved) - set(loaded) == {'fc.weight', 'fc.bias'}
    assert all(torch.equal(saved[name], value) for name, value in loaded.items())


def test_nothing_is_downloaded_unless_asked(no_network):
    build('resnet18').init_weights()
    assert not no_network.exists()


@pytest.mark.parametrize('as_init_cfg', [False, True])
def test_a_local_file_of_torchvision_is_loaded(as_init_cfg, resnet18_file, no_network):
    pretrained = dict(init_cfg=dict(type='Pretrained', checkpoint=resnet18_file))
    backbone = build('resnet18', **(pretrained if as_init_cfg else dict(weights=resnet18_file)))
    backbone.init_weights()
    assert_loaded(backbone, resnet18_file)


def test_weights_by_name_come_from_the_cache_of_torch(resnet18_file, no_network):
    no_network.mkdir(parents=True)
    url = torchvision.models.ResNet18_Weights.DEFAULT.url
    shutil.copy(resnet18_file, no_network / url.rpartition('/')[2])
    backbone = build('resnet18', weights='DEFAULT')
    backbone.init_weights()
    assert_loaded(backbone, resnet18_file)


def test_a_download_without_network_is_one_sentence(no_network):
    with pytest.raises(ConnectionError, match=r'weights DEFAULT of resnet18 cannot .* `weights`\.'):
        build('resnet18', weights='DEFAULT').init_weights()


def test_the_backbone_of_a_detectors_checkpoint_is_loaded_by_prefix(resnet18, tmp_path):
    path = str(tmp_path / 'detector.pth')
    state = {f'backbone.{name}': value for name, value in resnet18.state_dict().items()}
    torch.save(dict(state_dict={**state, 'neck.weight': torch.zeros(1)}), path)
    init_cfg = dict(type='Pretrained', checkpoint=path, prefix='backbone.')
    backbone = build('resnet18', init_cfg=init_cfg)
    backbone.init_weights()
    torch.testing.assert_close(dict(backbone.state_dict()), dict(resnet18.state_dict()))
    backbone = build('resnet18', init_cfg={**init_cfg, 'prefix': 'bakbone'})
    with pytest.raises(ValueError, match=r'no weights whose names start with `bakbone\.`'):
        backbone.init_weights()


def test_files_of_densenet_with_the_names_of_2017_are_loaded(tmp_path):
    path = str(tmp_path / 'densenet121.pth')
    state = torchvision.models.densenet121().state_dict()
    old = {
        re.sub(r'(denselayer\d+\.[a-z]+)([12])', r'\1.\2', name): value
        for name, value in state.items()
        if 'num_batches_tracked' not in name
    }
    assert 'features.denseblock1.denselayer1.norm.1.weight' in old
    torch.save(old, path)
    backbone = build('densenet121', weights=path)
    backbone.init_weights()
    assert all(torch.equal(state[name], value) for name, value in backbone.body.named_parameters())


@pytest.mark.parametrize(
    ('model', 'sentence'),
    [
        ('resnet34', r'of another network than resnet34: of \d+ parameters 100 match.*is missing'),
        (
            'resnet50',
            r'`layer1\.0\.conv1\.weight` has shape \(64, 64, 3, 3\), not \(64, 64, 1, 1\)',
        ),
    ],
)
def test_weights_of_another_model_are_refused(model, sentence, resnet18_file):
    with pytest.raises(ValueError, match=sentence):
        build(model, weights=resnet18_file).init_weights()


def test_weights_of_a_deeper_model_are_refused_although_all_parameters_are_there(tmp_path):
    path = str(tmp_path / 'resnet34.pth')
    torch.save(torchvision.models.resnet34().state_dict(), path)
    with pytest.raises(ValueError, match=r'`layer1\.2\.conv1\.weight` does not exist in resnet18'):
        build('resnet18', weights=path).init_weights()


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        (
            dict(model='squeeze1_0'),
            r'no classification network `squeeze1_0` \(did you mean squeezenet1',
        ),
        (dict(model='fcn_resnet50'), 'no classification network `fcn_resnet50`'),
        (
            dict(out_nodes=['layer2.1.rel']),
            r'resnet18: there is no node `layer2\.1\.rel` \(did you mean ',
        ),
        (dict(out_nodes=['flatten']), '`flatten` gives no feature map'),
        (dict(out_nodes=['layer2.1.add']), r'overwritten in place by `layer2\.1\.relu_1`'),
        (dict(out_strides=[8, 64]), r'no feature map of stride 64: .* \[2, 4, 8, 16, 32\]'),
        (dict(out_nodes=['layer2'], out_strides=[8]), 'not both'),
        (dict(out_channels=[128, 256, 2048]), r'at strides \[8, 16, 32\] it has \[128, 256, 512\]'),
        (dict(frozen_stages=5), r'`frozen_stages` of resnet18 is 5, .* \[0, 1, 2, 3, 4\]'),
        (
            dict(weights='IMAGENET1K_V7'),
            r"'IMAGENET1K_V7', .* IMAGENET1K_V1, DEFAULT \(did you mean IMAGENET1K_V1\?\)",
        ),
        (dict(weights='a.pth', init_cfg=dict(type='Pretrained', checkpoint='b.pth')), 'not both'),
    ],
)
def test_a_wrong_option_is_answered_with_the_right_ones(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        build(**{'model': 'resnet18', **options})


def test_a_missing_file_is_told_when_training_starts(tmp_path):
    backbone = build('resnet18', weights=str(tmp_path / 'resnet18.pth'))
    with pytest.raises(FileNotFoundError, match=r'resnet18\.pth does not exist'):
        backbone.init_weights()


def test_the_command_line_lists_strides_channels_and_nodes(monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['backbones', 'resnet18'])
    main()
    rows = re.findall(r'(\d+) +\S +(\d+) +\S +([\w.]+)', capsys.readouterr().out)
    assert rows[2:] == [
        ('8', '128', 'layer2.1.relu_1'), ('16', '256', 'layer3.1.relu_1'), ('32', '512', 'layer4.1.relu_1'),
    ]  # fmt: skip


def test_its_name_is_registered_in_mmdet():
    assert MODELS.get('TorchvisionBackbone') is TorchvisionBackbone
