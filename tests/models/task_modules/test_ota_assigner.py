"""OTAAssigner against the paper's steps in NumPy, in mmdet's heads, and what it answers to bad input."""

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS, TASK_UTILS
from mmdet.structures import DetDataSample
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData

from mmdet_ext.models.task_modules.assigners import OTAAssigner

CLASSES = 3


def grid(size=64, strides=(8, 16)):
    """Points of two levels, ``x y stride stride``."""
    levels = []
    for stride in strides:
        places = np.arange(size // stride) * stride + stride / 2
        x, y = np.meshgrid(places, places)
        levels.append(np.stack([x, y, x * 0 + stride, x * 0 + stride], -1).reshape(-1, 4))
    return np.concatenate(levels)


def scene(seed, objects=3, size=64):
    """Random objects, and predictions scattered around them."""
    rng = np.random.default_rng(seed)
    priors = grid(size)
    low = rng.uniform(0, size - 30, (objects, 2))
    truth = np.concatenate([low, low + rng.uniform(12, 30, (objects, 2))], 1)
    nearest = rng.integers(0, objects, len(priors)) if objects else None
    boxes = truth[nearest] if objects else np.zeros((len(priors), 4))
    boxes = boxes + rng.normal(0, 4, boxes.shape)
    return dict(
        priors=priors,
        boxes=boxes,
        scores=rng.uniform(0.01, 0.99, (len(priors), CLASSES)),
        truth=truth,
        labels=rng.integers(0, CLASSES, objects),
    )


def instances(given, dtype=torch.float32):
    predicted = InstanceData(
        priors=torch.tensor(given['priors'], dtype=dtype),
        bboxes=torch.tensor(given['boxes'], dtype=dtype),
        scores=torch.tensor(given['scores'], dtype=dtype),
    )
    objects = InstanceData(
        bboxes=torch.tensor(given['truth'], dtype=torch.float32).reshape(-1, 4),
        labels=torch.tensor(given['labels'], dtype=torch.int64),
    )
    return predicted, objects


def iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    common = max(width, 0) * max(height, 0)
    area = [(c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
    return common / (sum(area) - common)


def classification_loss(p, label, kind):
    total = 0.0
    for c in range(CLASSES):
        if kind == 'bce':
            total -= np.log(p[c] if c == label else 1 - p[c])
        elif c == label:
            total -= 0.25 * (1 - p[c]) ** 2 * np.log(p[c])
        else:
            total -= 0.75 * p[c] ** 2 * np.log(1 - p[c])
    return total


def reference(given, kind, radius=2.5, topk=20, weight=3.0, epsilon=0.1, iterations=50):
    """The paper's algorithm, prior by prior and object by object, in float64."""
    truth, count = given['truth'], len(given['truth'])
    rows, central, taking_part = [], [], []
    for index, (x, y, stride, _) in enumerate(given['priors']):
        inside = [b[0] < x < b[2] and b[1] < y < b[3] for b in truth]
        reach = radius * stride
        near = [
            abs(x - (b[0] + b[2]) / 2) < reach and abs(y - (b[1] + b[3]) / 2) < reach for b in truth
        ]
        if any(inside) or any(near):
            taking_part.append(index)
            central.append([i and n for i, n in zip(inside, near, strict=True)])
            rows.append([iou(given['boxes'][index], b) for b in truth])
    overlaps, central = np.array(rows), np.array(central)
    best = np.sort(overlaps * central, 0)[::-1][:topk].sum(0)
    supply = np.maximum(best.astype(int), 1).astype(float)
    supply = np.append(supply, len(rows) - supply.sum())
    cost = np.empty((count + 1, len(rows)))
    for j, index in enumerate(taking_part):
        for i, label in enumerate(given['labels']):
            cost[i, j] = classification_loss(given['scores'][index], label, kind)
            cost[i, j] -= weight * np.log(overlaps[j, i] + 1e-7)
            cost[i, j] += 0 if central[j, i] else 100
        cost[count, j] = classification_loss(given['scores'][index], -1, kind)
    f, g = np.zeros(count + 1), np.zeros(len(rows))
    for _ in range(iterations):
        f = epsilon * (np.log(supply) - np.log(np.exp((g - cost) / epsilon).sum(1)))
        g = -epsilon * np.log(np.exp((f[:, None] - cost) / epsilon).sum(0))
    plan = np.exp((f[:, None] + g - cost) / epsilon)
    winner = (plan / plan.max(1, keepdims=True)).argmax(0)
    expected = np.zeros(len(given['priors']), int)
    expected[taking_part] = np.where(winner < count, winner + 1, 0)
    return expected


@pytest.mark.parametrize('kind', ['focal', 'bce'])
@pytest.mark.parametrize('seed', range(10))
def test_every_prior_gets_the_object_of_the_reference(seed, kind):
    given = scene(seed)
    result = OTAAssigner(cls_cost=kind).assign(*instances(given))
    expected = reference(given, kind)
    assert set(expected) == {0, 1, 2, 3}
    np.testing.assert_array_equal(result.gt_inds, expected)


def test_result_holds_labels_and_the_overlap_with_the_assigned_object():
    given = scene(0)
    result = OTAAssigner().assign(*instances(given))
    assert result.num_gts == 3
    for index, found in enumerate(result.gt_inds.tolist()):
        label, overlap = -1, 0.0
        if found:
            label = given['labels'][found - 1]
            overlap = iou(given['boxes'][index], given['truth'][found - 1])
        assert result.labels[index] == label
        assert result.max_overlaps[index] == pytest.approx(overlap, abs=1e-5)


@pytest.mark.parametrize('seed', range(5))
def test_order_of_objects_and_priors_does_not_matter(seed):
    given = scene(seed)
    straight = OTAAssigner().assign(*instances(given)).gt_inds
    order = np.random.default_rng(seed).permutation(len(given['priors']))
    turned = {key: given[key][order] for key in ('priors', 'boxes', 'scores')}
    turned |= {key: given[key][::-1].copy() for key in ('truth', 'labels')}
    found = OTAAssigner().assign(*instances(turned)).gt_inds
    np.testing.assert_array_equal(np.where(found > 0, 4 - found, 0), straight[order])


def test_perfect_predictions_make_as_many_positives_as_there_are():
    given = scene(0, objects=1)
    given['truth'] = np.array([[16.0, 16, 48, 48]])
    given['boxes'] = np.tile(given['truth'], (len(given['priors']), 1))
    given['scores'] = np.full((len(given['priors']), CLASSES), 0.5)
    result = OTAAssigner(cls_cost='bce', candidate_topk=7).assign(*instances(given))
    inside = (given['priors'][:, :2] > 16).all(1) & (given['priors'][:, :2] < 48).all(1)
    assert inside.sum() == 20  # 16 of stride 8, 4 of stride 16: equal costs, and equal shares
    np.testing.assert_array_equal(result.gt_inds > 0, inside)


def test_logits_give_what_their_probabilities_give():
    given = scene(1)
    expected = OTAAssigner().assign(*instances(given)).gt_inds
    given['scores'] = np.log(given['scores'] / (1 - given['scores']))
    found = OTAAssigner(scores_are_logits=True).assign(*instances(given)).gt_inds
    assert found.tolist() == expected.tolist()


def test_image_without_objects_is_background():
    result = OTAAssigner().assign(*instances(scene(0, objects=0)))
    assert result.num_gts == 0
    assert result.gt_inds.tolist() == [0] * 80
    assert result.labels.tolist() == [-1] * 80
    assert result.max_overlaps.tolist() == [0.0] * 80


def test_objects_that_no_prior_lies_near_get_none():
    given = scene(0)
    given['truth'] += 1000
    assert OTAAssigner().assign(*instances(given)).gt_inds.tolist() == [0] * 80


def test_object_between_the_points_gets_the_nearest_one():
    given = scene(0, objects=1)
    given['truth'] = np.array([[30.0, 30, 34, 34]])
    given['boxes'][:] = given['truth']
    result = OTAAssigner(iou_weight=3).assign(*instances(given))
    positive = given['priors'][result.gt_inds > 0]
    assert len(positive)
    assert (np.abs(positive[:, :2] - 32) < 2.5 * positive[:, 2:]).all()


def test_more_objects_than_priors_leave_no_background_and_each_prior_its_cheapest_object():
    given = scene(3, objects=5)
    given = {
        key: value[:2] if key in ('priors', 'boxes', 'scores') else value
        for key, value in given.items()
    }
    given['priors'] = np.array([[20.0, 20, 8, 8], [44.0, 44, 8, 8]])
    near = np.repeat([[10.0, 10, 30, 30], [34.0, 34, 54, 54]], [3, 2], 0)
    given['truth'] = near + np.random.default_rng(0).uniform(-2, 2, near.shape)
    given['boxes'] = given['truth'][[1, 4]]
    given['labels'] = np.zeros(5, int)
    assert OTAAssigner().assign(*instances(given)).gt_inds.tolist() == [2, 5]


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
def test_prediction_that_is_not_finite_is_never_positive_while_there_are_others(value):
    given = scene(2)
    usual = OTAAssigner().assign(*instances(given))
    broken = int(usual.gt_inds.nonzero()[0])
    given['boxes'][broken] = value
    result = OTAAssigner().assign(*instances(given))
    assert result.gt_inds[broken] == 0
    assert set(result.gt_inds.tolist()) == {0, 1, 2, 3}
    given['boxes'][:] = value
    assert OTAAssigner().assign(*instances(given)).max_overlaps.tolist() == [0.0] * 80


def test_box_of_negative_size_overlaps_nothing():
    given = scene(2)
    given['boxes'] = given['boxes'][:, [2, 3, 0, 1]]
    assert OTAAssigner().assign(*instances(given)).max_overlaps.max() == 0


def test_bfloat16_gives_what_its_values_give_in_float32():
    given = scene(4)
    half, objects = instances(given, torch.bfloat16)
    single = InstanceData(
        priors=half.priors.float(), bboxes=half.bboxes.float(), scores=half.scores.float()
    )
    found = OTAAssigner().assign(half, objects).gt_inds
    assert found.tolist() == OTAAssigner().assign(single, objects).gt_inds.tolist()


def test_unknown_classification_cost_is_refused():
    with pytest.raises(
        ValueError, match="cls_cost of OTAAssigner is 'dice'; expected 'focal' or 'bce'"
    ):
        OTAAssigner(cls_cost='dice')


def test_logits_where_probabilities_are_expected_get_a_sentence():
    given = scene(0)
    given['scores'] = given['scores'] * 8 - 4
    with pytest.raises(
        ValueError, match=r'scores from -3\..* to 3\..*; expected probabilities: set `scores'
    ):
        OTAAssigner().assign(*instances(given))


def test_head_that_hands_over_no_predictions_gets_a_sentence():
    predicted, objects = instances(scene(0))
    anchors = InstanceData(priors=predicted.priors)
    with pytest.raises(
        ValueError, match='hands over no bboxes and no scores: use a head that does'
    ):
        OTAAssigner().assign(anchors, [80], objects)  # as ATSSHead calls it


HEADS = dict(
    YOLOXHead=dict(train_cfg=dict(assigner=dict(type='OTAAssigner')), strides=[8, 16]),
    RTMDetHead=dict(
        train_cfg=dict(
            assigner=dict(type='OTAAssigner', scores_are_logits=True),
            allowed_border=-1,
            pos_weight=-1,
        ),
        with_objectness=False,
        anchor_generator=dict(type='MlvlPointGenerator', offset=0, strides=[8, 16]),
        bbox_coder=dict(type='DistancePointBBoxCoder'),
        loss_cls=dict(type='QualityFocalLoss', use_sigmoid=True, beta=2.0),
        loss_bbox=dict(type='GIoULoss'),
    ),
)


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
@pytest.mark.parametrize('name', HEADS)
def test_head_of_mmdet_trains_with_it(name, dtype):
    init_default_scope('mmdet')
    torch.manual_seed(0)
    size = dict(num_classes=CLASSES, in_channels=8, feat_channels=8, stacked_convs=1)
    size['norm_cfg'] = dict(type='GN', num_groups=2)  # a batch norm would join the images
    head = MODELS.build(dict(type=name, **size, **HEADS[name]))
    assert type(head.assigner) is OTAAssigner is TASK_UTILS.get('OTAAssigner')
    meta = dict(img_shape=(64, 64), pad_shape=(64, 64))
    samples = [
        DetDataSample(metainfo=meta, gt_instances=instances(scene(0, objects))[1])
        for objects in (3, 0)
    ]
    features = [torch.randn(2, 8, side, side, requires_grad=True) for side in (8, 4)]
    with torch.autocast('cpu', torch.bfloat16, enabled=dtype == torch.bfloat16):
        losses = head.loss(tuple(features), samples)
    sum(
        losses['loss_bbox'] if isinstance(losses['loss_bbox'], list) else [losses['loss_bbox']]
    ).backward()
    slopes = torch.cat([each.grad.flatten(1) for each in features], 1)
    assert slopes.isfinite().all()
    assert slopes[0].abs().max() > 0
    assert slopes[1].abs().max() == 0  # no object, no positive
