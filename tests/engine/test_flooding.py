"""Flooding: the gradient of |L - b|, with accumulation, clipping, mixed precision and resuming."""

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from torch import nn

from mmdet_ext.engine.optimizers import flooding_optim_wrappers as module
from mmdet_ext.engine.optimizers.flooding_optim_wrappers import (
    FloodingAmpOptimWrapper,
    FloodingBFloat16OptimWrapper,
    FloodingOptimWrapper,
)

INPUTS = torch.arange(1.0, 9).view(8, 1)


@pytest.fixture(autouse=True)
def fresh_message_hub(monkeypatch):
    monkeypatch.setattr(MessageHub, '_instance_dict', type(MessageHub._instance_dict)())


def line(slope):
    """A model whose loss for a batch is slope * mean(x): the gradient of the slope is the mean."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, slope)
    return model


def train(model, wrapper_class=FloodingOptimWrapper, batches=(INPUTS,), **options):
    """Slopes after each batch, at a learning rate of 0.1."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    wrapper = wrapper_class(optimizer=optimizer, **options)
    wrapper.initialize_count_status(model, 0, len(batches))
    slopes = []
    for batch in batches:
        with wrapper.optim_context(model):
            loss = model(batch).mean()
        wrapper.update_params(loss)
        slopes.append(model.weight.item())
    return slopes


@pytest.mark.parametrize('per', ['batch', 'micro_batch'])
@pytest.mark.parametrize(
    ('level', 'expected'),
    [(4.0, 1 - 0.45), (5.0, 1 + 0.45), (4.5, 1.0)],  # the loss is 4.5
)
def test_gradients_turn_round_below_the_level_and_vanish_at_it(per, level, expected):
    assert train(line(1.0), flood_level=level, per=per) == pytest.approx([expected])


def test_the_loss_floats_about_the_level():
    slopes = train(line(1.0), batches=[INPUTS] * 40, flood_level=2.0)
    losses = [4.5 * slope for slope in slopes[-10:]]
    assert all(abs(loss - 2) < 0.45 * 4.5 for loss in losses)
    assert min(losses) < 2 < max(losses)


def test_per_batch_the_gradient_is_that_of_the_whole_batch_however_it_is_split():
    # The losses of the parts are 1.5, 3.5, 5.5 and 7.5: on both sides of any level between.
    for level in (2.0, 4.0, 5.0, 7.0):
        whole = train(line(1.0), flood_level=level)
        parts = train(line(1.0), batches=INPUTS.split(2), flood_level=level, accumulative_counts=4)
        assert parts[:3] == [1.0] * 3
        assert parts[-1:] == pytest.approx(whole)


def test_per_micro_batch_each_part_is_flooded_by_itself():
    (*_, slope) = train(
        line(1.0),
        batches=INPUTS.split(2),
        flood_level=5.0,
        accumulative_counts=4,
        per='micro_batch',
    )
    gradient = (-1.5 - 3.5 + 5.5 + 7.5) / 4
    assert slope == pytest.approx(1 - 0.1 * gradient)


def test_the_last_batch_may_have_fewer_parts():
    batches = [*INPUTS[:4].split(2), INPUTS[4:5]]  # losses 1.5 and 3.5, then 5 alone
    slopes = train(line(1.0), batches=batches, flood_level=4.0, accumulative_counts=2)
    assert slopes[1] == pytest.approx(1 + 0.25)  # their mean 2.5 is below 4
    assert slopes[2] == pytest.approx(1.25 - 0.5)  # 5 * 1.25 is above


def test_gradients_are_clipped_with_their_final_sign():
    slopes = train(line(1.0), flood_level=9.0, clip_grad=dict(type='value', clip_value=0.5))
    assert slopes == pytest.approx([1.05])


