"""ParkingSlotMetric on hand-made images with known figures."""

import os
import warnings

import numpy as np
import pytest
import torch
import torch.distributed
from mmdet.registry import METRICS
from mmdet.structures import DetDataSample
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData
from ranks import run_ranks

from mmdet_ext.datasets.formats.parking_slot_coco import (
    LABEL_KINDS,
    ParkingImage,
    write_parking_slot_coco,
)
from mmdet_ext.evaluation.metrics import ParkingSlotMetric, parking_slot_metric

SLOT = np.array([[100.0, 400.0], [200.0, 400.0], [200.0, 250.0], [100.0, 250.0]])
UP = [0.0, -1.0]


def shifted(dx, dy):
    return SLOT + np.array([dx, dy])


def image(name='1.jpg', height=600, corners=(SLOT,), points=None, **fields):
    corners = np.array(corners, dtype=float).reshape(-1, 4, 2)
    points = corners[:, :2].reshape(-1, 2) if points is None else np.array(points, dtype=float)
    n, m = len(points), len(corners)
    defaults = {
        'directions': np.tile(UP, (n, 1)),
        'shapes': np.zeros(n, dtype=int),
        'slot_types': np.zeros(m, dtype=int),
        'occupied': np.ones(m, dtype=int),
        'slot_points': np.full((m, 2), -1),
    }
    return ParkingImage(name, 600, height, points, corners=corners, **defaults | fields)


def sample(img_id=0, height=600, corners=(), scores=None, points=(), point_scores=None, **fields):
    corners = torch.tensor(np.array(corners), dtype=torch.float32).reshape(-1, 4, 2)
    points = torch.tensor(np.array(points), dtype=torch.float32).reshape(-1, 2)
    n, m = len(points), len(corners)
    result = DetDataSample(metainfo={'img_id': img_id, 'ori_shape': (height, 600)})
    result.pred_instances = InstanceData(
        corners=corners,
        scores=torch.tensor(np.full(m, 0.9) if scores is None else scores),
        labels=torch.as_tensor(fields.get('labels', torch.zeros(m)), dtype=torch.long),
        occupied_scores=torch.as_tensor(fields.get('occupied_scores', torch.ones(m))),
        bboxes=torch.zeros(m, 4),
    )
    if 'corner_point_scores' in fields:
        result.pred_instances.point_scores = torch.tensor(fields['corner_point_scores'])
    result.pred_marking_points = InstanceData(
        points=points,
        scores=torch.tensor(np.full(n, 0.9) if point_scores is None else point_scores),
        directions=torch.as_tensor(
            np.tile(UP, (n, 1)) if 'directions' not in fields else fields['directions']
        ),
        shapes=torch.as_tensor(fields.get('shapes', torch.zeros(n)), dtype=torch.long),
    )
    return result.to_dict()


@pytest.fixture
def evaluate(tmp_path):
    def run(truths, samples, labels=LABEL_KINDS, **options):
        write_parking_slot_coco(tmp_path / 'gt.json', truths, labels)
        metric = ParkingSlotMetric(str(tmp_path / 'gt.json'), **options)
        with warnings.catch_warnings():
            warnings.simplefilter('error', RuntimeWarning)
            metric.process(None, samples)
            return metric.evaluate(len(samples))

    return run


def test_the_figures_can_be_read_at_a_score_of_ones_own_or_where_precision_equals_recall(evaluate):
    far, other, third = shifted(200, 0), shifted(0, 180), shifted(0, 260)
    # Hit, false, hit, hit.
    truths = [image(corners=[SLOT, other, third])]
    found = [sample(corners=[SLOT, far, other, third], scores=[0.9, 0.8, 0.7, 0.2])]

    def read(**options):
        got = evaluate(truths, found, **options)
        return [got[f'slot/{key}'] for key in ('threshold', 'precision', 'recall', 'ap')]

    ap = read()[-1]
    assert read() == pytest.approx([0.2, 3 / 4, 1, ap])
    assert read(score_thr='balanced') == pytest.approx([0.7, 2 / 3, 2 / 3, ap])
    assert read(score_thr=0.85) == pytest.approx([0.85, 1, 1 / 3, ap])
    assert read(score_thr=0.8) == pytest.approx([0.8, 1 / 2, 1 / 3, ap])


