"""All facts about the models of real configs, and what is said about wrong input."""

import json
from pathlib import Path

import mmdet
import pytest
import torch
from mmengine.config import Config
from rich.console import Console

from mmdet_ext.apis.model_info import model_info, print_model_info
from mmdet_ext.apis.model_info.subject import load_subject, pipeline_shape

CONFIGS = Path(__file__).parents[3] / 'configs'
OURS = str(CONFIGS / 'ext/psd_yolo.py')
STOCK = Path(mmdet.__file__).parent / '.mim/configs'


@pytest.fixture(scope='module')
def ours():
    return model_info(OURS, shape=(60, 90), batch_size=2, repeats=1)


@pytest.fixture(scope='module')
def two_stages():
    small = {
        'model.backbone.depth': 18,
        'model.backbone.init_cfg': None,
        'model.neck.in_channels': [64, 128, 256, 512],
        'model.roi_head.bbox_head.fc_out_channels': 16,
        'model.test_cfg.rpn.max_per_img': 20,
    }
    config = str(STOCK / 'faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py')
    return model_info(config, shape=(64, 64), repeats=1, samples=0, depth=1, cfg_options=small)


@pytest.mark.parametrize('name', ['ours', 'two_stages'])
def test_parts_add_up_to_the_model(name, request):
    info = request.getfixturevalue(name)
    parameters, complexity = info.parameters, info.complexity
    assert sum(parameters.parts.values()) == parameters.total
    assert parameters.trainable + parameters.frozen == parameters.total
    assert sum(complexity.parts.values()) == complexity.macs
    assert sum(complexity.operators.values()) == complexity.macs
    assert info.memory.parameters == 4 * parameters.total


def test_our_model_has_the_parameters_its_config_says(ours):
    assert ours.parameters.total == pytest.approx(1.9e6, rel=0.01)
    assert set(ours.parameters.parts) == {'backbone', 'neck', 'bbox_head'}


def test_the_image_is_padded_as_the_model_pads_it(ours):
    assert (ours.image_shape, ours.input_shape) == ((60, 90), (1, 3, 64, 96))


def test_macs_of_a_plain_convolution_in_a_config_are_right(two_stages):
    layers = {layer.name: layer for layer in two_stages.layers}
    outputs = [(16, 16), (8, 8), (4, 4), (2, 2), (1, 1)]
    per_place = 256 * 256 * 9 + 256 * 3 + 256 * 12  # 3 x 3, objectness and box
    assert layers['rpn_head'].macs == per_place * sum(h * w for h, w in outputs)
    assert layers['backbone'].outputs == [(1, 64 * 2**i, 16 >> i, 16 >> i) for i in range(4)]


def test_time_is_split_as_the_detector_is(ours, two_stages):
    assert list(ours.speed.parts) == [
        *('preprocessing', 'backbone', 'neck', 'bbox_head', 'post-processing', '(other)')
    ]
    parts = ['preprocessing', 'backbone', 'neck', 'rpn_head', 'roi_head', 'post-processing']
    assert list(two_stages.speed.parts) == [*parts, '(other)']
    assert set(ours.speed.batches) == {1, 2}
    assert min(ours.speed.batches.values()) > 0


def test_shares_of_time_of_the_parts_stay_below_the_whole(ours):
    shares = {layer.name: layer.time_share for layer in ours.layers}
    assert 0 < sum(share for name, share in shares.items() if '.' not in name) < 1
    inside = sum(share for name, share in shares.items() if name.startswith('backbone.'))
    assert inside < shares['backbone']


def test_resnet_18_sees_what_is_known_of_it(two_stages):
    fields = {item.stage: item.theoretical for item in two_stages.receptive_fields}
    assert [fields[f'backbone[{i}]'] for i in range(4)] == [(s, s) for s in (43, 99, 211, 435)]


def test_every_map_has_an_effective_field_within_the_theoretical_one(ours):
    assert len(ours.receptive_fields) == 3 + 3 + 2
    for item in ours.receptive_fields:
        assert 1 <= item.effective <= min(item.theoretical)


def test_all_of_it_can_be_written_as_json(ours):
    facts = json.loads(json.dumps(ours.as_dict()))
    assert facts['complexity']['flops'] == 2 * ours.complexity.macs
    assert [layer['name'] for layer in facts['layers']] == [layer.name for layer in ours.layers]
    assert max(layer['name'].count('.') for layer in facts['layers']) == 1
    assert facts['parameters']['total'] == ours.parameters.total


