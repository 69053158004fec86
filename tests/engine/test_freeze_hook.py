"""What is frozen stays exactly as it is; what is freed learns."""

from pathlib import Path

import pytest
import torch
from finetuning_runs import TinyDetector, parts_of, run_of, train, unwrapped
from mmengine.logging import MessageHub, MMLogger
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS, DefaultScope
from mmengine.visualization import Visualizer
from torch import distributed, nn

from mmdet_ext.engine.hooks import freeze_hook
from mmdet_ext.engine.hooks.freeze_hook import FreezeHook
from mmdet_ext.engine.optimizers import bfloat16_optim_wrapper, fused_adamw  # noqa: F401 (registers)

ALL = {'backbone.stem', 'backbone.stage1', 'backbone.stage2', 'neck', 'bbox_head'}
BACKBONE = {part for part in ALL if part.startswith('backbone')}


@pytest.fixture(autouse=True)
def fresh_globals(monkeypatch):
    """Forget mmengine's process-wide instances, which a second run in one process would inherit."""
    for manager in (DefaultScope, MessageHub, MMLogger, Visualizer):
        monkeypatch.setattr(manager, '_instance_dict', type(manager._instance_dict)())


@OPTIM_WRAPPERS.register_module(force=True)
class ScaledOptimWrapper(OptimWrapper):
    """What AmpOptimWrapper does with a GradScaler, on the CPU."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.scaler = torch.amp.GradScaler('cpu', init_scale=8.0)

    def backward(self, loss, **kwargs):
        self.scaler.scale(loss).backward(**kwargs)
        self._inner_count += 1

    def step(self, **kwargs):
        if self.clip_grad_kwargs:
            self.scaler.unscale_(self.optimizer)
            self._clip_grad()
        self.scaler.step(self.optimizer, **kwargs)
        self.scaler.update()


WRAPPERS = {
    'plain': dict(),
    'accumulating and clipping': dict(accumulative_counts=2, clip_grad=dict(max_norm=1)),
    'bfloat16': dict(type='BFloat16OptimWrapper'),
    'scaled': dict(type='ScaledOptimWrapper', clip_grad=dict(max_norm=1)),
    'fused AdamW': dict(optimizer=dict(type='FusedAdamW', lr=0.1, weight_decay=0.1)),
}


@pytest.fixture(params=WRAPPERS)
def wrapper(request):
    if request.param == 'scaled' and not hasattr(torch.amp, 'GradScaler'):
        pytest.skip('this torch scales on a GPU only')
    return WRAPPERS[request.param]


def test_the_frozen_part_and_its_statistics_stand_still_then_everything_learns(tmp_path, wrapper):
    hook = FreezeHook(freeze='backbone', until_epoch=2)
    _, seen = train(tmp_path, hook, optim=wrapper, epochs=3)
    assert parts_of(set().union(*map(seen.moved, range(4)))) == {'neck', 'bbox_head'}
    assert parts_of(seen.moved(4) | seen.moved(5)) == ALL


def test_a_part_that_is_frozen_in_mid_training_is_not_carried_on_by_momentum(tmp_path, wrapper):
    hook = FreezeHook(schedule=[dict(iter=3, freeze='backbone')])
    _, seen = train(tmp_path, hook, optim=wrapper, epochs=4)
    assert 'backbone.stem' in parts_of(set().union(*map(seen.moved, range(3))))
    assert parts_of(set().union(*map(seen.moved, range(3, 8)))) == {'neck', 'bbox_head'}


def test_gradients_of_zero_would_have_let_momentum_and_decay_go_on():
    weight = nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.9, weight_decay=0.1)
    weight.grad = torch.zeros(1)
    optimizer.step()
    assert weight.item() == pytest.approx(0.99)
    weight.grad = None
    optimizer.step()
    assert weight.item() == pytest.approx(0.99)


PARAMWISE = dict(paramwise_cfg=dict(custom_keys={'backbone': dict(lr_mult=0.5)}))


def test_with_rates_by_part_what_is_frozen_is_in_the_optimizer_and_learns_later(tmp_path):
    hook = FreezeHook(freeze='backbone', until_epoch=1)
    runner, seen = train(tmp_path, hook, optim=PARAMWISE, epochs=2)
    groups = runner.optim_wrapper.optimizer.param_groups
    assert len(groups) == len(list(runner.model.parameters()))
    assert parts_of(seen.moved(3)) == ALL


def test_what_the_model_froze_itself_cannot_be_freed_and_the_remedy_is_told(tmp_path):
    hook = FreezeHook(freeze='backbone', until_epoch=1)
    with pytest.raises(ValueError, match=r'free 4 parameters at epoch 1 .*`frozen_stages`.* to -1'):
        train(tmp_path, hook, model=TinyDetector(frozen_stages=0), optim=PARAMWISE)


def test_frozen_modules_are_in_evaluation_mode_in_every_iteration_others_in_training(tmp_path):
    hook = FreezeHook(freeze=['backbone.stem', 'backbone.stage1.1'], until_epoch=2)
    _, seen = train(tmp_path, hook, validate=True, epochs=3)
    frozen = {'backbone.stem', *(f'backbone.stem.{i}' for i in range(3)), 'backbone.stage1.1'}
    for modes in seen.training[:4]:
        assert {name for name, training in modes.items() if not training} == frozen
    assert all(all(modes.values()) for modes in seen.training[4:])


def test_training_by_iterations_is_frozen_and_freed_alike(tmp_path):
    hook = FreezeHook(freeze='backbone', until_iter=3)
    _, seen = train(tmp_path, hook, iters=5)
    assert [parts_of(seen.moved(i)) == ALL for i in range(5)] == [False] * 3 + [True] * 2
    assert [modes['backbone'] for modes in seen.training] == [False] * 3 + [True] * 2


def frozen_parts(seen):
    """Parts that are frozen, by epoch."""
    return [ALL - parts_of(trainable) for trainable in seen.trainable[::2]]


def test_a_schedule_frees_and_freezes_step_by_step(tmp_path):
    schedule = [
        dict(epoch=1, free='neck'),
        dict(epoch=2, free=['backbone.stage2', 're:stage1'], freeze='neck'),
        dict(epoch=3, free='*'),
    ]
    _, seen = train(tmp_path, FreezeHook(freeze=['backbone', 'neck'], schedule=schedule), epochs=4)
    assert frozen_parts(seen) == [BACKBONE | {'neck'}, BACKBONE, {'backbone.stem', 'neck'}, set()]


def test_gradual_unfreezing_goes_from_the_head_to_the_image(tmp_path):
    _, seen = train(tmp_path, FreezeHook(gradual_epochs=1), epochs=5)
    order = ['bbox_head', 'neck', 'backbone.stage2', 'backbone.stage1', 'backbone.stem']
    assert frozen_parts(seen) == [set(order[i + 1 :]) for i in range(5)]


def test_gradual_unfreezing_of_a_part_begins_with_what_is_named(tmp_path):
    _, seen = train(tmp_path, FreezeHook(freeze='backbone', gradual_epochs=1), epochs=3)
    assert [len(parts) for parts in frozen_parts(seen)] == [3, 2, 1]


def test_depth_counts_the_stem_the_stages_and_the_neck(tmp_path):
    for depth, expected in ((1, {'backbone.stem'}), (4, ALL - {'bbox_head'})):
        _, seen = train(tmp_path / str(depth), FreezeHook(depth=depth), epochs=1)
        assert frozen_parts(seen) == [expected]


@pytest.mark.parametrize(
    ('pattern', 'count'), [('backbone.stem', 4), ('*.1', 8), ('re:stage\\d\\.0', 4), ('neck.', 4)]
)
def test_patterns_are_prefixes_globs_or_regular_expressions(tmp_path, pattern, count):
    _, seen = train(tmp_path, FreezeHook(freeze=pattern), epochs=1)
    assert 18 - len(seen.trainable[0]) == count


@pytest.mark.parametrize('epoch', [1, 2, 3, 4])
def test_a_resumed_run_has_the_same_frozen(tmp_path, epoch):
    def hook():
        return FreezeHook(gradual_epochs=1)

    _, whole = train(tmp_path, hook(), epochs=5, optim=PARAMWISE)
    MessageHub._instance_dict.clear()
    options = dict(resume=True, load_from=str(tmp_path / f'epoch_{epoch}.pth'), optim=PARAMWISE)
    _, rest = train(tmp_path / 'resumed', hook(), epochs=5, **options)
    assert rest.trainable == whole.trainable[2 * epoch :]


def test_averaged_weights_of_the_frozen_part_are_the_frozen_weights(tmp_path):
    ema = dict(type='EMAHook', momentum=0.3, update_buffers=True)
    hook = FreezeHook(freeze='backbone', until_epoch=2)
    _, seen = train(tmp_path, ema, hook, epochs=3, validate=True)
    saved = torch.load(tmp_path / 'epoch_2.pth', weights_only=False)
    averaged, trained = saved['state_dict'], saved['ema_state_dict']
    apart = {
        name for name in averaged if not torch.equal(averaged[name], trained[f'module.{name}'])
    }
    assert parts_of(apart) == {'neck', 'bbox_head'}
    assert parts_of(seen.moved(5)) == ALL


@pytest.fixture
def process_group(tmp_path):
    distributed.init_process_group(
        'gloo', init_method=f'file://{tmp_path}/store', rank=0, world_size=1
    )
    yield
    distributed.destroy_process_group()


def distributed_run(tmp_path, monkeypatch, hook):
    """A run whose model is wrapped as it is with more processes."""
    monkeypatch.setenv('LOCAL_RANK', '0')
    runner, seen = run_of(tmp_path, hook, epochs=2)
    runner._distributed = True
    runner.cfg.model_wrapper_cfg = dict(
        type='MMDistributedDataParallel', device_ids=None, broadcast_buffers=False
    )
    runner.model = runner.wrap_model(dict(runner.cfg.model_wrapper_cfg), runner.model)
    return runner, seen


@pytest.mark.usefixtures('process_group')
@pytest.mark.parametrize('unit', ['until_epoch', 'until_iter'])
def test_a_distributed_model_is_frozen_and_freed_without_looking_for_unused(
    tmp_path, monkeypatch, unit
):
    hook = FreezeHook(freeze='backbone', **{unit: 1 if unit == 'until_epoch' else 2})
    runner, seen = distributed_run(tmp_path, monkeypatch, hook)
    runner.train()
    assert [parts_of(seen.moved(i)) == ALL for i in range(4)] == [False, False, True, True]


@pytest.mark.usefixtures('process_group')
def test_with_the_first_wrapper_it_would_have_failed(tmp_path, monkeypatch):
    monkeypatch.setattr(freeze_hook, '_renew_wrapper', lambda runner: None)
    runner, _ = distributed_run(tmp_path, monkeypatch, FreezeHook(freeze='backbone'))
    with pytest.raises(RuntimeError, match='finished reduction'):
        runner.train()


def test_another_wrapper_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(freeze_hook, 'is_model_wrapper', lambda model: True)
    runner, _ = run_of(tmp_path, FreezeHook(freeze='backbone'))
    runner.model.module = runner.model.__class__()
    with pytest.raises(ValueError, match='cannot change what is trained inside TinyDetector'):
        runner.train()


def test_what_is_frozen_is_logged_with_counts(tmp_path):
    runner, _ = train(tmp_path, FreezeHook(freeze='backbone', until_epoch=1), epochs=2)
    log = next(Path(runner.log_dir).glob('*.log')).read_text()
    values = (2 * 3 + 3 + 6) + 2 * (3 * 3 + 3 + 6)
    total = values + (3 * 3 + 3 + 6) + (2 * 3 + 2)
    assert f'epoch 0: 12 of 18 parameters are frozen ({values} of {total} values): backbone' in log
    assert f'epoch 1: 0 of 18 parameters are frozen (0 of {total} values, 12 parameters' in log


def test_a_step_after_the_end_of_training_is_warned_of(tmp_path):
    runner, _ = train(tmp_path, FreezeHook(freeze='backbone', until_epoch=2), epochs=2)
    log = next(Path(runner.log_dir).glob('*.log')).read_text()
    assert 'FreezeHook has a step at epoch 2, but training ends after 2' in log


def test_the_model_can_be_trained_again_after_training(tmp_path):
    runner, _ = train(tmp_path, FreezeHook(freeze='backbone'), epochs=1)
    assert all(parameter.requires_grad for parameter in unwrapped(runner).parameters())


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(freeze='backbon'), r"'backbon', which matches none .*did you mean backbone"),
        (dict(freeze='re:stage9\\.'), r'did you mean stage\d or stage\d'),
        (dict(freeze='re:('), 'is no regular expression'),
        (dict(freeze='*.bn'), 'its parts are `bbox_head`, `backbone`, `neck`'),
        (dict(freeze='*'), 'freeze all 18 parameters of the model from epoch 0 on'),
        (
            dict(freeze='backbone', schedule=[dict(epoch=1, freeze=['neck', 'bbox_head'])]),
            'freeze all 18 parameters of the model from epoch 1 on',
        ),
        (dict(depth=6), '`depth` of FreezeHook is 6, but the model has 5 parts: backbone.stem'),
        (dict(depth=1, schedule=[dict(epoch=1, free='nek')]), r'schedule\[0\].free.*neck'),
    ],
)
def test_mistakes_about_the_model_are_told_before_anything_is_trained(tmp_path, options, message):
    runner, seen = run_of(tmp_path, FreezeHook(**options))
    with pytest.raises(ValueError, match=message):
        runner.train()
    assert not seen.trainable
    assert all(parameter.requires_grad for parameter in runner.model.parameters())


def test_counting_epochs_where_training_counts_iterations_is_refused(tmp_path):
    runner, _ = run_of(tmp_path, FreezeHook(freeze='backbone', until_epoch=1), iters=3)
    with pytest.raises(ValueError, match='give `until_iter`'):
        runner.train()


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(), 'freezes nothing'),
        (dict(freeze='a', until_epoch=1, until_iter=1), 'until_epoch and until_iter: give one'),
        (dict(freeze='a', gradual_epochs=0), '`gradual_epochs` of FreezeHook is 0'),
        (dict(freeze='a', until_epoch=0), r'has `epoch` \[0\]: list its entries in order, from 1'),
        (dict(freeze='a', schedule=[dict(epoch=1, fre='b')]), "key 'fre' .did you mean free"),
        (dict(freeze='a', schedule=[dict(free='b')]), 'give `epoch` or `iter`'),
        (
            dict(freeze='a', schedule=[dict(epoch=2, free='b'), dict(iter=2, free='b')]),
            'counts epochs and iterations',
        ),
        (
            dict(freeze='a', schedule=[dict(epoch=2, free='b'), dict(epoch=1, free='b')]),
            r'has `epoch` \[2, 1\]',
        ),
    ],
)
def test_options_that_make_no_sense_are_refused_at_once(options, message):
    with pytest.raises(ValueError, match=message):
        FreezeHook(**options)
