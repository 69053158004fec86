"""Label smoothing, focal loss and KL divergence against NumPy and mmdet."""

import numpy as np
import pytest
import torch
from loss_references import (
    focal_losses,
    one_hot,
    smoothed_binary_cross_entropies,
    smoothed_cross_entropies,
    softmax,
)
from mmdet.models.losses import CrossEntropyLoss, FocalLoss
from scipy.special import rel_entr

from mmdet_ext.models.losses import (
    KLDivergenceLoss,
    SmoothedCrossEntropyLoss,
    TorchvisionFocalLoss,
)

GENERATOR = np.random.default_rng(0)
LOGITS = GENERATOR.normal(0, 3, (200, 5))
LABELS = GENERATOR.integers(0, 6, 200)  # 5 is the background of sigmoids
WEIGHTS = GENERATOR.uniform(0, 2, 200)


def tensor(array, dtype=torch.float64):
    return torch.tensor(array, dtype=dtype if np.asarray(array).dtype.kind == 'f' else None)


def assert_equal(actual, expected):
    np.testing.assert_allclose(actual.detach().numpy(), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize('smoothing', [0.0, 0.1, 0.5])
def test_softmax_smoothing_spreads_its_share_over_all_classes(smoothing):
    labels = LABELS % 5
    loss = SmoothedCrossEntropyLoss(use_sigmoid=False, smoothing=smoothing, reduction='none')
    expected = smoothed_cross_entropies(LOGITS, labels, smoothing)
    assert_equal(loss(tensor(LOGITS), tensor(labels)), expected)


@pytest.mark.parametrize('smoothing', [0.0, 0.1])
def test_sigmoid_smoothing_spreads_its_share_over_yes_and_no(smoothing):
    loss = SmoothedCrossEntropyLoss(use_sigmoid=True, smoothing=smoothing, reduction='none')
    expected = smoothed_binary_cross_entropies(LOGITS, one_hot(LABELS, 5), smoothing)
    assert_equal(loss(tensor(LOGITS), tensor(LABELS)), expected)
    assert_equal(loss(tensor(LOGITS), tensor(one_hot(LABELS, 5))), expected)


@pytest.mark.parametrize('use_sigmoid', [True, False])
@pytest.mark.parametrize(
    'options',
    [
        {},
        dict(class_weight=[1.0, 2.0, 0.5, 1.0, 3.0], loss_weight=2.0),
        dict(ignore_index=2, avg_non_ignore=True),
    ],
)
@pytest.mark.parametrize('avg_factor', [None, 17.0])
def test_without_smoothing_it_is_the_cross_entropy_of_mmdet(use_sigmoid, options, avg_factor):
    labels = tensor(LABELS % 5)
    stock = CrossEntropyLoss(use_sigmoid=use_sigmoid, **options)
    ours = SmoothedCrossEntropyLoss(use_sigmoid=use_sigmoid, smoothing=0.0, **options)
    weights = tensor(WEIGHTS, torch.float32)
    logits = tensor(LOGITS, torch.float32)
    expected = stock(logits, labels, weights, avg_factor=avg_factor)
    torch.testing.assert_close(ours(logits, labels, weights, avg_factor=avg_factor), expected)


@pytest.mark.parametrize('use_sigmoid', [True, False])
def test_ignored_labels_have_neither_loss_nor_gradient(use_sigmoid):
    labels = tensor(LABELS % 5)
    labels[::2] = -1
    labels[1::4] = 255
    loss = SmoothedCrossEntropyLoss(use_sigmoid=use_sigmoid, reduction='none', ignore_index=255)
    logits = tensor(LOGITS).requires_grad_()
    losses = loss(logits, labels)
    losses.sum().backward()
    ignored = (labels < 0) | (labels == 255)
    assert not losses[ignored].any()
    assert not logits.grad[ignored].any()
    assert (logits.grad[~ignored] != 0).all()


def test_mmdet_heads_must_find_use_sigmoid_in_the_config():
    for cls in (SmoothedCrossEntropyLoss, TorchvisionFocalLoss):
        with pytest.raises(TypeError, match='use_sigmoid'):
            cls()


@pytest.mark.parametrize('smoothing', [-0.1, 1.0, float('nan')])
def test_a_smoothing_out_of_range_is_refused(smoothing):
    with pytest.raises(ValueError, match=r'smoothing is .* but must be at least 0 and less than 1'):
        SmoothedCrossEntropyLoss(use_sigmoid=False, smoothing=smoothing)


@pytest.mark.parametrize('gamma', [0.0, 1.0, 2.0, 2.5])
@pytest.mark.parametrize('alpha', [0.25, 0.0, 1.0, -1.0, -0.25])
def test_focal_values_are_those_of_the_formula_and_a_negative_alpha_weighs_nothing(gamma, alpha):
    loss = TorchvisionFocalLoss(use_sigmoid=True, gamma=gamma, alpha=alpha, reduction='none')
    target = one_hot(LABELS, 5)
    expected = focal_losses(LOGITS, target, None if alpha < 0 else alpha, gamma)
    assert_equal(loss(tensor(LOGITS), tensor(LABELS)), expected)
    assert_equal(loss(tensor(LOGITS), tensor(target)), expected)


def test_focal_with_its_defaults_is_the_focal_loss_of_mmdet():
    logits, labels = tensor(LOGITS, torch.float32), tensor(LABELS)
    weights = tensor(WEIGHTS, torch.float32)
    expected = FocalLoss(loss_weight=2.0)(logits, labels, weights, avg_factor=7.0)
    ours = TorchvisionFocalLoss(use_sigmoid=True, loss_weight=2.0)
    torch.testing.assert_close(ours(logits, labels, weights, avg_factor=7.0), expected)


def test_focal_ignores_negative_labels():
    loss = TorchvisionFocalLoss(use_sigmoid=True, reduction='none')
    labels = tensor(LABELS)
    labels[:50] = -1
    losses = loss(tensor(LOGITS), labels)
    assert not losses[:50].any()
    assert_equal(losses[50:], focal_losses(LOGITS[50:], one_hot(LABELS[50:], 5), 0.25, 2))


def test_focal_on_targets_between_0_and_1_is_least_where_the_prediction_is_certain_of_them():
    # (p_t as torchvision defines it: p * t + (1 - p) * (1 - t).)
    loss = TorchvisionFocalLoss(use_sigmoid=True, alpha=-1, gamma=1, reduction='none')
    p, t = 0.8, 0.7
    expected = (1 - (p * t + (1 - p) * (1 - t))) * -(t * np.log(p) + (1 - t) * np.log(1 - p))
    logit = torch.tensor([[np.log(p / (1 - p))]])
    assert loss(logit, torch.tensor([[t]])).item() == pytest.approx(expected)


@pytest.mark.parametrize('logit', [-1e4, -30.0, 30.0, 1e4])
@pytest.mark.parametrize('gamma', [0, 1, 2])
def test_focal_gradients_of_certain_predictions_are_finite(logit, gamma):
    loss = TorchvisionFocalLoss(use_sigmoid=True, gamma=gamma)
    logits = torch.tensor([[logit, logit]], requires_grad=True)
    loss(logits, torch.tensor([0])).backward()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        (dict(use_sigmoid=False), 'set use_sigmoid=True'),
        (dict(use_sigmoid=True, gamma=0.5), 'gamma is 0.5, but must be 0 or at least 1'),
        (dict(use_sigmoid=True, gamma=-1), 'gamma is -1, but must be 0 or at least 1'),
        (dict(use_sigmoid=True, alpha=1.5), 'alpha is 1.5, but must be in'),
    ],
)
def test_focal_options_out_of_range_are_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        TorchvisionFocalLoss(**options)


