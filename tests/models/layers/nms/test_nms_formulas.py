"""Each variant against loops over Python numbers, on thousands of small sets of boxes."""

import nms_reference as reference
import pytest
import torch
from mmdet.models.layers import mask_matrix_nms

from mmdet_ext.models.layers.nms import VARIANTS, adaptive_nms, matrix_nms, softer_nms

SETS = 500
GRID = reference.random_sets(SETS)
REAL = reference.random_sets(SETS, seed=1, grid=False)
# Overlaps on the grid are often just a half, and thresholds are compared with care; with distances
# they would be so up to rounding alone, hence the odd threshold.
ODD = 0.4567


def assert_same(found, expected, tolerance=1e-9):
    """What a variant returns is {position: (box, score)} of the reference, best first."""
    kept, index = found
    assert sorted(index.tolist()) == sorted(expected)
    boxes = torch.tensor([expected[i][0] for i in index.tolist()], dtype=torch.float64)
    scores = torch.tensor([expected[i][1] for i in index.tolist()], dtype=torch.float64)
    torch.testing.assert_close(kept[:, :4].double(), boxes, atol=tolerance, rtol=0)
    torch.testing.assert_close(kept[:, 4].double(), scores, atol=tolerance, rtol=0)
    assert (kept[:, 4].diff() <= 0).all()


@pytest.mark.parametrize('sets', [GRID, REAL], ids=['grid', 'real'])
@pytest.mark.parametrize(
    ('name', 'options', 'select'),
    [
        ('cluster_nms', {}, reference.nms()),
        ('cluster_nms', dict(iou_threshold=0.3), reference.nms(0.3)),
        ('diou_nms', dict(iou_threshold=ODD), reference.diou(ODD)),
        ('diou_nms', dict(iou_threshold=ODD, beta=0.6), reference.diou(ODD, 0.6)),
        ('weighted_nms', {}, reference.weighted()),
        ('weighted_nms', dict(weight='score'), reference.weighted(by_iou=False)),
        ('matrix_nms', {}, reference.matrix()),
        ('matrix_nms', dict(sigma=0.7, min_score=0.2), reference.matrix(sigma=0.7, min_score=0.2)),
        ('matrix_nms', dict(kernel='linear', min_score=0.11), reference.matrix('linear', min_score=0.11)),
        ('cluster_nms', dict(beta=0.9, iou_threshold=ODD), reference.cluster(ODD, beta=0.9)),
        ('cluster_nms', dict(weighted=True), reference.cluster(weighted=True)),
        ('cluster_nms', dict(score_penalty=True, min_score=0.123), reference.cluster(score_penalty=True, min_score=0.123)),
        (
            'cluster_nms',
            dict(score_penalty=True, beta=0.6, weighted=True, iou_threshold=ODD),
            reference.cluster(ODD, beta=0.6, score_penalty=True, weighted=True),
        ),
    ],
)  # fmt: skip
def test_a_variant_does_what_its_paper_says(sets, name, options, select):
    assert_same(VARIANTS[name](*sets, **options), reference.each_set(*sets, select))


@pytest.mark.parametrize('sets', [GRID, REAL], ids=['grid', 'real'])
def test_adaptive_nms_takes_the_density_of_the_better_box_if_it_is_above_the_threshold(sets):
    density = torch.rand(len(sets[0]), generator=torch.Generator().manual_seed(0)).double()
    expected = reference.each_set(*sets, reference.adaptive(density.tolist()))
    assert_same(adaptive_nms(*sets, density=density), expected)


@pytest.mark.parametrize('sets', [GRID, REAL], ids=['grid', 'real'])
def test_adaptive_nms_estimates_density_from_boxes_that_look_like_other_objects(sets):
    density = reference.each_set(*sets, reference.estimated_density)
    density = [density[position][1] for position in range(len(sets[0]))]
    expected = reference.each_set(*sets, reference.adaptive(density))
    assert_same(adaptive_nms(*sets), expected)
    assert len(expected) > len(reference.each_set(*sets, reference.nms()))


@pytest.mark.parametrize('sets', [GRID, REAL], ids=['grid', 'real'])
def test_softer_nms_moves_boxes_to_the_vote_of_all_that_overlap(sets):
    variance = (
        torch.rand(len(sets[0]), 4, generator=torch.Generator().manual_seed(0)).double() + 0.1
    )
    expected = reference.each_set(*sets, reference.softer(variance.tolist(), sigma_t=0.05))
    assert_same(softer_nms(*sets, variance=variance, sigma_t=0.05), expected)


@pytest.mark.parametrize('method', ['linear', 'gaussian'])
def test_softer_nms_votes_for_what_soft_nms_keeps(method):
    variance = [[1.0] * 4] * len(REAL[0])
    expected = reference.each_set(*REAL, reference.softer(variance, keep=reference.soft(method)))
    # mmcv's op works in float32
    assert_same(softer_nms(*REAL, variance=3.0, method=method), expected, 1e-5)


@pytest.mark.parametrize('kernel', ['gaussian', 'linear'])
def test_matrix_nms_of_boxes_is_that_of_mmdet_on_their_masks(kernel):
    boxes, scores, labels = reference.random_sets(3, seed=2, largest=30)
    boxes = boxes.round() + 9
    _, first = torch.unique(boxes, dim=0, return_inverse=True)  # mmdet's is NaN for duplicates
    chosen = [i for i in range(len(boxes)) if (first[:i] != first[i]).all()]
    chosen = [i for i in chosen if (boxes[i, 2:] > boxes[i, :2]).all()]
    boxes, scores, labels = boxes[chosen], torch.linspace(0.1, 0.9, len(chosen)), labels[chosen] % 2
    masks = torch.zeros(len(boxes), 20, 20)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes.int().tolist(), strict=True):
        mask[y1:y2, x1:x2] = 1
    expected = mask_matrix_nms(masks, labels, scores, filter_thr=0.05, kernel=kernel)
    kept, index = matrix_nms(boxes, scores, labels, kernel=kernel)
    assert len(index) > 10
    torch.testing.assert_close(kept[:, 4].float(), expected[0])
    assert index.tolist() == expected[3].tolist()
