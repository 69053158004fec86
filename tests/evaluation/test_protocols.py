"""The published protocols against slow implementations written from their descriptions.

DMPR-PS: every truth takes the best-scored prediction that agrees with it, whoever else has taken
it; what no truth took is a false positive; thresholds are the scores of the takings; one missed
truth ends the curve in (recall 1, precision 0); the AP is the mean of the best precision from each
of eleven recalls on.
"""

import math

import numpy as np
import pytest
from shapely import LineString, Point, Polygon

from mmdet_ext.datasets.formats.parking_slot_coco import ParkingImage
from mmdet_ext.evaluation.functional.context_score import context_scores
from mmdet_ext.evaluation.functional.parking_slots import repeats, truths_of
from mmdet_ext.evaluation.functional.protocols import (
    CrpsProtocol,
    DmprProtocol,
    PilProtocol,
    StrictProtocol,
)

SQUARED_DISTANCE = 0.000277778
UP = np.array([0.0, -1.0])


# --- scenes ------------------------------------------------------------------------------------


def unit_vectors(angles):
    return np.stack([np.cos(angles), np.sin(angles)], -1)


def slots_at(p1, turn, interior, width, depth):
    """Corners of slots with their entrance along ``turn`` and an interior angle at p1."""
    along = unit_vectors(turn)
    p2 = p1 + along * width[:, None]
    into = unit_vectors(turn - interior) * depth[:, None]
    return np.stack([p1, p2, p2 + into, p1 + into], 1)


def random_image(rng, size):
    """Labels and predictions of one image: close truths, shared and repeated finds, ties."""
    scale = size / 600
    count = int(rng.integers(0, 5))
    points = rng.uniform(10, 590, (count, 2))
    if count > 1 and rng.uniform() < 0.5:
        points[1] = points[0] + rng.uniform(-12, 12, 2)
    corners = slots_at(
        points,
        rng.uniform(-np.pi, np.pi, count),
        rng.uniform(0.8, 2.3, count),
        rng.uniform(120, 240, count),
        rng.uniform(150, 300, count),
    )
    truth = ParkingImage(
        'x.jpg',
        size,
        size,
        points * scale,
        unit_vectors(rng.uniform(-np.pi, np.pi, count)),
        rng.integers(0, 2, count),
        corners * scale,
        rng.integers(0, 3, count),
        rng.integers(-1, 2, count),
        np.full((count, 2), -1),
    )
    return truth, random_points(rng, truth, scale), random_slots(rng, truth, scale)


def random_scores(rng, count):
    """Some alike, and some that the thresholds of the publications drop."""
    return rng.choice([rng.uniform(0, 1, count), np.full(count, 0.5)], 1)[0] * rng.choice(
        [1, 1, 1, 0.1, 0.008], count
    )


def random_points(rng, truth, scale):
    rows = rng.integers(0, max(len(truth.points), 1), int(rng.integers(0, 8)))
    rows = rows if len(truth.points) else rows[:0]
    angles = np.arctan2(truth.directions[rows, 1], truth.directions[rows, 0])
    false = int(rng.integers(0, 3))
    points = truth.points[rows] + rng.normal(size=(len(rows), 2)) * 6 * scale
    turned = unit_vectors(angles + rng.normal(size=len(rows)) * 0.3)
    flipped = truth.shapes[rows] ^ (rng.uniform(size=len(rows)) < 0.1)
    return {
        'points': np.concatenate([points, rng.uniform(0, 600, (false, 2)) * scale]),
        'directions': np.concatenate([turned, np.tile(UP, (false, 1))]),
        'shapes': np.concatenate([flipped, np.zeros(false)]).astype(float),
        'scores': random_scores(rng, len(rows) + false),
    }


def random_slots(rng, truth, scale):
    rows = rng.integers(0, max(len(truth.corners), 1), int(rng.integers(0, 8)))
    rows = rows if len(truth.corners) else rows[:0]
    found = truth.corners[rows] + rng.normal(size=(len(rows), 1, 2)) * 3 * scale
    found += rng.normal(size=found.shape) * 3 * scale
    found[:, 2:] += rng.normal(size=(len(rows), 1, 2)) * 50 * scale
    false = int(rng.integers(0, 3))
    corners = np.concatenate([found, rng.uniform(0, 600, (false, 4, 2)) * scale])
    count = len(corners)
    told = rng.uniform() < 0.5
    return {
        'corners': corners,
        'scores': random_scores(rng, count),
        'labels': rng.integers(0, 3, count).astype(float),
        'occupied_scores': rng.choice([0.0, 0.1, 0.9], count),
        'point_scores': rng.uniform(0, 1, (count, 2)) if told else np.full((count, 2), np.nan),
    }


