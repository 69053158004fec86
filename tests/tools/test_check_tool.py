"""tools/dataset/check.py: the exit code says whether training makes sense; train.py asks first."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

CARS = """
train_dataloader['dataset'] = dict(
    type='CocoDataset', ann_file='train.json', metainfo=dict(classes=('car',)), pipeline=[])
"""


@pytest.fixture
def check(tool):
    return tool('dataset/check').main


@pytest.fixture
def train_file(tmp_path, monkeypatch):
    """Write a file of one car, with its image, into the current folder."""
    monkeypatch.chdir(tmp_path)

    def write(**changes):
        noise = np.random.default_rng(0).integers(0, 256, (8, 10, 3), np.uint8)
        cv2.imwrite('a.png', cv2.resize(noise, (100, 80)))
        car = {'id': 1, 'image_id': 1, 'category_id': 1, 'bbox': [1, 2, 30, 40], 'area': 1200}
        content = {
            'images': [{'id': 1, 'file_name': 'a.png', 'width': 100, 'height': 80}],
            'categories': [{'id': 1, 'name': 'car'}],
            'annotations': [car | changes],
        }
        Path('train.json').write_text(json.dumps(content))
        return 'train.json'

    return write


def test_sound_data_exit_with_0(check, train_file, capsys):
    assert check([train_file(), '--workers', '1']) == 0
    assert 'Training makes sense: 0 errors, 0 warnings.' in capsys.readouterr().out


def test_warnings_alone_exit_with_0(check, train_file, capsys):
    assert check([train_file(id=0), '--images', 'none']) == 0
    out = capsys.readouterr().out
    assert 'warning train.json: 1 of 1 annotations have the id 0' in out
    assert '1 warning.' in out


def test_errors_exit_with_1_and_say_where_and_what_to_do(check, train_file, capsys):
    assert check([train_file(bbox=[1, 2, 3]), '--images', 'none']) == 1
    out = capsys.readouterr().out
    assert 'annotations[0] (id 1, a.png) with bbox [1, 2, 3]' in out
    assert 'write [x, y, width, height]' in out
    assert 'Training makes no sense yet' in out


def test_the_config_names_the_files_and_its_options_can_be_overridden(
    check, train_file, config, capsys
):
    train_file()
    name = config(CARS)
    assert check(['--config', name, '--workers', '1']) == 0
    option = 'train_dataloader.dataset.metainfo.classes=car'
    assert check(['--config', name, '--images', 'none', '--cfg-options', option]) == 1
    assert "add the comma: `classes=('car',)`" in capsys.readouterr().out


def test_the_report_is_written(check, train_file):
    assert check([train_file(), '--workers', '1', '--report', 'out/report.html']) == 0
    assert 'data:image/png' in Path('out/report.html').read_text()


def test_mistakes_on_the_command_line_end_with_a_sentence(check, train_file, error_of):
    train_file()
    assert 'ending in .html or .png' in error_of(check, 'train.json', '--report', 'r.pdf')
    assert 'no.py does not exist' in error_of(check, 'train.json', '--config', 'no.py')
    assert 'image folder no does not exist' in error_of(check, 'train.json', '--images', 'no')
    assert 'no annotation file to check' in error_of(check)


def test_training_does_not_start_on_data_with_errors(tool, train_file, config, capsys):
    train_file(bbox=None)
    with pytest.raises(SystemExit) as stop:
        tool('train').main([config(CARS)])
    assert stop.value.code == 1
    assert 'error: train.json: 1 of 1 annotations have no `bbox`' in capsys.readouterr().err
    assert not list(Path('work_dirs').rglob('*.pth'))
