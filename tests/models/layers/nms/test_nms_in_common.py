"""What holds for all variants: limits, invariances, bad input, options."""

import nms_reference as reference
import pytest
import torch
from mmcv.ops.nms import nms as mmcv_nms
from torchvision.ops import nms as torchvision_nms

from mmdet_ext.models.layers.nms import VARIANTS, batched_nms, check_nms_cfg
from mmdet_ext.models.layers.nms.dispatch import mmcv_batched_nms

GRID = reference.random_sets(100, seed=3)
REAL = reference.random_sets(100, seed=4, grid=False)
EACH = [
    dict(type='adaptive_nms'),
    dict(type='adaptive_nms', density=0.6),
    dict(type='cluster_nms'),
    dict(type='cluster_nms', score_penalty=True, beta=0.6, weighted=True),
    dict(type='diou_nms'),
    dict(type='matrix_nms'),
    dict(type='matrix_nms', kernel='linear'),
    dict(type='softer_nms', variance=1.0),
    dict(type='softer_nms', variance=1.0, method='gaussian'),
    dict(type='weighted_nms'),
]
each_variant = pytest.mark.parametrize(
    'cfg', EACH, ids=lambda cfg: '-'.join(map(str, cfg.values()))
)


def rows(kept, labels):
    """What is kept, as a sorted list that does not depend on the order of the input."""
    return sorted(torch.cat([labels.double()[:, None], kept.double()], 1).tolist())


def same_rows(first, second, tolerance=1e-6):
    torch.testing.assert_close(
        torch.tensor(first), torch.tensor(second), atol=tolerance, rtol=tolerance
    )


@each_variant
def test_the_order_of_the_input_does_not_matter_even_with_equal_scores(cfg):
    boxes, scores, labels = GRID
    kept, index = batched_nms(boxes, scores, labels, cfg)
    for seed in range(3):
        order = torch.randperm(len(boxes), generator=torch.Generator().manual_seed(seed))
        again, place = batched_nms(boxes[order], scores[order], labels[order], cfg)
        same_rows(rows(kept, labels[index]), rows(again, labels[order][place]))


@each_variant
def test_classes_do_not_touch_each_other_at_negative_coordinates(cfg):
    boxes, scores, labels = GRID
    together = rows(*_with_labels(boxes, scores, labels, cfg))
    apart = []
    for label in labels.unique()[:40]:
        own = labels == label
        apart += rows(*_with_labels(boxes[own], scores[own], labels[own], cfg))
    few = [row for row in together if row[0] in labels.unique()[:40].tolist()]
    same_rows(few, sorted(apart))


def _with_labels(boxes, scores, labels, cfg):
    kept, index = batched_nms(boxes, scores, labels, cfg)
    return kept, labels[index]


@each_variant
@pytest.mark.parametrize('through', ['the argument', 'the config'])
def test_class_agnostic_takes_all_boxes_for_one_class(cfg, through):
    boxes, scores, labels = (values[:60] for values in REAL)
    expected = batched_nms(boxes, scores, torch.zeros_like(labels), cfg)
    if through == 'the argument':
        found = batched_nms(boxes, scores, labels, cfg, class_agnostic=True)
    else:
        found = batched_nms(boxes, scores, labels, dict(cfg, class_agnostic=True))
    torch.testing.assert_close(found, expected)
    assert rows(found[0], labels[found[1]]) != rows(*_with_labels(boxes, scores, labels, cfg))


@each_variant
def test_a_few_large_classes_and_many_small_ones_go_together(cfg):
    generator = torch.Generator().manual_seed(0)
    labels = torch.cat([torch.zeros(900), torch.arange(1, 90), torch.ones(300)]).long()
    corners = torch.rand(len(labels), 2, generator=generator) * 60
    sizes = torch.rand(len(labels), 2, generator=generator) * 20 + 5
    boxes = torch.cat([corners, corners + sizes], 1)
    scores = torch.rand(len(labels), generator=generator)
    together = rows(*_with_labels(boxes, scores, labels, cfg))
    apart = []
    for label in labels.unique():
        own = labels == label
        apart += rows(*_with_labels(boxes[own], scores[own], labels[own], cfg))
    same_rows(together, sorted(apart), 1e-4)


