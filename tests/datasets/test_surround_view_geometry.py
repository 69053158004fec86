"""What the rows of the synthetic scenes are, checked without the code that draws or labels them."""

import numpy as np
import pytest
from shapely import Polygon, unary_union

from mmdet_ext.datasets.formats.parking_slot_coco import SLOT_TYPES
from mmdet_ext.datasets.surround_view.cars import park_cars
from mmdet_ext.datasets.surround_view.layout import BORDER, Row, sample_layout
from mmdet_ext.datasets.surround_view.paint import coverage, row_strokes
from mmdet_ext.datasets.surround_view.render import make_labels
from mmdet_ext.datasets.surround_view.view import View
from mmdet_ext.structures.marking_points import SHAPES

SIZE = 512


@pytest.fixture(scope='module')
def scenes():
    """Layout, cars and labels of many scenes."""
    made = []
    for i in range(250):
        rng = np.random.default_rng([11, i])
        layout = sample_layout(rng)
        cars = park_cars(rng, layout)
        made.append((layout, cars, make_labels(layout, cars, View(SIZE, layout.extent), 'day')))
    return made


@pytest.fixture(scope='module')
def slots(scenes):
    """All labelled slots: type, corners in metres."""
    return [
        (SLOT_TYPES[kind], corners * record.metres_per_pixel)
        for _, _, record in scenes
        for kind, corners in zip(record.slot_types, record.corners, strict=True)
    ]


def interior_angle_degrees(corners):
    entrance, separator = corners[1] - corners[0], corners[3] - corners[0]
    cosine = entrance @ separator / np.linalg.norm(entrance) / np.linalg.norm(separator)
    return np.degrees(np.arccos(cosine))


def make_row(**options):
    defaults = {
        'slot_type': 'perpendicular',
        'style': 'closed',
        'normal': np.array([0.0, -1.0]),
        'distance': 1.5,
        'start': -2.5,
        'entrance': 2.5,
        'angle': np.pi / 2,
        'depth': 3.0,
        'count': 2,
        'line_width': 0.12,
    }
    return Row(**(defaults | options))


def test_every_kind_of_slot_appears_in_its_range_of_sizes(slots):
    widths = {'perpendicular': (2.3, 2.8), 'parallel': (5.5, 6.8), 'slanted': (2.3, 2.8)}
    assert {kind for kind, _ in slots} == set(widths)
    for kind, corners in slots:
        entrance = np.linalg.norm(corners[1] - corners[0])
        depth = np.linalg.norm(corners[3] - corners[0])
        angle = interior_angle_degrees(corners)
        low, high = widths[kind]
        assert low - 0.01 <= entrance * np.sin(np.radians(angle)) <= high + 0.01
        assert (kind == 'parallel') == (kind != 'slanted' and entrance > depth)
        if kind == 'slanted':
            assert 35 <= angle <= 75 or 105 <= angle <= 145
        else:
            assert angle == pytest.approx(90, abs=0.01)


def test_slots_slant_both_ways(slots):
    angles = np.array([interior_angle_degrees(c) for kind, c in slots if kind == 'slanted'])
    assert (angles < 90).sum() > 10
    assert (angles > 90).sum() > 10


def test_corners_run_anticlockwise_on_screen_with_the_entrance_towards_the_ego_car(scenes):
    for corners in (corners for _, _, record in scenes for corners in record.corners):
        x, y = corners.T
        assert (x * np.roll(y, -1) - np.roll(x, -1) * y).sum() < 0  # y points down
        p1, p2, p3, p4 = corners
        np.testing.assert_allclose(p3 - p2, p4 - p1, atol=1e-9)
        along, to_ego = p2 - p1, (SIZE - 1) / 2 - p1
        assert along[0] * to_ego[1] - along[1] * to_ego[0] > 0  # right of p1 -> p2


def test_labels_lie_inside_the_image_and_clear_of_its_border(scenes):
    for _, _, record in scenes:
        margin = BORDER * SIZE - 1
        assert (record.points > margin).all()
        assert (record.points < SIZE - margin).all()


def test_paint_of_different_kinds_keeps_apart_so_that_no_junction_lacks_its_label(scenes):
    pieces = 0
    for layout, _, _ in scenes:
        paint = unary_union([Polygon(polygon) for polygon in layout.markings])
        for row in layout.rows:
            strokes = unary_union([Polygon(polygon) for polygon in row_strokes(row)])
            assert paint.is_empty or paint.distance(strokes) > 0.2
        assert paint.is_empty or paint.distance(Polygon(layout.ego.outline)) > 0.3
        areas = sum(Polygon(polygon).area for polygon in layout.markings)
        assert paint.area == pytest.approx(areas)  # no overlap
        pieces += len(layout.markings)
    assert pieces > 100


def test_every_junction_in_the_image_is_labelled_once(scenes):
    for layout, _, record in scenes:
        junctions = [j for row in layout.rows for j in row.junctions]
        inside = [j for j in junctions if np.abs(j).max() < layout.extent / 2]
        assert len(record.points) == len(inside)
        if inside:
            distances = np.linalg.norm(record.points[:, None] - record.points[None], axis=-1)
            assert (distances[~np.eye(len(inside), dtype=bool)] > 10).all()


