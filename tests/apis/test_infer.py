"""What the command does: files, a summary, a clean end whatever happens."""

import csv
import json
import os
import re
import signal
import sys
import threading
from contextlib import contextmanager

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import DefaultScope, init_default_scope
from mmengine.visualization import Visualizer
from rich.console import Console

from mmdet_ext.apis import infer as infer_module
from mmdet_ext.apis import torch_engine
from mmdet_ext.apis.infer import Inferred, infer
from mmdet_ext.apis.stock_inference import finds_parking_slots
from mmdet_ext.apis.torch_engine import TorchEngine
from mmdet_ext.structures.predictions import ParkingSlotPredictions

STOCK = """
default_scope = 'mmdet'
model = dict(
    type='FCOS',
    data_preprocessor=dict(type='DetDataPreprocessor', pad_size_divisor=32),
    backbone=dict(type='ResNet', depth=18, num_stages=1, strides=(1,), dilations=(1,), out_indices=(0,)),
    neck=dict(type='FPN', in_channels=[64], out_channels=8, num_outs=1),
    bbox_head=dict(
        type='FCOSHead', num_classes=2, in_channels=8, feat_channels=8, stacked_convs=1, strides=[8],
        regress_ranges=((-1, 100000000.0),), norm_cfg=None),
    test_cfg=dict(nms_pre=10, score_thr=0.0, nms=dict(type='nms', iou_threshold=0.5), max_per_img=3))
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(64, 64), keep_ratio=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
test_dataloader = dict(dataset=dict(
    type='CocoDataset', ann_file='none.json', metainfo=dict(classes=('car', 'van')), pipeline=test_pipeline))
visualizer = dict(type='DetLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')])
"""


class FakeEngine:
    """Finds a slot in every image that is not black, and tells after every batch how many it saw."""

    classes, palette = ('a', 'b'), [(0, 0, 255), (0, 255, 0)]

    def __init__(self):
        self.after, self.images, self.lock = lambda images: None, 0, threading.Lock()

    def prepare(self, image):
        return image

    def predict(self, batch):
        with self.lock:
            self.images += len(batch)
            images = self.images
        self.after(images)
        return [self._found(int(image.max() > 9)) for image in batch]

    @staticmethod
    def _found(count):
        corners = np.array([[[10, 30], [30, 30], [30, 10], [10, 10]]] * count, np.float32)
        one, points = np.ones(count, np.float32), np.zeros((0, 2), np.float32)
        return ParkingSlotPredictions(
            corners.reshape(-1, 4, 2), np.zeros(count, int), one, 0 * one, points, points[:, 0]
        )

    @contextmanager
    def shared_threads(self):
        yield 2


@pytest.fixture(autouse=True)
def own_scope(monkeypatch):
    monkeypatch.setattr(DefaultScope, '_instance_dict', type(DefaultScope._instance_dict)())


@pytest.fixture
def engine(monkeypatch, tmp_path):
    """Stands in for the network of the default config, in an empty current folder."""
    fake = FakeEngine()
    cfg = Config(dict(model=dict(type='ParkingSlotDetector')))
    monkeypatch.setattr(torch_engine, 'find_model', lambda *_: (cfg, 'ready.pth'))
    monkeypatch.setattr(TorchEngine, 'load', lambda *_: fake)
    monkeypatch.chdir(tmp_path)
    return fake


def write_images(folder, *levels):
    folder.mkdir(exist_ok=True)
    for i, level in enumerate(levels):
        cv2.imwrite(str(folder / f'{i}.png'), np.full((40, 40, 3), level, np.uint8))
    return folder


def write_video(path, frames):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), 10, (40, 40))
    for _ in range(frames):
        writer.write(np.full((40, 40, 3), 99, np.uint8))
    writer.release()
    return path


def frames_of(path):
    video, count = cv2.VideoCapture(str(path)), 0
    while video.read()[0]:
        count += 1
    return count