def test_perfect_predictions_are_perfect(evaluate):
    got = evaluate([image(metres_per_pixel=0.02)], [sample(corners=[SLOT], points=SLOT[:2])])
    ones = ('precision', 'recall', 'f1', 'ap')
    assert [got[f'{kind}/{key}'] for kind in ('slot', 'point') for key in ones] == [1.0] * 8
    assert got['slot/map_polygon'] == pytest.approx(1)
    assert got['slot/type_accuracy'] == got['slot/occupancy_accuracy'] == 1
    zeros = ('corner_error_px', 'rear_corner_error_px', 'corner_error_cm', 'angle_error_deg')
    assert [got[f'slot/{key}'] for key in zeros] == pytest.approx([0] * 4, abs=1e-4)
    assert got['point/threshold'] == pytest.approx(0.9)


def test_precision_and_recall_are_read_at_the_best_f1_and_the_threshold_is_told(evaluate):
    far = shifted(200, 0)
    other = shifted(0, 180)
    # Hit at 0.9, false at 0.3, hit at 0.2: keeping all gives F1 4/5, the first alone 2/3.
    got = evaluate(
        [image(corners=[SLOT, other])],
        [sample(corners=[SLOT, far, other], scores=[0.9, 0.3, 0.2])],
    )
    assert got['slot/threshold'] == pytest.approx(0.2)
    assert (got['slot/precision'], got['slot/recall']) == (pytest.approx(2 / 3), 1)
    assert got['slot/f1'] == pytest.approx(0.8)
    assert got['slot/ap'] == pytest.approx(0.5 + 0.5 * 2 / 3)


def test_a_slot_with_swapped_entrance_corners_is_a_miss(evaluate):
    assert evaluate([image()], [sample(corners=[SLOT[[1, 0, 3, 2]]])])['slot/f1'] == 0


@pytest.mark.parametrize(('shift', 'recall'), [(9.9, 1), (10.1, 0)])
def test_one_entrance_corner_too_far_is_enough_for_a_miss(evaluate, shift, recall):
    moved = SLOT.copy()
    moved[1, 0] += shift
    assert evaluate([image()], [sample(corners=[moved])])['slot/recall'] == recall


def test_rear_corners_and_class_play_no_part_in_the_match(evaluate):
    moved = np.add(SLOT, [[0, 0], [0, 0], [40, -30], [40, -30]])
    got = evaluate([image()], [sample(corners=[moved], labels=[2])])
    assert (got['slot/f1'], got['slot/type_accuracy']) == (1, 0)
    assert got['slot/rear_corner_error_px'] == pytest.approx(50)
    assert got['slot/corner_error_px'] == pytest.approx(0)
    assert got['slot/angle_error_deg'] == pytest.approx(np.degrees(np.arctan2(40, 180)), abs=1e-4)
    assert got['slot/map_polygon'] == 0


def test_the_angle_error_is_the_mean_of_both_separators(evaluate):
    fan = SLOT.copy()
    fan[2] = SLOT[1] + 150 * np.array([np.sin(np.radians(20)), -np.cos(np.radians(20))])
    got = evaluate([image()], [sample(corners=[fan])])
    assert got['slot/angle_error_deg'] == pytest.approx(10, abs=1e-4)


def test_two_predictions_cannot_share_a_truth_nor_two_truths_a_prediction(evaluate):
    twice = evaluate([image()], [sample(corners=[SLOT, SLOT + 1], scores=[0.9, 0.9])])
    assert (twice['slot/precision'], twice['slot/recall']) == (0.5, 1)
    shared = evaluate(
        [image(points=[[100, 100], [104, 100]], corners=[])], [sample(points=[[102, 100]])]
    )
    assert (shared['point/precision'], shared['point/recall']) == (1, 0.5)


