"""Finding learning rates and batch sizes: on losses and memories of known shape, and on a config."""

import math
import mmap

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.model import BaseModel
from torch import nn

from mmdet_ext.apis import finders
from mmdet_ext.apis.finders import batch_size as batch_size_module
from mmdet_ext.apis.finders import learning_rate as learning_rate_module
from mmdet_ext.apis.finders import memory
from mmdet_ext.apis.finders.batch_size import BatchSizes
from mmdet_ext.apis.finders.subject import build_subject


@MODELS.register_module(force=True)
class ParabolaForFinders(BaseModel):
    """A parabola in many weights, along which gradient descent diverges from a rate of 1 on."""

    def __init__(self, most=math.inf, noise=0.0):
        super().__init__()
        self.weight, self.most, self.noise = nn.Parameter(torch.ones(8) * 10), most, noise
        self.slow = nn.Parameter(torch.ones(1))
        self.sizes = []

    def forward(self, inputs, data_samples=None, mode='tensor'):
        self.sizes.append(len(inputs))
        if len(inputs) > self.most:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return {'loss': self.weight.square().sum() + 0 * self.slow.sum() + 1}


def config(model=None, **options):
    return Config(
        dict(
            model=dict(type='ParabolaForFinders') | (model or {}),
            optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.02)),
            train_dataloader=dict(
                batch_size=2,
                sampler=dict(type='DefaultSampler', shuffle=False),
                dataset=[dict(inputs=torch.zeros(1)) for _ in range(6)],
            ),
        )
        | options
    )


def test_the_sweep_is_exponential_and_each_loss_is_that_before_the_step_with_its_rate():
    sweep = finders.find_learning_rate(config(), 1e-4, 0.4, 40)
    assert np.allclose(sweep.rates, np.geomspace(1e-4, 0.4, 40))
    factors = np.cumprod(1 - 2 * sweep.rates[:-1])  # gradient descent on the square
    expected = 800 * np.concatenate([[1], factors]) ** 2 + 1
    assert np.allclose(sweep.losses, expected, rtol=1e-4)


def test_it_ends_where_the_loss_diverges():
    sweep = finders.find_learning_rate(config(), 1e-4, 1000.0, 100)
    assert 1 < sweep.rates[-1] < 20
    assert not sweep.is_falling


def test_a_step_is_as_many_batches_as_are_accumulated():
    wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.02))
    accumulated = config(optim_wrapper=wrapper | dict(accumulative_counts=3))
    many = finders.find_learning_rate(accumulated, 1e-4, 0.4, 20)
    one = finders.find_learning_rate(config(), 1e-4, 0.4, 20)
    assert np.allclose(many.losses, one.losses, rtol=1e-4)


def test_rates_of_parameter_groups_keep_their_proportions():
    wrapper = dict(
        type='OptimWrapper',
        optimizer=dict(type='SGD', lr=0.02),
        paramwise_cfg=dict(custom_keys=dict(slow=dict(lr_mult=0.1))),
    )
    _, built = build_subject(config(optim_wrapper=wrapper))
    learning_rate_module._rate_setter(built, 0.02)(3.0)
    assert sorted(group['lr'] for group in built.optimizer.param_groups) == pytest.approx([0.3, 3])


def curve(slope_at, minimum_at, noise=0.0):
    """A sweep whose loss falls along a logistic curve in the magnitude, and rises again."""
    rates = np.geomspace(1e-6, 1, 200)
    magnitudes = np.log10(rates)
    losses = 10 / (1 + np.exp(4 * (magnitudes - math.log10(slope_at))))
    losses += 8 * np.maximum(magnitudes - math.log10(minimum_at), 0) ** 2
    losses += np.random.default_rng(0).normal(0, noise, len(rates))
    return learning_rate_module.LearningRateSweep(rates, losses, 40.0, 1e-3)


@pytest.mark.parametrize('noise', [0.0, 0.3])
def test_the_suggestions_are_the_steepest_slope_and_a_tenth_of_the_minimum(noise):
    sweep = curve(1e-3, 3e-2, noise)
    assert abs(math.log10(sweep.steepest / 1e-3)) < 0.25
    raw = curve(1e-3, 3e-2)
    lowest = raw.rates[raw.losses.argmin()]
    assert abs(math.log10(sweep.tenth_of_minimum / (lowest / 10))) < 0.25


def test_a_divergence_does_not_move_the_suggestions():
    sweep = curve(1e-3, 3e-2)
    before = sweep.steepest
    sweep.losses[-5:] = 1e9
    assert sweep.steepest == pytest.approx(before)