def test_broken_images_are_skipped_counted_and_named_and_the_rest_is_done(engine, tmp_path):
    folder = write_images(tmp_path / 'in', 50, 60, 70)
    (folder / '1.png').write_bytes((folder / '1.png').read_bytes()[:50])
    (folder / '3.jpg').touch()
    done = infer(str(folder), out_dir='out')
    assert (done.frames, done.found, done.total, list(done.skipped)) == (
        2,
        2,
        4,
        ['1.png', '3.jpg'],
    )
    *skipped, last = done.lines()
    assert skipped == [
        f'skipped: 1.png: {folder}/1.png (50 bytes) is truncated: copy the file again.',
        f'skipped: 3.jpg: {folder}/3.jpg (0 bytes) cannot be decoded as an image: copy the file again.',
    ]
    assert re.fullmatch(r'images: 2 \(2 skipped\), slots: 2, [\d.]+ images/s', last)
    assert sorted(os.listdir('out/pictures')) == ['0.png', '2.png']
    content = json.loads((tmp_path / 'out/predictions.json').read_text())
    assert [image['file_name'] for image in content['images']] == ['0.png', '2.png']
    assert content['info']['description'] == 'predictions of ready.pth'


def test_more_skipped_images_than_a_screen_holds_are_counted():
    done = Inferred('slots', 40, skipped={f'{i}.png': 'broken' for i in range(13)})
    assert done.lines(2)[:3] == [
        'skipped: 0.png: broken',
        'skipped: 1.png: broken',
        'skipped: 11 more',
    ]


def test_nothing_readable_is_an_error_and_leaves_no_results(engine, tmp_path):
    folder = write_images(tmp_path / 'in')
    for name in 'ab':
        (folder / f'{name}.jpg').write_text('no image')
    with pytest.raises(
        ValueError, match=r'none of 2 images could be read; the first, a.jpg: .*a.jpg'
    ):
        infer(str(folder), out_dir='out')
    assert os.listdir('out') == []
    with pytest.raises(ValueError, match=r'^\S+/a.jpg \(8 bytes\) cannot be decoded as an image'):
        infer(str(folder / 'a.jpg'), out_dir='out')
    with pytest.raises(ValueError, match='camera 97 cannot be opened'):
        infer('97', out_dir='out')


def test_nothing_found_is_a_result(engine, tmp_path):
    done = infer(str(write_images(tmp_path / 'in', 0)), out_dir='out')
    assert (done.frames, done.found) == (1, 0)
    content = json.loads((tmp_path / 'out/predictions.json').read_text())
    assert (len(content['images']), content['annotations']) == (1, [])
    assert len((tmp_path / 'out/predictions.csv').read_text().splitlines()) == 1
    assert cv2.imread('out/pictures/0.png') is not None


def test_a_second_run_does_not_look_at_the_results_of_the_first(engine, tmp_path):
    write_images(tmp_path, 50, 60)
    for _ in range(2):
        assert infer('.', out_dir='out').frames == 2


def test_pictures_are_left_out_on_request(engine, tmp_path):
    write_images(tmp_path / 'in', 50)
    write_video(tmp_path / 'in/clip.mp4', 3)
    done = infer('in', out_dir='out', pictures=False)
    assert (done.frames, done.total) == (4, 4)
    assert sorted(os.listdir('out')) == ['predictions.csv', 'predictions.json']


def test_images_and_videos_of_a_folder_each_get_theirs(engine, tmp_path):
    write_images(tmp_path / 'in', 50)
    write_video(tmp_path / 'in/clip.mp4', 11)
    done = infer('in', out_dir='out', metres_per_pixel=0.1, batch_size=3)
    assert (done.frames, done.found) == (12, 12)
    assert frames_of('out/pictures/clip.mp4') == 11
    rows = list(csv.DictReader((tmp_path / 'out/predictions.csv').open()))
    assert [row['frame'] for row in rows] == ['', *map(str, range(11))]
    assert {row['entrance_width_m'] for row in rows} == {'2.0'}


def test_no_more_frames_than_asked_for(engine, tmp_path):
    write_video(tmp_path / 'clip.mp4', 11)
    done = infer('clip.mp4', out_dir='out', max_frames=5)
    assert (done.frames, done.total, frames_of('out/pictures/clip.mp4')) == (5, 5, 5)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_whole_files_of_all_frames_done(engine, tmp_path, number):
    write_video(tmp_path / 'clip.mp4', 200)
    before = signal.getsignal(number)
    engine.after = lambda images: images == 24 and os.kill(os.getpid(), number)
    done = infer('clip.mp4', out_dir='out')
    assert done.stopped_by == number
    assert 24 <= done.frames < 100
    assert done.lines()[0] == f'stopped by {number.name} after {done.frames} of 200 images'
    content = json.loads((tmp_path / 'out/predictions.json').read_text())
    assert [image['frame_id'] for image in content['images']] == list(range(done.frames))
    assert len((tmp_path / 'out/predictions.csv').read_text().splitlines()) == 1 + done.frames
    assert frames_of('out/pictures/clip.mp4') == done.frames
    assert signal.getsignal(number) == before