@pytest.mark.parametrize(('height', 'limit'), [(600, 10), (300, 5), (1200, 20)])
def test_distances_scale_with_the_height_of_the_image(evaluate, height, limit):
    truth = image(height=height, points=[[100, 100]], corners=[])
    for offset, recall in ((0.98 * limit, 1), (1.02 * limit, 0)):
        got = evaluate([truth], [sample(height=height, points=[[100 + offset, 100]])])
        assert got['point/recall'] == recall
        if recall:
            assert got['point/error_px'] == pytest.approx(9.8, abs=1e-3)


def test_centimetres_come_from_pixels_of_the_image_itself(evaluate):
    moved = SLOT * [1, 0.5] + [2, 0]
    truth = image(height=300, corners=[SLOT * [1, 0.5]], metres_per_pixel=0.05)
    got = evaluate([truth], [sample(height=300, corners=[moved])])
    assert got['slot/corner_error_cm'] == pytest.approx(10, abs=1e-3)
    assert got['slot/corner_error_px'] == pytest.approx(4, abs=1e-3)
    assert 'slot/corner_error_cm' not in evaluate([image()], [sample(corners=[SLOT])])


@pytest.mark.parametrize(('degrees', 'recall'), [(29, 1), (-29, 1), (31, 0), (180, 0)])
def test_a_point_must_agree_in_direction_within_30_degrees(evaluate, degrees, recall):
    turned = [[np.sin(np.radians(degrees)), -np.cos(np.radians(degrees))]] * 2
    got = evaluate([image()], [sample(points=SLOT[:2], directions=turned)])
    assert got['point/recall'] == recall


def test_a_point_must_agree_in_shape(evaluate):
    got = evaluate([image()], [sample(points=SLOT[:2], shapes=[0, 1])])
    assert (got['point/precision'], got['point/recall']) == (0.5, 0.5)


def test_unlabelled_directions_and_shapes_accept_all(evaluate):
    truth = image(directions=np.array([[np.nan] * 2, UP]), shapes=np.array([0, -1]))
    down = [[0.0, 1.0], UP]
    got = evaluate([truth], [sample(points=SLOT[:2], directions=down, shapes=[0, 3])])
    assert got['point/recall'] == 1


def test_a_points_only_file_uses_positions_only_and_has_no_slot_metric(evaluate):
    truth = image(corners=[], points=[[5, 5]], directions=np.full((1, 2), np.nan), shapes=[-1])
    prediction = sample(points=[[5, 6]])
    del prediction['pred_instances']
    prediction['pred_marking_points'] = {
        key: prediction['pred_marking_points'][key] for key in ('points', 'scores')
    }
    got = evaluate([truth], [prediction], labels=['marking_points'])
    assert got['point/f1'] == 1
    assert {key.split('/')[0] for key in got} == {'point'}


def test_occupancy_is_judged_where_it_is_labelled(evaluate):
    slots = [shifted(0, 40 * k) for k in range(4)]
    truth = image(corners=slots, points=np.zeros((0, 2)), occupied=np.array([1, 0, 0, -1]))
    prediction = sample(corners=slots, occupied_scores=[0.5, 0.4, 0.6, 0.0])
    assert evaluate([truth], [prediction])['slot/occupancy_accuracy'] == pytest.approx(2 / 3)
    labels = ['marking_points', 'slots']
    assert 'slot/occupancy_accuracy' not in evaluate([truth], [prediction], labels=labels)


def test_pair_figures_leave_out_what_is_below_the_threshold(evaluate):
    slots = [shifted(0, 30 * k) for k in range(3)]
    false = [shifted(200, 10 * k) for k in range(9)]
    worst = shifted(8, 60)
    scores = [0.9, 0.9] + [0.5] * 9 + [0.1]
    got = evaluate(
        [image(corners=slots)], [sample(corners=[*slots[:2], *false, worst], scores=scores)]
    )
    assert got['slot/threshold'] == pytest.approx(0.9)
    assert got['slot/corner_error_px'] == pytest.approx(0)


