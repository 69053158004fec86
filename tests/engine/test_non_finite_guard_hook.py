"""The guard against NaN and infinity, in runs of a Runner."""

import math
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import EMAHook, Hook
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper, OptimWrapperDict
from ranks import run_ranks
from tiny_training import (
    Model,
    ScaledOnCPU,
    fresh_globals,  # noqa: F401 (a fixture)
    images,
    messages,
    needs_scaler,
    train,
    weights,
)
from torch import distributed, nn

from mmdet_ext.engine.hooks.non_finite_guard_hook import NonFiniteGuardHook
from mmdet_ext.engine.hooks.out_of_memory_hook import OutOfMemoryHook


class Spoilt(nn.Module):
    """Passes on what it gets, but for some calls, whose outputs, or gradients, are not finite."""

    def __init__(self, calls, in_gradient=False):
        super().__init__()
        self.calls, self.in_gradient, self.bad = set(calls), in_gradient, False

    def forward(self, x):
        if not self.bad:
            return x
        return x + (x - x.detach()).abs().sqrt().sum() if self.in_gradient else x / 0


class Spoil(Hook):
    """Tells the module which iterations it is to spoil, so that a repeated call does the same."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        model = getattr(runner.model, 'module', runner.model)
        model.norm.bad = runner.iter in model.norm.calls


def spoilt_model(calls, in_gradient=False):
    model = Model()
    model.norm = Spoilt(calls, in_gradient)
    return model


def sgd(**options):
    return dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1, momentum=0.9), **options)


def test_a_healthy_training_is_bit_equal_to_one_without_the_guard(tmp_path):
    guarded, plain = Model(), Model()
    train(tmp_path, [NonFiniteGuardHook()], guarded, epochs=2)
    train(tmp_path, [], plain, epochs=2)
    assert torch.equal(weights(guarded), weights(plain))
    assert torch.equal(guarded.norm.running_mean, plain.norm.running_mean)


def test_it_stops_with_the_loss_the_first_module_and_the_files_and_keeps_the_weights(tmp_path):
    model = spoilt_model([2])
    before = []

    class Seen(Hook):
        def before_train_iter(self, runner, batch_idx, data_batch=None):
            before.append(weights(runner.model))

    with pytest.raises(ValueError, match='loss_square') as stop:
        train(tmp_path, [NonFiniteGuardHook(), Spoil(), Seen()], model)
    assert str(stop.value).startswith(
        'loss_square (nan), loss_size (nan) of iteration 3 are not finite: `norm` (Spoilt) is the '
        'first module to give such values, from finite inputs; the batch is 4.png, 5.png; lower the'
    )
    assert torch.equal(weights(model), before[-1])


def test_a_weight_that_is_not_finite_is_named(tmp_path):
    model = Model()
    model.last.bias.data.fill_(torch.nan)
    with pytest.raises(ValueError, match=r'`last` \(Conv2d\) is the first .* whose `bias` itself'):
        train(tmp_path, [NonFiniteGuardHook()], model)


@pytest.mark.parametrize('value', [math.nan, math.inf])
def test_a_bad_image_is_named(tmp_path, value):
    with pytest.raises(
        ValueError, match=r'the image 5\.png is not; the batch is 4.png, 5.png; corr'
    ):
        train(tmp_path, [NonFiniteGuardHook()], dataset=images(8, bad=[5], value=value))


def test_a_bad_label_is_named(tmp_path):
    expected = (
        'the label gt_instances.bboxes of 2.png is not; the batch is 2.png, 3.png; correct or'
    )
    with pytest.raises(ValueError, match=expected):
        train(tmp_path, [NonFiniteGuardHook()], dataset=images(8, bad_labels=[2]))


def test_a_bad_gradient_under_a_finite_loss_is_named(tmp_path):
    model = spoilt_model([1], in_gradient=True)
    with pytest.raises(ValueError, match='a gradient of iteration 2 is not finite') as stop:
        train(tmp_path, [NonFiniteGuardHook(), Spoil()], model)
    assert 'of 4 parameters' in str(stop.value)
    assert 'the gradient of what `stem` (Conv2d) gives is the first such' in str(stop.value)


def test_great_gradients_whose_squares_overflow_are_finite(tmp_path):
    class Steep(Model):
        def forward(self, inputs, data_samples=None, mode='tensor'):
            losses = super().forward(inputs, data_samples, mode)
            return {'loss': losses['loss_size'] * 1e25}

    model = Steep()
    wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=1e-28))
    train(tmp_path, [NonFiniteGuardHook()], model, optim_wrapper=wrapper)
    assert not torch.equal(weights(model), weights(Model()))


def test_gradients_can_be_left_out(tmp_path):
    model = spoilt_model([3], in_gradient=True)
    train(tmp_path, [NonFiniteGuardHook(check_gradients=False), Spoil()], model)
    assert not weights(model).isfinite().all()


def test_a_skipped_step_leaves_weights_momentum_and_running_means_as_they_were(tmp_path):
    with_bad, without = Model(), Model()
    guard = NonFiniteGuardHook('skip')
    runner = train(tmp_path, [guard], with_bad, images(8, bad=[2]))
    train(tmp_path, [], without, [image for i, image in enumerate(images(8)) if i not in (2, 3)])
    assert torch.equal(weights(with_bad), weights(without))
    assert torch.equal(with_bad.norm.running_mean, without.norm.running_mean)
    assert torch.equal(with_bad.norm.running_var, without.norm.running_var)
    assert runner.message_hub.get_info('non_finite_skipped') == 1


class Means(Hook):
    """Running means after each iteration."""

    def __init__(self):
        self.means = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.means.append(runner.model.norm.running_mean.clone())


def test_with_accumulation_the_whole_step_is_skipped_and_the_bad_batch_is_named(tmp_path):
    with_bad, without, seen = Model(), Model(), Means()
    with messages() as said:
        train(
            tmp_path,
            [NonFiniteGuardHook('skip'), seen],
            with_bad,
            images(12, bad=[5]),
            optim_wrapper=sgd(accumulative_counts=2),
        )
    good = [image for i, image in enumerate(images(12)) if i not in (4, 5, 6, 7)]
    train(tmp_path, [], without, good, optim_wrapper=sgd(accumulative_counts=2))
    assert torch.equal(weights(with_bad), weights(without))
    (warning,) = [text for text in said if 'this step is skipped' in text]
    assert 'the image 5.png is not; the batch is 4.png, 5.png; this step is skipped' in warning
    unchanged = [torch.equal(*pair) for pair in pairwise(seen.means)]
    assert unchanged == [False, True, False, False, False]  # only the batch of 5.png left no trace


def test_averaged_statistics_never_see_a_bad_batch_even_in_the_midst_of_accumulation(tmp_path):
    average = EMAHook(momentum=0.5, update_buffers=True)
    train(
        tmp_path,
        [NonFiniteGuardHook('skip'), average],
        dataset=images(12, bad=[5]),
        optim_wrapper=sgd(accumulative_counts=3),
    )
    state = average.ema_model.module.state_dict().values()
    assert all(bool(value.isfinite().all()) for value in state)


def test_a_bad_image_in_a_part_of_a_batch_that_was_split_is_named(tmp_path):
    class Hungry(Model):
        def forward(self, inputs, data_samples=None, mode='tensor'):
            if torch.is_grad_enabled() and len(inputs) > 2:
                raise MemoryError
            return super().forward(inputs, data_samples, mode)

    model = Hungry()
    hooks = [OutOfMemoryHook(), NonFiniteGuardHook('skip')]
    with messages() as said:
        train(tmp_path, hooks, model, images(8, bad=[0]), batch_size=4)
    (warning,) = [text for text in said if 'this step is skipped' in text]
    assert 'the image 0.png is not; the batch is 0.png, 1.png, 2.png, 3.png;' in warning
    assert model.norm.running_mean.isfinite().all()


def test_too_many_in_a_row_stop_the_training(tmp_path):
    with pytest.raises(ValueError, match=r'that is 3 steps in a row, and max_in_a_row .* is 2'):
        train(tmp_path, [NonFiniteGuardHook('skip', max_in_a_row=2)], dataset=images(8, range(8)))


def test_as_many_that_are_not_in_a_row_do_not(tmp_path):
    bad = [0, 2, 6, 8, 12]
    guard = NonFiniteGuardHook('skip', max_in_a_row=2)
    runner = train(tmp_path, [guard], dataset=images(16, bad))
    assert runner.message_hub.get_info('non_finite_skipped') == len(bad)


def test_dropout_is_the_same_when_the_batch_runs_again(tmp_path):
    class Fragile(nn.Module):
        """Infinite where dropout keeps a row of three whole, and so once in a while."""

        def __init__(self):
            super().__init__()
            self.drop = nn.Dropout(0.5)

        def forward(self, x):
            kept = self.drop(torch.ones(3))
            return x / 0 if bool((kept > 0).all()) else x

    model = Model()
    model.norm = Fragile()
    guard = NonFiniteGuardHook('skip', 100)
    with messages() as said:
        runner = train(
            tmp_path, [guard], model, images(64), optim_wrapper=sgd(), randomness=dict(seed=3)
        )
    warnings = [text for text in said if 'this step is skipped' in text]
    assert len(warnings) == runner.message_hub.get_info('non_finite_skipped') > 0
    assert all('`norm` (Fragile) is the first module' in text for text in warnings)


class SaveAt(Hook):
    """Saves a checkpoint before an iteration, and remembers the model."""

    def __init__(self, iteration):
        self.iteration = iteration

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.iteration:
            runner.message_hub.update_info('last_ckpt', f'{runner.work_dir}/good.pth')
            runner.save_checkpoint(runner.work_dir, 'good.pth', meta={})
            self.weights = weights(runner.model)
            self.momentum = [s['momentum_buffer'].clone() for s in _momenta(runner)]


def _momenta(runner):
    return runner.optim_wrapper.optimizer.state.values()


class SeenAfter(Hook):
    """The state after an iteration."""

    priority = 'LOWEST'

    def __init__(self, iteration):
        self.iteration = iteration

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter == self.iteration:
            self.weights = weights(runner.model)
            self.momentum = [s['momentum_buffer'].clone() for s in _momenta(runner)]
            self.rate = runner.optim_wrapper.get_lr()['lr'][0]


def test_rolled_back_weights_and_momentum_are_those_of_the_checkpoint_and_the_schedule_goes_on(
    tmp_path,
):
    saved, seen = SaveAt(2), SeenAfter(5)
    schedule = [dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=8)]
    with messages() as said:
        runner = train(
            tmp_path,
            [NonFiniteGuardHook('roll_back'), saved, seen],
            dataset=images(16, bad=[10]),
            param_scheduler=schedule,
        )
    assert torch.equal(seen.weights, saved.weights)
    assert all(map(torch.equal, seen.momentum, saved.momentum))
    assert seen.rate == pytest.approx(0.1 * (0.1 + 0.9 * 6 / 7))
    assert runner.iter == 8
    assert any(
        'weights and optimizer are back to' in text and '1 of at most 3' in text for text in said
    )


def test_averaged_weights_are_rolled_back_too(tmp_path):
    average = EMAHook(momentum=0.5)
    saved, seen = {}, {}

    class Look(Hook):
        priority = 'LOWEST'

        def before_train_iter(self, runner, batch_idx, data_batch=None):
            if runner.iter == 2:
                runner.message_hub.update_info('last_ckpt', f'{runner.work_dir}/good.pth')
                runner.save_checkpoint(runner.work_dir, 'good.pth', meta={})
                saved.update(own=weights(runner.model), average=weights(average.ema_model))

    class LookInside(OptimWrapper):
        def zero_grad(self, **kwargs):
            super().zero_grad(**kwargs)
            model = average.src_model
            if saved and 'own' not in seen and torch.equal(weights(model), saved['own']):
                seen.update(own=True, average=weights(average.ema_model))

    model = Model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    train(
        tmp_path,
        [average, Look(), NonFiniteGuardHook('roll_back')],
        model,
        images(16, bad=[10]),
        optim_wrapper=LookInside(optimizer),
    )
    assert torch.equal(seen['average'], saved['average'])
    assert not torch.equal(saved['average'], saved['own'])


def test_it_rolls_back_only_so_often(tmp_path):
    guard = NonFiniteGuardHook('roll_back', max_rollbacks=1)
    with pytest.raises(ValueError, match='went back 1 times already, which is max_rollbacks'):
        train(tmp_path, [guard, SaveAt(2)], dataset=images(16, bad=[8, 12]))


def test_without_a_checkpoint_there_is_nothing_to_go_back_to(tmp_path):
    with pytest.raises(ValueError, match='there is no checkpoint to go back to yet'):
        train(tmp_path, [NonFiniteGuardHook('roll_back')], dataset=images(8, bad=[2]))


def test_a_checkpoint_that_is_spoilt_itself_is_refused(tmp_path):
    class SpoilFile(Hook):
        def before_train_iter(self, runner, batch_idx, data_batch=None):
            if runner.iter == 3:
                checkpoint = torch.load(f'{runner.work_dir}/good.pth', weights_only=False)
                checkpoint['state_dict']['stem.bias'][0] = torch.inf
                torch.save(checkpoint, f'{runner.work_dir}/good.pth')

    hooks = [NonFiniteGuardHook('roll_back'), SaveAt(2), SpoilFile()]
    with pytest.raises(ValueError, match=r'good.pth cannot be gone back to: its stem.bias is not'):
        train(tmp_path, hooks, dataset=images(16, bad=[12]))


@needs_scaler
def test_overflows_of_the_gradient_scaler_are_left_to_it(tmp_path):
    model = Model()
    wrapper = ScaledOnCPU(torch.optim.SGD(model.parameters(), lr=0.1), init_scale=2.0**127)
    train(tmp_path, [NonFiniteGuardHook()], model, images(40), optim_wrapper=wrapper)
    assert 0 < wrapper.loss_scaler.get_scale() < 2.0**127  # it has overflown, and went on
    assert weights(model).isfinite().all()


@needs_scaler
def test_gradients_that_no_scale_mends_are_not(tmp_path):
    model = spoilt_model(range(100), in_gradient=True)
    wrapper = ScaledOnCPU(torch.optim.SGD(model.parameters(), lr=0.1))
    with pytest.raises(ValueError, match='a gradient of iteration 21 is not finite'):
        train(tmp_path, [NonFiniteGuardHook(), Spoil()], model, images(60), optim_wrapper=wrapper)


@needs_scaler
def test_a_bad_loss_under_a_gradient_scaler_is_an_alarm_at_once(tmp_path):
    model = Model()
    wrapper = ScaledOnCPU(torch.optim.SGD(model.parameters(), lr=0.1))
    with pytest.raises(ValueError, match=r'the image 3\.png is not'):
        train(tmp_path, [NonFiniteGuardHook()], model, images(8, [3]), optim_wrapper=wrapper)


def test_after_training_the_guard_is_gone(tmp_path):
    runner = train(tmp_path, [NonFiniteGuardHook()])
    runner.model.stem.weight.grad = torch.full_like(runner.model.stem.weight, torch.nan)
    runner.optim_wrapper.step()
    assert not runner.model.stem.weight.isfinite().any()


class WithoutGradient(Model):
    """Takes its labels into a loss that has no gradient, which no rank tells the others by."""

    def forward(self, inputs, data_samples=None, mode='tensor'):
        output = self.last(self.norm(self.stem(torch.stack(list(inputs)))))
        labels = torch.stack([sample.gt_instances.bboxes.mean() for sample in data_samples])
        return {'loss_size': output.square().mean(), 'loss_label': labels.mean()}


def _train_on_rank(work_dir, module, dataset):
    rank = distributed.get_rank()
    model = MMDistributedDataParallel(module, device_ids=None, broadcast_buffers=False)
    with messages() as said:
        runner = train(work_dir / str(rank), [NonFiniteGuardHook('skip')], model, dataset, 2, 1)
    skipped = runner.message_hub.runtime_info.get('non_finite_skipped')
    warnings = [text for text in said if 'this step is skipped' in text]
    return skipped, warnings, weights(module).tolist(), runner.iter


@pytest.mark.parametrize(
    ('module', 'dataset', 'what'),
    [
        (Model, images(8, bad=[3]), 'are not finite: the image 3.png'),
        (
            WithoutGradient,
            images(8, bad_labels=[3]),
            'is not finite: the label gt_instances.bboxes of 3.png',
        ),
    ],
)
def test_all_ranks_skip_a_step_that_is_bad_on_one_and_name_its_file(
    tmp_path, module, dataset, what
):
    # Ranks take turns: 3.png is in the second batch of rank 1, and of no other.
    first, second = run_ranks(_train_on_rank, tmp_path, module(), dataset, group=True)
    assert first == second
    skipped, (warning, again), values, iterations = first
    assert (skipped, iterations) == (2, 8)  # once in each epoch
    assert f'of iteration 2 of rank 1 {what} is not; the batch is 3.png;' in warning
    assert 'iteration 6 of rank 1' in again
    assert torch.tensor(values).isfinite().all()


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        (dict(action='ignore'), 'give one of stop, skip, roll_back'),
        (dict(max_in_a_row=-1), 'give 0 or more'),
    ],
)
def test_options_out_of_range_are_refused(options, expected):
    with pytest.raises(ValueError, match=expected):
        NonFiniteGuardHook(**options)


def test_several_optimizers_are_refused():
    wrappers = OptimWrapperDict(a=OptimWrapper(torch.optim.SGD([nn.Parameter(torch.ones(1))], 0.1)))
    with pytest.raises(ValueError, match='guards one optimizer, but `optim_wrapper` holds a:'):
        NonFiniteGuardHook().before_train(SimpleNamespace(optim_wrapper=wrappers))