def test_an_error_on_the_way_leaves_whole_files_of_all_frames_done(engine, tmp_path):
    def fail(images):
        if images == 40:
            raise ValueError('the network is on fire')

    write_video(tmp_path / 'clip.mp4', 200)
    engine.after = fail
    with pytest.raises(ValueError, match='the network is on fire'):
        infer('clip.mp4', out_dir='out')
    done = frames_of('out/pictures/clip.mp4')
    assert done in (24, 32, 40)  # it was one of two batches side by side
    assert len(json.loads((tmp_path / 'out/predictions.json').read_text())['images']) == done


def test_without_a_terminal_progress_is_a_line_now_and_then(engine, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(infer_module, '_LINES_EVERY', 0.0)
    infer(str(write_images(tmp_path / 'in', 1, 2, 3)), out_dir='out')
    lines = capsys.readouterr().err.splitlines()
    assert [re.sub(r'[\d.]+ images/s', 'R', line) for line in lines] == [
        f'{i}/3 images, R' for i in (1, 2, 3)
    ]


def test_in_a_terminal_progress_is_a_bar_with_the_rate(engine, tmp_path, monkeypatch, capsys):
    terminal = Console(file=sys.stdout, force_terminal=True, width=80)
    monkeypatch.setattr(infer_module, 'Console', lambda **_: terminal)
    infer(str(write_images(tmp_path / 'in', 1, 2, 3)), out_dir='out')
    assert re.search(r'3/3.*\d images/s', capsys.readouterr().out)


def test_showing_needs_a_display_and_says_so_first(engine, monkeypatch):
    monkeypatch.setattr('matplotlib.pyplot.get_backend', lambda: 'agg')
    with pytest.raises(ValueError, match='show needs a display, and there is none here'):
        infer('nowhere.jpg', show=True)


def test_pictures_are_shown_until_a_key_and_frames_for_a_moment(engine, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr('matplotlib.pyplot.get_backend', lambda: 'qtagg')
    show = lambda self, image, **options: shown.append(options)  # noqa: E731 (a method)
    monkeypatch.setattr(Visualizer, 'show', show)
    write_images(tmp_path / 'in', 50)
    write_video(tmp_path / 'in/clip.mp4', 2)
    infer('in', out_dir='out', show=True)
    moment = dict(win_name='clip.mp4', wait_time=0.001)
    assert shown == [dict(win_name='0.png'), moment, moment]


def test_a_detector_of_anything_else_is_run_by_mmdet(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'stock.py').write_text(STOCK)
    cfg = Config.fromfile('stock.py')
    assert not finds_parking_slots(cfg)
    init_default_scope('mmdet')
    torch.manual_seed(0)
    meta = dict(dataset_meta=dict(classes=('car', 'van'), palette=[(9, 9, 9), (8, 8, 8)]))
    torch.save(dict(state_dict=MODELS.build(cfg.model).state_dict(), meta=meta), 'stock.pth')
    write_images(tmp_path / 'in', 50)
    write_images(tmp_path / 'in/sub', (200, 100, 50))  # BGR
    (tmp_path / 'in/broken.png').touch()
    write_video(tmp_path / 'in/clip.mp4', 2)
    done = infer('in', 'stock.py', 'stock.pth', out_dir='out', score_thr=0, device='cpu')
    assert (done.frames, list(done.skipped)) == (4, ['broken.png'])
    content = json.loads((tmp_path / 'out/predictions.json').read_text())
    assert list(content) == ['0.png', 'clip.mp4/000000', 'clip.mp4/000001', 'sub/0.png']
    assert done.found == sum(len(each['bboxes']) for each in content.values()) > 0
    drawn = cv2.imread('out/pictures/sub/0.png')
    assert drawn.shape == (40, 40, 3)
    np.testing.assert_allclose(np.median(drawn, (0, 1)), (200, 100, 50), atol=60)
    assert frames_of('out/pictures/clip.mp4') == 2
    torch.save(dict(state_dict=dict(x=torch.zeros(1))), 'other.pth')
    with pytest.raises(ValueError, match='is of another architecture'):
        infer('in', 'stock.py', 'other.pth', out_dir='out')


def test_a_config_without_a_model_gets_a_sentence():
    with pytest.raises(ValueError, match='the config has no `model`: name one'):
        finds_parking_slots(Config(dict(a=1)))
