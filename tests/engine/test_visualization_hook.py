"""Pictures of a run: which images, under which names, with which steps."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from mmengine.visualization import Visualizer
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mmdet_ext.engine.hooks import ParkingSlotVisualizationHook
from mmdet_ext.visualization import ParkingSlotVisualizer


class Recorder:
    """Visualizer that keeps what it is given."""

    def __init__(self):
        self.calls = []

    def add_datasample(self, name, image, **kwargs):
        self.calls.append((name, image, kwargs))


@pytest.fixture
def recorder(monkeypatch):
    recorder = Recorder()
    monkeypatch.setattr(Visualizer, 'get_current_instance', lambda: recorder)
    return recorder


@pytest.fixture
def samples(tmp_path):
    """Six samples of two sequences with the same file names."""
    made = []
    for i in range(6):
        path = tmp_path / f'sequence{i // 3}' / f'{i % 3:06d}.png'
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), np.full((40, 40, 3), (0, 0, 10 * i), np.uint8))  # BGR
        made.append(DetDataSample(metainfo=dict(img_path=str(path), img_id=i)))
    return made


def make_runner(tmp_path, iteration=120):
    loop = object()  # it has been built
    return SimpleNamespace(
        iter=iteration, work_dir=str(tmp_path), timestamp='now', _train_loop=loop
    )


def validate(hook, samples, runner):
    for batch in range(3):
        outputs = samples[2 * batch : 2 * batch + 2]
        hook.after_val_iter(runner, batch, dict(inputs=[]), outputs)


def test_by_default_a_few_validation_images_are_logged(recorder, samples, tmp_path):
    hook = ParkingSlotVisualizationHook()
    for batch in range(60):
        hook.after_val_iter(make_runner(tmp_path), batch, dict(inputs=[]), samples[:1])
    assert 1 < len(recorder.calls) <= 4


def test_the_first_images_of_every_few_batches_are_logged(recorder, samples, tmp_path):
    hook = ParkingSlotVisualizationHook(interval=2, score_thr=0.25)
    validate(hook, samples, make_runner(tmp_path))
    names = [name for name, _, _ in recorder.calls]
    assert names == ['val_000000_000000', 'val_000004_000001']
    _, image, kwargs = recorder.calls[1]
    assert (image == (40, 0, 0)).all()  # RGB
    assert kwargs['data_sample'] is samples[4]
    assert (kwargs['step'], kwargs['pred_score_thr'], kwargs['show']) == (120, 0.25, False)


def test_a_run_that_only_tests_does_not_ask_for_the_training_set(recorder, samples):
    class Tests:
        _train_loop = dict(type='EpochBasedTrainLoop')

        @property
        def iter(self):
            raise FileNotFoundError(
                'train.json'
            )  # mmengine builds the loop, and the set, to answer

    hook = ParkingSlotVisualizationHook(interval=1, max_images=1)
    hook.after_test_iter(Tests(), 0, dict(inputs=[]), samples[:1])
    hook.after_val_iter(Tests(), 0, dict(inputs=[]), samples[:1])
    assert [kwargs['step'] for _, _, kwargs in recorder.calls] == [0, 0]


def test_every_validation_logs_the_same_images(recorder, samples, tmp_path):
    hook = ParkingSlotVisualizationHook(interval=1, max_images=2)
    for iteration in (7, 14):
        validate(hook, samples, make_runner(tmp_path, iteration))
    logged = [(name, kwargs['step']) for name, _, kwargs in recorder.calls]
    first, second = 'val_000000_000000', 'val_000002_000002'
    assert logged == [(first, 7), (second, 7), (first, 14), (second, 14)]


@pytest.mark.parametrize('kwargs', [dict(draw=False), dict(draw=False, test_out_dir='x')])
def test_nothing_is_drawn_when_drawing_is_off(recorder, samples, tmp_path, kwargs):
    hook = ParkingSlotVisualizationHook(**kwargs)
    validate(hook, samples, make_runner(tmp_path))
    hook.after_test_iter(make_runner(tmp_path), 0, dict(inputs=[]), samples)
    assert recorder.calls == []


def test_testing_into_a_folder_draws_every_image_under_a_name_of_its_own(
    recorder, samples, tmp_path
):
    hook = ParkingSlotVisualizationHook(test_out_dir='pictures')
    for batch in (samples[:4], samples[4:]):
        hook.after_test_iter(make_runner(tmp_path), 1, dict(inputs=[]), batch)
    files = [kwargs['out_file'] for _, _, kwargs in recorder.calls]
    folder = tmp_path / 'now/pictures'
    assert files == [str(folder / f'{i:06d}_{i % 3:06d}.jpg') for i in range(6)]


def test_showing_opens_every_image_and_writes_none(recorder, samples, tmp_path):
    recorder._vis_backends = {}
    with pytest.warns(UserWarning, match='without storing data'):
        hook = ParkingSlotVisualizationHook(show=True, wait_time=2)
    hook.after_test_iter(make_runner(tmp_path), 1, dict(inputs=[]), samples)
    assert [name for name, _, _ in recorder.calls][:2] == ['000000_000000', '000001_000001']
    kwargs = recorder.calls[-1][2]
    assert (kwargs['show'], kwargs['wait_time'], kwargs['out_file']) == (True, 2, None)


def test_testing_without_either_logs_a_few_as_validation_does(recorder, samples, tmp_path):
    hook = ParkingSlotVisualizationHook(interval=2)
    for batch in range(3):
        hook.after_test_iter(make_runner(tmp_path), batch, dict(inputs=[]), samples[batch:])
    assert [name for name, _, _ in recorder.calls] == ['test_000000_000000', 'test_000002_000002']


@pytest.mark.parametrize('augmented', [False, True])
def test_a_scene_without_a_file_is_shown_as_the_network_saw_it(recorder, tmp_path, augmented):
    scene = np.zeros((40, 60, 3), np.uint8)  # BGR
    scene[5:20, 10:30] = (200, 100, 50)
    seen = cv2.warpAffine(scene, np.array([[1.0, 0, 7], [0, 1, 3]]), (80, 64))
    inputs = [torch.from_numpy(seen).permute(2, 0, 1)]
    sample = DetDataSample(
        metainfo=dict(
            img_path='scene/000000',
            img_id=0,
            ori_shape=(40, 60),
            homography_matrix=np.array([[1.0, 0, 7], [0, 1, 3], [0, 0, 1]]),
        )
    )
    data_batch = dict(inputs=[inputs, inputs] if augmented else inputs)
    hook = ParkingSlotVisualizationHook()
    hook.after_val_iter(make_runner(tmp_path), 0, data_batch, [sample])
    np.testing.assert_array_equal(recorder.calls[0][1], scene[..., ::-1])


def test_pictures_reach_the_local_folder_and_tensorboard(monkeypatch, samples, tmp_path):
    visualizer = ParkingSlotVisualizer(
        name='run',
        vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')],
        save_dir=str(tmp_path),
    )
    monkeypatch.setattr(Visualizer, 'get_current_instance', lambda: visualizer)
    hook = ParkingSlotVisualizationHook(interval=2)
    for sample in samples:
        sample.pred_instances = InstanceData(
            corners=torch.zeros(0, 4, 2),
            labels=torch.zeros(0).long(),
            scores=torch.zeros(0),
            occupied_scores=torch.zeros(0),
        )
        sample.pred_marking_points = InstanceData(
            points=torch.tensor([[20.0, 20]]),
            scores=torch.ones(1),
            directions=torch.ones(1, 2),
            shapes=torch.zeros(1).long(),
        )
    for iteration in (3, 6):
        validate(hook, samples, make_runner(tmp_path, iteration))
    visualizer.close()
    names = ('val_000000_000000', 'val_000004_000001')
    written = sorted(path.name for path in tmp_path.glob('**/vis_image/*.png'))
    assert written == [f'{name}_{step}.png' for name in names for step in (3, 6)]
    log = EventAccumulator(str(tmp_path / 'vis_data'), size_guidance=dict(images=0)).Reload()
    assert {tag: [entry.step for entry in log.Images(tag)] for tag in log.Tags()['images']} == {
        name: [3, 6] for name in names
    }
