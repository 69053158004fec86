"""Labels of rendered scenes, against the geometry they were rendered from."""

from types import SimpleNamespace

import numpy as np
import pytest

from mmdet_ext.datasets.formats.parking_slot_coco import SLOT_TYPES
from mmdet_ext.datasets.surround_view import render_scene, scene_config
from mmdet_ext.datasets.surround_view.labels import make_labels
from mmdet_ext.datasets.surround_view.layout import Ego, Layout
from mmdet_ext.datasets.surround_view.rig import RigConfig, sample_rig
from mmdet_ext.datasets.surround_view.rows import Row
from mmdet_ext.datasets.surround_view.view import View
from mmdet_ext.structures.marking_points import SHAPES

VIEW = View(240, 240, 0.05)  # 12 x 12 m
TAGS = {'light': 'day', 'ground': 'asphalt', 'marking': 'fresh'}
NOTHING = np.zeros(VIEW.shape, np.uint8)


@pytest.fixture
def layout():
    """Three perpendicular slots to the right of the ego car; the last one ends outside the image."""
    y = np.array([-3.5, -1.0, 1.5, 7.0])  # for a driver who drives in to the right, left is up
    row = Row(
        slot_type='perpendicular',
        style='closed',
        junctions=np.stack([np.full(4, 2.0), y], -1),
        separators=np.tile([1.0, 0.0], (4, 1)),
        depths=np.full(4, 5.0),
        is_slot=np.ones(3, bool),
        line_width=0.12,
    )
    return Layout(VIEW, Ego(2.3, 0.95), [row], [], np.pi / 2)


def pixels(x, y):
    return np.array([x, y]) / 0.05 + 119.5


def test_points_and_slots_in_the_image_are_labelled_in_pixels(layout):
    record = make_labels(layout, [], VIEW, None, NOTHING, TAGS)
    expected = [pixels(2, -3.5), pixels(2, -1), pixels(2, 1.5)]
    np.testing.assert_allclose(record.points, expected)
    assert [SHAPES[s] for s in record.shapes] == ['L', 'T', 'T']
    np.testing.assert_allclose(record.directions[1:], [[1, 0], [1, 0]], atol=1e-12)
    assert [SLOT_TYPES[t] for t in record.slot_types] == ['perpendicular'] * 2
    first = [pixels(2, -3.5), pixels(2, -1), pixels(7, -1), pixels(7, -3.5)]
    np.testing.assert_allclose(record.corners[0], first)
    np.testing.assert_array_equal(record.slot_points, [[0, 1], [1, 2]])
    np.testing.assert_array_equal(record.corner_visible, [[2, 2, 1, 1]] * 2)  # the rear is outside
    assert record.condition == 'day'
    assert record.tags == TAGS


def test_only_the_slot_with_a_car_is_occupied(layout):
    objects = [SimpleNamespace(slot=None), SimpleNamespace(slot=(0, 1))]
    record = make_labels(layout, objects, VIEW, None, NOTHING, TAGS)
    assert record.occupied.tolist() == [0, 1]


def test_a_hidden_point_is_not_labelled_but_its_slots_are(layout):
    hidden = NOTHING.copy()
    x, y = pixels(2, -1).round().astype(int)
    hidden[y - 3 : y + 4, x - 3 : x + 4] = 255
    record = make_labels(layout, [], VIEW, None, hidden, TAGS)
    np.testing.assert_allclose(record.points, [pixels(2, -3.5), pixels(2, 1.5)])
    np.testing.assert_array_equal(record.slot_points, [[0, -1], [-1, 1]])
    np.testing.assert_array_equal(record.corner_visible[:, :2], [[2, 1], [1, 2]])


def test_a_slot_both_of_whose_points_are_hidden_is_not_labelled(layout):
    hidden = NOTHING.copy()
    hidden[:, :] = 255
    x, y = pixels(2, 1.5).round().astype(int)
    hidden[y - 3 : y + 4, x - 3 : x + 4] = 0
    record = make_labels(layout, [], VIEW, None, hidden, TAGS)
    assert len(record.points) == 1
    np.testing.assert_allclose(record.corners[:, 1], [pixels(2, 1.5)])


def test_calibration_errors_move_and_turn_labels_as_they_do_the_picture(layout):
    rig = sample_rig(np.random.default_rng(0), RigConfig(angle_error=(1.5, 1.5)), layout.ego)
    record = make_labels(layout, [], VIEW, rig, NOTHING, TAGS)
    row = layout.rows[0]
    seen, camera = rig.seen_at(row.junctions[:3])
    np.testing.assert_allclose(record.points, VIEW.to_pixels(seen))
    assert np.linalg.norm(record.points - VIEW.to_pixels(row.junctions[:3]), axis=1).max() > 0.5
    ahead, _ = rig.seen_at(row.junctions[1:2] + np.array([0.01, 0]), camera[1:2])
    expected = (ahead - seen[1]) / np.linalg.norm(ahead - seen[1])
    assert record.directions[1] @ expected[0] > np.cos(np.radians(1))
    assert np.abs(np.linalg.norm(record.directions, axis=1) - 1).max() < 1e-9
    shift = record.corners - make_labels(layout, [], VIEW, None, NOTHING, TAGS).corners
    assert (
        np.abs(shift).max() < 0.6 / 0.05
    )  # corners beyond what a camera sees go with the entrance


@pytest.mark.parametrize('preset', ['plain', 'all', 'strip_like', 'garage', 'hard'])
def test_labels_of_every_preset_are_sound(preset):
    config, points = scene_config(preset, size=240), 0
    for i in range(8):
        image, record = render_scene(np.random.default_rng([5, i]), config)
        assert image.shape == (record.height, record.width, 3)
        assert image.dtype == np.uint8
        limit = np.array([record.width, record.height]) - 0.5
        assert ((record.points > -0.5) & (record.points < limit)).all()
        assert ((record.corners[:, :2] > -0.5) & (record.corners[:, :2] < limit)).all()
        for slot, corners in zip(record.slot_points, record.corners, strict=True):
            assert (slot >= 0).any()
            for end in np.flatnonzero(slot >= 0):
                np.testing.assert_allclose(record.points[slot[end]], corners[end])
            x, y = corners.T
            assert (x * np.roll(y, -1) - np.roll(x, -1) * y).sum() < 0  # anticlockwise on screen
        assert set(np.unique(record.occupied)) <= {0, 1}
        points += len(record.points)
    assert points > 10


def test_the_same_seed_gives_the_same_picture_and_another_one_another():
    config = scene_config('all', size=128)
    first, again, other = (render_scene(np.random.default_rng(s), config)[0] for s in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.5
