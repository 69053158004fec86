"""benchmark_speed.py and compare_optimizers.py: options go in, tables come out."""

import pytest

from mmdet_ext.apis import optimizer_comparison, speed_benchmark
from mmdet_ext.apis.optimizer_comparison import OptimizerComparison, Trial
from mmdet_ext.apis.speed_benchmark import SpeedReport, TrainingSpeed


def test_the_benchmark_takes_names_with_spaces_and_overrides(tool, monkeypatch, capsys):
    calls = []

    def benchmark(cfg, *args):
        calls.append((cfg.train_dataloader.batch_size, *args))
        speeds = {'stock': TrainingSpeed([8.0], [0.5]), 'bfloat16': TrainingSpeed([10.0], [0.25])}
        return SpeedReport(speeds, (0.1, 2.5), {'OpenCV': 1.5}, 'CPU, 2 threads')

    monkeypatch.setattr(speed_benchmark, 'benchmark_speed', benchmark)
    tool('analysis/benchmark_speed').main(
        [
            *('--measures', 'channels last', 'bfloat16', '--rounds', '3'),
            *('--cfg-options', 'train_dataloader.batch_size=4'),
        ]
    )
    assert calls == [(4, ['channels last', 'bfloat16'], 8, 3)]
    text = capsys.readouterr().out
    assert '1.25' in text
    assert 'CPU, 2 threads' in text


def test_an_unknown_measure_is_one_sentence(tool, error_of):
    sentence = error_of(tool('analysis/benchmark_speed').main, '--measures', 'chanels last')
    assert sentence.startswith("error: Unknown measure 'chanels last' (did you mean channels last")


@pytest.fixture
def compare(tool):
    return tool('analysis/compare_optimizers').main


def test_the_comparison_takes_a_budget_and_says_where_its_files_are(compare, monkeypatch, capsys):
    calls = []

    def run(*args):
        calls.append(args)
        trial = Trial(0.1, {'slot F1': [0.5], 'slot AP': [0.25], 'point AP': [0.75]})
        return OptimizerComparison({'SGD': [trial]}, {})

    monkeypatch.setattr(optimizer_comparison, 'compare_optimizers', run)
    compare(['--optimizers', 'SGD', '--out', 'x', '--seeds', '1', '2', '--epochs', '3'])
    assert calls == [('x', ['SGD'], None, [1, 2], 3, 400, 128)]
    text = capsys.readouterr().out
    assert '0.250' in text
    assert 'x/results.png' in text


def test_an_unknown_optimizer_is_one_sentence(compare, error_of, tmp_path):
    sentence = error_of(compare, '--optimizers', 'Adm', '--out', str(tmp_path))
    assert sentence.startswith("error: Unknown optimizer 'Adm' (did you mean Adam")
