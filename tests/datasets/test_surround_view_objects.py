"""Things with height: their faces, where they stand, and that they keep clear of one another."""

from types import SimpleNamespace

import numpy as np
import pytest
from shapely import MultiPoint, Point, Polygon

from mmdet_ext.datasets.surround_view import furniture
from mmdet_ext.datasets.surround_view.objects import (
    EGO_CLEARANCE,
    JUNCTION_CLEARANCE,
    ObjectsConfig,
    place_objects,
)
from mmdet_ext.datasets.surround_view.parking import ParkingConfig, parked_car, stall_of
from mmdet_ext.datasets.surround_view.ranges import check_config
from mmdet_ext.datasets.surround_view.rows import Row
from mmdet_ext.datasets.surround_view.solids import (
    beyond_edges,
    disc,
    hull,
    mesh,
    place,
    prism,
    rectangle,
    separation,
)
from mmdet_ext.datasets.surround_view.vehicles import STYLES, car
from mmdet_ext.datasets.surround_view.view import View, direction

_EGO = SimpleNamespace(outline=rectangle(4.6, 1.9)[:, ::-1])
_BUSY = ObjectsConfig(
    occupancy=(0.5, 0.9),
    wheel_stops=1.0,
    pillars=1.0,
    rear={'kerb': 1, 'wall': 1, 'planter': 1},
    end_beds=0.5,
    floor_locks=1.0,
    cones=0.5,
    bollards=(1, 3),
    people=(1, 3),
    carts=(1, 2),
    passing=1.0,
)


def _row(distance: float, angle: float = 90, count: int = 6, slot_type='perpendicular', pitch=2.5):
    """A straight row on the right of the ego car; p1 to p2 runs downwards."""
    depth = 2.3 if slot_type == 'parallel' else 5.3
    y = (np.arange(count + 1) - count / 2) * pitch
    junctions = np.stack([np.full(count + 1, distance), y], 1)
    theta = np.deg2rad(angle)
    separators = np.repeat([[np.sin(theta), np.cos(theta)]], count + 1, 0)
    return Row(
        slot_type=slot_type,
        style='closed',
        junctions=junctions,
        separators=separators,
        depths=np.full(count + 1, depth / np.sin(theta)),
        is_slot=np.ones(count, bool),
        line_width=0.1,
    )


def _layout(*rows: Row, size: float = 13.0) -> SimpleNamespace:
    return SimpleNamespace(view=View(512, 512, size / 512), ego=_EGO, rows=list(rows), axis=0.0)


_LAYOUTS = [
    _layout(_row(2.2)),
    _layout(_row(1.6, slot_type='parallel', pitch=6.0, count=3)),
    _layout(_row(2.0, angle=50, pitch=3.2)),
    _layout(_row(2.0, angle=125, pitch=3.2)),
    _layout(),
]


def _scenes(config: ObjectsConfig, count: int = 6):
    for layout in _LAYOUTS:
        for seed in range(count):
            yield layout, place_objects(np.random.default_rng(seed), config, layout)


def _builders():
    yield from (lambda rng, *at, style=style: car(rng, *at, style, 4.4, 1.8) for style in STYLES)
    yield from (
        furniture.person,
        furniture.cart,
        furniture.traffic_cone,
        furniture.bollard,
        furniture.floor_lock,
    )
    yield lambda rng, *at: furniture.pillar(rng, *at, 0.6)
    yield lambda rng, *at: furniture.wheel_stop(rng, *at, 0.6, striped=True)
    yield lambda rng, *at: furniture.kerb(rng, *at, 2.4)
    yield lambda rng, *at: furniture.wall(rng, *at, 2.4)
    yield lambda rng, *at: furniture.planter(rng, *at, 2.4, 1.0)


# Solids


def test_box_has_the_faces_of_a_box():
    box = place(
        prism(rectangle(4, 2), 0.5, 1.5, (100, 100, 100)), 'box', np.array([10, 20]), [0, -1]
    )
    normals = sorted(tuple(face.normal.round(6) + 0.0) for face in box.faces)
    assert normals == sorted([(0, -1, 0), (0, 1, 0), (1, 0, 0), (-1, 0, 0), (0, 0, 1)])
    np.testing.assert_allclose(box.footprint.min(0), [9, 18])
    np.testing.assert_allclose(box.footprint.max(0), [11, 22])
    assert box.height == 1.5
    top = max(box.faces, key=lambda face: face.normal[2])
    np.testing.assert_allclose(top.vertices[:, 2], 1.5)


def test_thing_is_turned_so_that_along_becomes_the_heading_and_across_its_right():
    corner = mesh([np.array([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]])], (9, 9, 9), [-1, -1, -1])
    heading_up = place(corner, 'corner', np.array([5.0, 5.0]), np.array([0.0, -1.0]))
    np.testing.assert_allclose(heading_up.faces[0].vertices, [[5, 4, 0], [6, 5, 0], [5, 5, 1]])