def joined(predictions):
    images = np.repeat(np.arange(len(predictions)), [len(p['scores']) for p in predictions])
    return {'images': images} | {
        key: np.concatenate([p[key] for p in predictions]) for key in predictions[0]
    }


def scenes(seed, rounds):
    """Several rounds of three images: the labels, the points and the slots of each."""
    rng = np.random.default_rng(seed)
    for _ in range(rounds):
        size = int(rng.choice([512, 600, 1200]))
        yield list(zip(*(random_image(rng, size) for _ in range(3)), strict=True))


# --- DMPR-PS, slowly ---------------------------------------------------------------------------


def normalised(point, truth):
    return (point[0] + 0.5) / truth.width, (point[1] + 0.5) / truth.height


def close(point, other, truth):
    (x, y), (u, v) = normalised(point, truth), normalised(other, truth)
    return (x - u) ** 2 + (y - v) ** 2 < SQUARED_DISTANCE


def off_border(point, truth, border):
    return all(border <= value <= 1 - border for value in normalised(point, truth))


def angle_apart(a, b):
    apart = abs(math.atan2(a[1], a[0]) - math.atan2(b[1], b[0]))
    return apart if apart < math.pi else 2 * math.pi - apart


def slow_points(truth, predicted, border):
    """Predictions that are left, and which of them agrees with which truth."""
    kept = [
        k
        for k, score in enumerate(predicted['scores'])
        if score >= 0.01 and off_border(predicted['points'][k], truth, border)
    ]
    agree = [
        [
            close(predicted['points'][k], truth.points[t], truth)
            and predicted['shapes'][k] == truth.shapes[t]
            and angle_apart(predicted['directions'][k], truth.directions[t]) < math.pi / 6
            for k in kept
        ]
        for t in range(len(truth.points))
    ]
    return [predicted['scores'][k] for k in kept], agree


def slot_angle(corners):
    entrance = corners[1] - corners[0]
    sides = (corners[3] - corners[0]) / 2 + (corners[2] - corners[1]) / 2
    return angle_apart(entrance, sides)


def slow_slots(truth, predicted, border, max_angle=math.inf):
    scores, kept = [], []
    for k, corners in enumerate(predicted['corners']):
        score, told = predicted['scores'][k], predicted['point_scores'][k]
        if not math.isnan(told[0]):
            score = min(told)
            if score < 0.11676871:
                continue
        if all(off_border(corner, truth, border) for corner in corners[:2]):
            scores.append(score)
            kept.append(corners)
    agree = [
        [
            all(close(corners[c], true[c], truth) for c in (0, 1))
            and abs(slot_angle(corners) - slot_angle(true)) < max_angle
            for corners in kept
        ]
        for true in truth.corners
    ]
    return scores, agree


def slow_curve(images):
    """Takings, false positives and the points (threshold, precision, recall) of the curve."""
    taken, false = [], []
    for scores, agree in images:
        used = set()
        for row in agree:
            best, chosen = 0.0, None
            for k, fits in enumerate(row):
                if fits and scores[k] > best:
                    best, chosen = scores[k], k
            taken.append(best)
            used.add(chosen)
        false += [score for k, score in enumerate(scores) if k not in used]
    curve = []
    for threshold in sorted(set(taken), reverse=True):
        if threshold == 0:
            curve.append((0.0, 0.0, 1.0))
            break
        right = sum(score >= threshold for score in taken)
        wrong = sum(score >= threshold for score in false)
        curve.append((threshold, right / (right + wrong), right / len(taken)))
    return taken, curve


def eleven_point_ap(curve):
    levels = [(0.0, 0.0), *((recall, precision) for _, precision, recall in curve)]
    return (
        sum(
            max(p for _, p in levels[next(k for k, (r, _) in enumerate(levels) if r >= i / 10) :])
            for i in range(11)
        )
        / 11
    )


def area_ap(curve):
    area, before = 0.0, 0.0
    for k, (_, _, recall) in enumerate(curve):
        area += (recall - before) * max(precision for _, precision, _ in curve[k:])
        before = recall
    return area


def harmonic(precision, recall):
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def read_off(protocol, outcome, kind):
    """Threshold, precision and recall as the metric reads them."""
    threshold, _ = protocol.threshold(outcome, kind)
    kept = outcome.scores >= threshold
    right = (outcome.hits & kept).sum()
    return threshold, right / max(kept.sum(), 1), right / outcome.num_truths