def test_each_condition_is_reported_at_the_one_threshold(evaluate):
    truths = [image('1.jpg', condition='indoor'), image('2.jpg', condition='rain')]
    samples = [sample(0, corners=[SLOT], scores=[0.8]), sample(1, corners=[SLOT + 50])]
    got = evaluate(truths, samples)
    assert (got['slot/f1@indoor'], got['slot/f1@rain'], got['slot/f1']) == (1, 0, 0.5)
    assert got['slot/recall@rain'] == 0
    assert np.isnan(got['slot/corner_error_px@rain'])
    assert got['slot/threshold'] == pytest.approx(0.8)
    assert not [key for key in evaluate(truths, samples, per_condition=False) if '@' in key]
    assert not [key for key in evaluate(truths[:1], samples[:1]) if '@' in key]


def test_each_value_of_a_tag_is_reported_if_there_are_several(evaluate):
    tags = [{'ground': 'brick', 'light': 'day'}, {'ground': 'epoxy', 'light': 'day'}, {}]
    truths = [image(f'{i}.jpg', tags=t) for i, t in enumerate(tags)]
    samples = [sample(0, corners=[SLOT]), sample(1, corners=[SLOT + 60]), sample(2, corners=[SLOT])]
    got = evaluate(truths, samples, tags=('ground',))
    assert got['slot/recall@brick'] == got['slot/recall@no ground'] == 1
    assert got['slot/recall@epoxy'] == 0
    assert not [key for key in evaluate(truths, samples) if '@' in key]


def test_predictions_on_an_image_without_slots_are_false_positives(evaluate):
    empty = image('2.jpg', corners=[])
    got = evaluate(
        [image(), empty],
        [sample(0, corners=[SLOT], points=SLOT[:2]), sample(1, corners=[SLOT], points=SLOT[:2])],
    )
    assert (got['slot/precision'], got['slot/recall']) == (0.5, 1)
    assert (got['point/precision'], got['point/recall']) == (0.5, 1)


def test_no_prediction_at_all_is_recall_zero(evaluate):
    got = evaluate([image()], [sample()])
    for kind in ('slot', 'point'):
        assert got[f'{kind}/recall'] == got[f'{kind}/f1'] == got[f'{kind}/ap'] == 0
        assert np.isnan(got[f'{kind}/precision'])
    assert got['slot/map_polygon'] == 0
    assert np.isnan(got['slot/corner_error_px'])


def test_no_truth_at_all_is_precision_zero_and_recall_undefined(evaluate):
    got = evaluate([image(corners=[])], [sample(corners=[SLOT], points=SLOT[:2])])
    for kind in ('slot', 'point'):
        assert got[f'{kind}/precision'] == got[f'{kind}/f1'] == 0
        assert np.isnan(got[f'{kind}/recall'])
        assert np.isnan(got[f'{kind}/ap'])
    nothing = evaluate([image(corners=[])], [sample()])
    assert all(np.isnan(value) for value in nothing.values())


def test_a_prediction_that_is_not_finite_is_a_false_positive(evaluate):
    got = evaluate([image()], [sample(corners=[np.full((4, 2), np.nan)], points=[[np.inf, 0]])])
    assert got['slot/precision'] == got['point/precision'] == got['slot/map_polygon'] == 0


def test_an_image_seen_twice_counts_once(evaluate):
    found, missed = sample(0, corners=[SLOT]), sample(1)
    got = evaluate([image(), image('2.jpg')], [found, missed, found])
    assert got['slot/recall'] == 0.5


def test_a_partial_run_is_evaluated_on_the_images_seen_and_says_so(evaluate, monkeypatch):
    said = []
    monkeypatch.setattr(parking_slot_metric, 'print_log', lambda text, **_: said.append(text))
    got = evaluate([image(), image('2.jpg')], [sample(corners=[SLOT])], ['slots'])
    assert got['slot/recall'] == 1
    assert any('1 of the 2 images' in text for text in said)
    assert any('not labelled with marking_points, occupancy' in text for text in said)
    assert any('read at score >= 0.900' in text for text in said)


PROTOCOLS = ('strict', 'dmpr', 'pil', 'crps')


