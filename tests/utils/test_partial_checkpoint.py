"""Loading what fits: every weight's value and what is said of it."""

import sys
from collections import OrderedDict

import pytest
import torch
from torch import nn

from mmdet_ext.utils.partial_checkpoint import load_partly


def detector(classes=2, channels=3):
    """A backbone and a head."""
    model = nn.Module()
    model.backbone = backbone(channels)
    model.bbox_head = nn.Conv2d(4, classes, 1)
    return model


def backbone(channels=3):
    layers = [('conv1', nn.Conv2d(channels, 4, 1)), ('bn1', nn.BatchNorm2d(4))]
    return nn.Sequential(OrderedDict(layers))


def same(model, weights, prefix=''):
    """Names in the model, below the prefix, with the values of the weights."""
    state = model.state_dict()
    return {
        name
        for name in state
        if name.startswith(prefix)
        and torch.equal(state[name], weights.get(name[len(prefix) :], torch.tensor(torch.nan)))
    }


COUNT = 9  # names in a detector: 2 + 5 + 2


@pytest.mark.parametrize(
    'wrap',
    [
        lambda weights: weights,
        lambda weights: {'state_dict': weights, 'meta': {'epoch': 3}},
        lambda weights: {'model': weights, 'optimizer': {}},
        lambda weights: {'model': None, 'ema_state_dict': weights},
        lambda weights: {f'module.{name}': value for name, value in weights.items()},
        lambda weights: {'state_dict': {f'_orig_mod.{n}': v for n, v in weights.items()}},
    ],
)
def test_weights_are_found_wherever_a_checkpoint_has_them(wrap):
    source, model = detector().state_dict(), detector()
    report = load_partly(model, wrap(source))
    assert len(same(model, source)) == len(report.names('loaded')) == COUNT


def test_modules_of_half_precision_in_a_pickle_need_permission(tmp_path, monkeypatch):
    monkeypatch.delenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', raising=False)
    source, path = detector(), str(tmp_path / 'best.pt')
    torch.save({'model': nn.Sequential(source.backbone, source.bbox_head).half()}, path)
    model = backbone()
    options = dict(strip='0.')
    with pytest.raises(ValueError, match=r'best\.pt needs `.*give `allow_pickle=True`'):
        load_partly(model, path, **options)
    load_partly(model, path, allow_pickle=True, **options)
    torch.testing.assert_close(model.conv1.weight, source.backbone.conv1.weight.float())


def test_a_pickle_of_a_package_that_is_not_there_is_told_in_one_sentence(tmp_path, monkeypatch):
    module = type(sys)('absent_package')
    module.Net = type('Net', (nn.Linear,), {'__module__': 'absent_package'})
    monkeypatch.setitem(sys.modules, 'absent_package', module)
    torch.save({'model': module.Net(1, 1)}, tmp_path / 'a.pt')
    monkeypatch.delitem(sys.modules, 'absent_package')
    with pytest.raises(ValueError, match='needs the package `absent_package` to load'):
        load_partly(backbone(), str(tmp_path / 'a.pt'), allow_pickle=True)


def test_weights_of_a_backbone_find_their_place_in_a_detector_and_it_is_said():
    source, model = backbone().state_dict(), detector()
    report = load_partly(model, source)
    assert len(same(model, source, 'backbone.')) == 7
    assert report.prefixes == ('', 'backbone.')
    assert 'names with `backbone.` put before them (7 fit, 0 without)' in report.summary()
    assert report.names('missing') == ['bbox_head.weight', 'bbox_head.bias']


def test_weights_of_a_detector_find_their_place_in_a_backbone():
    source, model = detector(), backbone()
    report = load_partly(model, source.state_dict())
    assert len(same(model, source.backbone.state_dict())) == 7
    assert {(f.name, f.reason) for f in report.fates if f.outcome == 'skipped'} == {
        ('bbox_head.weight', 'not under `backbone.`'),
        ('bbox_head.bias', 'not under `backbone.`'),
    }


def test_prefixes_and_expressions_rename(tmp_path):
    source = {f'net.body.{n}': v for n, v in backbone().state_dict().items()}
    source = {name.replace('bn1', 'norm'): value for name, value in source.items()}
    model = detector()
    rules = [(r'\.norm\.', '.bn1.')]
    load_partly(model, source, rename=rules, strip='net.body', add='backbone')
    assert torch.equal(model.backbone.conv1.weight, source['net.body.conv1.weight'])
    assert torch.equal(model.backbone.bn1.running_var, source['net.body.norm.running_var'])


def test_a_head_of_other_classes_is_left_as_it_was_by_default():
    source, model = detector(classes=5), detector(classes=2)
    before = model.bbox_head.weight.clone()
    report = load_partly(model, source.state_dict())
    assert torch.equal(model.bbox_head.weight, before)
    (fate,) = (fate for fate in report.fates if fate.name == 'bbox_head.weight')
    assert fate[1:3] == ('dropped', '5 x 4 x 1 x 1 in the checkpoint, 2 x 4 x 1 x 1 in the model')


@pytest.mark.parametrize(('saved', 'built'), [(5, 2), (2, 5)])
def test_or_gets_the_classes_that_both_have(saved, built):
    source, model = detector(saved), detector(built)
    before = model.bbox_head.weight.clone()
    report = load_partly(model, source.state_dict(), mismatch='slice')
    assert torch.equal(model.bbox_head.weight[:2], source.bbox_head.weight[:2])
    assert torch.equal(model.bbox_head.weight[2:], before[2:])
    assert report.names('sliced') == ['bbox_head.weight', 'bbox_head.bias']


