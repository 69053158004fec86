"""Schedules drawn before a training are those that it has."""

import math

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn

from mmdet_ext.apis.schedule_plot import plot_schedules, schedule_report, trace_schedule

EPOCHS, LENGTH = 4, 5


class ScheduledModel(BaseModel):
    """A backbone and a head of one weight each."""

    def __init__(self):
        super().__init__()
        self.backbone, self.head = nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return {'loss': self.head(self.backbone(torch.stack(list(inputs)))).square().mean()}


@pytest.fixture(autouse=True, scope='module')
def model():
    MODELS.register_module(module=ScheduledModel, force=True)
    yield
    MODELS.module_dict.pop('ScheduledModel')


def config(*schedulers, optimizer=None, loop=None, **more):
    optimizer = optimizer or dict(type='SGD', lr=0.1, momentum=0.9)
    wrapper = dict(type='OptimWrapper', optimizer=optimizer, **more.pop('wrapper', {}))
    return Config(
        dict(
            model=dict(type='ScheduledModel'),
            train_dataloader=dict(batch_size=2),
            train_cfg=loop or dict(by_epoch=True, max_epochs=EPOCHS),
            optim_wrapper=wrapper,
            param_scheduler=list(schedulers),
            **more,
        )
    )


def rates_of(*schedulers, **options):
    (rates,) = trace_schedule(config(*schedulers, **options), LENGTH).rates.values()
    return rates


STEPS = dict(type='MultiStepLR', milestones=[1, 3], gamma=0.1)


def test_steps_fall_at_the_beginning_of_their_epochs():
    rates = rates_of(STEPS)
    np.testing.assert_allclose(rates, np.repeat([0.1, 0.01, 0.01, 0.001], LENGTH))


def test_without_schedules_the_rate_stays():
    np.testing.assert_allclose(rates_of(), np.full(EPOCHS * LENGTH, 0.1))


def test_a_warm_up_rises_linearly_and_then_the_cosine_falls():
    warm_up = dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=4)
    cosine = dict(type='CosineAnnealingLR', by_epoch=False, begin=4, end=20, T_max=16, eta_min=0)
    rates = rates_of(warm_up, cosine)
    np.testing.assert_allclose(rates[:4], 0.1 * np.linspace(0.01, 1, 4))
    expected = [0.05 * (1 + math.cos(math.pi * i / 16)) for i in range(16)]
    np.testing.assert_allclose(rates[4:], expected, atol=1e-9)


def test_in_a_training_by_iterations_schedules_by_epoch_never_step():
    loop = dict(type='IterBasedTrainLoop', max_iters=7)
    assert list(rates_of(STEPS, loop=loop)) == [0.1] * 7
    schedule = trace_schedule(config(STEPS, loop=loop), LENGTH)
    assert schedule.by_epoch is False


def test_parts_with_rates_of_their_own_have_curves_of_their_own():
    wrapper = dict(paramwise_cfg=dict(custom_keys={'backbone': dict(lr_mult=0.1)}))
    rates = trace_schedule(config(STEPS, wrapper=wrapper), LENGTH).rates
    assert list(rates) == ['backbone', 'head']
    np.testing.assert_allclose(rates['backbone'], 0.1 * rates['head'])
    np.testing.assert_allclose(rates['head'], np.repeat([0.1, 0.01, 0.01, 0.001], LENGTH))


def test_momentum_is_that_of_the_optimizer_or_its_first_beta():
    step = dict(type='StepMomentum', step_size=2, gamma=0.5)
    (momenta,) = trace_schedule(config(step), LENGTH).momenta.values()
    np.testing.assert_allclose(momenta, np.repeat([0.9, 0.9, 0.45, 0.45], LENGTH))
    (betas,) = trace_schedule(config(optimizer=dict(type='Adam', lr=1)), LENGTH).momenta.values()
    np.testing.assert_allclose(betas, 0.9)
    assert trace_schedule(config(optimizer=dict(type='Adagrad', lr=1)), LENGTH).momenta == {}


def test_auto_scaling_of_the_rate_counts_accumulated_batches():
    scaling = dict(enable=True, base_batch_size=4)  # the batch size is 2
    assert rates_of(auto_scale_lr=scaling)[0] == pytest.approx(0.05)
    wrapper = dict(accumulative_counts=4)
    assert rates_of(auto_scale_lr=scaling, wrapper=wrapper)[0] == pytest.approx(0.2)


