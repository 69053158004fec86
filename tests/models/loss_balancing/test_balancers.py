"""Balancers: their weights are those of the formulas, kept through a resume, the same everywhere."""

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub
from ranks import run_ranks

from mmdet_ext.models.loss_balancing import (
    DynamicWeightAverage,
    FixedWeights,
    LossRatioWeighting,
    UncertaintyWeighting,
)

STATEFUL = [UncertaintyWeighting, DynamicWeightAverage, LossRatioWeighting]


@pytest.fixture(autouse=True)
def fresh_message_hub(monkeypatch):
    monkeypatch.setattr(MessageHub, '_instance_dict', type(MessageHub._instance_dict)())


def losses(**values):
    return {f'loss_{name}': torch.tensor(value) for name, value in values.items()}


def start_epoch(number):
    MessageHub.get_current_instance().update_info('epoch', number)


def weights_of(balancer, **values):
    return {name: w.item() for name, w in balancer(losses(**values))[1].items()}


def test_fixed_weights_multiply_the_named_losses_and_leave_the_others():
    total, weights = FixedWeights({'loss_a': 3.0})(losses(a=2.0, b=5.0))
    assert total.item() == 11
    assert weights == {'loss_a': 3}
    assert not FixedWeights({'loss_a': 3.0}).state_dict()


def test_uncertainty_starts_with_the_plain_sum_and_follows_its_formula():
    balancer = UncertaintyWeighting()
    total, weights = balancer(losses(b=2.0, a=5.0))
    assert total.item() == 7
    assert weights == {'loss_a': 1, 'loss_b': 1}
    with torch.no_grad():
        balancer.log_variances[:2] = torch.tensor([0.5, -1.0])  # of a and b, in this order
    total, weights = balancer(losses(b=2.0, a=5.0))
    expected = np.exp(-0.5) * 5 + 0.25 + np.exp(1) * 2 - 0.5
    assert total.item() == pytest.approx(expected)
    assert weights['loss_b'].item() == pytest.approx(np.exp(1))


def test_the_gradient_of_uncertainty_is_that_of_finite_differences():
    balancer = UncertaintyWeighting(capacity=3)

    def total(values, log_variances):
        named = dict(zip(('loss_a', 'loss_b', 'loss_c'), values.unbind(), strict=True))
        return torch.func.functional_call(balancer, {'log_variances': log_variances}, (named,))[0]

    values = torch.tensor([1.0, 0.3, 4.0], requires_grad=True)
    log_variances = torch.tensor([0.2, -0.7, 1.0], requires_grad=True)
    total(values, log_variances).backward()
    weight = np.exp([-0.2, 0.7, -1.0])
    np.testing.assert_allclose(values.grad, weight, rtol=1e-6)
    expected = 0.5 - weight * [1, 0.3, 4]
    np.testing.assert_allclose(log_variances.grad, expected, rtol=1e-5)


def test_uncertainty_brings_each_weighted_loss_to_one_half_within_its_bound():
    balancer = UncertaintyWeighting(bound=2.0)
    optimizer = torch.optim.SGD(balancer.parameters(), lr=0.2)
    for _ in range(300):
        optimizer.zero_grad()
        total, weights = balancer(losses(large=3.0, small=0.1, tiny=1e-4))
        total.backward()
        optimizer.step()
    found = {name: weight.item() for name, weight in weights.items()}
    assert found['loss_large'] * 3 == pytest.approx(0.5, rel=1e-3)
    assert found['loss_small'] * 0.1 == pytest.approx(0.5, rel=1e-3)
    assert found['loss_tiny'] == pytest.approx(np.exp(2))


