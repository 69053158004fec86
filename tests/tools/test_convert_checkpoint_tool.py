"""tools/convert_checkpoint.py: what fits of any checkpoint, as one of a config."""

import pytest
import torch

from mmdet_ext.utils.checkpoint import read_checkpoint


@pytest.fixture
def convert(tool):
    return tool('convert_checkpoint').main


def test_names_and_shapes_become_the_models_and_a_table_is_printed(convert, config, capsys):
    name = config()
    torch.save({'model': {'net.fc.weight': torch.tensor([[7.0]])}}, 'other.pt')
    options = ['--rename', 'fc', 'layer', '--strip', 'net.']
    convert(['other.pt', name, 'out/new.pth', *options])
    saved = read_checkpoint('out/new.pth')['state_dict']
    assert {key: value.tolist() for key, value in saved.items()} == {'layer.weight': [[7.0]]}
    assert 'other.pt: 1 loaded, 1 missing' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('mismatch', 'expected'),
    [(['slice'], {'layer.weight', 'layer.bias'}), (['slice', '*.weight=drop'], {'layer.bias'})],
)
def test_what_differs_in_shape_is_treated_as_asked(convert, config, mismatch, expected):
    name, other = config(), 'other.pt'
    torch.save({'net.fc.weight': torch.tensor([[7.0], [8.0]]), 'net.fc.bias': torch.ones(1)}, other)
    convert([other, name, 'new.pth', '--rename', r'net\.fc', 'layer', '--mismatch', *mismatch])
    saved = read_checkpoint('new.pth')['state_dict']
    assert set(saved) == expected
    assert saved.get('layer.weight', torch.tensor([[7.0]])).tolist() == [[7.0]]


def test_mistakes_end_with_one_sentence(convert, config, error_of):
    name = config()
    torch.save({'conv.kernel': torch.zeros(3)}, 'other.pt')
    assert 'seems to be of another model' in error_of(convert, 'other.pt', name, 'new.pth')
    assert 'is the checkpoint itself' in error_of(convert, 'other.pt', name, 'other.pt')
    assert 'none.pt does not exist' in error_of(convert, 'none.pt', name, 'new.pth')