def test_the_weights_that_training_starts_from_are_taken(tmp_path):
    model = ParabolaForFinders()
    model.weight.data.fill_(2)
    torch.save(model.state_dict(), tmp_path / 'start.pth')
    cfg = config(load_from=str(tmp_path / 'start.pth'))
    sweep = finders.find_learning_rate(cfg, 1e-4, 0.4, 20)
    assert sweep.losses[0] == 8 * 2**2 + 1


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        (dict(lowest=5.0, highest=50.0), 'diverges after . steps, at a learning rate of'),
        (dict(lowest=0.1, highest=0.01), 'are no sweep: give 0 < lowest < highest'),
        (dict(steps=3), 'at least 10 steps'),
    ],
)
def test_sweeps_that_show_nothing_are_one_sentence(options, expected):
    with pytest.raises(ValueError, match=expected):
        finders.find_learning_rate(config(), **options)


@pytest.mark.parametrize('true', [*range(1, 20), 47, 63, 64, 100])
def test_doubling_and_bisection_find_the_largest_to_an_eighth(true):
    asked = []

    def fits(size):
        asked.append(size)
        return size <= true

    found = finders.largest_fitting(fits, 64)
    assert found <= min(true, 64)
    assert min(true, 64) - found < max(found / 8, 1)
    assert len(set(asked)) == len(asked)
    assert max(asked) <= 64


def test_nothing_fits():
    assert finders.largest_fitting(lambda size: False, 64) == 0


def test_a_size_that_memory_runs_out_at_is_not_taken(monkeypatch):
    monkeypatch.setattr(batch_size_module, 'memory_limit', lambda: (1e9, 'plenty'))
    found = finders.find_batch_size(config(dict(most=5)), most=64, repeats=1)
    assert sorted(found.seconds) == [1, 2, 4]
    assert found.too_large == [8]


def test_on_the_cpu_no_step_is_tried_that_would_take_more_than_the_limit(monkeypatch):
    tried = []

    def fake_try(found, size, step, repeats):
        tried.append(size)
        found.memory[size], found.seconds[size] = 1 + 0.1 * size, 0.1 + 0.01 * size
        return True

    monkeypatch.setattr(batch_size_module, '_try', fake_try)
    monkeypatch.setattr(batch_size_module.torch.cuda, 'is_available', lambda: False)
    found = finders.find_batch_size(config(), most=64, limit=3.05)
    assert tried == [1, 2, 4, 8, 16]
    assert found.too_large[0] == 32
    assert found.largest in (19, 20)  # 1 GiB and 0.1 for each image: 20 fit
    assert found.is_estimate
    assert found.predicted_memory(20) == pytest.approx(3)
    assert found.fast_enough == 16


def test_not_even_one_image_is_one_sentence():
    with pytest.raises(ValueError, match=r'with one image does not fit into .* GiB'):
        finders.find_batch_size(config(dict(most=0)))


def test_batches_larger_than_the_data_repeat_it():
    samples = batch_size_module._Samples(config())
    assert len(samples.batch(15)['inputs']) == 15


def test_the_suggested_rate_counts_what_is_accumulated():
    found = BatchSizes(1, '', 64, rate=0.01, rate_is_for=8, accumulated=4)
    assert found.scaled_rate(16) == pytest.approx(0.01 * 16 * 4 / 8)


@pytest.mark.skipif(torch.cuda.is_available(), reason='it is that of the GPU then')
def test_the_peak_of_the_memory_is_that_of_what_was_done_since_the_reset():
    memory.reset_peak()
    before = memory.peak()
    block = mmap.mmap(-1, 2**26)  # not from malloc, which may have kept what other tests freed
    for _ in range(64):
        block.write(bytes(2**20))  # touched, so that it is there
    assert memory.peak() - before == pytest.approx(1 / 16, rel=0.2)
    block.close()
    memory.reset_peak()
    assert memory.peak() < before + 1 / 32


def test_several_optimizers_are_refused():
    with pytest.raises(
        ValueError, match='no `optimizer`, but generator, critic: a learning rate or'
    ):
        build_subject(config(optim_wrapper=dict(generator={}, critic={})))


@pytest.mark.parametrize('name', ['learning_rate', 'batch_size'])
def test_reports_write_the_plot_and_name_the_options(tmp_path, name):
    path = tmp_path / 'config.py'
    path.write_text(config(synthetic_data=None).pretty_text.replace('tensor([0.])', '[0.]'))
    options = dict(steps=20) if name == 'learning_rate' else dict(most=2, repeats=1)
    report = getattr(finders, f'{name}_report')(str(path), str(tmp_path / 'plot.png'), **options)
    assert (tmp_path / 'plot.png').read_bytes().startswith(b'\x89PNG')
    assert '--cfg-options' in report
    assert 'optim_wrapper.optimizer.lr=' in report
