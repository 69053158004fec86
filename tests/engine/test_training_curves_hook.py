"""The training curves: rows add up to what was logged, a resumed run goes on where it stopped."""

import csv
import logging
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from mmengine.logging import MessageHub
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop

from mmdet_ext.engine.hooks import TrainingCurvesHook, training_curves_hook
from mmdet_ext.visualization.training_curves import columns_of, plot_training_curves


class Run:
    """What a runner does around the hooks: iterations with losses 1, 2, 3 and a rate of 1 / them."""

    def __init__(self, folder, start=0, hub=None, loop=EpochBasedTrainLoop):
        self.work_dir, self.iter, self.epoch = str(folder), start, start // 4
        self.message_hub = hub or MessageHub(f'curves {id(self)}')
        self.train_loop = loop.__new__(loop)
        self.logger = logging.getLogger('curves')
        self.hook = TrainingCurvesHook(interval=1e9)
        self.hook.before_train(self)

    def iterate(self, count=4):
        for _ in range(count):
            self.iter += 1
            self.message_hub.update_scalar('train/loss', float(self.iter))
            self.message_hub.update_scalar('train/lr', 1 / self.iter)

    def epoch_with(self, metrics=None):
        self.iterate()
        self.hook.after_train_epoch(self)
        self.epoch += 1
        if metrics:
            self.hook.after_val_epoch(self, metrics)
        return self

    def rows(self):
        with Path(self.work_dir, 'results.csv').open() as file:
            return list(csv.DictReader(file))


@pytest.fixture(autouse=True)
def quickly(request, monkeypatch):
    """Do not draw where the picture is not looked at."""
    if 'picture' not in request.node.name:
        monkeypatch.setattr(training_curves_hook, '_picture', lambda runner, rows: b'')


def test_a_row_has_the_means_of_its_epoch_the_last_rate_and_the_metrics(tmp_path):
    first, second = Run(tmp_path).epoch_with().epoch_with({'coco/bbox_mAP': 0.25}).rows()
    assert first == {
        'epoch': '1', 'iter': '4', 'train/loss': '2.5', 'train/lr': '0.25', 'coco/bbox_mAP': ''
    }  # fmt: skip
    assert second == {
        'epoch': '2', 'iter': '8', 'train/loss': '6.5', 'train/lr': '0.125', 'coco/bbox_mAP': '0.25'
    }  # fmt: skip


def test_a_resumed_run_keeps_the_rows_before_and_drops_those_after_its_start(tmp_path):
    run = Run(tmp_path)
    for score in (0.1, 0.2, 0.3):
        run.epoch_with({'score': score})
    resumed = Run(tmp_path, start=8).epoch_with({'score': 0.5})
    assert [(row['epoch'], row['score']) for row in resumed.rows()] == [
        ('1', '0.1'), ('2', '0.2'), ('3', '0.5')
    ]  # fmt: skip
    assert resumed.rows()[-1]['train/loss'] == '10.5'  # of iterations 9 to 12


def test_a_new_run_starts_a_new_table(tmp_path):
    Run(tmp_path).epoch_with({'score': 0.1}).epoch_with()
    assert len(Run(tmp_path).epoch_with().rows()) == 1


def test_a_resumed_run_without_a_table_starts_one(tmp_path):
    (row,) = Run(tmp_path, start=8).epoch_with().rows()
    assert (row['epoch'], row['iter'], row['train/loss']) == ('3', '12', '10.5')


def test_iteration_based_training_has_a_row_per_validation_and_a_last_one(tmp_path):
    run = Run(tmp_path, loop=IterBasedTrainLoop)
    run.iterate(6)
    run.hook.after_val_epoch(run, {'score': 0.4})
    run.iterate(3)
    run.hook.after_train_epoch(run)
    run.hook.after_train(run)
    assert [(row['iter'], row['train/loss'], row['score']) for row in run.rows()] == [
        ('6', '3.5', '0.4'), ('9', '8.0', '')
    ]  # fmt: skip
    assert 'epoch' not in run.rows()[0]


def test_metrics_that_are_not_numbers_are_left_out(tmp_path):
    (row,) = Run(tmp_path).epoch_with({'score': 0.1, 'per class': [1, 2], 'nan': np.nan}).rows()
    assert 'per class' not in row
    assert (row['score'], row['nan']) == ('0.1', 'nan')


