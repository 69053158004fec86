"""Dropout of channels, Gaussian and uniform dropout."""

import pytest
import torch
from mmcv.cnn.bricks.drop import build_dropout
from mmengine.registry import DefaultScope
from scipy import stats

from mmdet_ext.models.layers import Dropout2d, GaussianDropout, UniformDropout

SHAPE = (50, 40, 10, 10)


def factors(layer):
    """What the layer multiplies 200 000 activations by."""
    torch.manual_seed(0)
    return layer.train()(torch.full(SHAPE, 2.0)) / 2


def test_dropout_2d_drops_whole_channels_and_scales_up_the_others():
    values = factors(Dropout2d(drop_prob=0.2)).flatten(2)
    assert torch.equal(values.amin(2), values.amax(2))
    assert sorted(values.unique().tolist()) == [0, 1.25]
    assert (values[..., 0] == 0).float().mean().item() == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize('drop_prob', [0.1, 0.5])
def test_gaussian_dropout_multiplies_by_normal_noise_with_the_variance_of_dropout(drop_prob):
    values = factors(GaussianDropout(drop_prob)).flatten().double().numpy()
    deviation = (drop_prob / (1 - drop_prob)) ** 0.5
    assert stats.kstest(values, stats.norm(1, deviation).cdf).pvalue > 0.01
    dropout = factors(torch.nn.Dropout(drop_prob))
    assert values.var() == pytest.approx(dropout.var().item(), rel=0.02)


@pytest.mark.parametrize('bound', [0.1, 1.0])
def test_uniform_dropout_multiplies_by_1_plus_uniform_noise(bound):
    values = factors(UniformDropout(bound)).flatten().double().numpy()
    assert stats.kstest(values, stats.uniform(1 - bound, 2 * bound).cdf).pvalue > 0.01
    assert values.mean() == pytest.approx(1, abs=0.005)
    assert values.var() == pytest.approx(bound**2 / 3, rel=0.02)


@pytest.mark.parametrize('layer', [Dropout2d(0.3), GaussianDropout(0.3), UniformDropout(0.3)])
def test_gradients_are_multiplied_by_the_same_numbers(layer):
    def call(x):
        torch.manual_seed(1)
        return layer.train()(x)

    x = torch.randn(2, 3, 2, 2, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(call, x)


@pytest.mark.parametrize('name', ['Dropout2d', 'GaussianDropout'])
def test_build_dropout_builds_them(name):
    with DefaultScope.overwrite_default_scope('mmdet'):
        assert type(build_dropout(dict(type=name, drop_prob=0.2))).__name__ == name


@pytest.mark.parametrize('layer', [Dropout2d, GaussianDropout])
@pytest.mark.parametrize('drop_prob', [-0.1, 1, 1.5])
def test_probabilities_outside_0_to_1_are_refused(layer, drop_prob):
    with pytest.raises(ValueError, match=f'drop_prob={drop_prob}: give a probability'):
        layer(drop_prob)


@pytest.mark.parametrize('bound', [-0.1, 1.5])
def test_bounds_outside_0_to_1_are_refused(bound):
    with pytest.raises(ValueError, match=f'bound={bound}: give a number from 0 to 1'):
        UniformDropout(bound)