@pytest.mark.parametrize('taper', [1.0, 0.5, 1.3])
def test_normals_of_a_frustum_point_away_from_its_axis(taper):
    cone = place(prism(disc(1, 9), 0, 2, (9, 9, 9), taper=taper), 'cone', np.zeros(2), [1, 0])
    for face in cone.faces[:-1]:
        outward = face.vertices.mean(0)[:2]
        assert face.normal[:2] @ outward > 0
        assert np.sign(round(face.normal[2], 6)) == np.sign(1 - taper)
        edges = np.diff(face.vertices, axis=0)
        np.testing.assert_allclose(edges @ face.normal, 0, atol=1e-9)


def test_upward_faces_are_brighter_than_those_beside_them():
    box = place(prism(rectangle(1, 1), 0, 1, (100, 100, 100)), 'box', np.zeros(2), [1, 0])
    top = max(box.faces, key=lambda face: face.normal[2])
    assert all(top.colour > face.colour for face in box.faces if face is not top)


def test_separation_agrees_with_shapely():
    rng = np.random.default_rng(0)
    for _ in range(200):
        first, second = (hull(rng.normal(0, 1, (6, 2)) + rng.uniform(-3, 3, 2)) for _ in range(2))
        a, b = Polygon(first), Polygon(second)
        gap = separation(first, second)
        assert (gap < 0) == a.intersects(b)
        assert gap <= a.distance(b) + 1e-6


def test_beyond_edges_of_a_square_is_the_signed_distance_from_its_sides():
    square = hull(rectangle(2, 2))
    points = np.array([[0, 0], [3, 0], [0, -1.5]])
    np.testing.assert_allclose(beyond_edges(square, points).max(1), [-1, 2, 0.5])


# Things


@pytest.mark.parametrize('build', list(_builders()))
def test_every_thing_stands_on_the_ground_inside_its_footprint(build):
    for seed in range(5):
        solid = build(np.random.default_rng(seed), np.array([3.0, -2.0]), direction(0.7))
        vertices = np.concatenate([face.vertices for face in solid.faces])
        assert vertices[:, 2].min() == pytest.approx(0, abs=1e-9)
        assert vertices[:, 2].max() == pytest.approx(solid.height)
        outline = MultiPoint(vertices[:, :2]).convex_hull
        assert Polygon(solid.footprint).symmetric_difference(outline).area < 1e-4
        for face in solid.faces:
            assert np.linalg.norm(face.normal) == pytest.approx(1)
            assert all(0 <= channel <= 255 and type(channel) is int for channel in face.colour)


@pytest.mark.parametrize('style', STYLES)
def test_car_has_its_size_and_its_proportions(style):
    rng = np.random.default_rng(0)
    solid = car(rng, np.zeros(2), np.array([0.0, -1.0]), style, 4.5, 1.8)
    np.testing.assert_allclose(np.ptp(solid.footprint, axis=0), [1.8, 4.5], atol=0.03)
    low, high = STYLES[style].height
    assert low <= solid.height <= high
    vertices = np.concatenate([face.vertices for face in solid.faces])
    bonnet = vertices[vertices[:, 1] < -0.9 * 2.25]  # the last tenth of its front half
    assert 0.6 < bonnet[:, 2].max() < 1.05 < solid.height


@pytest.mark.parametrize('style', STYLES)
def test_front_and_rear_of_a_car_each_have_a_plate_of_about_the_size_of_a_real_one(style):
    solid = car(np.random.default_rng(0), np.zeros(2), np.array([1.0, 0.0]), style, 4.5, 1.8)
    ends = [face for face in solid.faces if abs(face.normal[0]) > 0.9]
    plates = [face for face in ends if 0.38 < np.ptp(face.vertices[:, 1]) < 0.5]
    assert sorted(np.sign(face.normal[0]) for face in plates) == [-1, 1]
    for face in plates:
        height = np.ptp(face.vertices[:, 2])
        assert height == pytest.approx(0.14, abs=0.08)  # GA 36: 440 mm x 140 mm
        assert 0.3 < face.vertices[:, 2].mean() < 1.1


# Parking


@pytest.mark.parametrize(('angle', 'pitch'), [(90, 2.5), (50, 3.2), (125, 3.2)])
def test_cars_stand_in_their_slots_along_the_separators(angle, pitch):
    corners = _row(2.0, angle=angle, pitch=pitch).corners[2]
    config, stall = ParkingConfig(sloppy=0.0, turn=(0, 0), shift=(0, 0)), stall_of(corners)
    for seed in range(20):
        solid = parked_car(np.random.default_rng(seed), config, stall, parallel=False)
        outline = Polygon(solid.footprint)
        assert outline.intersection(Polygon(corners)).area > 0.93 * outline.area
        gap = solid.footprint[:, 0].min() - 2.0
        assert -0.05 < gap < 0.7 + 0.25  # the corners of the car are round
        axis = np.linalg.svd(solid.footprint - solid.footprint.mean(0))[2][0]
        assert abs(axis @ stall.into) > np.cos(np.deg2rad(6))


