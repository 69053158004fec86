"""The benchmark of training speed: one difference each, fair turns, known figures."""

import io
import sys
import time

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from rich.console import Console
from torch import nn
from torch.utils.data import DataLoader

from mmdet_ext.apis import speed_benchmark, speed_references
from mmdet_ext.apis.run import load_config
from mmdet_ext.apis.speed_benchmark import (
    MEASURES,
    SpeedReport,
    TrainingSpeed,
    benchmark_speed,
    speed_tables,
    stock_config,
)
from mmdet_ext.apis.speed_references import decoding_milliseconds, matrix_peak, training_flops


@pytest.fixture(scope='module')
def default():
    return load_config('ext/psd_yolo.py')


def differences(one, other, place=''):
    """Dotted keys of values that differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = [*one, *(key for key in other if key not in one)]
        found = (differences(one.get(k), other.get(k), f'{place}.{k}'.lstrip('.')) for k in keys)
        return set().union(*found)
    return set() if one == other else {place}


def test_the_stock_setting_undoes_what_is_on_by_default_and_nothing_else(default):
    before = default.to_dict()
    stock = stock_config(default)
    assert default.to_dict() == before
    assert stock.optim_wrapper.type == 'OptimWrapper'
    assert 'native_only' not in stock.optim_wrapper
    assert stock.optim_wrapper.optimizer == dict(type='AdamW', lr=5e-3, weight_decay=0.05)
    assert stock.optim_wrapper.clip_grad == default.optim_wrapper.clip_grad
    assert stock.train_dataloader.num_workers == 2
    assert stock.train_dataloader.persistent_workers
    hooks = {hook['type'] for hook in default.custom_hooks}
    assert hooks - {hook['type'] for hook in stock.custom_hooks} == {
        'ChannelsLastHook',
        'KeepFreedMemoryHook',
    }
    assert differences(stock.to_dict(), before) <= {
        'custom_hooks',
        'optim_wrapper.type',
        'optim_wrapper.native_only',
        'optim_wrapper.optimizer.type',
        'train_dataloader.num_workers',
        'train_dataloader.persistent_workers',
    }


@pytest.mark.parametrize(
    ('name', 'keys'),
    [
        ('channels last', {'custom_hooks'}),
        ('bfloat16', {'optim_wrapper.type'}),
        ('fused optimizer', {'optim_wrapper.optimizer.type'}),
        (
            'data in the main process',
            {'train_dataloader.num_workers', 'train_dataloader.persistent_workers'},
        ),
        ('OpenCV threads', {'env_cfg.mp_cfg.opencv_num_threads'}),
        ('decoded images kept', {'keep_images'}),
        ('pinned memory', {'train_dataloader.pin_memory'}),
        (
            'pinned and non-blocking',
            {'train_dataloader.pin_memory', 'model.data_preprocessor.non_blocking'},
        ),
        ('torch.compile', {'custom_hooks'}),
    ],
)
def test_a_measure_alone_differs_from_stock_in_itself_alone(default, name, keys):
    cfg = stock_config(default)
    MEASURES[name].apply(cfg)
    assert differences(stock_config(default).to_dict(), cfg.to_dict()) == keys


def test_other_optimizers_are_fused_by_torch_itself():
    cfg = Config(dict(optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1))))
    MEASURES['fused optimizer'].apply(cfg)
    assert cfg.optim_wrapper.optimizer == dict(type='SGD', lr=0.1, fused=True)


class Step(nn.Module):
    """One convolution, trained like a detector."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 5, padding=2, bias=False)

    def train_step(self, batch, wrapper):
        self.conv(batch).sum().backward()


class SleepyImages:
    """Images that take some time each to load."""

    def __len__(self):
        return 8

    def __getitem__(self, i):
        time.sleep(0.02)
        return torch.zeros(3, 16, 16)

    def get_data_info(self, i):
        return dict(img_path=self.path)


@pytest.fixture
def sleepy(monkeypatch, tmp_path):
    """Stands in for model and data: a batch takes at least 40 ms, a step 40 ms more."""
    path = tmp_path / 'a.jpg'
    cv2.imwrite(str(path), np.zeros((16, 16, 3), np.uint8))
    monkeypatch.setattr(SleepyImages, 'path', path, raising=False)

    class Model(Step):
        def train_step(self, batch, wrapper):
            time.sleep(0.04)
            super().train_step(batch, wrapper)

    def loader(cfg):
        wanted = cfg.train_dataloader
        return DataLoader(
            SleepyImages(),
            batch_size=2,
            num_workers=wanted.num_workers,
            persistent_workers=wanted.persistent_workers,
        )

    monkeypatch.setattr(speed_benchmark, 'prepare_data', lambda cfg: None)
    monkeypatch.setattr(speed_benchmark, 'build_subject', lambda cfg: (Model(), None))
    monkeypatch.setattr(speed_benchmark, 'build_loader', loader)
    monkeypatch.setattr(speed_references, 'build_loader', loader)
    monkeypatch.setattr(speed_benchmark, 'matrix_peak', lambda dtype: 1e9)