@pytest.mark.parametrize('threshold', [0.0, 0.3, 0.5, 0.75, 1.0])
@pytest.mark.parametrize(
    'limit',
    [
        dict(type='cluster_nms'),
        dict(type='cluster_nms', weighted=True),
        dict(type='adaptive_nms', density=0.0),
        dict(type='diou_nms', beta=1e6),
        dict(type='softer_nms', variance=1.0),
        dict(type='weighted_nms'),
    ],
    ids=lambda cfg: '-'.join(map(str, cfg.values())),
)
def test_in_the_limit_the_boxes_that_stay_are_those_of_plain_nms(limit, threshold):
    boxes, scores, labels = (
        values.float() if values.is_floating_point() else values for values in REAL
    )
    _, index = batched_nms(boxes, scores, labels, dict(limit, iou_threshold=threshold))
    mmcv, torchvision = [], []
    for label in labels.unique():
        own = (labels == label).nonzero()[:, 0]
        mmcv += own[mmcv_nms(boxes[own], scores[own], threshold)[1]].tolist()
        torchvision += own[torchvision_nms(boxes[own], scores[own], threshold)].tolist()
    assert sorted(index.tolist()) == sorted(mmcv) == sorted(torchvision)


def test_a_box_that_overlaps_by_just_the_threshold_stays_as_in_mmcv():
    boxes = torch.tensor([[0.0, 0, 3, 1], [1, 0, 4, 1], [0, 0, 10, 1], [0, 0, 3, 1]])
    scores, labels = torch.tensor([0.9, 0.8, 0.7, 0.6]), torch.zeros(4).long()
    for threshold, kept in ((0.5, [0, 1, 2]), (0.3, [0, 2]), (0.299, [0])):
        assert (
            batched_nms(boxes, scores, labels, dict(type='cluster_nms', iou_threshold=threshold))[
                1
            ].tolist()
            == kept
            == mmcv_nms(boxes, scores, threshold)[1].tolist()
        )


def test_diou_nms_keeps_all_whose_centres_differ_as_beta_goes_to_zero():
    boxes, scores, labels = (values[:50] for values in REAL)
    _, index = batched_nms(boxes, scores, labels, dict(type='diou_nms', beta=1e-6))
    assert sorted(index.tolist()) == list(range(50))


@pytest.mark.parametrize(
    'cfg',
    [
        dict(type='softer_nms', variance=1.0, sigma_t=1e-6),
        dict(type='weighted_nms', iou_threshold=0.999),
        dict(type='diou_nms'),
        dict(type='matrix_nms'),
        dict(type='adaptive_nms'),
    ],
    ids=lambda cfg: cfg['type'],
)
def test_boxes_stay_as_they_are_where_the_papers_say_so(cfg):
    boxes, scores, labels = REAL
    kept, index = batched_nms(boxes, scores, labels, cfg)
    torch.testing.assert_close(kept[:, :4], boxes[index])


def test_equal_boxes_become_one_and_a_sure_box_outvotes_an_unsure_one():
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 0, 11, 10], [0, 0, 10, 10]])
    scores, labels = torch.tensor([0.9, 0.3, 0.9]), torch.zeros(3).long()
    kept, _ = batched_nms(boxes, scores, labels, dict(type='weighted_nms', weight='score'))
    torch.testing.assert_close(kept, torch.tensor([[1 / 7, 0, 10 + 1 / 7, 10, 0.9]]))
    variance = torch.tensor([[1.0], [1e-6], [1.0]]).expand(3, 4)
    kept, _ = batched_nms(
        boxes, scores, labels, dict(type='softer_nms', variance=variance, sigma_t=1.0)
    )
    torch.testing.assert_close(kept[0, :4], boxes[1], atol=1e-4, rtol=0)


def test_a_box_whose_variance_is_no_positive_number_has_no_vote():
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 0, 11, 10], [2, 0, 12, 10]])
    scores, labels = torch.tensor([0.9, 0.8, 0.7]), torch.zeros(3).long()
    cfg = dict(type='softer_nms', sigma_t=1.0, iou_threshold=0.3)
    for bad in (0.0, -1.0, float('nan'), float('inf')):
        variance = torch.ones(3, 4)
        variance[2, 1] = bad
        kept, _ = batched_nms(boxes, scores, labels, dict(cfg, variance=variance))
        few, _ = batched_nms(boxes[:2], scores[:2], labels[:2], dict(cfg, variance=1.0))
        torch.testing.assert_close(kept, few)
        variance[:] = bad
        kept, _ = batched_nms(boxes, scores, labels, dict(cfg, variance=variance))
        torch.testing.assert_close(kept[0, :4], boxes[0])


@each_variant
def test_no_boxes_and_one_box_are_fine(cfg):
    none = batched_nms(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0).long(), cfg)
    assert none[0].shape == (0, 5)
    assert none[1].tolist() == []
    box = torch.tensor([[-3.0, -4, 5, 6]])
    kept, index = batched_nms(box, torch.tensor([0.75]), torch.tensor([7]), cfg)
    assert kept.tolist() == [[-3, -4, 5, 6, 0.75]]
    assert index.tolist() == [0]