def test_input_channels_are_sliced_and_the_head_drawn_anew_by_pattern():
    source, model = detector(2, channels=3), detector(4, channels=5)
    nn.init.constant_(model.bbox_head.weight, 9)
    nn.init.constant_(model.bbox_head.bias, 9)
    before = model.backbone.conv1.weight.clone()
    modes = {'bbox_head': 'reinitialise', '*.conv1': 'slice'}
    report = load_partly(model, source.state_dict(), mismatch=modes)
    kernel = model.backbone.conv1.weight
    assert torch.equal(kernel[:, :3], source.backbone.conv1.weight)
    assert torch.equal(kernel[:, 3:], before[:, 3:])
    assert report.names('reinitialised') == ['bbox_head.weight', 'bbox_head.bias']
    assert model.bbox_head.weight.abs().max() <= 0.5  # reset_parameters: 1 / sqrt(4)
    assert model.bbox_head.bias.abs().max() <= 0.5


def test_what_is_to_be_left_out_stays_and_is_told():
    source, model = detector(), detector()
    report = load_partly(model, source.state_dict(), drop=['bbox_head', '*.bn1'])
    assert same(model, source.state_dict()) >= {'backbone.conv1.weight', 'backbone.conv1.bias'}
    assert not torch.equal(model.bbox_head.weight, source.bbox_head.weight)
    assert len(report.names('missing')) == len(report.names('skipped')) == 7


def test_the_table_counts_outcomes_by_reason():
    report = load_partly(detector(5), {**detector(2).state_dict(), 'fc.weight': torch.zeros(3)})
    rows = [[c.strip() for c in r.split('│')[1:-1]] for r in report.table().splitlines()]
    rows = {row[0] + row[1]: row[2:] for row in rows if row}
    assert rows['loaded'] == ['7', str(12 + 4 + 16 + 1), 'backbone.conv1.weight']
    assert rows['skippedthe model has no such name'] == ['1', '3', 'fc.weight']
    assert report.summary() == 'the weights given: 7 loaded, 2 dropped, 1 skipped'


def test_safetensors_are_read(tmp_path):
    safetensors = pytest.importorskip('safetensors.torch')
    source, model, path = detector().state_dict(), detector(), tmp_path / 'a.safetensors'
    safetensors.save_file(source, str(path))
    load_partly(model, str(path))
    assert len(same(model, source)) == COUNT
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match=r'a\.safetensors cannot be read .*safetensors\.$'):
        load_partly(model, str(path))


def test_without_safetensors_what_to_install_is_told(tmp_path, monkeypatch):
    (tmp_path / 'a.safetensors').write_bytes(b'')
    monkeypatch.setitem(sys.modules, 'safetensors.torch', None)
    with pytest.raises(ImportError, match=r"pip install 'mmdet_ext\[timm\]'"):
        load_partly(detector(), str(tmp_path / 'a.safetensors'))


def test_a_file_that_is_cut_off_changes_nothing(tmp_path):
    path = tmp_path / 'a.pth'
    torch.save(detector().state_dict(), path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    model = detector()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=r'a\.pth cannot be read as a checkpoint'):
        load_partly(model, str(path))
    assert len(same(model, before)) == COUNT


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(source={'fc.weight': torch.zeros(3, 7)}), 'another model: only 0 of 1 weights fit'),
        (dict(source={'epoch': 3}), 'has no weights by name'),
        (dict(entry='stat_dict'), 'no entry `stat_dict` .did you mean state_dict'),
        (dict(strip='backbon.'), r"`strip` is 'backbon.*did you mean backbone\.\?"),
        (dict(rename=[('norm', 'bn')]), "'norm', which matches none of the 9 names"),
        (dict(rename=[('(', '')]), 'no valid substitution'),
        (dict(rename=[('weight|bias', 'x')]), '`backbone.conv1.bias` the same name'),
        (dict(drop='bbox_hed'), 'did you mean bbox_head'),
        (dict(mismatch='slise'), "`mismatch` is 'slise' .did you mean slice"),
        (dict(mismatch={'bbox': 'slice'}), '`mismatch` has .bbox., which matches none'),
        (dict(min_share=1.0, drop='bbox_head'), None),
    ],
)
def test_mistakes_are_told_in_one_sentence_and_change_nothing(options, message):
    options = dict(source={'state_dict': detector().state_dict()}) | options
    model = detector()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    if message is None:  # what is left fits
        load_partly(model, **options)
        return
    with pytest.raises(ValueError, match=message):
        load_partly(model, **options)
    assert len(same(model, before)) == COUNT


def test_a_layer_that_cannot_initialise_itself_is_named():
    model = nn.Module()
    model.scale, model.conv = nn.Parameter(torch.zeros(3)), nn.Conv2d(1, 1, 1)
    source = {
        'scale': torch.ones(2),
        **{f'conv.{n}': v for n, v in model.conv.state_dict().items()},
    }
    with pytest.raises(ValueError, match=r'`mismatch=.reinitialise.` cannot be done for `scale`'):
        load_partly(model, source, mismatch='reinitialise')