def test_parallel_cars_stand_along_the_entrance():
    corners = _row(2.0, slot_type='parallel', pitch=6.0).corners[1]
    config = ParkingConfig(sloppy=0.0, gap=(0.1, 0.2))
    for seed in range(20):
        rng = np.random.default_rng(seed)
        solid = parked_car(rng, config, stall_of(corners), parallel=True)
        assert np.ptp(solid.footprint[:, 1]) > 2 * np.ptp(solid.footprint[:, 0])
        assert Polygon(corners).buffer(0.15).contains(Polygon(solid.footprint))


def test_no_car_is_parked_where_none_fits():
    stall = stall_of(_row(2.0, pitch=1.5).corners[0])
    assert parked_car(np.random.default_rng(0), ParkingConfig(), stall, parallel=False) is None


def test_stall_of_a_slanted_slot_is_narrower_than_its_entrance():
    stall = stall_of(_row(2.0, angle=50, pitch=3.2).corners[0])
    assert stall.width == pytest.approx(3.2 * np.sin(np.deg2rad(50)))
    assert stall.depth == pytest.approx(5.3 / np.sin(np.deg2rad(50)))


# Placing


def test_nothing_overlaps_or_comes_too_close():
    for layout, placed in _scenes(_BUSY):
        outlines = [Polygon(item.solid.footprint) for item in placed]
        for i, outline in enumerate(outlines):
            assert outline.distance(Polygon(layout.ego.outline)) > EGO_CLEARANCE - 1e-6
            assert all(outline.intersection(other).area < 1e-4 for other in outlines[:i])
            for row in layout.rows:
                gaps = [outline.distance(Point(*point)) for point in row.junctions]
                assert min(gaps) > JUNCTION_CLEARANCE - 1e-6


def test_only_cars_in_slots_occupy_and_each_slot_once():
    for layout, placed in _scenes(_BUSY):
        taken = [item.slot for item in placed if item.slot is not None]
        assert len(taken) == len(set(taken))
        for item in placed:
            if item.slot is not None:
                assert item.solid.kind == 'car'
                row, slot = item.slot
                corners = Polygon(layout.rows[row].corners[slot])
                assert corners.contains(Polygon(item.solid.footprint).centroid)
            elif item.solid.kind == 'car':
                slots = [Polygon(c).buffer(-1e-3) for row in layout.rows for c in row.corners]
                assert not any(slot.intersects(Polygon(item.solid.footprint)) for slot in slots)


def test_busy_scenes_have_things_of_every_kind():
    kinds = {item.solid.kind for _, placed in _scenes(_BUSY, 12) for item in placed}
    assert kinds == {
        'car', 'wheel_stop', 'pillar', 'kerb', 'wall', 'planter', 'floor_lock', 'traffic_cone',
        'bollard', 'person', 'cart',
    }  # fmt: skip


def test_occupancy_is_the_part_of_the_slots_with_a_car():
    config = ObjectsConfig(occupancy=(0.6, 0.6), pillars=0.0, beds=0.0, passing=0.0)
    layout = _layout(_row(2.2, count=4))
    counts = [
        sum(
            item.slot is not None
            for item in place_objects(np.random.default_rng(s), config, layout)
        )
        for s in range(150)
    ]
    assert np.mean(counts) / 4 == pytest.approx(0.6, abs=0.06)  # 3 standard errors of 600 draws


def test_pillars_stand_in_the_gaps_that_a_row_leaves():
    row = _row(2.2, count=5)
    junctions = row.junctions.copy()
    junctions[3:, 1] -= 1.9  # the third interval becomes 0.6 m wide
    row = Row(
        'perpendicular', 'closed', junctions, row.separators, row.depths,
        np.array([True, True, False, True, True]), 0.1,
    )  # fmt: skip
    config = ObjectsConfig(pillars=1.0)
    for seed in range(5):
        placed = place_objects(np.random.default_rng(seed), config, _layout(row))
        (found,) = [item.solid for item in placed if item.solid.kind == 'pillar']
        y = found.footprint[:, 1]
        assert junctions[2, 1] < y.min() < y.max() < junctions[3, 1]


def test_scene_repeats_with_its_seed():
    first, second = (
        place_objects(np.random.default_rng(5), ObjectsConfig(), _LAYOUTS[0]) for _ in range(2)
    )
    assert len(first) == len(second) > 0
    for a, b in zip(first, second, strict=True):
        assert (a.slot, a.solid.kind) == (b.slot, b.solid.kind)
        np.testing.assert_array_equal(a.solid.footprint, b.solid.footprint)
        assert [f.colour for f in a.solid.faces] == [f.colour for f in b.solid.faces]


def test_config_is_checked_field_by_field():
    check_config(ObjectsConfig())
    with pytest.raises(ValueError, match=r'scene\.parking\.nose_in is 1\.5'):
        check_config(ObjectsConfig(parking=ParkingConfig(nose_in=1.5)))
    with pytest.raises(ValueError, match=r'scene\.pillar_side .* lowest value first'):
        check_config(ObjectsConfig(pillar_side=(0.8, 0.3)))
