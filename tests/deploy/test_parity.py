"""What a file finds is compared object by object."""

import numpy as np
import pytest

from mmdet_ext.deploy.parity import compare
from mmdet_ext.deploy.runtime import BoxPredictions
from mmdet_ext.structures.predictions import ParkingSlotPredictions


class Engine:
    """Finds what it is told to."""

    def __init__(self, found):
        self.found = found

    def prepare(self, image):
        return image

    def predict(self, batch):
        return [self.found for _ in batch]


def slots(corners, scores, points=(), point_scores=()):
    corners, points = np.array(corners, float), np.array(points, float).reshape(-1, 2)
    scores = np.array(scores, float)
    zeros = np.zeros(len(scores))
    return ParkingSlotPredictions(
        corners.reshape(-1, 4, 2), zeros.astype(int), scores, zeros, points, np.array(point_scores)
    )


SQUARE = np.array([[0, 0], [9, 0], [9, 9], [0, 9]])


def test_the_largest_differences_count_whatever_the_order():
    ours = slots([SQUARE, SQUARE + 50], [0.8, 0.7], [(1, 1)], [0.9])
    theirs = slots([SQUARE + 50.25, SQUARE + 0.125], [0.75, 0.8], [(1, 1.5)], [0.5])
    parity = compare(Engine(ours), lambda _: theirs, ['image', 'image'])
    assert (parity.images, parity.objects, parity.unmatched) == (2, 6, 0)
    assert parity.position == 0.5
    assert parity.score == pytest.approx(0.4)
    assert not parity.is_kept()
    assert parity.is_kept(position=0.5, score=0.41)


def test_what_only_one_finds_is_counted_if_it_scores_enough():
    ours = slots([SQUARE, SQUARE + 50], [0.8, 0.09])
    parity = compare(Engine(ours), lambda _: slots([SQUARE], [0.8]), ['image'])
    assert parity.unmatched == 0
    assert parity.is_kept()
    parity = compare(Engine(slots([], [])), lambda _: ours, ['image'])
    assert (parity.objects, parity.unmatched) == (0, 1)
    assert not parity.is_kept()


def test_boxes_are_compared_likewise():
    ours = BoxPredictions(np.array([[0, 0, 5, 5.0]]), np.array([0.5]), np.array([0]))
    theirs = BoxPredictions(np.array([[0, 0, 5, 6.0]]), np.array([0.5]), np.array([0]))
    assert compare(Engine(ours), lambda _: theirs, ['image']).position == 1
