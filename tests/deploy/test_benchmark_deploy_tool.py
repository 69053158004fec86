"""tools/analysis/benchmark_deploy.py on the command line."""

import importlib.util
import json
from pathlib import Path

import cv2
import pytest
from tiny_detectors import images, tiny_config, tiny_detector, write_quickly

from mmdet_ext.deploy.stock_detectors import StockDetectorGraph

TOOL = Path(__file__).parents[2] / 'tools/analysis/benchmark_deploy.py'


@pytest.fixture
def benchmark():
    spec = importlib.util.spec_from_file_location('benchmark_deploy', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


def test_it_prints_a_row_for_each_engine_and_writes_numbers_and_a_picture(
    benchmark, capsys, tmp_path
):
    file = tmp_path / 'tiny.onnx'
    write_quickly(StockDetectorGraph(tiny_detector('YOLOX'), tiny_config('YOLOX')), file)
    cv2.imwrite(str(tmp_path / 'picture.png'), images(1)[0])
    quick = ['--batch-sizes', '1', '2', '--threads', '1', '--rounds', '1', '--no-reference']
    pictures = ['--images', str(tmp_path / 'picture.png'), '--runtimes', 'onnxruntime']
    benchmark([str(file), *quick, *pictures, '--out', str(tmp_path / 'out')])
    printed = capsys.readouterr().out
    assert '1 images; 1 rounds' in printed
    assert printed.count('tiny, not decoded') == 2
    written = json.loads((tmp_path / 'out/deploy.json').read_text())
    engines = [(row['model'], row['batch']) for row in written['timings']]
    whole, part = 'tiny', 'tiny, not decoded'
    assert engines == [(whole, 1), (whole, 2), (part, 1), (part, 2)]
    assert cv2.imread(str(tmp_path / 'out/deploy.png')) is not None


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        (['--batch-sizes', '0'], 'argument --batch-sizes: 0 is no whole number of 1 or more'),
        (['--config', 'a.py'], '--config and --checkpoint go together'),
        (['--no-reference'], 'there is no file missing.onnx: tools/export.py writes one'),
    ],
)
def test_what_cannot_be_measured_is_said_in_one_sentence(benchmark, capsys, options, sentence):
    with pytest.raises(SystemExit):
        benchmark(['missing.onnx', *options])
    assert f'error: {sentence}' in capsys.readouterr().err
