"""Starting from what fits of a checkpoint."""

from pathlib import Path

import pytest
import torch
from finetuning_runs import TinyDetector, run_of, train
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer

from mmdet_ext.engine.hooks.freeze_hook import FreezeHook
from mmdet_ext.engine.hooks.partial_load_hook import PartialLoadHook


@pytest.fixture(autouse=True)
def fresh_globals(monkeypatch):
    """Forget mmengine's process-wide instances, which a second run in one process would inherit."""
    for manager in (DefaultScope, MessageHub, MMLogger, Visualizer):
        monkeypatch.setattr(manager, '_instance_dict', type(manager._instance_dict)())


@pytest.fixture
def checkpoint(tmp_path):
    """Of a detector of five classes, all weights 0.25."""
    weights = {n: v.fill_(0.25) for n, v in TinyDetector(classes=5).state_dict().items() if v.ndim}
    torch.save({'state_dict': weights}, tmp_path / 'start.pth')
    return str(tmp_path / 'start.pth')


def test_training_starts_from_what_fits_with_the_rest_told(tmp_path, checkpoint):
    ema = dict(type='EMAHook', momentum=0.5)
    hooks = [ema, PartialLoadHook(checkpoint), FreezeHook(freeze='backbone')]
    runner, seen = train(tmp_path, *hooks, epochs=1)
    for weights in seen.weights:
        assert weights['backbone.stage1.0.weight'].unique().item() == 0.25
    assert seen.weights[0]['neck.0.weight'].unique().item() == 0.25
    assert seen.weights[0]['bbox_head.weight'].unique().numel() == 6
    saved = torch.load(tmp_path / 'epoch_1.pth', weights_only=False)['state_dict']
    assert saved['backbone.stage1.0.weight'].unique().item() == 0.25  # the averaged ones
    log = next(Path(runner.log_dir).glob('*.log')).read_text()
    assert '24 loaded, 2 dropped' in log


def test_a_resumed_run_keeps_its_own_weights(tmp_path, checkpoint):
    train(tmp_path, PartialLoadHook(checkpoint), epochs=1)
    own = torch.load(tmp_path / 'epoch_1.pth', weights_only=False)['state_dict']
    MessageHub._instance_dict.clear()
    options = dict(resume=True, load_from=str(tmp_path / 'epoch_1.pth'))
    _, seen = train(tmp_path / 'more', PartialLoadHook(checkpoint), epochs=2, **options)
    assert all(torch.equal(value, own[name]) for name, value in seen.weights[0].items())


def test_resuming_where_nothing_was_saved_yet_loads(tmp_path, checkpoint):
    _, seen = train(tmp_path / 'empty', PartialLoadHook(checkpoint), epochs=1, resume=True)
    assert seen.weights[0]['neck.0.weight'].unique().item() == 0.25


def test_a_missing_file_is_told_before_anything_is_built(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'none\.pth does not exist'):
        PartialLoadHook(str(tmp_path / 'none.pth'))


def test_a_wrong_option_is_told_by_its_name(tmp_path, checkpoint):
    with pytest.raises(ValueError, match=r"PartialLoadHook has no option 'mismatches'.*mismatch"):
        PartialLoadHook(checkpoint, mismatches='slice')


def test_another_models_weights_are_refused(tmp_path):
    torch.save({'fc.weight': torch.zeros(3)}, tmp_path / 'other.pth')
    runner, _ = run_of(tmp_path, PartialLoadHook(str(tmp_path / 'other.pth')))
    with pytest.raises(ValueError, match='seems to be of another model'):
        runner.train()