def test_a_slot_is_labelled_exactly_if_both_its_points_are(scenes):
    for layout, _, record in scenes:
        both = sum(
            (np.abs(corners[:2]) < layout.extent / 2).all()
            for row in layout.rows
            for corners in row.corners
        )
        assert len(record.corners) == both


def test_entrance_corners_are_the_linked_points_and_neighbours_share_one(scenes):
    shared = 0
    for _, _, record in scenes:
        linked = record.points[record.slot_points]
        np.testing.assert_allclose(record.corners[:, :2], linked)
        shared += len(set(record.slot_points[:, 0]) & set(record.slot_points[:, 1]))
    assert shared > 50


def test_directions_follow_the_separator_or_the_first_arm_of_an_l(scenes):
    seen = set()
    for _, _, record in scenes:
        for corners, (left, right) in zip(record.corners, record.slot_points, strict=True):
            entrance, separator = corners[1] - corners[0], corners[3] - corners[0]
            entrance, separator = (v / np.linalg.norm(v) for v in (entrance, separator))
            for point, l_direction in ((left, separator), (right, -entrance)):
                shape = SHAPES[record.shapes[point]]
                expected = l_direction if shape == 'L' else separator
                np.testing.assert_allclose(record.directions[point], expected, atol=1e-9)
                seen.add(shape)
    assert seen == {'T', 'L', 'I', 'U'}


def test_some_scenes_have_no_slots(scenes):
    empty = sum(len(record.points) == 0 for _, _, record in scenes)
    assert 0.03 < empty / len(scenes) < 0.15


def test_occupied_slots_hold_a_car_and_free_ones_do_not(scenes):
    rate = []
    for _, cars, record in scenes:
        view_centre = (SIZE - 1) / 2
        centres = np.array([car.centre for car in cars]).reshape(-1, 2)
        centres = centres / record.metres_per_pixel + view_centre
        for corners, occupied in zip(record.corners, record.occupied, strict=True):
            basis = np.stack([corners[1] - corners[0], corners[3] - corners[0]], -1)
            across, into = np.linalg.solve(basis, (centres - corners[0]).T)
            inside = (across > 0.15) & (across < 0.85) & (into > 0.15) & (into < 1)
            assert inside.sum() == occupied
            rate.append(occupied)
    assert 0.3 < np.mean(rate) < 0.6


def test_neither_cars_nor_the_ego_car_hide_a_junction_or_a_slot(scenes):
    for layout, cars, _ in scenes:
        canvas = np.zeros((SIZE, SIZE), np.uint8)
        view = View(SIZE, layout.extent)
        for car in cars:
            view.fill(canvas, car.silhouette(), 255)
        view.fill(canvas, layout.ego.outline, 255)
        for row in layout.rows:
            inside = row.junctions[np.abs(row.junctions).max(-1) < layout.extent / 2]
            x, y = np.round(view.to_pixels(inside)).astype(int).T
            assert not canvas[y, x].any()
            ego = layout.ego.outline
            assert ((ego @ row.normal) < row.distance).all()


@pytest.mark.parametrize('angle', [40, 90, 140])
@pytest.mark.parametrize('style', ['closed', 'open', 'rounded'])
def test_paint_covers_marking_point_and_separator_and_nothing_in_between(style, angle):
    gap = 0.3 if style == 'rounded' else 0.0
    row = make_row(style=style, angle=np.radians(angle), gap=gap)
    view = View(SIZE, 12)
    mask = coverage(view, row_strokes(row))

    def painted(points):
        x, y = np.round(view.to_pixels(points)).astype(int).T
        return mask[y, x]

    assert (painted(row.junctions) > 250).all()
    separator = np.array([np.cos(np.radians(angle)), -np.sin(np.radians(angle))])
    across, beside = np.array([separator[1], -separator[0]]) * gap / 2, np.array([0.6, 0])
    for depth in np.linspace(0.3, 2.9, 9):
        on_line = row.junctions + separator * depth
        assert (painted(on_line + across) > 250).all()
        assert (painted(on_line + beside) == 0).all()
    midpoints = (row.junctions[1:] + row.junctions[:-1]) / 2
    assert (painted(midpoints) > 250).all() == (style == 'closed')
    assert not painted(row.junctions - 0.3 * row.normal).any()


def test_paint_is_placed_to_a_twentieth_of_a_pixel():
    view = View(SIZE, 10)
    for shift in np.linspace(0, 0.02, 7):  # up to one pixel
        row = make_row(style='open', count=1, entrance=20, start=-1 + shift, distance=1)
        mask = coverage(view, row_strokes(row)).astype(float)
        line = mask[100:180]  # across the separator
        centre = (line * np.arange(SIZE)).sum() / line.sum()
        assert centre == pytest.approx((-1 + shift) / (10 / SIZE) + (SIZE - 1) / 2, abs=0.05)