@each_variant
def test_what_is_not_finite_neither_survives_nor_suppresses(cfg):
    boxes, scores, labels = (values[:40] for values in REAL)
    labels = labels % 2
    expected = batched_nms(boxes, scores, labels, cfg)
    nan, inf = float('nan'), float('inf')
    bad = torch.tensor(
        [[0, nan, 5, 5], [-inf, 0, 5, 5], [0, 0, inf, 5], [-5, -5, 5, 5], [-5, -5, 5, 5]]
    )
    bad_scores = torch.tensor([0.9, 0.9, 0.9, nan, inf]).double()
    found = batched_nms(
        torch.cat([boxes, bad.double()]),
        torch.cat([scores, bad_scores]),
        torch.cat([labels, torch.tensor([0, 1, 0, 1, 0])]),
        cfg,
    )
    torch.testing.assert_close(found, expected)
    gone = batched_nms(bad.double(), bad_scores, torch.zeros(5).long(), cfg)
    assert gone[0].shape == (0, 5)


@each_variant
def test_boxes_without_area_or_inside_out_stay_and_suppress_nothing(cfg):
    full = torch.tensor([[-4.0, -4, 4, 4], [-3.9, -4, 4, 4]])
    empty = torch.tensor(
        [[-4.0, -4, -4, 4], [4, 4, -4, -4], [4, -4, -4, 4], [0, 0, 0, 0], [0, 0, 0, 0]]
    )
    scores = torch.tensor([0.6, 0.5, 0.9, 0.9, 0.9, 0.9, 0.9])
    kept, index = batched_nms(torch.cat([full, empty]), scores, torch.zeros(7).long(), cfg)
    alone, place = batched_nms(full, scores[:2], torch.zeros(2).long(), cfg)
    of_full = index < 2
    torch.testing.assert_close((kept[of_full], index[of_full]), (alone, place))
    assert sorted(index[~of_full].tolist()) == [2, 3, 4, 5, 6]
    torch.testing.assert_close(kept[~of_full, :4], torch.cat([full, empty])[index[~of_full]])
    torch.testing.assert_close(kept[~of_full, 4], torch.full((5,), 0.9))


def test_scores_above_one_scale_and_negative_ones_are_refused_where_they_weight():
    boxes, scores, labels = REAL
    kept, index = batched_nms(boxes, scores, labels, dict(type='weighted_nms'))
    scaled, place = batched_nms(boxes, scores * 50, labels, dict(type='weighted_nms'))
    assert index.tolist() == place.tolist()
    torch.testing.assert_close(scaled[:, :4], kept[:, :4])
    weighting = [dict(type='weighted_nms'), dict(type='matrix_nms')]
    weighting += [
        dict(type='cluster_nms', weighted=True),
        dict(type='cluster_nms', score_penalty=True),
    ]
    for cfg in weighting:
        with pytest.raises(
            ValueError, match=rf'^{cfg["type"]} weights by the scores, but the least of'
        ):
            batched_nms(boxes, scores - 3, labels, cfg)
    for cfg in (
        dict(type='diou_nms'),
        dict(type='adaptive_nms', density=0.6),
        dict(type='cluster_nms'),
    ):
        negative = batched_nms(boxes, scores - 3, labels, cfg)
        positive = batched_nms(boxes, scores, labels, cfg)
        assert negative[1].tolist() == positive[1].tolist()


@each_variant
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float32])
def test_half_precision_is_computed_in_single_and_returned_in_half(cfg, dtype):
    boxes, scores, labels = (values[:200] for values in REAL)
    boxes, scores = (boxes * 40).to(dtype), scores.to(dtype)  # areas beyond what half can hold
    kept, index = batched_nms(boxes, scores, labels, cfg)
    assert kept.dtype == dtype
    single, place = batched_nms(boxes.float(), scores.float(), labels, cfg)
    assert index.tolist() == place.tolist()
    torch.testing.assert_close(kept, single.to(dtype))


@each_variant
def test_autocast_does_not_round_the_boxes(cfg):
    boxes, scores, labels = (
        values.float() if values.is_floating_point() else values for values in REAL
    )
    expected = batched_nms(boxes, scores, labels, cfg)
    with torch.autocast('cpu', torch.bfloat16):
        torch.testing.assert_close(batched_nms(boxes, scores, labels, cfg), expected)


@each_variant
def test_at_most_max_num_boxes_are_kept_the_best_of_all_classes(cfg):
    boxes, scores, labels = REAL
    kept, index = batched_nms(boxes, scores, labels, cfg)
    most, place = batched_nms(boxes, scores, labels, dict(cfg, max_num=5, split_thr=10))
    torch.testing.assert_close((most, place), (kept[:5], index[:5]))
    torch.testing.assert_close(
        batched_nms(boxes, scores, labels, dict(cfg, max_num=-1)), (kept, index)
    )