def test_everything_is_printed_with_its_unit(ours):
    console = Console(record=True, width=150, file=open('/dev/null', 'w'))  # noqa: SIM115
    print_model_info(ours, console)
    text = console.export_text()
    assert f'{ours.parameters.total:,}: {ours.parameters.total:,} trainable, 0 frozen' in text
    assert 'MACs' in text
    assert 'two per multiply-accumulate' in text
    assert 'add x' in text  # not counted
    assert 'images/s' in text
    assert 'loss' not in text  # takes no part in inference


@pytest.mark.parametrize(
    ('pipeline', 'shape'),
    [
        ([dict(type='Resize', scale=(1333, 800), keep_ratio=True)], (800, 1333)),
        ([dict(type='Resize', scale=(64, 32)), dict(type='Pad', size=(64, 48))], (48, 64)),
        ([dict(type='Resize', scale=(64, 32)), dict(type='Pad', size_divisor=32)], (32, 64)),
        ([dict(type='CenterCrop', crop_size=224)], (224, 224)),
    ],
)
def test_the_shape_is_what_the_test_pipeline_resizes_to(pipeline, shape):
    pipeline = [dict(type='LoadImageFromFile'), *pipeline, dict(type='PackDetInputs')]
    dataset = dict(type='CocoDataset', pipeline=pipeline)
    wrapped = dict(type='RepeatDataset', dataset=dataset)
    for cfg in (
        dict(test_dataloader=dict(dataset=dataset)),
        dict(test_dataloader=dict(dataset=wrapped)),
        dict(test_pipeline=pipeline),
    ):
        assert pipeline_shape(Config(cfg), 'c.py') == shape


def test_a_pipeline_without_a_size_asks_for_the_shape():
    with pytest.raises(ValueError, match=r'no step with a size .*--shape H W'):
        pipeline_shape(Config(dict(test_pipeline=[dict(type='LoadImageFromFile')])), 'c.py')


def test_stock_and_own_configs_have_a_shape():
    assert pipeline_shape(Config.fromfile(OURS), OURS) == (256, 256)
    detr = STOCK / 'detr/detr_r50_8xb2-150e_coco.py'
    assert pipeline_shape(Config.fromfile(detr), 'detr') == (800, 1333)


@pytest.mark.parametrize('device', ['warp', 'cuda:77', 'meta'])
def test_a_device_that_is_not_there_is_refused(device):
    with pytest.raises(ValueError, match=f'no device {device} here: choose cpu'):
        load_subject(OURS, device=device)


def test_a_shape_that_the_model_refuses_is_told_with_the_reason(tmp_path):
    config = tmp_path / 'ssd.py'
    config.write_text(f"_base_ = '{STOCK / 'ssd/ssd300_coco.py'}'\n")
    with pytest.raises(
        ValueError, match=r'does not take an image of 40 x 50 \(RuntimeError: .*--shape'
    ):
        load_subject(str(config), shape=(40, 50))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(shape=(0, 64)), 'the shape is 0 x 64'),
        (dict(batch_size=0), 'batch size is 0: it must be 1 or more'),
        (dict(depth=0), 'depth is 0'),
        (dict(repeats=0), 'number of repeats is 0'),
        (dict(samples=-1), 'number of samples is -1: it must be 0 or more'),
        (dict(cfg_options={'model.backbone.type': 'ResNext'}), 'did you mean .*ResNeXt'),
    ],
)
def test_a_wrong_option_is_told(options, message):
    with pytest.raises((ValueError, KeyError), match=message):
        model_info(OURS, **options)


def test_a_config_without_a_model_is_refused(tmp_path):
    config = tmp_path / 'c.py'
    config.write_text('x = 1\n')
    with pytest.raises(ValueError, match='has no `model`'):
        model_info(str(config))


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    torch.save({'state_dict': {'a': torch.zeros(1)}}, tmp_path / 'c.pth')
    with pytest.raises(ValueError, match='another architecture'):
        model_info(OURS, str(tmp_path / 'c.pth'))


def test_the_weights_of_the_checkpoint_are_used(tmp_path):
    model = load_subject(OURS, shape=(32, 32)).model
    weights = {name: torch.full_like(value, 2) for name, value in model.state_dict().items()}
    torch.save({'state_dict': weights}, tmp_path / 'c.pth')
    loaded = load_subject(OURS, str(tmp_path / 'c.pth'), (32, 32)).model
    assert all((parameter == 2).all() for parameter in loaded.parameters())
    assert not loaded.training
