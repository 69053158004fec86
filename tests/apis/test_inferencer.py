"""The Python face: the same predictions as testing, in order, whatever is looked at."""

import threading
import time
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import DefaultScope, init_default_scope

from mmdet_ext.apis import ParkingSlotInferencer, ready_checkpoint, torch_engine
from mmdet_ext.apis.frame_sources import FrameSource, open_frames
from mmdet_ext.apis.inference_benchmark import benchmark_inference_on_files
from mmdet_ext.apis.torch_engine import TorchEngine, find_model
from mmdet_ext.structures.predictions import ParkingSlotPredictions

ROOT = Path(__file__).parents[2]
CONFIG = f"""
_base_ = '{ROOT}/configs/ext/psd_yolo.py'
test_pipeline = _base_.test_pipeline
test_pipeline[2].size = (64, 64)
"""


@pytest.fixture(autouse=True)
def own_scope(monkeypatch):
    monkeypatch.setattr(DefaultScope, '_instance_dict', type(DefaultScope._instance_dict)())


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A config, and a checkpoint of random weights that find something everywhere."""
    folder = tmp_path_factory.mktemp('trained')
    config, checkpoint = folder / 'small.py', folder / 'small.pth'
    config.write_text(CONFIG)
    cfg = Config.fromfile(config)
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    for branch in (model.bbox_head.point_branch, model.bbox_head.slot_branch):
        torch.nn.init.normal_(branch[-1].weight, std=0.2)
    model.bbox_head.slot_branch[-1].weight.data[1:] *= 0.02
    slot = [0.5, 0, 0, 0.1, 0, 0, 1, -1, 0, 0, 0, 0]  # 13 px wide, 24 px deep
    model.bbox_head.slot_branch[-1].bias.data = torch.tensor(slot)
    model.bbox_head.point_branch[-1].bias.data[0] = 0.5
    for module in model.modules():
        module.momentum = 1.0  # of batch norms: take the statistics of what comes now
    with torch.no_grad():
        model.train()(torch.randn(4, 3, 64, 64), mode='tensor')
    torch.save(dict(state_dict=model.state_dict(), meta=dict(cfg=cfg.pretty_text)), checkpoint)
    return str(config), str(checkpoint)


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    """Noise of several sizes."""
    folder, random = tmp_path_factory.mktemp('images'), np.random.default_rng(0)
    for i in range(7):
        size = (60 + 10 * i, 90 - 5 * i, 3)
        cv2.imwrite(str(folder / f'{i}.png'), random.integers(0, 256, size, np.uint8))
    return folder


class FakeEngine:
    """Finds one slot per image, whose left entrance corner tells the colour of the image."""

    classes, palette = ('a',), [(0, 0, 255)]

    def __init__(self, workers=1, seconds=lambda value: 0):
        self.workers, self.seconds, self.sizes = workers, seconds, []

    def prepare(self, image):
        return int(image[0, 0, 0])

    def predict(self, batch):
        self.sizes.append(len(batch))
        time.sleep(self.seconds(batch[0]))
        return [self._found(value) for value in batch]

    @staticmethod
    def _found(value):
        corners = np.array([[[value, 9], [9, 9], [9, 2], [2, 2]]], np.float32)
        one, label = np.ones(1, np.float32), np.zeros(1, int)
        return ParkingSlotPredictions(corners, label, 0.8 * one, one, corners[0, :1], 0.3 * one)

    @contextmanager
    def shared_threads(self):
        yield self.workers


def values(results):
    return [round(float(each.corners[0, 0, 0])) for each in results]


def grey(*levels):
    return [np.full((12, 16, 3), level, np.uint8) for level in levels]


def test_predictions_are_those_of_testing_in_pixels_of_each_image(trained, images):
    config, checkpoint = trained
    cfg = Config.fromfile(config)
    init_default_scope('mmdet')
    model = MODELS.build(cfg.model).eval()
    model.load_state_dict(torch.load(checkpoint, weights_only=True)['state_dict'])
    pipeline = Compose([step for step in cfg.test_pipeline if 'Annotations' not in step['type']])
    got = ParkingSlotInferencer(config, checkpoint)(str(images), batch_size=3, score_thr=0.1)
    assert got['names'] == [f'{i}.png' for i in range(7)]
    for name, prediction in zip(got['names'], got['predictions'], strict=True):
        item = pipeline(dict(img_path=str(images / name), img_id=0))
        with torch.no_grad():
            (sample,) = model.test_step(pseudo_collate([item]))
        slots, points = sample.pred_instances, sample.pred_marking_points
        slots, points = slots[slots.scores >= 0.1], points[points.scores >= 0.1]
        for ours, theirs in (
            (prediction.corners, slots.corners),
            (prediction.scores, slots.scores),
            (prediction.occupied_scores, slots.occupied_scores),
            (prediction.labels, slots.labels),
            (prediction.points, points.points),
            (prediction.point_scores, points.scores),
            (prediction.directions, points.directions),
            (prediction.shapes, points.shapes),
        ):
            np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-3, atol=1e-2)
        assert (np.diff(prediction.scores) <= 0).all()
    assert sum(len(each.scores) for each in got['predictions']) > 5


def test_half_precision_finds_the_same_within_its_tolerance(trained, images, monkeypatch):
    monkeypatch.setattr(torch_engine, 'has_native_bfloat16', lambda device: True)
    whole, half = (ParkingSlotInferencer(*trained, device='cpu', amp=amp) for amp in (False, True))
    image = cv2.imread(str(images / '3.png'))
    a, b = (each(image, score_thr=0)['predictions'][0] for each in (whole, half))
    np.testing.assert_allclose(a.point_scores[:5], b.point_scores[:5], atol=0.02)
    assert np.abs(a.point_scores[:5] - b.point_scores[:5]).max() > 0  # it was computed otherwise


def test_half_precision_is_refused_where_it_would_be_emulated(trained, monkeypatch):
    monkeypatch.setattr(torch_engine, 'has_native_bfloat16', lambda device: False)
    with pytest.warns(UserWarning, match='no bfloat16 of its own: it goes on in float32'):
        ParkingSlotInferencer(*trained, device='cpu', amp=True)


def test_a_checkpoint_alone_brings_its_config(trained, images):
    config, checkpoint = trained
    with_config, alone = (
        ParkingSlotInferencer(each, checkpoint)(str(images / '0.png'), score_thr=0.1)[
            'predictions'
        ][0]
        for each in (config, None)
    )
    np.testing.assert_array_equal(with_config.corners, alone.corners)
    assert len(alone.corners) > 0


@pytest.mark.parametrize(
    ('meta', 'sentence'),
    [
        ({}, 'has no config in it: name the one it was trained with'),
        (dict(cfg="import os\nos.system('true')"), 'is no plain data and could run code'),
        (dict(cfg="model = dict(type='A', x=open('y'))"), 'is no plain data and could run code'),
        (dict(cfg='model = ['), 'is no plain data and could run code'),
    ],
)
def test_the_config_of_a_checkpoint_is_data_or_refused(tmp_path, meta, sentence):
    torch.save(dict(state_dict={}, meta=meta), tmp_path / 'x.pth')
    with pytest.raises(ValueError, match=sentence):
        find_model(None, str(tmp_path / 'x.pth'))


def test_a_config_needs_its_checkpoint(trained):
    with pytest.raises(ValueError, match='is given without a checkpoint: name one'):
        find_model(trained[0], None)
    with pytest.raises(FileNotFoundError, match=r'the checkpoint nowhere\.pth does not exist'):
        find_model(trained[0], 'nowhere.pth')
    with pytest.raises(FileNotFoundError, match=r'the config nowhere\.py does not exist'):
        find_model('nowhere.py', trained[1])


def test_a_checkpoint_of_another_config_is_refused(trained):
    with pytest.raises(ValueError, match='is of another architecture'):
        ParkingSlotInferencer('ext/psd_yolo_psdet.py', trained[1])


def test_the_checkpoint_of_the_package_is_the_default(monkeypatch, tmp_path):
    monkeypatch.setattr(torch_engine, '_READY_CHECKPOINT', tmp_path / 'ready.pth')
    with pytest.raises(FileNotFoundError, match=r'comes with mmdet_ext is not at .*ready.pth'):
        ready_checkpoint()
    (tmp_path / 'ready.pth').touch()
    cfg, checkpoint = find_model(None, None)
    assert checkpoint == ready_checkpoint() == str(tmp_path / 'ready.pth')
    assert cfg.model.type == 'ParkingSlotDetector'


@pytest.mark.parametrize('device', ['cuda:77', 'gpu', 'mps'])
def test_a_device_that_is_not_there_gets_a_sentence(trained, device):
    with pytest.raises(
        ValueError, match=rf'the device {device} cannot be used \(.*\): name one of cpu'
    ):
        ParkingSlotInferencer(*trained, device=device)


def test_what_was_never_trained_is_not_predicted(trained, images):
    cfg = Config.fromfile(trained[0])
    init_default_scope('mmdet')
    meta = dict(label_kinds=('marking_points',), classes=('x', 'y', 'z'))
    engine = TorchEngine(MODELS.build(cfg.model), cfg, meta)
    (found,) = engine.predict([engine.prepare(cv2.imread(str(images / '0.png')))])
    assert (found.directions, found.shapes, engine.classes) == (None, None, ('x', 'y', 'z'))


def test_slots_that_are_no_numbers_are_none(trained, images):
    cfg = Config.fromfile(trained[0])
    init_default_scope('mmdet')
    model = MODELS.build(cfg.model)
    torch.nn.init.constant_(model.bbox_head.slot_branch[-1].bias, 200.0)  # a depth of exp(200)
    engine = TorchEngine(model, cfg)
    (found,) = engine.predict([engine.prepare(cv2.imread(str(images / '0.png')))])
    assert np.isfinite(found.corners).all()


def test_the_number_of_threads_is_as_before(trained):
    engine, before = ParkingSlotInferencer(*trained, device='cpu').engine, torch.get_num_threads()
    torch.set_num_threads(3)
    with engine.shared_threads() as workers:
        assert (workers, torch.get_num_threads(), cv2.getNumThreads()) == (3, 1, 1)
    assert torch.get_num_threads() == 3
    torch.set_num_threads(before)


def test_results_come_in_order_however_many_threads_work():
    engine = FakeEngine(8, seconds=lambda value: 0.002 * (5 - value % 5))
    got = ParkingSlotInferencer(engine=engine)(grey(*range(100)), batch_size=2)
    assert values(got['predictions']) == list(range(100))
    assert engine.sizes == [2] * 50


def test_everything_is_returned_and_written_if_asked_for(tmp_path):
    inputs = [*grey(3), np.zeros((2, 2, 2), np.uint8), *grey(5)]
    got = ParkingSlotInferencer(engine=FakeEngine())(inputs, out_dir=tmp_path, return_vis=True)
    assert got['names'] == ['array_000000', 'array_000002']
    assert values(got['predictions']) == [3, 5]
    assert [picture.dtype for picture in got['visualization']] == [np.uint8] * 2
    assert list(got['skipped']) == ['array_000001']
    assert got['skipped']['array_000001'].startswith('array_000001 has shape (2, 2, 2)')
    written = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob('*.*'))
    assert written == [
        'pictures/array_000000.jpg',
        'pictures/array_000002.jpg',
        'predictions.csv',
        'predictions.json',
    ]


def test_pictures_are_drawn_only_if_asked_for():
    inferencer = ParkingSlotInferencer(engine=FakeEngine())
    assert inferencer(grey(3))['visualization'] == []
    (frame,) = inferencer.stream(grey(3), draw=True)
    assert (frame.picture[..., 2] > frame.picture[..., 0]).any()  # the slot's blue, in RGB


def test_scores_below_the_least_one_are_left_out():
    inferencer = ParkingSlotInferencer(engine=FakeEngine())  # a slot of 0.8 and a point of 0.3
    for least, expected in ((0.2, (1, 1)), (0.5, (1, 0)), (0.9, (0, 0))):
        (found,) = inferencer(grey(3), score_thr=least)['predictions']
        assert (len(found.scores), len(found.point_scores)) == expected


def test_a_stream_is_read_as_far_as_it_is_asked_for():
    inferencer, read = ParkingSlotInferencer(engine=FakeEngine()), []
    endless = open_frames(grey(*range(200)))
    endless.frames = (read.append(frame) or frame for frame in endless.frames)
    stream = inferencer.stream(endless, batch_size=2)
    assert values(frame.predictions for frame in islice(stream, 10)) == list(range(10))
    stream.close()
    assert len(read) <= 20
    few = inferencer.stream(grey(*range(200)), max_frames=5, batch_size=2)
    assert values(frame.predictions for frame in few) == [0, 1, 2, 3, 4]


def test_stopping_finishes_what_was_read():
    stop, inferencer = threading.Event(), ParkingSlotInferencer(engine=FakeEngine())
    stream = inferencer.stream(grey(*range(200)), batch_size=2, stop=stop)
    got = [next(stream)]
    stop.set()
    got += stream
    assert values(frame.predictions for frame in got) == list(range(len(got)))
    assert 2 <= len(got) < 20


def test_a_camera_is_looked_at_frame_by_frame():
    engine, arrays = FakeEngine(), open_frames(grey(1, 2, 3))
    live = FrameSource(arrays.frames, None, live=True, folder=None)
    assert len(list(ParkingSlotInferencer(engine=engine).stream(live))) == 3
    assert engine.sizes == [1, 1, 1]


def test_what_is_skipped_is_warned_of_unless_somebody_listens(tmp_path):
    (tmp_path / 'broken.jpg').write_text('no image')
    with pytest.warns(UserWarning, match=r'broken.jpg is skipped: .* cannot be decoded'):
        assert list(ParkingSlotInferencer(engine=FakeEngine()).stream(str(tmp_path))) == []


def test_the_resolution_of_an_image_goes_before_the_one_given(tmp_path):
    inferencer = ParkingSlotInferencer(engine=FakeEngine())
    (frame,) = inferencer.stream(grey(3), metres_per_pixel=0.02)
    assert frame.metres_per_pixel == 0.02


@pytest.mark.parametrize(
    ('option', 'sentence'),
    [
        (dict(batch_size=0), 'the batch size is 0: give a number from 1 up'),
        (dict(score_thr=40), 'the least score is 40: give a number from 0 to 1'),
        (dict(metres_per_pixel=-1), 'metres per pixel is -1: give the length'),
    ],
)
def test_an_option_out_of_range_gets_a_sentence(option, sentence):
    with pytest.raises(ValueError, match=sentence):
        ParkingSlotInferencer(engine=FakeEngine())(grey(1), **option)


def test_the_benchmark_compares_whole_runs_with_the_network(tmp_path):
    for i in range(40):
        cv2.imwrite(str(tmp_path / f'{i}.png'), grey(i)[0])
    engine = FakeEngine(seconds=lambda value: 0.008)  # 1 ms per image
    speed = benchmark_inference_on_files(ParkingSlotInferencer(engine=engine), tmp_path, 8, 1)
    assert 200 < speed.forward < 1000  # never more; how much less, the machine knows
    assert speed.end_to_end < 1000
    assert speed.ratio == pytest.approx(speed.end_to_end / speed.forward)