@pytest.mark.parametrize('protocol', PROTOCOLS)
def test_the_result_does_not_depend_on_the_order_of_predictions_or_images(evaluate, protocol):
    rng = np.random.default_rng(3)
    options = {'protocol': protocol, 'per_type': True, 'per_distance': True}
    truths = [
        image(
            f'{i}.jpg',
            corners=SLOT + rng.uniform(-90, 90, (4, 1, 2)),
            slot_types=rng.integers(0, 3, 4),
            occupied=np.zeros(4, dtype=int),
        )
        for i in range(5)
    ]
    samples = []
    for i, truth in enumerate(truths):
        corners = np.repeat(truth.corners, 3, 0) + rng.integers(-7, 8, (12, 4, 2))
        scores = rng.choice([0.4, 0.5, 0.6], 12)
        fields = {'labels': rng.integers(0, 3, 12), 'occupied_scores': rng.choice([0, 0.1], 12)}
        samples.append((i, corners, scores, corners[:, 0], rng.permutation(scores), fields))
    first = evaluate(truths, [sample(i, 600, *a, **f) for i, *a, f in samples], **options)
    turned = []
    for i, *arrays, fields in samples[::-1]:
        order = rng.permutation(12)
        mixed = {key: value[order] for key, value in fields.items()}
        turned.append(sample(i, 600, *(array[order] for array in arrays), **mixed))
    second = evaluate(truths, turned, **options)
    assert 0.1 < first['slot/ap'] < 0.9
    np.testing.assert_equal(second, first)


@pytest.mark.parametrize('protocol', PROTOCOLS)
def test_every_protocol_has_an_answer_without_predictions_and_without_truths(evaluate, protocol):
    labelled, empty = image(occupied=np.zeros(1, dtype=int)), image(corners=[])
    nothing_found = evaluate([labelled], [sample()], protocol=protocol)
    found = sample(corners=[SLOT], points=SLOT[:2], occupied_scores=[0.0])
    nothing_there = evaluate([empty], [found], protocol=protocol)
    nothing = evaluate([empty], [sample()], protocol=protocol)
    for kind in ('slot', 'point'):
        zeros = [nothing_found[f'{kind}/{key}'] for key in ('recall', 'f1', 'ap')]
        assert (zeros, np.isnan(nothing_found[f'{kind}/precision'])) == ([0, 0, 0], True)
        assert np.isnan([nothing_there[f'{kind}/{key}'] for key in ('recall', 'ap')]).all()
        assert np.isnan([nothing[f'{kind}/{key}'] for key in ('precision', 'f1', 'ap')]).all()


@pytest.mark.parametrize('protocol', PROTOCOLS)
def test_a_prediction_that_is_not_finite_is_a_false_positive_in_every_protocol(evaluate, protocol):
    broken = SLOT.copy()
    broken[2, 0] = np.inf
    got = evaluate(
        [image(occupied=np.zeros(1, dtype=int))],
        [
            sample(
                corners=[SLOT, broken, np.full((4, 2), np.nan)],
                scores=[0.9, 0.95, 0.95],
                occupied_scores=np.zeros(3),
                points=[*SLOT[:2], [np.nan, 1]],
                point_scores=[0.9, 0.9, 0.95],
            )
        ],
        protocol=protocol,
        per_distance=True,
    )
    at = '_at_0.55' if protocol == 'crps' else ''
    assert (got[f'slot/recall{at}'], got[f'point/recall{at}']) == (1, 1)
    assert got[f'slot/precision{at}'] == pytest.approx(1 / 3)
    assert got[f'point/precision{at}'] == pytest.approx(2 / 3)


def test_a_prediction_with_a_nan_score_is_left_out_and_counted(evaluate, monkeypatch):
    said = []
    monkeypatch.setattr(parking_slot_metric, 'print_log', lambda text, **_: said.append(text))
    found = sample(corners=[SLOT, shifted(200, 0)], scores=[0.9, np.nan])
    assert evaluate([image()], [found], ['slots'])['slot/precision'] == 1
    assert any('1 predictions with a score of NaN' in text for text in said)


