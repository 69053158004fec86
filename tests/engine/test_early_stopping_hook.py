"""Early stopping, in runs of a Runner with given metrics."""

import math

import pytest
from mmengine.hooks import CheckpointHook
from tiny_training import Scores, forget_globals, fresh_globals, messages, train  # noqa: F401

from mmdet_ext.engine.hooks.early_stopping_hook import ResumableEarlyStoppingHook
from mmdet_ext.engine.hooks.safe_checkpoint_hook import SafeCheckpointHook
from mmdet_ext.engine.metric_rules import rule_of

CHECKPOINTS = dict(default_hooks=dict(checkpoint=dict(type=SafeCheckpointHook, interval=1)))


def epochs_run(tmp_path, scores, **options):
    hook = ResumableEarlyStoppingHook(**dict(monitor='slot/f1') | options)
    return train(tmp_path, [hook], epochs=len(scores), scores=scores).epoch


@pytest.mark.parametrize(
    ('scores', 'options', 'expected'),
    [
        ([0.1, 0.2, 0.15, 0.19, 0.3, 0.4], dict(patience=2), 4),
        ([0.1, 0.2, 0.15, 0.21, 0.2, 0.22], dict(patience=2), 6),
        ([0.1, 0.101, 0.102, 0.103], dict(patience=2), 4),  # any improvement counts by default
        ([0.5, 0.5, 0.5, 0.5], dict(patience=2), 3),  # a tie is none
        ([0.1, 0.15, 0.19, 0.3], dict(patience=2, min_delta=0.1), 3),
        ([0.25, 0.5, 0.75, 1.0], dict(patience=1, min_delta=0.25), 4),  # exactly so much is enough
        ([0.5, 0.625, 0.75, 0.8], dict(patience=1, min_delta=0.25, relative=True), 3),
        ([0.5, 0.625, 0.75, 0.8], dict(patience=1, min_delta=0.2, relative=True), 4),
        ([0.9, 0.5, 0.6, 0.4], dict(patience=2, rule='less'), 4),
        ([0.9, 0.5, 0.6, 0.7, 0.1], dict(patience=2, rule='less'), 4),
        ([0.5, math.nan, math.nan, 0.6], dict(patience=2), 3),  # NaN is no improvement
        ([math.nan, 0.5, 0.4, 0.6], dict(patience=2), 4),  # and no best
        ([0.1, 0.5, 0.8, 0.9], dict(threshold=0.8), 3),
    ],
)
def test_training_stops_after_so_many_validations_without_an_improvement(
    tmp_path, scores, options, expected
):
    assert epochs_run(tmp_path, scores, **options) == expected


def test_it_says_why(tmp_path):
    with messages() as said:
        epochs_run(tmp_path, [0.1, 0.25, 0.15, 0.19, 0.3], patience=2)
    assert (
        'Training stops early: slot/f1 has not been better than 0.25, of iteration 8, for 2 '
        'validations; the last was 0.19.'
    ) in said


def test_a_resumed_run_goes_on_with_best_and_patience(tmp_path):
    def hook():
        return ResumableEarlyStoppingHook('slot/f1', patience=3)

    scores = [0.5, 0.9, 0.7, 0.7, 0.7, 0.95]
    train(tmp_path, [hook()], epochs=3, scores=scores[:3], checkpoints=True, **CHECKPOINTS)
    patch = forget_globals()
    resumed = train(
        tmp_path,
        [hook()],
        epochs=6,
        scores=scores[3:],
        checkpoints=True,
        resume=True,
        **CHECKPOINTS,
    )
    patch.undo()
    assert resumed.epoch == 5  # without the state it would run to the end


@pytest.mark.parametrize(('patience', 'expected'), [(2, 3), (3, 4)])
def test_a_stopped_run_that_is_resumed_stays_so_unless_the_patience_grows(
    tmp_path, patience, expected
):
    first = ResumableEarlyStoppingHook('slot/f1', patience=2)
    train(tmp_path, [first], epochs=9, scores=[0.9, 0.7, 0.7], checkpoints=True, **CHECKPOINTS)
    patch = forget_globals()
    hook = ResumableEarlyStoppingHook('slot/f1', patience=patience)
    resumed = train(
        tmp_path, [hook], epochs=9, scores=[0.6], checkpoints=True, resume=True, **CHECKPOINTS
    )
    patch.undo()
    assert resumed.epoch == expected


def test_a_metric_that_is_not_there_gets_near_matches_after_the_checkpoint_is_saved(tmp_path):
    hook = ResumableEarlyStoppingHook('slot/f2', rule='greater')
    with pytest.raises(ValueError, match=r'slot/f2, .* does not give \(did you mean slot/f1\?\)'):
        train(tmp_path, [hook], epochs=2, scores=[0.5, 0.6], checkpoints=True, **CHECKPOINTS)
    assert (tmp_path / 'epoch_1.pth').is_file()


def test_training_without_validation_is_refused(tmp_path):
    with pytest.raises(ValueError, match='but the config validates nothing: set `val_dataloader`'):
        train(tmp_path, [ResumableEarlyStoppingHook('slot/f1')])


@pytest.mark.parametrize(('patience', 'min_delta'), [(0, 0), (1, -0.1)])
def test_options_out_of_range_are_refused(patience, min_delta):
    with pytest.raises(
        ValueError, match='give at least 1 validation and a difference of at least 0'
    ):
        ResumableEarlyStoppingHook('slot/f1', patience=patience, min_delta=min_delta)


@pytest.mark.parametrize(
    'metric', ['coco/bbox_mAP', 'acc', 'AR@100', 'loss', 'val/loss_bbox', 'mIoU']
)
def test_the_rule_is_the_one_of_the_checkpoint_hook(metric):
    hook = CheckpointHook(save_best=metric)
    assert rule_of(metric) == hook.rules[0]


@pytest.mark.parametrize(
    ('metric', 'expected'),
    [
        ('slot/f1', 'greater'),
        ('slot/recall', 'greater'),
        ('point/ap', 'greater'),
        ('slot/type_accuracy', 'greater'),
        ('slot/corner_error_px', 'less'),
        ('slot/angle_error_deg', 'less'),
        ('top1_error', 'less'),
    ],
)
def test_the_rules_of_our_metrics_are_known(metric, expected):
    assert rule_of(metric) == expected


def test_a_name_that_does_not_tell_asks_for_the_rule():
    with pytest.raises(ValueError, match=r"threshold does not tell .* give rule='greater' or"):
        rule_of('slot/threshold')
    assert rule_of('slot/threshold', 'less') == 'less'


def test_a_metric_that_is_none_counts_as_no_improvement(tmp_path):
    assert epochs_run(tmp_path, [0.5, None, None, 0.6], patience=2) == 3


def test_scores_of_another_name_can_be_watched(tmp_path):
    hook = ResumableEarlyStoppingHook('slot/corner_error_px', patience=1)
    runner = train(tmp_path, [hook], epochs=4, scores=Scores([9, 5, 6, 1], 'corner_error_px'))
    assert runner.epoch == 3
