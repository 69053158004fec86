"""Geometry of slots."""

import numpy as np
import pytest
import shapely
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmdet_ext.structures.slots import (
    assemble_corners,
    clipped_boxes,
    entrance_distances,
    interior_angle,
    separator,
    separator_direction,
    transform_corners,
)

angles = st.floats(0.3, np.pi - 0.3)
headings = st.floats(-np.pi, np.pi)


def make_slot(heading, angle, length=50.0, depth=80.0, origin=(200.0, 150.0)):
    p1 = np.array(origin)
    v = length * np.array([np.cos(heading), np.sin(heading)])
    return assemble_corners(p1, p1 + v, separator_direction(v, angle), np.array(depth))


def is_anticlockwise_on_screen(corners):
    # The shoelace sum is negative for anticlockwise order when y points down.
    x, y = corners.T
    return np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)) < 0


def test_a_driver_heading_up_the_screen_has_p1_on_the_left():
    slot = make_slot(heading=0.0, angle=np.pi / 2)  # p1 -> p2 points right on screen
    np.testing.assert_allclose(slot, [[200, 150], [250, 150], [250, 70], [200, 70]])


def test_separator_of_a_right_angled_slot_is_vy_minus_vx():
    np.testing.assert_allclose(separator_direction(np.array([3.0, 4.0]), np.pi / 2), [0.8, -0.6])


@given(headings, angles)
def test_interior_angle_is_the_one_between_entrance_and_separator(heading, angle):
    slot = make_slot(heading, angle)
    v, s = slot[1] - slot[0], slot[3] - slot[0]
    between = np.arccos(v @ s / np.linalg.norm(v) / np.linalg.norm(s))
    assert between == pytest.approx(angle)
    assert interior_angle(slot) == pytest.approx(angle)


@given(headings, angles)
def test_slots_run_anticlockwise_on_screen(heading, angle):
    assert is_anticlockwise_on_screen(make_slot(heading, angle))


@given(headings, angles, headings, st.booleans())
def test_order_survives_rotations_and_flips(heading, angle, turn, flip):
    mirror = np.diag([-1.0 if flip else 1.0, 1.0])
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = np.concatenate([rotation @ mirror, [[30.0], [-10.0]]], 1)
    slot = make_slot(heading, angle)
    moved = transform_corners(slot[None], matrix)[0]
    assert is_anticlockwise_on_screen(moved)
    # The interior angle at p1 becomes its supplement when left and right swap.
    assert interior_angle(moved) == pytest.approx(np.pi - angle if flip else angle)
    back = transform_corners(moved[None], np.linalg.inv(np.vstack([matrix, [0, 0, 1]])))[0]
    np.testing.assert_allclose(back, slot, atol=1e-9)


def test_a_flip_swaps_left_and_right_corners():
    slot = make_slot(0.0, 1.2)
    mirrored = transform_corners(slot[None], np.array([[-1.0, 0, 400], [0, 1, 0]]))[0]
    expected = slot.copy()
    expected[:, 0] = 400 - expected[:, 0]
    np.testing.assert_allclose(mirrored, expected[[1, 0, 3, 2]])


@given(headings, angles, st.floats(1, 200))
def test_separator_inverts_assembly(heading, angle, depth):
    slot = make_slot(heading, angle, depth=depth)
    direction, length = separator(torch.from_numpy(slot))
    v = slot[1] - slot[0]
    np.testing.assert_allclose(direction, separator_direction(v, angle), atol=1e-9)
    assert length.item() == pytest.approx(depth)


def test_clipped_boxes_agree_with_shapely():
    rng = np.random.default_rng(0)
    slots = np.stack(
        [
            make_slot(
                *rng.uniform([-3, 0.5], [3, 2.6]), *rng.uniform(20, 90, 2), rng.uniform(-60, 160, 2)
            )
            for _ in range(500)
        ]
    )
    boxes = clipped_boxes(torch.from_numpy(slots), 100, 80).numpy()
    frame = shapely.box(0, 0, 100, 80)
    for slot, box in zip(slots, boxes, strict=True):
        visible = shapely.Polygon(slot).intersection(frame)
        expected = np.zeros(4) if visible.is_empty else visible.bounds
        np.testing.assert_allclose(box, expected, atol=2e-3)


def test_entrance_distance_is_ordered():
    slot = torch.from_numpy(make_slot(0.0, 1.5))
    reversed_slot = slot[[1, 0, 3, 2]]
    shifted = slot + torch.tensor([3.0, 4.0])
    distances = entrance_distances(slot[None], torch.stack([slot, shifted, reversed_slot]))
    np.testing.assert_allclose(distances[0], [0, 5, 50], atol=1e-9)