def test_a_plateau_is_said_to_wait_for_validations():
    plateau = dict(type='ReduceOnPlateauLR', monitor='slot/f1', rule='greater', patience=1)
    schedule = trace_schedule(config(plateau), LENGTH)
    assert schedule.waiting == [
        'param_scheduler[0] (ReduceOnPlateauLR) waits for slot/f1: drawn as if that got better each '
        'time.'
    ]
    np.testing.assert_allclose(*schedule.rates.values(), 0.1)


@pytest.mark.parametrize(
    'schedulers',
    [
        [STEPS],
        [dict(type='OneCycleLR', eta_max=0.3, total_steps=EPOCHS * LENGTH, by_epoch=False)],
        [
            dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=3),
            dict(type='CosineAnnealingLR', T_max=EPOCHS, convert_to_iter_based=True),
        ],
        [dict(type='PolyLR', power=0.9, eta_min=1e-3)],
        [dict(type='ExponentialLR', gamma=0.5), dict(type='StepMomentum', step_size=1, gamma=0.9)],
    ],
    ids=lambda schedulers: schedulers[-1]['type'],
)
def test_the_rates_and_momenta_are_those_of_a_real_training(schedulers, tmp_path):
    cfg = config(*schedulers)
    seen = []

    class Listener(Hook):
        def before_train_iter(self, runner, batch_idx, data_batch=None):
            wrapper = runner.optim_wrapper
            seen.append((wrapper.get_lr()['lr'][0], wrapper.get_momentum()['momentum'][0]))

    Runner(
        model=ScheduledModel(),
        work_dir=str(tmp_path),
        train_dataloader=dict(
            batch_size=2,
            sampler=dict(type='DefaultSampler', shuffle=False),
            dataset=[dict(inputs=torch.ones(1, 2, 2))] * (2 * LENGTH),
        ),
        train_cfg=cfg.train_cfg,
        optim_wrapper=cfg.optim_wrapper,
        param_scheduler=cfg.param_scheduler,
        default_hooks=dict(checkpoint=None, logger=None),
        custom_hooks=[Listener()],
        experiment_name=tmp_path.name,
    ).train()
    schedule = trace_schedule(cfg, LENGTH)
    (rates,), (momenta,) = schedule.rates.values(), schedule.momenta.values()
    assert len(set(rates)) > 1
    np.testing.assert_array_equal(np.stack([rates, momenta], axis=1), seen)


def test_the_plot_has_a_line_for_each_curve_over_epochs():
    wrapper = dict(paramwise_cfg=dict(custom_keys={'backbone': dict(lr_mult=0.1)}))
    step = dict(type='StepMomentum', step_size=2, gamma=0.5)
    schedule = trace_schedule(config(STEPS, step, wrapper=wrapper), LENGTH)
    rates, momenta = plot_schedules({'steps': schedule}).axes
    assert rates.get_title('left') == 'steps'
    assert [text.get_text() for text in rates.get_legend().get_texts()] == ['backbone', 'head']
    np.testing.assert_allclose(rates.lines[1].get_xdata(), np.arange(20) / LENGTH)
    np.testing.assert_allclose(rates.lines[1].get_ydata(), schedule.rates['head'])
    assert momenta.get_ylabel() == 'Momentum'


def test_the_length_of_an_epoch_is_that_of_the_synthetic_data_to_be_made(tmp_path):
    missing = {'data_root': str(tmp_path)}
    options = {f'train_dataloader.dataset.{key}': value for key, value in missing.items()}
    options['train_cfg.max_epochs'] = 2
    report = schedule_report(['ext/psd_yolo.py'], str(tmp_path / 'x.png'), cfg_options=options)
    assert '(iteration 399)' in report  # 1600 images by 8, twice
    assert (tmp_path / 'x.png').read_bytes().startswith(b'\x89PNG')


def test_without_data_the_length_of_an_epoch_is_asked_for(tmp_path):
    options = {'train_dataloader.dataset.data_root': str(tmp_path), 'synthetic_data': None}
    with pytest.raises(ValueError, match='say it with --epoch-length ITERATIONS'):
        schedule_report(['ext/psd_yolo.py'], str(tmp_path / 'x.png'), cfg_options=options)