def test_targets_of_another_number_are_refused():
    with pytest.raises(ValueError, match=r'targets \(3,\) do not fit logits \(2, 5\)'):
        TorchvisionFocalLoss(use_sigmoid=True)(torch.zeros(2, 5), torch.zeros(3))


@pytest.mark.parametrize('temperature', [0.5, 1.0, 4.0])
def test_kl_is_the_divergence_of_the_target_from_the_prediction_times_the_squared_temperature(
    temperature,
):
    target = GENERATOR.normal(0, 3, LOGITS.shape)
    p, q = softmax(target / temperature), softmax(LOGITS / temperature)
    expected = rel_entr(p, q).sum(1) * temperature**2
    loss = KLDivergenceLoss(temperature, reduction='none')
    assert_equal(loss(tensor(LOGITS), tensor(target)), expected)
    loss = KLDivergenceLoss(temperature, target_is_logits=False, reduction='none')
    assert_equal(loss(tensor(LOGITS), tensor(softmax(target))), expected)
    assert (expected > 0).all()


def test_kl_is_zero_where_the_prediction_is_the_target_and_takes_probabilities_of_zero():
    loss = KLDivergenceLoss(temperature=3.0)
    assert loss(tensor(LOGITS), tensor(LOGITS)).item() == pytest.approx(0, abs=1e-12)
    loss = KLDivergenceLoss(temperature=3.0, target_is_logits=False)
    logits = torch.tensor([[2.0, 0.0]], requires_grad=True)
    loss(logits, torch.tensor([[1.0, 0.0]])).backward()
    assert logits.grad.isfinite().all()
    assert logits.grad[0, 0] < 0 < logits.grad[0, 1]


def test_the_gradient_of_kl_hardly_depends_on_a_high_temperature():
    def gradient(temperature):
        logits = tensor(LOGITS).requires_grad_()
        KLDivergenceLoss(temperature)(logits, tensor(LOGITS[::-1].copy())).backward()
        return logits.grad

    torch.testing.assert_close(gradient(100.0), gradient(200.0), rtol=0.05, atol=1e-4)


def test_a_temperature_of_zero_is_refused():
    with pytest.raises(ValueError, match='temperature is 0, but must be positive'):
        KLDivergenceLoss(0)