def check(protocol, outcome, kind, images, ap_of, allowed):
    taken, curve = slow_curve(images)
    assert outcome.num_truths == len(taken)
    if not taken:
        assert np.isnan(protocol.average_precision(outcome))
        return
    assert protocol.average_precision(outcome) == pytest.approx(ap_of(curve))
    found = [(t, p, r) for t, p, r in curve if t > 0 and allowed(p, r)]
    if found:
        best = max(harmonic(p, r) for _, p, r in found)
        expected = next(row for row in found if harmonic(*row[1:]) == pytest.approx(best))
        assert read_off(protocol, outcome, kind) == pytest.approx(expected)


def outcomes_of(protocol, labels, points, slots):
    frames, true_points, true_slots = truths_of(labels)
    return (
        protocol.match_points(joined(points), true_points, frames),
        protocol.match_slots(joined(slots), true_slots, frames),
    )


def test_dmpr_is_the_published_evaluation_on_random_scenes():
    protocol = DmprProtocol()
    shared = 0
    for labels, points, slots in scenes(0, 700):
        point_outcome, slot_outcome = outcomes_of(protocol, labels, points, slots)
        slow = [slow_points(*pair, 0.05) for pair in zip(labels, points, strict=True)]
        check(protocol, point_outcome, 'point', slow, eleven_point_ap, lambda p, r: True)
        slow = [slow_slots(*pair, 0.05) for pair in zip(labels, slots, strict=True)]
        check(protocol, slot_outcome, 'slot', slow, eleven_point_ap, lambda p, r: True)
        shared += len(point_outcome.scores) > sum(len(s) for s, _ in slow)
    assert shared > 20  # the scenes do have predictions that serve several truths


def test_crps_is_the_published_evaluation_on_random_scenes():
    protocol = CrpsProtocol()
    limit = 0.20757113548987695 + 0.1384059287593468
    angles_told = 0
    for labels, points, slots in scenes(1, 400):
        point_outcome, slot_outcome = outcomes_of(protocol, labels, points, slots)
        slow = [slow_points(*pair, -math.inf) for pair in zip(labels, points, strict=True)]
        check(protocol, point_outcome, 'point', slow, area_ap, lambda p, r: abs(p - r) < 0.02)
        pairs = list(zip(labels, slots, strict=True))
        slow = [slow_slots(*pair, -math.inf, limit) for pair in pairs]
        check(protocol, slot_outcome, 'slot', slow, area_ap, lambda p, r: abs(p - r) < 0.02)
        angles_told += slow != [slow_slots(*pair, -math.inf) for pair in pairs]
    assert angles_told > 20


def test_crps_without_a_balanced_point_on_the_curve_has_no_threshold():
    labels = [ParkingImage('x.jpg', 600, 600, np.array([[100.0, 100], [300, 300]]))]
    labels[0].directions, labels[0].shapes = np.full((2, 2), np.nan), np.full(2, -1)
    one = {
        'points': labels[0].points[:1],
        'directions': np.full((1, 2), np.nan),
        'shapes': np.full(1, np.nan),
        'scores': np.array([0.9]),
    }
    frames, true_points, _ = truths_of(labels)
    outcome = CrpsProtocol().match_points(joined([one]), true_points, frames)
    assert np.isnan(CrpsProtocol().threshold(outcome, 'point')[0])  # precision 1, recall 0.5


# --- PIL-park ----------------------------------------------------------------------------------


SQUARE = np.array([[100.0, 300.0], [300.0, 300.0], [300.0, 100.0], [100.0, 100.0]])


def scaled(corners, factor, centre=(200.0, 200.0)):
    return (corners - centre) * factor + centre


def moved(corners, dx):
    return corners + np.array([dx, 0.0])


@pytest.mark.parametrize(
    ('predicted', 'score'),
    [
        (SQUARE, 1),
        (scaled(SQUARE, 0.9), 0.81),  # inside: the areas alone
        (scaled(SQUARE, 1.25), 1 / 1.25**2 / 1.25),  # every corner sticks out by a quarter
        (moved(SQUARE, 50), 1 / 2),  # half of the way from the centre to the right-hand corners
        (moved(SQUARE, 101), 0),  # the centre lies outside
        (moved(SQUARE, 100), 0),  # the centre lies on the edge
        (np.full((4, 2), 200.0), 0),  # no area
        (np.full((4, 2), np.nan), 0),
    ],
)
def test_the_context_score_of_hand_made_slots(predicted, score):
    assert context_scores(predicted[None], SQUARE[None]) == pytest.approx([score])


