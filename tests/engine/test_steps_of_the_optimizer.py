"""What mmengine and we do to a step: accumulation, clipping, scaling of the rate, averages."""

import pytest
import torch
from mmengine.hooks import EMAHook, Hook
from tiny_training import Model, fresh_globals, images, new_runner, train, weights  # noqa: F401

from mmdet_ext.engine.optimizers.learning_rate_scaling import count_accumulation


def sgd(**options):
    return dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1), **options)


def trained(tmp_path, batch_size, **options):
    model = Model(norm=False)
    train(tmp_path, [], model, images(12), 1, batch_size, optim_wrapper=sgd(**options))
    return weights(model)


@pytest.mark.parametrize('clip', [dict(max_norm=0.05), dict(type='value', clip_value=0.01), None])
def test_accumulated_batches_are_clipped_as_the_one_they_stand_for(tmp_path, clip):
    options = {} if clip is None else dict(clip_grad=dict(clip))
    whole = trained(tmp_path, 6, **options)
    options = {} if clip is None else dict(clip_grad=dict(clip))
    accumulated = trained(tmp_path, 2, accumulative_counts=3, **options)
    assert torch.allclose(accumulated, whole, atol=1e-6)


def test_a_clipped_gradient_has_the_greatest_norm_that_is_allowed(tmp_path):
    model = Model(norm=False)
    before = weights(model)
    wrapper = sgd(clip_grad=dict(max_norm=0.05))
    train(tmp_path, [], model, images(2), optim_wrapper=wrapper)
    assert (weights(model) - before).norm() == pytest.approx(0.1 * 0.05, rel=1e-3)


@pytest.mark.parametrize(
    ('counts', 'base', 'expected'),
    [(1, 8, 0.1 * 2 / 8), (4, 8, 0.1 * 2 * 4 / 8), (3, 2, 0.1 * 3)],
)
def test_the_scaled_rate_counts_accumulation(tmp_path, counts, base, expected):
    rates = []

    class Rate(Hook):
        def before_train_iter(self, runner, batch_idx, data_batch=None):
            rates.append(runner.optim_wrapper.get_lr()['lr'][0])

    scaling = dict(enable=True, base_batch_size=base)
    options = dict(auto_scale_lr=scaling)
    wrapper = sgd(accumulative_counts=counts)
    runner = new_runner(tmp_path, [Rate()], None, None, 1, 2, wrapper, options)
    count_accumulation(runner)
    runner.train()
    assert rates[0] == pytest.approx(expected)
    assert scaling == dict(enable=True, base_batch_size=base)  # what a resumed run reads again


def test_a_rate_that_is_not_to_be_scaled_stays(tmp_path):
    options = dict(auto_scale_lr=dict(enable=False, base_batch_size=8))
    wrapper = sgd(accumulative_counts=4)
    runner = new_runner(tmp_path, [], None, None, 1, 2, wrapper, options)
    count_accumulation(runner)
    runner.train()
    assert runner.optim_wrapper.get_lr()['lr'][0] == 0.1


class Snapshots(Hook):
    """Weights and running means after each iteration."""

    def __init__(self):
        self.weights, self.means = [], []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.weights.append(weights(runner.model))
        self.means.append(runner.model.norm.running_mean.clone())


def test_stochastic_weight_averaging_averages_weights_and_statistics_of_the_last_epochs(tmp_path):
    seen = Snapshots()
    average = EMAHook(ema_type='StochasticWeightAverage', begin_epoch=2, update_buffers=True)
    train(tmp_path, [seen, average], epochs=3)
    # Four iterations per epoch; averaged is from the second on.
    expected = torch.stack(seen.weights[4:]).mean(0)
    assert torch.allclose(weights(average.ema_model.module), expected, atol=1e-6)
    expected = torch.stack(seen.means[4:]).mean(0)
    assert torch.allclose(average.ema_model.module.norm.running_mean, expected, atol=1e-6)


def test_an_exponential_average_averages_weights_and_statistics(tmp_path):
    seen = Snapshots()
    average = EMAHook(momentum=0.25, update_buffers=True)
    train(tmp_path, [seen, average])
    for values, averaged in (
        (seen.weights, weights(average.ema_model.module)),
        (seen.means, average.ema_model.module.norm.running_mean),
    ):
        expected = values[0]
        for value in values[1:]:
            expected = 0.75 * expected + 0.25 * value
        assert torch.allclose(averaged, expected, atol=1e-6)
