"""Slots from marking points alone."""

import numpy as np
import pytest
import torch

from mmdet_ext.models.task_modules.pairing import Entrance, pair_points
from mmdet_ext.structures.marking_points import SHAPES, order_arms
from mmdet_ext.structures.slots import assemble_corners, separator_direction

KINDS = (
    Entrance(0, (110, 180), depth=290, angle=(80, 100)),
    Entrance(1, (290, 420), depth=140, angle=(80, 100)),
    Entrance(2, (110, 320), depth=300, angle=(30, 150)),
)


def make_row(count, entrance, angle=90.0, turn=0.3, shapes='LTL', height=600):
    """Junctions of a row of slots; the first and last have the outer shapes."""
    along = np.array([np.cos(turn), np.sin(turn)])
    into = separator_direction(along, np.deg2rad(angle))
    places = np.array([150.0, 260.0]) + np.arange(count + 1)[:, None] * entrance * along
    names = [shapes[0], *shapes[1] * (count - 1), shapes[2]]
    directions = np.repeat(into[None], count + 1, 0)
    if names[0] == 'L':
        directions[0] = order_arms(along, into)[0]
    if names[-1] == 'L':
        directions[-1] = order_arms(-along, into)[0]
    points = {
        'points': torch.tensor(places * height / 600)[None].float(),
        'directions': torch.tensor(directions)[None].float(),
        'shapes': torch.tensor([[SHAPES.index(name) for name in names]]),
        'scores': torch.full((1, count + 1), 0.9),
    }
    return points, into


def found(slots):
    keep = slots['scores'][0] > 0
    return {key: value[0][keep] for key, value in slots.items()}


@pytest.mark.parametrize(
    ('entrance', 'angle', 'kind'), [(150, 90, 0), (350, 90, 1), (170, 45, 2), (170, 130, 2)]
)
@pytest.mark.parametrize('shapes', ['LTL', 'III'])
@pytest.mark.parametrize('height', [600, 256])
def test_neighbours_of_a_row_make_its_slots_and_no_others(entrance, angle, kind, shapes, height):
    points, into = make_row(3, entrance, angle, shapes=shapes, height=height)
    slots = found(pair_points(points, height, KINDS, max_slots=8))
    assert slots['labels'].tolist() == [kind] * 3
    place = points['points'][0]
    order = slots['corners'][:, 0, 0].argsort()
    depth = torch.full((3,), KINDS[kind].depth * height / 600)
    direction = torch.tensor(into).float().expand(3, 2)
    expected = assemble_corners(place[:-1], place[1:], direction, depth)
    torch.testing.assert_close(slots['corners'][order], expected, atol=1e-2, rtol=1e-4)
    assert slots['occupied_scores'].isnan().all()


def test_the_score_is_the_geometric_mean():
    points, _ = make_row(1, 150)
    points['scores'] = torch.tensor([[0.9, 0.4]])
    slots = found(pair_points(points, 600, KINDS, max_slots=8))
    assert slots['scores'].tolist() == pytest.approx([0.6])


def test_a_weak_point_neither_pairs_nor_stands_between():
    points, _ = make_row(2, 160)
    points['scores'][0, 1] = 0.1
    slots = found(pair_points(points, 600, KINDS, max_slots=8))
    assert slots['labels'].tolist() == [1]  # the outer two are 320 apart: one parallel slot


def test_rows_that_face_each_other_do_not_mix():
    points, _ = make_row(2, 150, turn=0.0, shapes='TTT')
    other, _ = make_row(2, 150, turn=np.pi, shapes='TTT')
    other['points'] = other['points'] + torch.tensor([300.0, 150.0])
    both = {key: torch.cat([points[key], other[key]], 1) for key in points}
    slots = found(pair_points(both, 600, KINDS, max_slots=16))
    assert len(slots['scores']) == 4


def test_directions_that_disagree_make_no_slot():
    points, _ = make_row(1, 150, shapes='TTT')
    points['directions'][0, 1] = -points['directions'][0, 1]
    assert len(found(pair_points(points, 600, KINDS, max_slots=8))['scores']) == 0


def test_images_of_a_batch_do_not_see_each_other():
    first, _ = make_row(1, 150)
    second, _ = make_row(1, 350)
    batch = {key: torch.cat([first[key], second[key]]) for key in first}
    slots = pair_points(batch, 600, KINDS, max_slots=4)
    assert (slots['scores'] > 0).sum(1).tolist() == [1, 1]
    assert slots['labels'][:, 0].tolist() == [0, 1]
