"""L1 regularisation, against the formulas."""

import pytest
import torch
from mmengine.optim import OptimWrapper
from tiny_training import (
    Model,
    ScaledOnCPU,
    fresh_globals,  # noqa: F401 (a fixture)
    images,
    needs_scaler,
    train,
    weights,
)

from mmdet_ext.engine.hooks.l1_regularization_hook import L1RegularizationHook
from mmdet_ext.engine.optimizers import FusedAdamW


def sgd(rate=0.1, **options):
    return dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=rate), **options)


def step(tmp_path, hooks, optim_wrapper=None, dataset=None):
    """Weights by name before and after one step."""
    model = Model()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    dataset = dataset or images(2)
    train(tmp_path, hooks, model, dataset, 1, optim_wrapper=optim_wrapper or sgd())
    return before, {name: p.detach() for name, p in model.named_parameters()}


@pytest.mark.parametrize('options', [{}, dict(clip_grad=dict(max_norm=1e-3))])
def test_the_sub_gradient_is_added_to_matrices_after_clipping(tmp_path, options):
    before, plain = step(tmp_path, [], sgd(**options))
    _, after = step(tmp_path, [L1RegularizationHook(0.01)], sgd(**options))
    for name in before:
        expected = plain[name] - 0.1 * 0.01 * before[name].sign() * (before[name].ndim > 1)
        assert torch.allclose(after[name], expected, atol=1e-7), name


def test_the_proximal_step_shrinks_to_exactly_zero(tmp_path):
    _, plain = step(tmp_path, [])
    _, after = step(tmp_path, [L1RegularizationHook(3, proximal=True)])
    shrunk = torch.nn.functional.softshrink(
        torch.cat([plain['stem.weight'], plain['last.weight'].view(2, 1, 1, 1)]), 0.3
    )
    assert torch.allclose(
        torch.cat([after['stem.weight'], after['last.weight'].view(2, 1, 1, 1)]), shrunk
    )
    assert 0 < (shrunk == 0).sum() < 4
    assert torch.equal(after['last.bias'], plain['last.bias'])


def test_it_acts_once_per_step_whatever_is_accumulated(tmp_path):
    dataset = images(4)
    wrapper = sgd(accumulative_counts=2)
    before, plain = step(tmp_path, [], wrapper, dataset)
    _, after = step(tmp_path, [L1RegularizationHook(0.01)], sgd(accumulative_counts=2), dataset)
    expected = plain['stem.weight'] - 0.1 * 0.01 * before['stem.weight'].sign()
    assert torch.allclose(after['stem.weight'], expected, atol=1e-7)


def test_names_and_vectors_can_be_chosen(tmp_path):
    _, plain = step(tmp_path, [])
    hook = L1RegularizationHook(0.01, parameters='last', norms_and_biases=True)
    before, after = step(tmp_path, [hook])
    changed = {name for name in plain if not torch.equal(plain[name], after[name])}
    assert changed == {'last.weight', 'last.bias'}
    assert torch.allclose(
        after['last.bias'], plain['last.bias'] - 1e-3 * before['last.bias'].sign()
    )


@needs_scaler
@pytest.mark.parametrize('proximal', [False, True])
@pytest.mark.parametrize('optimizer', [torch.optim.SGD, FusedAdamW])
def test_scaled_gradients_give_the_same_and_skipped_steps_change_nothing(
    tmp_path, optimizer, proximal
):
    def run(make_wrapper):
        model = Model()
        wrapper = make_wrapper(optimizer(model.parameters(), lr=0.01))
        hook = L1RegularizationHook(0.01, proximal=proximal)
        train(tmp_path, [hook], model, images(8), optim_wrapper=wrapper)
        return weights(model)

    plain = run(OptimWrapper)
    scaled = run(lambda optimizer: ScaledOnCPU(optimizer, init_scale=1024.0))
    assert torch.allclose(plain, scaled, atol=1e-5)
    overflown = run(lambda optimizer: ScaledOnCPU(optimizer, init_scale=float('inf')))
    assert torch.equal(overflown, weights(Model()))


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        (dict(parameters='lost'), r"'lost', which matches none of the 6 .*did you mean last"),
        (dict(parameters='norm'), "parameters='norm', and all 2 of these are norms or biases"),
    ],
)
def test_choosing_nothing_is_refused(tmp_path, options, expected):
    with pytest.raises(ValueError, match=expected):
        step(tmp_path, [L1RegularizationHook(0.1, **options)])


def test_a_weight_of_zero_is_refused():
    with pytest.raises(ValueError, match='got weight=0: give one above 0'):
        L1RegularizationHook(0)


def test_after_training_the_optimizer_is_left_alone(tmp_path):
    runner = train(tmp_path, [L1RegularizationHook(1)])
    weight = runner.model.stem.weight
    before = weight.detach().clone()
    for parameter in runner.model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer = runner.optim_wrapper.optimizer
    optimizer.state.clear()  # no momentum
    optimizer.step()
    assert torch.equal(weight, before)