def test_corners_outside_the_image_count_like_any_others(evaluate):
    outside = shifted(-150, 0)
    got = evaluate([image(corners=[outside])], [sample(corners=[outside], points=outside[:2])])
    assert got['slot/f1'] == got['point/f1'] == got['slot/map_polygon'] == 1


def test_a_slot_without_area_is_matched_by_its_entrance_alone(evaluate):
    flat = SLOT[[0, 1, 1, 0]]
    got = evaluate([image()], [sample(corners=[flat])])
    assert (got['slot/f1'], got['slot/map_polygon']) == (1, 0)
    assert np.isnan(got['slot/angle_error_deg'])


def test_dmpr_lets_several_truths_share_a_prediction(evaluate):
    truth = image(points=[[100, 100], [104, 100]], corners=[])
    got = evaluate([truth], [sample(points=[[102, 100]])], protocol='dmpr')
    assert (got['point/precision'], got['point/recall']) == (1, 1)


def test_dmpr_averages_precision_over_eleven_recalls(evaluate):
    slots = [shifted(0, 40 * k) for k in range(2)]
    got = evaluate([image(corners=slots)], [sample(corners=slots[:1])], protocol='dmpr')
    assert got['slot/ap'] == pytest.approx(6 / 11)  # reaches the recalls 0 to 0.5
    assert got['slot/recall'] == 0.5


@pytest.mark.parametrize(('x', 'recall'), [(29.4, 0), (29.6, 1), (569.4, 1), (569.6, 0)])
def test_dmpr_drops_predictions_near_the_border_but_not_truths(evaluate, x, recall):
    at = np.array([x, 300.0])
    turned = at + np.array([[0, 0], [0, 100], [100, 100], [100, 0]])
    truth = image(corners=[turned], points=[at])
    got = evaluate([truth], [sample(corners=[turned], points=[at])], protocol='dmpr')
    assert (got['slot/recall'], got['point/recall']) == (recall, recall)
    strict = evaluate([truth], [sample(corners=[turned], points=[at])])
    assert (strict['slot/recall'], strict['point/recall']) == (1, 1)


def test_dmpr_takes_the_lower_point_score_for_the_slot_if_the_model_tells_it(evaluate):
    told = sample(corners=[SLOT], scores=[0.2], corner_point_scores=[[0.9, 0.6]])
    assert evaluate([image()], [told], protocol='dmpr')['slot/threshold'] == pytest.approx(0.6)
    assert evaluate([image()], [told])['slot/threshold'] == pytest.approx(0.2)
    weak = sample(corners=[SLOT], scores=[0.9], corner_point_scores=[[0.9, 0.1]])
    assert evaluate([image()], [weak], protocol='dmpr')['slot/recall'] == 0
    untold = sample(corners=[SLOT], scores=[0.02])
    assert evaluate([image()], [untold], protocol='dmpr')['slot/threshold'] == pytest.approx(0.02)


@pytest.mark.parametrize(('degrees', 'recall'), [(19, 1), (21, 0), (-21, 0)])
def test_crps_slots_must_agree_in_angle(evaluate, degrees, recall):
    leaning = SLOT.copy()
    leaning[2:, 0] += 150 * np.tan(np.radians(degrees))
    got = evaluate([image()], [sample(corners=[leaning])], protocol='crps')
    assert got['slot/recall'] == recall
    assert evaluate([image()], [sample(corners=[leaning])], protocol='dmpr')['slot/recall'] == 1


def test_crps_also_reads_at_a_score_of_055(evaluate):
    slots = [shifted(0, 40 * k) for k in range(3)]
    found = sample(corners=[*slots, shifted(200, 0)], scores=[0.9, 0.7, 0.5, 0.6])
    got = evaluate([image(corners=slots)], [found], protocol='crps')
    assert got['slot/precision_at_0.55'] == pytest.approx(2 / 3)
    assert got['slot/recall_at_0.55'] == pytest.approx(2 / 3)
    assert np.isnan(got['slot/threshold'])  # precision and recall: (1, 1/3), (1, 2/3), (3/4, 1)
    got = evaluate([image(corners=slots[:2])], [found], protocol='crps')
    assert got['slot/threshold'] == pytest.approx(0.7)
    assert (got['slot/precision'], got['slot/recall']) == (1, 1)


