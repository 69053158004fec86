"""tools/analysis/benchmark_nms.py and compare_nms.py on the command line."""

import json

import pytest
import torch

from mmdet_ext.apis import nms_comparison
from mmdet_ext.apis.nms_comparison import NMSResult


@pytest.fixture
def benchmark(tool):
    return tool('analysis/benchmark_nms').main


@pytest.fixture
def compare(tool):
    return tool('analysis/compare_nms').main


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_the_benchmark_says_what_was_measured_and_prints_a_row_for_each(
    benchmark, capsys, tmp_path
):
    file = str(tmp_path / 'times.json')
    chosen = ['--variants', 'diou_nms', 'matrix_nms, linear']
    benchmark(['--boxes', '200', '--classes', '3', '--rounds', '1', '--json', file, *chosen])
    printed = capsys.readouterr().out
    assert '200 boxes of 20 objects in 3 classes, 1 thread(s), medians of 1 rounds' in printed
    written = json.loads((tmp_path / 'times.json').read_text())
    assert [row['name'] for row in written['timings']] == ['torchvision', *chosen[1:]]
    assert written['timings'][0]['ratio'] == 1
    assert all(row['name'] in printed for row in written['timings'])


def test_boxes_can_be_those_of_each_class(benchmark, capsys):
    arguments = [
        '--boxes',
        '50',
        '--classes',
        '4',
        '--per-class',
        '--objects',
        '9',
        '--rounds',
        '1',
    ]
    benchmark([*arguments, '--variants', 'nms', '--markdown', '--threads', '2'])
    printed = capsys.readouterr().out
    assert '200 boxes of 9 objects in 4 classes, 2 thread(s)' in printed
    assert '| torchvision |' in printed


@pytest.mark.parametrize(
    ('arguments', 'sentence'),
    [
        (['--boxes', '5'], '--objects comes to 0: give'),
        (['--variants', 'dio_nms'], "--variants names 'dio_nms' (did you mean diou_nms"),
        (['--iou-threshold', '5', '--variants', 'diou_nms'], '`iou_threshold` is 5.0, but must be'),
    ],
)
def test_mistakes_are_one_sentence(benchmark, error_of, arguments, sentence):
    assert sentence in error_of(benchmark, '--rounds', '1', *arguments)


def test_the_comparison_hands_its_arguments_on_and_prints_the_table(compare, monkeypatch, capsys):
    calls = []

    def compare_nms(*arguments):
        calls.append(arguments)
        return [NMSResult('diou_nms', 0.5, 0.7, 0.6, 0.8, 12.34)]

    monkeypatch.setattr(nms_comparison, 'compare_nms', compare_nms)
    compare(
        ['a.py', 'a.pth', '--variants', 'diou_nms', '--iou-threshold', '0.6', '--device', 'cpu']
    )
    assert calls == [('a.py', 'a.pth', ['diou_nms'], 0.6, 100, 'cpu', None)]
    row = next(line for line in capsys.readouterr().out.splitlines() if 'diou_nms' in line)
    assert row.replace('│', ' ').split() == ['diou_nms', '0.500', '0.700', '0.600', '0.800', '12.3']


def test_an_unknown_nms_is_said_before_anything_is_loaded(compare, error_of):
    assert "'clusternms' is unknown (did you mean cluster_nms" in error_of(
        compare, 'a.py', 'a.pth', '--variants', 'clusternms'
    )