@each_variant
def test_the_input_is_not_changed_and_needs_no_gradient(cfg):
    boxes, scores, labels = REAL
    leaf = boxes.clone().requires_grad_()
    kept, _ = batched_nms(leaf, scores, labels, cfg)
    torch.testing.assert_close(kept.detach(), batched_nms(boxes, scores, labels, cfg)[0])
    torch.testing.assert_close(leaf.detach(), boxes)


@pytest.mark.parametrize(
    'cfg',
    [
        None,
        dict(type='nms', iou_threshold=0.5),
        dict(iou_threshold=0.5),
        dict(type='soft_nms', iou_threshold=0.5),
        dict(type=mmcv_nms, iou_threshold=0.5, max_num=7),
        dict(type='nms', iou_threshold=0.5, class_agnostic=True, split_thr=10),
    ],
)
def test_what_is_mmcvs_is_left_to_mmcv(cfg):
    boxes, scores, labels = (
        values.float() if values.is_floating_point() else values for values in REAL
    )
    expected = mmcv_batched_nms()(boxes, scores, labels, cfg)
    torch.testing.assert_close(batched_nms(boxes, scores, labels, cfg), expected)


def test_rotated_boxes_still_reach_mmcv():
    boxes = torch.tensor([[5.0, 5, 4, 2, 0.1], [5.0, 5, 4, 2, 0.12], [50.0, 5, 4, 2, 0]])
    scores, labels = torch.tensor([0.9, 0.8, 0.7]), torch.zeros(3).long()
    cfg = dict(type='nms_rotated', iou_threshold=0.5)
    assert batched_nms(boxes, scores, labels, cfg)[1].tolist() == [0, 2]
    with pytest.raises(ValueError, match=r'\(3, 5\), \(3,\), \(3,\): for rotated boxes choose'):
        batched_nms(boxes, scores, labels, dict(type='diou_nms'))


@pytest.mark.parametrize(
    ('cfg', 'sentence'),
    [
        (dict(type='diou_nsm'), r"The NMS type 'diou_nsm' is unknown \(did you mean diou_nms.*\?\)"),
        (dict(type='iou_loss_of_nothing'), r"'iou_loss_of_nothing' is unknown: choose one of nms, soft_"),
        (dict(type='diou_nms', iou_thr=0.5), r"no option 'iou_thr' \(did you mean iou_threshold"),
        (dict(type='matrix_nms', iou_threshold=0.5), 'its options are kernel, sigma, min_score; give'),
        (dict(type='softer_nms'), 'needs the variance .* which this head does not predict: set `variance'),
        (dict(type='softer_nms', variance=torch.ones(2, 4)), r'has shape \(2, 4\), but the boxes have'),
        (dict(type='softer_nms', variance=0), '`variance` is 0, but must be a number from 1e-09'),
        (dict(type='softer_nms', variance=1.0, sigma_t=float('nan')), '`sigma_t` is nan, but must be'),
        (dict(type='softer_nms', variance=1.0, method='soft'), "`method` is 'soft': choose one of naive"),
        (dict(type='adaptive_nms', density=torch.ones(2)), r'`density` has shape \(2,\), but there are'),
        (dict(type='adaptive_nms', density='guess'), "`density` is 'guess', but must be a number"),
        (dict(type='diou_nms', iou_threshold=50), '`iou_threshold` is 50, but must be a number from 0 to 1'),
        (dict(type='diou_nms', beta=0), '`beta` is 0, but must be'),
        (dict(type='weighted_nms', weight='iou'), "`weight` is 'iou': choose one of score_iou, score"),
        (dict(type='matrix_nms', kernel='gauss'), "`kernel` is 'gauss': choose one of gaussian, linear"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_config_is_one_sentence(cfg, sentence):
    with pytest.raises(ValueError, match=sentence):
        batched_nms(*REAL, cfg)


def test_a_config_can_be_checked_before_there_are_boxes():
    assert check_nms_cfg(dict(type='weighted_nms', iou_threshold=0.5, class_agnostic=True))
    assert not check_nms_cfg(dict(type='soft_nms', sigma=0.3))
    assert not check_nms_cfg(None)
    with pytest.raises(ValueError, match='did you mean soft_nms'):
        check_nms_cfg(dict(type='sof_nms'))


def test_every_variant_documents_its_paper_and_is_tested_here():
    assert {cfg['type'] for cfg in EACH} == set(VARIANTS)
    for variant in VARIANTS.values():
        assert any(str(year) in variant.__doc__ for year in range(2017, 2022))
