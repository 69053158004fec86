"""Directions of marking points."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mmdet_ext.structures.marking_points import (
    SHAPES,
    order_arms,
    rotate_quarter,
    transform_directions,
    unit,
)

T, L = SHAPES.index('T'), SHAPES.index('L')
UP, RIGHT, DOWN, LEFT = np.array([[0.0, -1], [1, 0], [0, 1], [-1, 0]])
FLIP = np.array([[-1.0, 0, 0], [0, 1, 0]])
headings = st.floats(-np.pi, np.pi)


def test_a_quarter_turn_is_clockwise_on_screen():
    np.testing.assert_allclose(rotate_quarter(np.stack([UP, RIGHT])), [RIGHT, DOWN], atol=1e-12)


def test_the_first_arm_of_an_l_meets_the_other_when_turned_clockwise():
    for arms in ((UP, RIGHT), (RIGHT, UP)):
        first, second = order_arms(*arms)
        np.testing.assert_allclose(first, UP)
        np.testing.assert_allclose(second, RIGHT)


def test_after_a_flip_an_l_points_along_the_mirror_of_its_other_arm():
    direction, second = transform_directions(UP[None], RIGHT[None], np.array([L]), FLIP)
    np.testing.assert_allclose(direction, LEFT[None])  # the mirror of the arm to the right
    np.testing.assert_allclose(second, UP[None])


def test_after_a_flip_a_t_points_along_its_mirror():
    slanted = unit(np.array([[1.0, -2.0]]))
    direction, _ = transform_directions(slanted, slanted, np.array([T]), FLIP)
    np.testing.assert_allclose(direction, unit(np.array([[-1.0, -2.0]])))


@given(headings, st.floats(0.3, np.pi - 0.3), headings)
def test_arms_of_an_l_stay_ordered_under_any_flip_and_rotation(heading, opening, turn):
    first = np.array([np.cos(heading), np.sin(heading)])
    second = np.array([np.cos(heading + opening), np.sin(heading + opening)])
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = np.concatenate([rotation @ FLIP[:, :2], np.zeros((2, 1))], 1)
    moved, moved_second = transform_directions(first[None], second[None], np.array([L]), matrix)
    ordered, ordered_second = order_arms(matrix[:, :2] @ first, matrix[:, :2] @ second)
    np.testing.assert_allclose(moved[0], ordered, atol=1e-9)
    np.testing.assert_allclose(moved_second[0], ordered_second, atol=1e-9)


def test_unit_leaves_zero_vectors_alone():
    np.testing.assert_allclose(unit(np.array([[0.0, 0.0], [3, 4]])), [[0, 0], [0.6, 0.8]])