def test_pil_judges_the_whole_quadrilateral_of_empty_slots(evaluate):
    slots = [SLOT, shifted(200, 0)]
    deep = np.add(slots[1], [[0, 0], [0, 0], [0, -60], [0, -60]])  # 150 of 210 px
    truth = image(corners=slots, occupied=np.array([0, 0]))
    found = sample(corners=[SLOT, deep], occupied_scores=[0.0, 0.0])
    got = evaluate([truth], [found], protocol='pil')
    assert (got['slot/recall'], got['slot/precision'], got['slot/threshold']) == (0.5, 0.5, 0.3)
    assert evaluate([truth], [found])['slot/recall'] == 1
    occupied = image(corners=slots[:1])
    assert np.isnan(evaluate([occupied], [sample()], protocol='pil')['slot/recall'])


def test_the_distance_and_the_angle_of_a_match_can_be_chosen(evaluate):
    found = sample(
        corners=[shifted(0, 20)], points=shifted(20, 0)[:2], directions=[[1.0, -1.0]] * 2
    )
    for protocol in ('strict', 'dmpr', 'crps'):
        got = evaluate([image()], [found], protocol=protocol, distance=25, max_angle=50)
        assert (got['slot/recall'], got['point/recall']) == (1, 1)
        near = evaluate([image()], [found], protocol=protocol, max_angle=50)
        assert (near['slot/recall'], near['point/recall']) == (0, 0)


def test_each_slot_type_is_reported_on_request(evaluate):
    slots = [shifted(0, 40 * k) for k in range(3)]
    truth = image(corners=slots, slot_types=np.array([0, 0, 2]))
    # The second is taken for slanted, the third is missed, and a parallel one is made up.
    found = sample(corners=[*slots[:2], shifted(200, 0)], labels=[0, 2, 1])
    got = evaluate([truth], [found], per_type=True)
    assert (got['slot/precision@perpendicular'], got['slot/recall@perpendicular']) == (1, 1)
    assert got['slot/type_accuracy@perpendicular'] == 0.5
    assert got['slot/map_polygon@perpendicular'] == pytest.approx(51 / 101)  # COCO's 101 recalls
    assert got['slot/recall@slanted'] == 0
    assert got['slot/precision@parallel'] == 0
    assert np.isnan(got['slot/recall@parallel'])
    assert not [key for key in evaluate([truth], [found]) if '@' in key]
    one = image(corners=slots[:1])
    assert not [k for k in evaluate([one], [sample(corners=slots[:1])], per_type=True) if '@' in k]


def test_a_type_named_like_a_condition_is_told_apart(evaluate):
    truths = [image('1.jpg', condition='parallel'), image('2.jpg', condition='rain')]
    truths[1].slot_types = np.array([1])
    got = evaluate(truths, [sample(0, corners=[SLOT]), sample(1)], per_type=True)
    assert (got['slot/recall@parallel'], got['slot/recall@type parallel']) == (1, 0)
    assert got['slot/recall@perpendicular'] == 1


def test_each_distance_from_the_ego_car_is_reported_on_request(evaluate):
    middle, centre = np.array([150.0, 400.0]), 299.5
    ways = np.array([[-110, 0], [130, 0], [-261, 261], [0, 250]])  # the last but one: 369 px
    *slots, far = SLOT - middle + centre + ways[:, None]
    truth = image(corners=slots)
    got = evaluate([truth], [sample(corners=[slots[0], slots[2], far])], per_distance=True)
    assert (got['slot/recall@0-120px'], got['slot/recall@120-240px']) == (1, 0)
    assert np.isnan(got['slot/recall@240-360px'])
    assert (got['slot/precision@240-360px'], got['slot/recall@360px+']) == (0, 1)
    assert not [key for key in got if key.startswith('slot/map_polygon@')]
    metric = image(corners=slots, metres_per_pixel=0.02)  # 2.2, 2.6 and 7.4 m
    found = [sample(corners=slots[:1])]
    got = evaluate([metric], found, per_distance=True, distance_bins=(2.5, 7))
    assert (got['slot/recall@0-2.5m'], got['slot/recall@2.5-7m'], got['slot/recall@7m+']) == (
        1,
        0,
        0,
    )