def test_a_log_variance_at_its_bound_comes_back():
    balancer = UncertaintyWeighting(bound=2.0)
    with torch.no_grad():
        balancer.log_variances += 50
    optimizer = torch.optim.SGD(balancer.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        balancer(losses(a=1e-4))[0].backward()
        optimizer.step()
    assert balancer.log_variances[0].item() == pytest.approx(2 - 3 * 0.1 / 2, rel=1e-3)


def test_dynamic_weights_are_the_softmax_of_the_ratios_of_epoch_means():
    balancer = DynamicWeightAverage(temperature=0.5)
    epochs = [  # of the losses a and b in three iterations
        ([4.0, 5.0, 6.0], [1.0, 1.0, 1.0]),
        ([2.0, 2.0, 2.0], [0.9, 0.8, 1.0]),
        ([1.0, 3.0, 2.0], [0.1, 0.1, 0.1]),
        ([7.0, 7.0, 7.0], [7.0, 7.0, 7.0]),
    ]
    found = []
    for number, (first, second) in enumerate(epochs):
        start_epoch(number)
        for a, b in zip(first, second, strict=True):
            found.append(list(weights_of(balancer, a=a, b=b).values()))
    means = [np.mean(epoch, 1) for epoch in epochs]
    assert found[:6] == [[1, 1]] * 6
    for number in (2, 3):
        powers = np.exp(means[number - 1] / means[number - 2] / 0.5)
        expected = 2 * powers / powers.sum()
        np.testing.assert_allclose(found[3 * number : 3 * number + 3], [expected] * 3, rtol=1e-6)


def test_dynamic_weights_take_a_number_of_iterations_for_an_epoch():
    balancer = DynamicWeightAverage(temperature=1.0, period=2)
    for a, b in ((4.0, 1.0), (4.0, 1.0), (1.0, 1.0), (1.0, 1.0)):
        assert weights_of(balancer, a=a, b=b) == {'loss_a': 1, 'loss_b': 1}
    powers = np.exp([0.25, 1])
    weights = list(weights_of(balancer, a=1.0, b=1.0).values())
    np.testing.assert_allclose(weights, 2 * powers / powers.sum(), rtol=1e-6)


def test_ratio_weights_divide_by_corrected_moving_means():
    generator = np.random.default_rng(0)
    values = generator.uniform(0.5, 1.5, (20, 3)) * [10, 1, 0.1]
    balancer = LossRatioWeighting(momentum=0.9)
    means = np.zeros(3)
    for step, row in enumerate(values, 1):
        means = 0.9 * means + 0.1 * row
        corrected = means / (1 - 0.9**step)
        total, weights = balancer(losses(**dict(zip('abc', row.tolist(), strict=True))))
        expected = corrected.mean() / corrected
        np.testing.assert_allclose([w.item() for w in weights.values()], expected, rtol=1e-4)
        assert total.item() == pytest.approx((expected * row).sum(), rel=1e-4)


def test_ratio_weights_of_a_loss_that_stays_at_zero_are_bounded():
    balancer = LossRatioWeighting(max_weight=20.0)
    weights = weights_of(balancer, a=1.0, b=0.0)
    assert weights == {'loss_a': pytest.approx(0.5), 'loss_b': 20}


@pytest.mark.parametrize('balancer_class', STATEFUL)
def test_what_was_learnt_goes_on_after_a_resume_for_the_same_losses(balancer_class):
    def train(balancer, steps):
        optimizer = torch.optim.SGD([*balancer.parameters(), torch.zeros(1)], lr=0.1)
        for step in steps:
            start_epoch(step // 3)
            optimizer.zero_grad()
            values = torch.tensor([3.0 / (step + 1), 1.0 + step % 2], requires_grad=True)
            total, weights = balancer({'loss_b': values[0], 'loss_a': values[1]})
            total.backward()
            optimizer.step()
        return {name: weight.item() for name, weight in weights.items()}

    whole = balancer_class()
    expected = train(whole, range(11))
    first, second = balancer_class(), balancer_class()
    train(first, range(7))
    second.load_state_dict(first.state_dict())
    assert train(second, range(7, 11)) == expected
    assert expected['loss_a'] != expected['loss_b']


@pytest.mark.parametrize('balancer_class', [DynamicWeightAverage, LossRatioWeighting])
def test_a_validation_loss_changes_nothing(balancer_class):
    balancer = balancer_class()
    weights_of(balancer, a=1.0, b=2.0)
    before = {name: value.clone() for name, value in balancer.state_dict().items()}
    balancer.eval()
    weights_of(balancer, a=5.0, b=0.0)
    for name, value in balancer.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize('balancer_class', STATEFUL)
def test_some_losses_are_balanced_and_the_others_keep_their_weight(balancer_class):
    balancer = balancer_class(losses=['loss_a', 'loss_b'])
    values = losses(a=1.0, b=2.0, c=4.0)
    values['loss_c'].requires_grad_()
    total, weights = balancer(values)
    total.backward()
    assert list(weights) == ['loss_a', 'loss_b']
    assert values['loss_c'].grad == 1


@pytest.mark.parametrize('balancer_class', STATEFUL)
def test_a_loss_may_be_missing_in_an_iteration(balancer_class):
    balancer = balancer_class()
    balancer(losses(a=1.0, b=2.0))
    assert list(balancer(losses(b=2.0))[1]) == ['loss_b']


def test_names_that_the_detector_does_not_have_are_refused_with_near_matches():
    for balancer in (FixedWeights({'loss_box': 2.0}), UncertaintyWeighting(losses=['loss_box'])):
        with pytest.raises(
            ValueError,
            match=r"no loss 'loss_box' \(did you mean loss_bbox.*\): expected names among",
        ):
            balancer(losses(bbox=1.0, cls=1.0))


def test_a_loss_that_comes_later_is_refused():
    balancer = UncertaintyWeighting()
    balancer(losses(a=1.0))
    with pytest.raises(ValueError, match="'loss_b' is not among those that it started with"):
        balancer(losses(a=1.0, b=1.0))


def test_more_losses_than_the_capacity_are_refused():
    with pytest.raises(ValueError, match='3 losses, more than the capacity of 2: set `capacity`'):
        UncertaintyWeighting(capacity=2)(losses(a=1.0, b=1.0, c=1.0))


@pytest.mark.parametrize(
    ('build', 'sentence'),
    [
        (lambda: UncertaintyWeighting(bound=0), 'bound is 0, but must be positive'),
        (lambda: DynamicWeightAverage(temperature=0), 'temperature is 0, but must be positive'),
        (lambda: DynamicWeightAverage(period=0), 'period is 0, but must be 1 or more'),
        (lambda: LossRatioWeighting(momentum=1), 'momentum is 1, but must be in'),
        (lambda: LossRatioWeighting(max_weight=0.5), 'max_weight is 0.5, but must be at least 1'),
    ],
)
def test_options_out_of_range_are_refused(build, sentence):
    with pytest.raises(ValueError, match=sentence):
        build()


def _weights_on_a_rank(balancer_class):
    rank = torch.distributed.get_rank()
    balancer = (
        balancer_class(period=1) if balancer_class is DynamicWeightAverage else balancer_class()
    )
    for step in range(1, 5):
        weights = weights_of(balancer, a=float(1 + rank) / step, b=float(3 - rank))
    return weights


@pytest.mark.parametrize('balancer_class', [DynamicWeightAverage, LossRatioWeighting])
def test_all_processes_have_the_weights_of_their_mean_losses(balancer_class):
    first, second = run_ranks(_weights_on_a_rank, balancer_class, group=True)
    single = (
        balancer_class(period=1) if balancer_class is DynamicWeightAverage else balancer_class()
    )
    for step in range(1, 5):
        expected = weights_of(single, a=1.5 / step, b=2.5)
    assert first == second
    assert first == pytest.approx(expected)
