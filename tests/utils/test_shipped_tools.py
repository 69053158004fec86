"""Scripts and configs of installed packages are found by name, without importing them."""

import sys
from pathlib import Path

import pytest

from mmdet_ext.utils import shipped_tools
from mmdet_ext.utils.configs import list_configs
from mmdet_ext.utils.shipped_tools import (
    describe,
    find_tool,
    list_shipped_configs,
    list_tools,
    run_script,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def other(tmp_path, monkeypatch):
    """A package `othermm` that ships tools and configs and cannot be imported."""
    package = tmp_path / 'othermm'
    for name, text in {
        '__init__.py': 'raise RuntimeError("imported")',
        '.mim/tools/train.py': '"""Train it.\n\nAt length."""\nraise RuntimeError("imported")\n',
        '.mim/tools/misc/split.py': 'ArgumentParser(description="Split   it.\\nIn two.")',
        '.mim/tools/data/split.py': 'x = 1',
        '.mim/configs/net/net_small.py': '',
        '.mim/configs/net/net_large.py': '',
        '.mim/configs/_base_/net.py': '',
    }.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    return package


def test_every_tool_of_ours_is_listed_under_its_path():
    files = {file for file in (ROOT / 'tools').rglob('*.py') if 'setup' not in file.parts}
    listed = list_tools()
    assert {file.resolve() for file in listed.values()} == files
    assert listed['train'].resolve() == ROOT / 'tools/train.py'
    assert 'dataset/convert' in listed


def test_every_tool_of_ours_says_what_it_does():
    assert all(len(describe(file)) > 10 for file in list_tools().values())


def test_tools_of_a_package_are_listed_without_importing_it(other):
    assert list(list_tools('othermm')) == ['data/split', 'misc/split', 'train']
    assert 'othermm' not in sys.modules


def test_a_tool_is_described_by_its_docstring_or_its_parser(other):
    lines = [describe(file) for file in list_tools('othermm').values()]
    assert lines == ['', 'Split it.', 'Train it.']


@pytest.mark.parametrize(
    ('name', 'file'),
    [
        ('train', 'tools/train.py'),
        ('train.py', 'tools/train.py'),
        ('dataset/convert', 'tools/dataset/convert.py'),
        ('convert', 'tools/dataset/convert.py'),
        ('mmdet_ext:convert', 'tools/dataset/convert.py'),
    ],
)
def test_a_tool_is_found_by_its_path_or_by_its_last_part(name, file):
    assert find_tool(name).resolve() == ROOT / file


def test_a_tool_of_another_package_is_found_with_a_prefix(other):
    assert find_tool('othermm:train') == other / '.mim/tools/train.py'
    assert find_tool('othermm:misc/split') == other / '.mim/tools/misc/split.py'


def test_mmdets_own_tools_are_found():
    assert find_tool('mmdet:get_flops').parts[-2:] == ('analysis_tools', 'get_flops.py')


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('trian', r'no tool trian \(did you mean .*train'),
        ('modelinfo', r'no tool modelinfo \(did you mean analysis/model_info\?\)'),
        (
            'othermm:split',
            'othermm:split may be othermm:data/split or othermm:misc/split: name one',
        ),
        ('othermm:trein', r'\(did you mean othermm:train\?\)'),
        ('zzz', 'no tool zzz: `python -m mmdet_ext` lists all'),
        ('nothing:train', 'no installed package nothing ships tools'),
        ('json:tool', 'no installed package json ships tools'),
        ('a.b:tool', 'no installed package a.b ships tools'),
    ],
)
def test_a_name_that_is_no_tool_is_told_with_what_may_be_meant(other, name, message):
    with pytest.raises(ValueError, match=message):
        find_tool(name)


def test_a_script_runs_as_if_python_had_started_it(tmp_path, monkeypatch, capsys):
    (tmp_path / 'neighbour.py').write_text('NAME = "found"\n')
    script = tmp_path / 'script.py'
    script.write_text('import sys, neighbour\nprint(__name__, neighbour.NAME, sys.argv[1:])\n')
    monkeypatch.setattr(sys, 'argv', ['before'])
    monkeypatch.setattr(sys, 'path', ['', *sys.path])
    run_script(script, ['a', '--b'])
    assert capsys.readouterr().out == "__main__ found ['a', '--b']\n"


def test_configs_of_ours_are_listed_by_the_names_that_other_tools_take():
    assert list_shipped_configs() == list_configs()
    assert list_shipped_configs('yolo_512') == ['ext/psd_yolo_512.py']


def test_configs_of_another_package_are_listed_as_files(other):
    folder = other / '.mim/configs/net'
    assert list_shipped_configs('othermm:') == [
        str(folder / 'net_large.py'),
        str(folder / 'net_small.py'),
    ]
    assert list_shipped_configs('othermm:net*small') == [str(folder / 'net_small.py')]
    assert list_shipped_configs('othermm:large.py') == [str(folder / 'net_large.py')]


def test_a_checkout_and_a_wheel_have_their_tools_at_the_same_place():
    assert shipped_tools.list_tools()['train'].parts[-4:] == (
        'mmdet_ext',
        '.mim',
        'tools',
        'train.py',
    )
