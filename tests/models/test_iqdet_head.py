"""IQDetHead: distributions against SciPy, losses, and a prediction that costs nothing more."""

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from scipy.stats import entropy, multivariate_normal

from mmdet_ext.models.dense_heads.iqdet_head import IQDetHead
from mmdet_ext.models.dense_heads.quality_distribution import (
    QualityDistributionEncoder,
    mixture_log_density,
    object_coordinates,
    point_log_probabilities,
    quality_divergence,
)

STRIDES = [8, 16]
META = dict(img_shape=(64, 64), scale_factor=(1, 1), ori_shape=(64, 64), pad_shape=(64, 64))
PRIORS = torch.tensor(
    [
        (s * (i + 0.5), s * (j + 0.5), s, s)
        for s in STRIDES
        for j in range(64 // s)
        for i in range(64 // s)
    ]
)
TEST = ConfigDict(
    nms_pre=100, score_thr=0.0, nms=dict(type='nms', iou_threshold=0.6), max_per_img=50
)
BOXES = torch.tensor([[4.0, 6, 40, 30], [20, 20, 60, 62], [1, 1, 3, 3]])  # the last holds no point


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)
    init_default_scope('mmdet')


def build(kind='IQDetHead', **options):
    size = dict(num_classes=3, in_channels=16, feat_channels=16, stacked_convs=1, strides=STRIDES)
    norm = dict(norm_cfg=dict(type='GN', num_groups=4))
    head = MODELS.build(dict(type=kind, **size, **norm, test_cfg=TEST, **options))
    head.init_weights()
    return head


def features(images=2):
    return tuple(torch.randn(images, 16, 64 // s, 64 // s) for s in STRIDES)


def samples(*boxes):
    return [
        DetDataSample(
            metainfo=META,
            gt_instances=InstanceData(bboxes=each, labels=torch.arange(len(each)) % 3),
        )
        for each in boxes
    ]


def test_name_is_that_of_the_class_in_the_registry():
    assert MODELS.get('IQDetHead') is IQDetHead


def test_density_is_that_of_a_mixture_of_gaussians_with_the_encoded_parameters():
    encoded = torch.randn(2, 3, 7, dtype=torch.float64)
    places = torch.randn(5, 2, 3, dtype=torch.float64)
    found = mixture_log_density(encoded, places)
    for g in range(2):
        raw = encoded[g].numpy()
        weights = np.exp(raw[:, 0]) / np.exp(raw[:, 0]).sum()
        means = np.concatenate([np.tanh(raw[:, 1:3]), raw[:, 3:4]], 1)
        deviations = 0.05 + 1.95 / (1 + np.exp(1 - raw[:, 4:]))
        density = sum(
            w * multivariate_normal(m, np.diag(d**2)).pdf(places[:, g].numpy())
            for w, m, d in zip(weights, means, deviations, strict=True)
        )
        np.testing.assert_allclose(found[:, g], np.log(density), rtol=1e-9)


def test_coordinates_are_half_sides_from_the_centre_and_octaves_from_the_fitting_level():
    boxes = torch.tensor([[0.0, 0, 32, 128]])  # geometric mean 64: fits stride 8
    priors = torch.tensor([[16.0, 64, 8, 8], [32, 0, 16, 16], [0, 128, 4, 4]])
    expected = [[[0, 0, 0]], [[1, -1, 1]], [[-1, 1, -1]]]
    assert object_coordinates(priors, boxes).tolist() == expected


def test_probabilities_sum_to_1_over_the_points_in_the_box_or_the_nearest_one():
    log = point_log_probabilities(torch.randn(3, 4, 7), PRIORS, BOXES)
    np.testing.assert_allclose(log.exp().sum(0), 1, rtol=1e-5)
    inside = (PRIORS[:, None, :2] > BOXES[:, :2]) & (PRIORS[:, None, :2] < BOXES[:, 2:])
    assert log[:, :2].isfinite().equal(inside.all(-1)[:, :2])
    assert log[:, 2].isfinite().nonzero().tolist() == [[0]]  # the point at (4, 4)


def test_divergence_is_the_relative_entropy_of_sharpened_overlaps():
    log = point_log_probabilities(torch.randn(3, 4, 7).double(), PRIORS.double(), BOXES.double())
    overlaps = torch.rand(len(PRIORS), 3).double()
    found = quality_divergence(log, overlaps, sharpness=3.0)
    for g in range(3):
        possible = log[:, g].isfinite()
        quality = overlaps[possible, g].clamp(min=1e-3).numpy() ** 3
        assert found[g] == pytest.approx(entropy(quality, log[possible, g].exp().numpy()), abs=1e-9)


def test_divergence_of_the_observed_distribution_is_0_and_has_gradients_otherwise():
    encoded = torch.randn(1, 4, 7, dtype=torch.float64, requires_grad=True)
    log = point_log_probabilities(encoded.detach(), PRIORS.double(), BOXES[:1].double())
    exact = log.exp() / log.exp().max()
    assert quality_divergence(log, exact, 1.0).item() == pytest.approx(0, abs=0.02)
    priors, overlaps = PRIORS[::7].double(), torch.rand(len(PRIORS[::7]), 1).double()

    def divergence(e):
        return quality_divergence(point_log_probabilities(e, priors, BOXES[:1].double()), overlaps)

    assert torch.autograd.gradcheck(divergence, encoded)


def test_encoder_learns_where_predictions_are_good():
    encoder = QualityDistributionEncoder(16, STRIDES)
    maps, boxes = features(1), [BOXES[:2]]
    good = torch.exp(-((object_coordinates(PRIORS, BOXES[:2]) - 0.4) ** 2).sum(-1))

    def divergence():
        log = point_log_probabilities(encoder(maps, boxes)[0], PRIORS, BOXES[:2])
        return quality_divergence(log, good).mean(), log

    before = divergence()[0].item()
    optimizer = torch.optim.Adam(encoder.parameters(), 0.01)
    for _ in range(60):
        optimizer.zero_grad()
        divergence()[0].backward()
        optimizer.step()
    after, log = divergence()
    assert after < before / 10
    likeliest = good.gather(0, log.argmax(0, keepdim=True))
    assert (likeliest > 0.9 * good.masked_fill(log.isinf(), 0).amax(0)).all()


def test_losses_reach_every_parameter():
    head = build()
    losses = head.loss(features(), samples(BOXES, BOXES[:1]))
    assert sorted(losses) == ['loss_bbox', 'loss_cls', 'loss_quality']
    sum(losses.values()).backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad.isfinite().all(), name
        if not name.startswith('scales'):  # a level may have no positive
            assert parameter.grad.abs().sum() > 0, name


def test_targets_are_what_was_drawn_with_the_overlap_of_what_is_predicted_as_quality():
    truth = torch.tensor([[2.0, 2, 18, 18], [24, 24, 60, 62]])
    predicted = truth[1] - torch.tensor([0.0, 0, 18, 0])  # the left half of the second
    objects = [each.gt_instances for each in samples(truth, truth[:0])]
    encoded = [torch.randn(len(each), 4, 7) for each in objects]
    boxes = predicted.expand(2, len(PRIORS), 4)
    classes, targets, qualities, divergences = build().get_targets(PRIORS, boxes, objects, encoded)
    counts = classes.view(2, -1)
    assert [(counts[0] == c).sum().item() for c in range(4)] == [1, 5, 0, len(PRIORS) - 6]
    assert (counts[1] == 3).all()
    assert (targets[classes == 0] == truth[0]).all()
    assert (targets[classes == 1] == truth[1]).all()
    assert qualities[classes == 0].tolist() == [0]
    assert qualities[classes == 1].tolist() == pytest.approx([0.5] * 5)
    assert (qualities[classes == 3] == 0).all()
    assert len(divergences) == 2


def test_images_without_objects_teach_background_alone():
    head = build()
    losses = head.loss(features(), samples(BOXES[:0], BOXES[:0]))
    assert losses['loss_bbox'] == losses['loss_quality'] == 0
    assert losses['loss_cls'] > 0
    sum(losses.values()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in head.parameters())


def test_losses_in_bfloat16_are_close_to_those_in_float32():
    head, maps = build(), features()
    found = {}
    for enabled in (False, True):
        torch.manual_seed(1)
        with torch.autocast('cpu', torch.bfloat16, enabled=enabled):
            found[enabled] = head.loss(maps, samples(BOXES, BOXES[:1]))
    for name, value in found[True].items():
        assert value.dtype == torch.float32
        assert value.item() == pytest.approx(found[False][name].item(), rel=0.1)


def test_same_seed_draws_the_same_positives_and_another_seed_others():
    head, maps = build(), features()
    drawn = []
    for number in (1, 1, 2):
        torch.manual_seed(number)
        drawn.append(head.loss(maps, samples(BOXES, BOXES))['loss_bbox'].item())
    assert drawn[0] == drawn[1] != drawn[2]


def test_prediction_does_without_the_encoder():
    head, maps = build().eval(), features()
    expected = head.predict(maps, samples(BOXES, BOXES))
    assert len(expected[0].bboxes) == 50
    head.quality_encoder = None
    found = head.predict(maps, samples(BOXES, BOXES))
    for a, b in zip(expected, found, strict=True):
        assert torch.equal(a.bboxes, b.bboxes)
        assert torch.equal(a.scores, b.scores)


def test_prediction_takes_one_convolution_less_than_fcos():
    def prediction(head):
        names = [name for name, _ in head.named_parameters() if not name.startswith('quality_')]
        return {name: p.shape for name, p in head.named_parameters() if name in names}

    own, fcos = (
        prediction(build()),
        prediction(build('FCOSHead', regress_ranges=((-1, 64), (64, 1e8)))),
    )
    assert {name for name in fcos if name not in own} == {
        'conv_centerness.weight',
        'conv_centerness.bias',
    }
    assert own == {name: shape for name, shape in fcos.items() if name in own}


def test_box_is_as_far_from_its_point_as_the_exponentials_of_the_regression_in_strides():
    head = build().eval()
    torch.nn.init.constant_(head.conv_reg.weight, 0)
    head.conv_reg.bias.data = torch.tensor([0.5, 0.25, 2.0, 1.0]).log()
    [found] = head.predict(features(1), samples(BOXES))
    x, y, stride, _ = PRIORS.T
    sides = [x - 0.5 * stride, y - 0.25 * stride, x + 2 * stride, y + stride]
    expected = {tuple(box) for box in torch.stack(sides, 1).clamp(0, 64).tolist()}
    assert {tuple(box) for box in found.bboxes.tolist()} <= expected