def test_parameters_without_gradient_are_left_alone():
    model = nn.ModuleDict({'used': line(1.0), 'unused': line(1.0)})
    optimizer = torch.optim.SGD(
        [{'params': model['used'].weight}, {'params': model['unused'].weight}], lr=0.1
    )
    FloodingOptimWrapper(optimizer=optimizer, flood_level=9.0).update_params(
        model['used'](INPUTS).mean()
    )
    assert model['used'].weight.item() == pytest.approx(1.45)
    assert model['unused'].weight.item() == 1


def test_the_share_of_losses_below_the_level_is_logged():
    train(line(1.0), batches=INPUTS.split(2), flood_level=5.0, per='micro_batch')
    log = MessageHub.get_current_instance().get_scalar('train/flooded')
    assert log.data[0].tolist() == [1, 1, 0, 0]


@pytest.mark.parametrize('level', [4.0, 5.0])
def test_in_bfloat16_it_is_the_same(level):
    plain = train(line(1.0), flood_level=level)
    half = train(line(1.0), FloodingBFloat16OptimWrapper, flood_level=level)
    assert half == pytest.approx(plain, rel=1e-2)


class PowerOfTwoScaler:
    """Scales and unscales like torch's GradScaler, which needs a GPU."""

    scaled = 0

    def scale(self, loss):
        self.scaled += 1
        return loss * 1024

    def unscale_(self, optimizer):
        for group in optimizer.param_groups:
            for parameter in group['params']:
                parameter.grad /= 1024
        self.unscaled = True

    def step(self, optimizer):
        if not self.__dict__.pop('unscaled', False):
            self.unscale_(optimizer)
            del self.unscaled
        optimizer.step()

    def update(self, new_scale):
        pass


@pytest.mark.parametrize('per', ['batch', 'micro_batch'])
@pytest.mark.parametrize('clip_grad', [None, dict(max_norm=0.2)])
def test_with_a_scaled_float16_loss_the_step_is_the_same(monkeypatch, per, clip_grad):
    def start(self, loss_scale=None, **kwargs):
        OptimWrapper.__init__(self, **kwargs)
        self.loss_scaler, self._scale_update_param = PowerOfTwoScaler(), None
        self.cast_dtype = torch.bfloat16

    monkeypatch.setattr(AmpOptimWrapper, '__init__', start)
    monkeypatch.setattr(AmpOptimWrapper, 'optim_context', OptimWrapper.optim_context)

    def slopes(wrapper_class):
        clip = dict(clip_grad) if clip_grad else None
        batches = INPUTS.split(2)
        options = dict(flood_level=5.0, per=per, accumulative_counts=2, clip_grad=clip)
        return train(line(1.0), wrapper_class, batches, **options)

    assert slopes(FloodingAmpOptimWrapper) == pytest.approx(slopes(FloodingOptimWrapper))


def test_all_processes_take_the_sign_of_their_mean_loss(monkeypatch):
    def mean_with_a_process_that_has_a_loss_of_20(excess, op):
        assert op == 'mean'
        excess.copy_((excess + 20 - 9) / 2)

    monkeypatch.setattr(module, 'all_reduce', mean_with_a_process_that_has_a_loss_of_20)
    assert train(line(1.0), flood_level=9.0) == pytest.approx([1 - 0.45])


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        (dict(flood_level=0), 'flood_level is 0, but must be positive'),
        (
            dict(flood_level=1.0, per='image'),
            "per is 'image', but must be 'batch' or 'micro_batch'",
        ),
    ],
)
def test_options_out_of_range_are_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        train(line(1.0), **options)


def test_a_loss_that_was_skipped_does_not_count_in_the_next_batch(monkeypatch):
    model = line(1.0)
    wrapper = FloodingOptimWrapper(
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1), flood_level=1.0
    )
    with monkeypatch.context() as guarded:
        guarded.setattr(wrapper, 'step', lambda **kwargs: None)  # as a guard against NaN does
        wrapper.update_params(model(INPUTS * torch.nan).mean())
    wrapper.update_params(model(INPUTS).mean())
    assert model.weight.item() == pytest.approx(1 - 0.45)