def test_trainings_take_turns_and_waiting_for_data_shows(default, sleepy):
    report = benchmark_speed(default, ['data in the main process'], iterations=4, rounds=2)
    assert list(report.speeds) == ['stock', 'data in the main process', 'as configured']
    for speed in report.speeds.values():
        assert len(speed.rates) == 2
        assert speed.memory is None
        flops = 2 * 2 * (2 * 8 * 16 * 16) * (3 * 5 * 5)  # of a batch of two
        assert speed.share == pytest.approx(speed.rate / 2 * flops / 1e9)
    serial = report.speeds['data in the main process']
    assert max(serial.rates) <= 2 / 0.08
    assert min(serial.waiting) > 0.3
    # Workers load while the model works, but have no lead that they won in another's turn.
    assert max(report.speeds['stock'].rates) <= 2 / 0.04
    assert report.epoch_start[1] > 0.04
    assert report.decoding['OpenCV'] > 0


def test_images_that_are_kept_are_decoded_once():
    decoded = []

    def load(info):
        decoded.append(info['img_path'])
        return {**info, 'img': np.array([7]), 'img_shape': (1, 1), 'ori_shape': (1, 1)}

    class Images:
        pipeline = Config(dict(transforms=[]))

        def __len__(self):
            return 3

        def get_data_info(self, i):
            return dict(img_path=f'{i}.jpg', parking=i)

    data = Images()
    data.pipeline.transforms = [load]
    speed_benchmark._keep_images(data)
    for _ in range(2):
        result = data.pipeline.transforms[0](dict(img_path='2.jpg', parking='own'))
        assert result['parking'] == 'own'
        assert result['img'] == 7
    assert decoded == ['0.jpg', '1.jpg', '2.jpg']


def test_the_gain_is_the_median_of_ratios_of_the_same_round():
    # In the second round the machine was busy, for both alike.
    speeds = {'stock': TrainingSpeed([10, 2, 12]), 'bfloat16': TrainingSpeed([20, 4, 18])}
    assert SpeedReport(speeds, (0, 0), {}, 'CPU').gain('bfloat16') == 2


def test_the_tables_say_what_was_measured():
    speeds = {
        'stock': TrainingSpeed([10.0], [0.25], 1.5, 0.125, 0.5),
        'torch.compile': TrainingSpeed([15.0], [0.5], 1.25, 0.25, 75.0),
    }
    report = SpeedReport(speeds, (0.1, 2.5), {'OpenCV': 1.25, 'TurboJPEG': None}, 'H100')
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(speed_tables(report))
    text = console.export_text()
    rows = [line.replace('│', ' ').split() for line in text.splitlines() if '│' in line]
    assert rows == [
        ['stock', '10.0', '1.00', '25%', '12.5%', '1.50'],
        [
            'torch.compile',
            *['(first', 'iteration', '75', 's)'],
            '15.0',
            '1.50',
            '50%',
            '25.0%',
            '1.25',
        ],
        ['OpenCV', '1.25'],
        ['TurboJPEG', 'not', 'installed'],
    ]
    text = ' '.join(text.split())
    assert 'H100. The first batch of an epoch comes after 0.10 s from 2 workers' in text


def test_the_operations_of_a_step_are_those_forwards_and_of_the_weights_gradient():
    forwards = 2 * (2 * 8 * 16 * 16) * (3 * 5 * 5)  # per output a sum of so many products
    assert training_flops(Step(), None, torch.rand(2, 3, 16, 16)) == 2 * forwards


def test_the_peak_is_the_rate_of_a_matrix_product():
    matrix = torch.ones(512, 512)
    start = time.perf_counter()
    matrix @ matrix
    assert matrix_peak(torch.float32, 1) > 0.1 * 2 * 512**3 / (time.perf_counter() - start)


def test_decoders_are_timed_and_one_that_is_missing_is_none(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'turbojpeg', None)
    cv2.imwrite(str(tmp_path / 'a.jpg'), np.zeros((64, 64, 3), np.uint8))
    found = decoding_milliseconds([tmp_path / 'a.jpg'])
    assert found.pop('TurboJPEG') is None
    assert list(found) == ['OpenCV', 'Pillow', 'torchvision', 'OpenCV, half the size']
    assert all(0 < milliseconds < 1000 for milliseconds in found.values())


def test_what_cannot_be_measured_is_one_sentence(default):
    with pytest.raises(ValueError, match=r"Unknown measure 'bfloat17' \(did you mean bfloat16\?\)"):
        benchmark_speed(default, ['bfloat17'])
    cfg = load_config('ext/psd_yolo_ready.py')
    with pytest.raises(ValueError, match='is no single data set with an `ann_file`'):
        benchmark_speed(cfg)


def test_measures_of_copies_to_a_gpu_are_left_out_without_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    assert not any('pinned' in name for name in speed_benchmark._chosen(None))
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    assert speed_benchmark._chosen(None) == list(MEASURES)
