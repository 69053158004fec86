"""What the rows of the synthetic scenes are, checked without the code that lays them out."""

from dataclasses import replace

import numpy as np
import pytest
from shapely import MultiPolygon, Point, Polygon, unary_union

from mmdet_ext.datasets.surround_view.layout import (
    BORDER,
    MARKING_GAP,
    LayoutConfig,
    sample_layout,
    visible_part,
)
from mmdet_ext.datasets.surround_view.markings import MarkingsConfig
from mmdet_ext.datasets.surround_view.paint import coverage
from mmdet_ext.datasets.surround_view.patterns import RowConfig
from mmdet_ext.datasets.surround_view.ranges import check_config
from mmdet_ext.datasets.surround_view.rows import (
    Row,
    arc,
    bands,
    edging,
    rear_strokes,
    row_strokes,
)
from mmdet_ext.datasets.surround_view.trims import Trim, TrimConfig, row_paint
from mmdet_ext.datasets.surround_view.view import View
from mmdet_ext.structures.marking_points import SHAPES

SIZE = 512
PLAIN = RowConfig(curved=0.0, trapezoidal=0.0)


def square(extent=12.0):
    return View(SIZE, SIZE, extent / SIZE)


def strip(side):
    return View(192, 600, 9.8 / 600, (side * 2.35, 0.0))


def sample(config, views, count, seed=11):
    return [
        sample_layout(np.random.default_rng([seed, i]), config, views[i % len(views)])
        for i in range(count)
    ]


@pytest.fixture(scope='module')
def scenes():
    """Layouts of both kinds of view."""
    return sample(LayoutConfig(), [square(), strip(1), square(10), strip(-1)], 240)


def make_row(**options):
    defaults = {
        'slot_type': 'perpendicular',
        'style': 'closed',
        'junctions': np.array([(-2.5, -1.5), (0.0, -1.5), (2.5, -1.5)]),
        'separators': np.array([(0.0, -1.0)] * 3),
        'depths': np.full(3, 3.0),
        'is_slot': np.ones(2, bool),
        'line_width': 0.12,
    }
    return Row(**(defaults | options))


def interior_angle_degrees(corners):
    entrance, separator = corners[1] - corners[0], corners[3] - corners[0]
    cosine = entrance @ separator / np.linalg.norm(entrance) / np.linalg.norm(separator)
    return np.degrees(np.arccos(cosine))


def area_of(polygons):
    return unary_union([Polygon(polygon).buffer(0) for polygon in polygons])


def labelled_slots(layouts):
    return [
        (row, corners)
        for layout in layouts
        for row in layout.rows
        for corners in row.corners[layout.is_labelled(row)[1]]
    ]


def test_the_default_config_is_valid_and_broken_ones_are_named():
    check_config(LayoutConfig())
    with pytest.raises(ValueError, match=r'scene\.rows\.slant .* below 90'):
        check_config(LayoutConfig(rows=RowConfig(slant=(30, 95))))
    with pytest.raises(ValueError, match=r'scene\.rows\.perpendicular_width .* above 0'):
        check_config(LayoutConfig(rows=RowConfig(perpendicular_width=(0, 2))))


def test_slots_that_do_not_fit_the_view_are_refused_in_one_sentence():
    rows = RowConfig(perpendicular_width=(30, 30), parallel_length=(30, 30))
    config = LayoutConfig(empty=0.0, rows=rows)
    with pytest.raises(ValueError, match=r'12\.0 x 12\.0 m.*perpendicular_width'):
        sample_layout(np.random.default_rng(0), config, square())


