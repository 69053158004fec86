"""python -m mmdet_ext: tools by name, lists of tools and configs."""

import subprocess
import sys
from pathlib import Path

import pytest

from mmdet_ext import __main__ as command
from mmdet_ext.utils.configs import list_configs
from mmdet_ext.utils.shipped_tools import list_tools


@pytest.fixture
def run(monkeypatch, capsys):
    def run(*argv):
        monkeypatch.setattr(sys, 'argv', ['mmdet_ext', *argv])
        command.main()
        return capsys.readouterr().out

    return run


@pytest.fixture
def fails(run, capsys):
    def fails(*argv):
        with pytest.raises(SystemExit) as stop:
            run(*argv)
        assert stop.value.code == 1
        return capsys.readouterr().err

    return fails


@pytest.mark.parametrize('argv', [[], ['--help'], ['-h']])
def test_without_a_tool_all_tools_are_listed_with_what_they_do(run, argv):
    lines = run(*argv).splitlines()
    listed = {line.split()[0]: line for line in lines[lines.index('') + 1 :] if line}
    assert listed.keys() >= list_tools().keys()
    assert listed['train'].split(maxsplit=1)[1] == 'Train the model of a config.'


def test_tools_of_mmdet_are_listed_after_its_name(run):
    listed = [line.split()[0] for line in run('mmdet:').splitlines()]
    assert listed == list(list_tools('mmdet'))
    assert 'analysis_tools/get_flops' in listed


def test_configs_are_listed(run):
    assert run('configs').split() == list_configs()
    assert run('configs', 'psd_yolo_512').split() == ['ext/psd_yolo_512.py']
    (retinanet,) = run('configs', 'mmdet:retinanet/retinanet_r50_fpn_1x').split()
    assert Path(retinanet).is_file()


def test_a_tool_gets_its_arguments(run, monkeypatch):
    calls = []
    monkeypatch.setattr(command, 'run_script', lambda *call: calls.append(call))
    run('dataset/convert', 'IN', '--help')
    assert calls == [(list_tools()['dataset/convert'], ['IN', '--help'])]


def test_errors_of_a_tool_are_its_own(run, monkeypatch):
    def fail(script, arguments):
        raise ValueError('something that the tool lets through')

    monkeypatch.setattr(command, 'run_script', fail)
    with pytest.raises(ValueError, match='something that the tool lets through'):
        run('train')


def test_a_wrong_name_ends_with_one_sentence(fails):
    assert fails('trian').startswith('error: there is no tool trian (did you mean ')
    assert fails('nothing:').startswith('error: no installed package nothing ')
    assert fails('configs', 'zzz').startswith('error: no config matches zzz: ')
    assert 'takes one pattern, not 2' in fails('configs', 'a', 'b')


def test_a_tool_runs_from_the_command_line():
    command = [sys.executable, '-W', 'ignore', '-m', 'mmdet_ext', 'model_info', '--help']
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.startswith('usage: model_info.py')