def slow_context_score(corners, truth):
    polygon, centre = Polygon(truth), corners.mean(0)
    if not polygon.contains(Point(centre)):
        return 0.0
    inside = 1.0
    for corner in corners:
        if not polygon.contains(Point(corner)):
            crossing = LineString([centre, corner]).intersection(polygon.exterior)
            way = crossing.distance(Point(centre)) / np.linalg.norm(corner - centre)
            inside = min(inside, way)
    areas = Polygon(corners).area, polygon.area
    return min(areas) / max(areas) * inside


def test_the_context_score_is_that_of_shapely_pair_by_pair():
    rng = np.random.default_rng(0)
    turns = np.sort(rng.uniform(0, 2 * np.pi, (2, 200, 4)), axis=-1)
    corners, truths = rng.uniform(-8, 8, (2, 200, 1, 2)) + 30 * unit_vectors(turns)
    expected = [slow_context_score(*pair) for pair in zip(corners, truths, strict=True)]
    assert sum(0 < value < 1 for value in expected) > 50
    np.testing.assert_allclose(context_scores(corners, truths), expected, atol=1e-9)


def pil_outcome(truths, predicted, scores, occupied_scores, occupied=None):
    count = len(truths)
    occupied = np.zeros(count, dtype=int) if occupied is None else np.array(occupied)
    image = ParkingImage(
        'x.jpg',
        1000,
        600,
        corners=np.array(truths, dtype=float).reshape(-1, 4, 2),
        slot_types=np.zeros(count, dtype=int),
        occupied=occupied,
        slot_points=np.full((count, 2), -1),
    )
    frames, _, true_slots = truths_of([image])
    rows = {
        'corners': np.array(predicted, dtype=float).reshape(-1, 4, 2),
        'scores': np.array(scores),
        'labels': np.zeros(len(scores)),
        'occupied_scores': np.array(occupied_scores, dtype=float),
        'point_scores': np.full((len(scores), 2), np.nan),
    }
    return PilProtocol().match_slots(joined([rows]), true_slots, frames)


def test_pil_judges_empty_slots_only():
    other = moved(SQUARE, 400)
    outcome = pil_outcome([SQUARE, other], [SQUARE, other], [0.9, 0.9], [0.1, 0.2], [1, 0])
    assert outcome.num_truths == 1
    assert outcome.scores == pytest.approx([0.81, 0.72])
    assert outcome.hits.tolist() == [False, True]  # an occupied slot called empty is wrong


def test_pil_drops_what_is_hardly_an_empty_slot():
    outcome = pil_outcome([SQUARE], [SQUARE] * 3, [0.29, 0.9, 0.9], [0, 0.7, 0.6])
    assert outcome.scores == pytest.approx([0.36])
    assert PilProtocol().threshold(outcome, 'slot')[0] == 0.3


def test_pil_takes_unknown_occupancy_as_empty():
    outcome = pil_outcome([SQUARE], [SQUARE], [0.9], [np.nan], [-1])
    assert (outcome.num_truths, outcome.hits.tolist()) == (1, [True])
    assert outcome.scores == pytest.approx([0.9])


def test_pil_takes_each_truth_once_and_needs_more_than_four_fifths():
    outcome = pil_outcome(
        [SQUARE], [SQUARE, SQUARE, scaled(SQUARE, 0.89)], [0.8, 0.9, 0.7], [0] * 3
    )
    assert outcome.hits.tolist() == [False, True, False]


# --- strict ------------------------------------------------------------------------------------


def test_strict_ap_never_rises_when_predictions_are_repeated():
    protocol = StrictProtocol()
    rng = np.random.default_rng(2)
    for labels, points, slots in scenes(3, 300):
        once = outcomes_of(protocol, labels, points, slots)
        twice = []
        for rows in (*points, *slots):
            again = rng.integers(0, 2, len(rows['scores'])).astype(bool)
            copies = {key: value[again] for key, value in rows.items()}
            copies['scores'] = copies['scores'] * rng.choice([1, 0.7])
            twice.append({key: np.concatenate([rows[key], copies[key]]) for key in rows})
        more = outcomes_of(protocol, labels, twice[:3], twice[3:])
        for before, after in zip(once, more, strict=True):
            if before.num_truths:
                aps = [protocol.average_precision(outcome) for outcome in (before, after)]
                assert aps[1] <= aps[0] + 1e-12


def test_a_repeat_is_one_of_the_same_image_in_all_arrays_and_nan_equals_nan():
    images = np.array([0, 0, 1, 1, 1])
    points = np.array([[1.0, 2], [1, 2], [1, 2], [np.nan, 2], [np.nan, 2]])
    assert repeats(images, points).tolist() == [False, True, False, False, True]
    assert not repeats(images, points, np.arange(5)).any()