def evaluate_share(folder, shares, samples):
    os.chdir(folder)
    metric = ParkingSlotMetric(f'{folder}/gt.json')
    metric.process(None, [samples[i] for i in shares[torch.distributed.get_rank()]])
    return metric.evaluate(5)


def test_two_processes_give_the_figures_of_one_without_the_padding(evaluate, tmp_path):
    truths = [image(f'{i}.jpg') for i in range(5)]
    samples = [
        sample(i, corners=[shifted(6 * i, 0)], points=SLOT[:1], scores=[0.5]) for i in range(5)
    ]
    expected = evaluate(truths, samples)
    assert expected['slot/recall'] == 0.4
    shares = ((0, 2, 4), (1, 3, 0))  # as DefaultSampler deals five images: one comes twice
    for result in run_ranks(evaluate_share, str(tmp_path), shares, samples, group=True):
        np.testing.assert_equal(result, expected)


def test_it_is_registered_and_runs_in_an_evaluator_on_data_samples(tmp_path):
    write_parking_slot_coco(tmp_path / 'gt.json', [image()], LABEL_KINDS)
    config = {'type': 'ParkingSlotMetric', 'ann_file': str(tmp_path / 'gt.json')}
    assert METRICS.get('ParkingSlotMetric') is ParkingSlotMetric
    evaluator = Evaluator([METRICS.build(config)])
    prediction = DetDataSample(metainfo={'img_id': 0, 'ori_shape': (600, 600)})
    fields = sample(corners=[SLOT], points=SLOT[:2])
    prediction.pred_instances = InstanceData(**fields['pred_instances'])
    prediction.pred_marking_points = InstanceData(**fields['pred_marking_points'])
    evaluator.process([prediction])
    got = evaluator.evaluate(1)
    assert (got['slot/f1'], got['point/f1']) == (1, 1)


def test_half_precision_predictions_are_taken(evaluate):
    prediction = sample(corners=[SLOT], points=SLOT[:2])
    instances = prediction['pred_instances']
    prediction['pred_instances'] = {key: v.bfloat16() for key, v in instances.items()}
    assert evaluate([image()], [prediction])['slot/f1'] == 1


def test_mistakes_are_one_sentence_each(evaluate, tmp_path):
    with pytest.raises(FileNotFoundError, match=r'none\.json not found'):
        ParkingSlotMetric(str(tmp_path / 'none.json'))
    with pytest.raises(
        ValueError, match=r"protocol is 'loose'; expected 'strict', 'dmpr', 'pil' or 'crps'\."
    ):
        evaluate([image()], [], protocol='loose')
    for score in (1.5, -1, 'equal', True):
        with pytest.raises(ValueError, match=rf"score_thr is {score!r}; .* 0 to 1, 'balanced' or"):
            evaluate([image()], [], score_thr=score)
    with pytest.raises(ValueError, match=r'no image with id 7 .*ann_file'):
        evaluate([image()], [sample(7)])
    with pytest.raises(
        ValueError, match=r'1\.jpg is 600 x 600 there, but the loaded image is 600 x 300'
    ):
        evaluate([image()], [sample(height=300)])
    stock = sample(corners=[SLOT])
    del stock['pred_instances']['corners']
    with pytest.raises(ValueError, match=r"no `pred_instances` with \['corners'\].*parking-slot"):
        evaluate([image()], [stock])
    stock = sample(points=SLOT[:2])
    del stock['pred_marking_points']['directions']
    with pytest.raises(
        ValueError, match=r'1\.jpg: the marking points are labelled with directions'
    ):
        evaluate([image()], [stock])