def test_validation_without_training_writes_nothing(tmp_path):
    hook = TrainingCurvesHook()
    hook.after_val_epoch(SimpleNamespace(work_dir=str(tmp_path)), {'score': 1.0})
    assert not list(tmp_path.iterdir())


def test_other_ranks_write_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr('mmengine.dist.utils.get_rank', lambda group=None: 1)
    run = Run(tmp_path).epoch_with({'score': 1.0})
    run.hook.after_train(run)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_does_not_stop_training(tmp_path, monkeypatch, caplog):
    def fail(path, content):
        raise OSError('No space left on device')

    monkeypatch.setattr(training_curves_hook, 'write_whole', fail)
    Run(tmp_path).epoch_with()
    assert 'curves were not written: No space left' in caplog.text


def test_the_picture_is_drawn_at_the_first_row_and_at_the_end(tmp_path):
    run = Run(tmp_path).epoch_with({'slot/f1': 0.5, 'slot/corner_error_px': 3.0})
    picture = tmp_path / 'results.png'
    picture.unlink()
    run.epoch_with({'slot/f1': 0.6, 'slot/corner_error_px': 2.0})
    assert not picture.exists()  # the interval has not passed
    run.hook.after_train(run)
    assert cv2.imread(str(picture)).std() > 5


def curve(*values):
    return np.arange(1.0, len(values) + 1), np.array(values)


def test_the_picture_has_a_plot_for_each_kind_of_figure():
    training = {
        'loss': curve(3, 2), 'loss_cls': curve(1, 1), 'lr': curve(0.1, 0.01), 'time': curve(1, 1),
        'grad_norm': curve(5, 4),
    }  # fmt: skip
    metrics = {
        'slot/f1': curve(0.5, 0.6), 'slot/ap': curve(0.4, np.nan), 'slot/f1@night': curve(0.1, 0.2),
        'slot/corner_error_px': curve(4, 3), 'coco/bbox_mAP': curve(-1, 0.3),
    }  # fmt: skip
    axes = plot_training_curves(training, metrics, 'Epoch').axes
    drawn = {
        each.get_title(loc='left'): sorted(line.get_label() for line in each.lines) for each in axes
    }
    assert drawn == {
        'Losses': ['loss', 'loss_cls'],
        'Learning rates': ['lr'],
        'Grad norm': ['grad_norm'],
        'slot: share': ['ap', 'f1'],
        'slot: corner_error_px': ['corner_error_px'],
        'coco: bbox_mAP': ['bbox_mAP'],
    }
    assert {each.get_xlabel() for each in axes} == {'Iteration', 'Epoch'}
    pixels = next(each for each in axes if 'px' in each.get_title(loc='left'))
    assert pixels.get_ylabel() == 'Pixels'


def test_the_map_of_medium_objects_is_no_length():
    metrics = {'coco/bbox_mAP': curve(0.2, 0.3), 'coco/bbox_mAP_m': curve(0.1, 0.2)}
    (axes,) = plot_training_curves({}, metrics, 'Epoch').axes
    assert [line.get_label() for line in axes.lines] == ['bbox_mAP', 'bbox_mAP_m']
    assert axes.get_ylabel() == 'Share'


def test_a_picture_of_nothing_can_be_drawn():
    assert len(plot_training_curves({}, {}, 'Epoch').axes) == 0


def test_long_curves_in_the_picture_are_means_of_equal_stretches():
    values = np.arange(1000.0)
    line = plot_training_curves({'loss': (values + 1, values)}, {}, 'Epoch').axes[0].lines[0]
    assert len(line.get_xdata()) == 334
    np.testing.assert_allclose(line.get_ydata()[:2], [1, 4])  # of 0 1 2 and 3 4 5
    np.testing.assert_allclose(line.get_xdata()[-1], 1000)  # the rest


def test_columns_skip_cells_that_are_missing():
    curves = columns_of([{'epoch': 1, 'f1': 0.1}, {'epoch': 2}, {'epoch': 3, 'f1': 0.3}], 'epoch')
    np.testing.assert_array_equal(curves['f1'], [[1, 3], [0.1, 0.3]])
