"""The triplet loss with two margins."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmdet.models.reid import LinearReIDHead
from mmdet.structures import ReIDDataSample

from mmdet_ext.models.losses import ImprovedTripletLoss

FEATURES = np.random.default_rng(0).normal(0, 0.5, (9, 4))
IDENTITIES = np.array([0, 0, 0, 1, 1, 2, -1, -1, 3])


def loss_of(features=FEATURES, identities=IDENTITIES, weight=None, avg_factor=None, **options):
    loss = ImprovedTripletLoss(**options)
    weight = None if weight is None else torch.tensor(weight)
    features = torch.as_tensor(features)
    return loss(features, torch.tensor(identities), weight, avg_factor=avg_factor)


def reference(margin, within_margin, beta):
    """Losses of all triplets, by their anchors."""
    losses, anchors = [], []
    for a, p, n in itertools.permutations(range(len(FEATURES)), 3):
        if min(IDENTITIES[[a, p, n]]) < 0 or IDENTITIES[a] != IDENTITIES[p]:
            continue
        if IDENTITIES[a] == IDENTITIES[n]:
            continue
        positive = ((FEATURES[a] - FEATURES[p]) ** 2).sum()
        negative = ((FEATURES[a] - FEATURES[n]) ** 2).sum()
        losses.append(max(positive - negative, -margin) + beta * max(positive, within_margin))
        anchors.append(a)
    return np.array(losses), anchors


@pytest.mark.parametrize('options', [(1.0, 0.01, 0.002), (0.3, 0.5, 1.0)])
def test_it_is_the_mean_over_all_triplets_of_known_identities(options):
    losses, anchors = reference(*options)
    names = ('margin', 'within_margin', 'beta')
    options = dict(zip(names, options, strict=True))
    assert loss_of(**options).item() == pytest.approx(losses.mean())
    weight = np.linspace(0, 2, 9)
    expected = (losses * weight[anchors]).sum() / 5
    assert loss_of(weight=weight, avg_factor=5, **options).item() == pytest.approx(expected)
    assert loss_of(reduction='none', **options).shape == losses.shape


def test_the_least_is_reached_at_minus_the_margin():
    apart = np.diag([100.0] * 3)[[0, 0, 1, 1, 2, 2]]
    loss = loss_of(apart, [0, 0, 1, 1, 2, 2])
    assert loss.item() == pytest.approx(-1 + 0.002 * 0.01)


def test_a_batch_without_triplets_costs_nothing():
    features = torch.ones(3, 4, requires_grad=True)
    loss = loss_of(features, [0, 1, 2])
    loss.backward()
    assert loss.item() == 0
    assert not features.grad.any()


def test_gradients_are_those_of_finite_differences():
    features = torch.tensor(FEATURES, requires_grad=True)
    assert torch.autograd.gradcheck(lambda f: loss_of(f, beta=0.5), features)


def test_it_stands_in_for_the_triplet_loss_of_a_stock_reid_head():
    head = SimpleNamespace(loss_triplet=ImprovedTripletLoss(), loss_cls=None)  # needs mmpretrain
    features = torch.tensor(FEATURES[:6])
    losses = LinearReIDHead.loss_by_feat(head, features, _samples(torch.tensor(IDENTITIES[:6])))
    torch.testing.assert_close(losses['triplet_loss'], loss_of(features, IDENTITIES[:6]))


def _samples(labels):
    samples = [ReIDDataSample() for _ in labels]
    for sample, label in zip(samples, labels, strict=True):
        sample.set_gt_label(label)
    return samples