def test_the_same_random_state_gives_the_same_scene():
    first, second = (sample(LayoutConfig(), [square(), strip(1)], 10, seed=5) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_equal(
            [p for paint in a.paint for p in paint.polygons],
            [p for paint in b.paint for p in paint.polygons],
        )
        assert [t.string for p in a.paint for t in p.texts] == [
            t.string for p in b.paint for t in p.texts
        ]


def test_every_kind_of_slot_appears_in_its_range_of_sizes():
    slots = labelled_slots(sample(LayoutConfig(rows=PLAIN), [square()], 150))
    widths = {'perpendicular': (2.2, 2.9), 'parallel': (5.2, 7.0), 'slanted': (2.2, 2.9)}
    assert {row.slot_type for row, _ in slots} == set(widths)
    for row, corners in slots:
        entrance = np.linalg.norm(corners[1] - corners[0])
        depth = np.linalg.norm(corners[3] - corners[0])
        angle = interior_angle_degrees(corners)
        low, high = widths[row.slot_type]
        assert low - 1e-6 <= entrance * np.sin(np.radians(angle)) <= high + 1e-6
        assert (row.slot_type == 'parallel') == (row.slot_type != 'slanted' and entrance > depth)
        if row.slot_type == 'slanted':
            assert 30 <= min(angle, 180 - angle) <= 75
        else:
            assert angle == pytest.approx(90, abs=0.01)
    angles = [interior_angle_degrees(c) for row, c in slots if row.slot_type == 'slanted']
    assert min(np.sum(np.array(angles) < 90), np.sum(np.array(angles) > 90)) > 10


def test_corners_run_anticlockwise_on_screen_with_the_entrance_towards_the_ego_car(scenes):
    slots = labelled_slots(scenes)
    assert len(slots) > 300
    for _, corners in slots:
        x, y = corners.T
        assert (x * np.roll(y, -1) - np.roll(x, -1) * y).sum() < 0  # y points down
        assert Polygon(corners).is_valid
        p1, p2 = corners[:2]
        along, to_ego = p2 - p1, -p1
        assert along[0] * to_ego[1] - along[1] * to_ego[0] > 0  # right of p1 -> p2


def test_junctions_keep_clear_of_the_image_border_and_rows_of_the_ego_car(scenes):
    for layout in scenes:
        ego = Polygon(layout.ego.outline)
        width, height = layout.view.extent
        for row in layout.rows:
            inside = layout.is_labelled(row)[0]
            for junction, labelled in zip(row.junctions, inside, strict=True):
                x, y = junction - layout.view.centre
                depth = min(width / 2 - abs(x), height / 2 - abs(y))
                assert labelled == (depth > 0)
                assert abs(depth) >= BORDER * height
                assert ego.distance(Point(junction)) > 0.14


def test_a_slot_is_labelled_exactly_if_both_its_points_are(scenes):
    for layout in scenes:
        for row in layout.rows:
            inside, labelled = layout.is_labelled(row)
            np.testing.assert_array_equal(labelled, inside[row.slot_junctions].all(-1))
            np.testing.assert_array_equal(row.corners[:, :2], row.junctions[row.slot_junctions])


def test_some_scenes_are_empty_and_all_others_have_a_label(scenes):
    empty = [layout for layout in scenes if not layout.rows]
    assert 0.02 < len(empty) / len(scenes) < 0.15
    for layout in scenes:
        if layout.rows and layout.view.width == SIZE:
            assert labelled_slots([layout])
        elif layout.rows:
            assert any(layout.is_labelled(row)[0].any() for row in layout.rows)


def test_the_least_visible_part_of_labelled_slots_is_kept_to():
    config = LayoutConfig(least_visible=0.3, rows=PLAIN)
    for layout in sample(config, [square()], 60):
        image = Polygon([(-6, -6), (6, -6), (6, 6), (-6, 6)])
        for _, corners in labelled_slots([layout]):
            slot = Polygon(corners)
            part = slot.intersection(image).area / slot.area
            assert part > 0.25
            assert visible_part(corners, layout.view) == pytest.approx(part, abs=0.06)


def test_strips_show_their_own_side_and_some_rows_from_afar(scenes):
    far = 0
    for layout in (s for s in scenes if s.view.width != SIZE and s.rows):
        depths = layout.view.depth_inside(np.concatenate([r.junctions for r in layout.rows]))
        seen = depths[depths > 0]
        far += seen.max() < 0.9
    assert far > 3


def test_paint_of_different_kinds_keeps_apart_so_that_no_junction_lacks_its_label():
    markings = MarkingsConfig(count=(2, 6))
    pieces = 0
    for layout in sample(LayoutConfig(markings=markings), [square(), strip(1)], 120):
        own = area_of([q for p in layout.paint if p.row is not None for q in p.polygons])
        free = [p for p in layout.paint if p.row is None]
        shapes = [area_of(p.polygons) for p in free]
        for i, shape in enumerate(shapes):
            assert own.is_empty or shape.distance(own) > 0.2
            assert shape.distance(Polygon(layout.ego.outline)) > MARKING_GAP - 1e-9
            assert all(shape.distance(other) > MARKING_GAP - 1e-9 for other in shapes[:i])
        pieces += len(shapes)
    assert pieces > 60


def test_paint_of_two_rows_keeps_apart(scenes):
    pairs = 0
    for layout in (s for s in scenes if len(s.rows) == 2):
        first, second = (
            area_of([q for p in layout.paint if p.row == i for q in p.polygons]) for i in (0, 1)
        )
        assert first.is_empty or second.is_empty or first.distance(second) > 0.2
        pairs += 1
    assert pairs > 20


def test_no_two_marking_points_coincide(scenes):
    for layout in scenes:
        points = np.concatenate([np.zeros((0, 2)), *(row.junctions for row in layout.rows)])
        distances = np.linalg.norm(points[:, None] - points[None], axis=-1)
        assert (distances[~np.eye(len(points), dtype=bool)] > 0.29).all()


def test_every_style_of_the_real_sites_occurs():
    rows = [r for s in sample(LayoutConfig(), [square(), strip(1)], 300, 3) for r in s.rows]
    assert {r.style for r in rows} == {'closed', 'open', 'rounded', 'band'}
    assert {r.entrance for r in rows} == {'solid', 'dashed', 'stubs'}
    assert any(r.separator_reach < 2 for r in rows)
    assert any(r.separator_dash > 0 for r in rows)
    assert any(max(r.overrun) > 0 for r in rows)
    assert any(r.rear_line for r in rows)
    assert any(r.style == 'closed' and r.gap > 0 for r in rows)
    assert any(r.style != 'band' and not r.is_slot.all() for r in rows)
    assert any(np.ptp(np.arctan2(*r.alongs.T)) > 0.1 for r in rows if np.ptp(r.alongs[:, 1]) < 1)


def test_a_plain_config_gives_plain_rows():
    rows = RowConfig(
        curved=0.0,
        trapezoidal=0.0,
        breaks=0.0,
        overrun=0.0,
        short=0.0,
        dashed_separators=0.0,
        styles={'closed': 1, 'open': 1},
        entrances={'solid': 1},
        trim=TrimConfig(kerb_line=0.0, edge_lane=0.0, coloured_bays=0.0, numbers={'none': 1}),
    )
    for layout in sample(LayoutConfig(rows=rows), [square()], 60):
        assert {p.role for p in layout.paint} <= {'line', 'rear', 'marking'}
        for row in layout.rows:
            np.testing.assert_allclose(row.alongs, row.alongs[:1].repeat(len(row.alongs), 0))
            np.testing.assert_allclose(row.separators, row.separators[:1].repeat(row.count + 1, 0))
            assert row.is_slot.all()


@pytest.mark.parametrize('radius', [6, 40])
@pytest.mark.parametrize('sense', [1, -1])
def test_junctions_of_curved_rows_lie_on_a_circle(radius, sense):
    positions = np.linspace(-5, 7, 6)
    anchor, along = np.array([1.0, -2.0]), np.array([0.6, 0.8])
    points, tangents = arc(anchor, along, sense / radius, positions)
    centre = anchor + sense * radius * np.array([-0.8, 0.6])  # right of along on screen
    np.testing.assert_allclose(np.linalg.norm(points - centre, axis=1), radius)
    np.testing.assert_allclose(((points - centre) * tangents).sum(-1), 0, atol=1e-9)
    np.testing.assert_allclose(arc(anchor, along, 0.0, positions)[0][0], anchor - 5 * along)


def test_directions_follow_the_separator_or_the_first_arm_of_an_l():
    row = make_row()
    assert [SHAPES[s] for s in row.shapes] == ['L', 'T', 'L']
    np.testing.assert_allclose(row.directions, [(0, -1), (0, -1), (-1, 0)], atol=1e-12)
    beyond = make_row(overrun=(1.0, 0.0))
    assert [SHAPES[s] for s in beyond.shapes] == ['T', 'T', 'L']
    for style, shape in (('open', 'I'), ('rounded', 'U'), ('band', 'other')):
        other = make_row(style=style, gap=0.3)
        assert [SHAPES[s] for s in other.shapes] == [shape] * 3
        np.testing.assert_allclose(other.directions, row.separators)


def test_intervals_that_are_no_slots_have_corners_of_their_own():
    row = make_row(is_slot=np.array([True, False]), style='band', gap=0.4)
    assert row.count == 1
    np.testing.assert_allclose(row.corners, [[(-2.5, -1.5), (0, -1.5), (0, -4.5), (-2.5, -4.5)]])
    np.testing.assert_allclose(bands(row), [[(0, -1.5), (2.5, -1.5), (2.5, -4.5), (0, -4.5)]])
    assert row_strokes(row) == []
    stones = area_of(edging(row))
    assert stones.intersection(Polygon(row.corners[0])).area == pytest.approx(0, abs=1e-9)
    assert stones.area == pytest.approx(2.5 * 3 + 2 * 0.4 * 3 + 0.12 * 5.8)


@pytest.mark.parametrize('angle', [40, 90, 140])
@pytest.mark.parametrize('style', ['closed', 'open', 'rounded'])
def test_paint_covers_marking_point_and_separator_and_nothing_in_between(style, angle):
    gap = 0.3 if style == 'rounded' else 0.0
    separator = np.array([np.cos(np.radians(angle)), -np.sin(np.radians(angle))])
    row = make_row(style=style, separators=np.stack([separator] * 3), gap=gap)
    view = square()
    mask = coverage(view, row_strokes(row))

    def painted(points):
        x, y = np.round(view.to_pixels(points)).astype(int).T
        return mask[y, x]

    assert (painted(row.junctions) > 250).all()
    across, beside = np.array([separator[1], -separator[0]]) * gap / 2, np.array([0.6, 0])
    for depth in np.linspace(0.3, 2.9, 9):
        on_line = row.junctions + separator * depth
        assert (painted(on_line + across) > 250).all()
        assert (painted(on_line + beside) == 0).all()
    midpoints = (row.junctions[1:] + row.junctions[:-1]) / 2
    assert (painted(midpoints) > 250).all() == (style == 'closed')
    assert not painted(row.junctions - 0.3 * row.normals[0]).any()


@pytest.mark.parametrize(
    ('options', 'painted', 'bare'),
    [
        ({'entrance': 'stubs', 'entrance_dash': 0.5}, (0.4, -1.5), (0.7, -1.5)),
        ({'entrance': 'dashed', 'entrance_dash': 0.5}, (0.2, -1.5), (0.4, -1.5)),
        ({'overrun': (0.0, 1.0)}, (3.4, -1.5), (3.7, -1.5)),
        ({'style': 'open', 'separator_reach': 0.8}, (0.0, -2.2), (0.0, -2.5)),
        ({'separator_dash': 0.5}, (0.0, -2.7), (0.0, -2.2)),
        ({'gap': 0.3}, (0.15, -3.0), (0.0, -3.0)),
    ],
)
def test_lines_are_painted_where_their_style_says(options, painted, bare):
    paint = area_of(row_strokes(make_row(**options)))
    assert paint.contains(Point(painted))
    assert not paint.contains(Point(bare))
    assert paint.buffer(0.01).contains(Point(-2.5, -1.5))  # an outer junction is never bare


def test_the_rear_line_joins_the_ends_of_the_separators():
    assert rear_strokes(make_row()) == []
    (line,) = rear_strokes(make_row(rear_line=True))
    assert Polygon(line).bounds == pytest.approx((-2.56, -4.56, 2.56, -4.44))


def test_a_bent_entrance_line_has_its_full_width_on_both_sides_of_the_bend():
    bent = make_row(junctions=np.array([(-2.5, -1.5), (0.0, -1.5), (2.0, -0.5)]))
    entrance = Polygon(row_strokes(bent)[0])
    assert entrance.is_valid
    lengths = 2.5 + np.hypot(2, 1) + 0.12  # half a width goes on beyond each end
    assert entrance.area == pytest.approx(lengths * 0.12)


def test_trim_lies_where_it_belongs():
    row = make_row()
    trim = Trim((0.3, 0.1), (0.5, 1.0), 'tabs', 0.2, 0.3, 'A', 98, bay_inset=0.1)
    paint = {}
    for item in row_paint(row, trim, 4):
        assert item.row == 4
        paint.setdefault(item.role, []).append(item)
    lane, bays = paint['bay']
    assert area_of(lane.polygons).bounds == pytest.approx((-2.5, -1.0, 2.5, -0.5))
    assert area_of(bays.polygons).area == pytest.approx(2 * 2.3 * 3)
    assert area_of(paint['marking'][0].polygons).bounds == pytest.approx((-2.5, -1.25, 2.5, -1.15))
    (tabs,) = paint['tab']
    assert [t.string for t in tabs.texts] == ['A98', 'A99']
    for text, tab, corners in zip(tabs.texts, tabs.polygons, row.corners, strict=True):
        assert Polygon(tab).contains(Point(text.centre))
        assert Polygon(corners).contains(Polygon(tab))
        np.testing.assert_allclose(text.up, (0, -1), atol=1e-12)
    strokes = MultiPolygon([Polygon(s) for s in row_strokes(row)])
    assert area_of(tabs.polygons).distance(strokes.buffer(0)) > 0.05


def test_numbers_stay_between_slanted_separators():
    separator = np.array([np.cos(0.8), -np.sin(0.8)])
    row = make_row(separators=np.stack([separator] * 3), slot_type='slanted')
    for kind in ('mouth', 'deep', 'tabs'):
        (texts,) = (p.texts for p in row_paint(row, Trim(numbers=kind), 0) if p.texts)
        for text, corners in zip(texts, row.corners, strict=True):
            half = np.array([len(text.string) * text.height / 2, 0])
            for end in (text.centre - half, text.centre + half):
                assert Polygon(corners).contains(Point(end))


def test_paint_is_placed_to_a_twentieth_of_a_pixel():
    view = square(10)
    for shift in np.linspace(0, 0.02, 7):  # up to one pixel
        junctions = np.array([(-1 + shift, -1.0), (19.0, -1.0)])
        row = make_row(style='open', junctions=junctions, is_slot=np.ones(1, bool))
        row = replace(row, separators=row.separators[:2], depths=row.depths[:2])
        line = coverage(view, row_strokes(row)).astype(float)[100:180]  # across the separator
        centre = (line * np.arange(SIZE)).sum() / line.sum()
        assert centre == pytest.approx((-1 + shift) / (10 / SIZE) + (SIZE - 1) / 2, abs=0.05)
