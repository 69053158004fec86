"""tools/analysis/components.py: one table of the kit, found in the registry."""

import json
import re
from pathlib import Path

import pytest
from torch import nn

from mmdet_ext.apis import components
from mmdet_ext.apis.components import find_components, measure_components, reference_of

ROOT = Path(__file__).parents[2]
FOUND = {name: (kind, component) for kind, name, component in find_components()}
# They pass on what others wrote.
WRAPPERS = {'FeatureAttention', 'TorchvisionBackbone'}


@pytest.fixture
def main(tool):
    return tool('analysis/components').main


@pytest.fixture
def small(monkeypatch):
    """Inputs so small that all components take seconds."""
    for name, value in (('CHANNELS', 32), ('SIZE', 16), ('IMAGE_SIZE', 64)):
        monkeypatch.setattr(components, name, value)


def only(monkeypatch, *names):
    monkeypatch.setattr(
        components, 'find_components', lambda: ((FOUND[n][0], n, FOUND[n][1]) for n in names)
    )


def test_every_registered_class_in_the_folders_of_the_kit_is_found():
    folders = [ROOT / 'mmdet_ext/models' / name for name in ('layers', 'necks', 'backbones')]
    text = '\n'.join(path.read_text() for folder in folders for path in folder.rglob('*.py'))
    registered = re.findall(
        r"^@MODELS\.register_module\((?:name='(\w+)')?\)\nclass (\w+)", text, re.M
    )
    assert {name or class_name for name, class_name in registered} == set(FOUND)
    assert {kind for kind, _ in FOUND.values()} == {'attention', 'layer', 'neck', 'backbone'}


@pytest.mark.parametrize('name', sorted(set(FOUND) - WRAPPERS))
def test_every_component_names_its_paper(name):
    assert re.search(r'\b(19|20)\d\d(, arXiv:[\d.]+)?$', reference_of(FOUND[name][1]))


@pytest.mark.parametrize(
    ('docstring', 'reference'),
    [
        ('A layer.\n\nWu and He: Group\n    Normalization, 2018.', 'Wu and He: Group Normalization, 2018'),
        (
            'A, B.\n\nHu, Shen and Wu: SE, CVPR 2018, arXiv:1709.01507.\n\n``y = 2 x``',
            'Hu, Shen and Wu: SE, CVPR 2018, arXiv:1709.01507',
        ),
        ('Old. Li et al., Plain ViT, 2022. Each is made.', 'Li et al., Plain ViT, 2022'),
        ('Net of 2012.\n\nvan der Berg: ImageNet 2012 won, 2013; no more', 'van der Berg: ImageNet 2012 won, 2013'),
        ('A layer of 2018.\n\nArgs:\n    x: Wu and He: Group Normalization, 2018.', ''),
        (None, ''),
    ],
)  # fmt: skip
def test_the_paper_is_found_in_the_docstring(docstring, reference):
    assert reference_of(type('Layer', (), {'__doc__': docstring})) == reference


def test_every_component_can_be_measured(small):
    rows = measure_components(repeats=1)
    assert [row.name for row in rows] == list(FOUND)
    assert {row.name: row.problem for row in rows if row.problem} == {}
    assert all(row.milliseconds > 0 for row in rows)
    assert all((ROOT / row.file).is_file() for row in rows)


def test_parameters_and_macs_are_those_of_the_formulas(monkeypatch):
    only(monkeypatch, 'GroupNorm16', 'DepthwiseSeparableBlock', 'ClampedDropBlock')
    norm, block, drop = measure_components(repeats=1)
    cells = 32 * 32
    assert norm.parameters == 2 * 256
    assert block.parameters == 256 * 9 + 256 * 256 + 4 * 256
    norms = 2 * 2 * 256 * cells  # two batch norms, a product and a sum per element
    assert block.macs == (256 * 9 + 256 * 256) * cells + norms
    assert (drop.parameters, drop.macs) == (0, 0)


def test_a_component_that_cannot_be_built_says_why_and_hides_no_other(monkeypatch, capsys):
    class NeedsMore(nn.Module):
        """A layer. Wu and He: Group Normalization, 2018."""

        def __init__(self, in_channels, unheard_of):
            super().__init__()

    monkeypatch.setattr(
        components,
        'find_components',
        lambda: [('layer', 'NeedsMore', NeedsMore), ('layer', *('CBN', FOUND['CBN'][1]))],
    )
    rows = measure_components(repeats=1)
    components.print_components(rows)
    assert 'unheard_of' in rows[0].problem
    assert rows[1].parameters == 512
    assert 'not measured: ' in capsys.readouterr().out


def test_the_table_is_for_the_terminal_for_markdown_and_for_programs(
    main, monkeypatch, capsys, tmp_path
):
    only(monkeypatch, 'GroupNorm16', 'CBN')
    main(['--repeats', '1', '--markdown', '--json', str(tmp_path / 'kit.json')])
    lines = capsys.readouterr().out.splitlines()
    assert '1 x 256 x 32 x 32' in lines[0]
    table = [[cell.strip() for cell in line.split('|')[1:-1]] for line in lines if '|' in line]
    assert table[0][:5] == ['component', 'kind', 'parameters', 'MACs', 'ms']
    assert set(''.join(table[1])) <= set('-: ')
    assert table[2][:3] == ['GroupNorm16', 'layer', '512']
    assert table[2][5:] == [
        'Wu and He: Group Normalization, ECCV 2018, arXiv:1803.08494',
        'layers/group_norm16.py',
    ]
    written = json.loads((tmp_path / 'kit.json').read_text())
    assert written['components'][1]['name'] == 'CBN'
    assert written['components'][1]['parameters'] == 512
    assert (
        written['components'][1]['file'] == 'mmdet_ext/models/layers/cross_iteration_batch_norm.py'
    )
    main(['--repeats', '1'])
    assert '│ CBN' in capsys.readouterr().out


def test_kinds_can_be_chosen(main, monkeypatch, capsys):
    only(monkeypatch, 'SqueezeExcitation', 'CBN')
    main(['--kind', 'attention', '--repeats', '1'])
    printed = capsys.readouterr().out
    assert 'SqueezeExcitation' in printed
    assert 'CBN' not in printed
