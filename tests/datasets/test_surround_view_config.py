"""Ranges, probabilities and weights of the scenes' configuration; presets and changes of them."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from mmdet_ext.datasets.surround_view import PRESETS, scene_config
from mmdet_ext.datasets.surround_view.config import ViewConfig, sample_view
from mmdet_ext.datasets.surround_view.ranges import check_config, choose


@pytest.mark.parametrize('preset', PRESETS)
def test_every_preset_is_in_order_and_can_be_resized(preset):
    config = scene_config(preset, size=300)
    assert config.view.height == 300
    assert config.view.width == (96 if preset == 'strip_like' else 300)


def test_changes_reach_nested_fields_and_leave_the_others():
    config = scene_config('all', rig=None, objects={'parking': {'sloppy': 1.0}})
    assert config.rig is None
    assert config.objects.parking.sloppy == 1.0
    assert config.objects.parking.nose_in == scene_config('all').objects.parking.nose_in


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'paint': {'dirt': (0.3, 0.1)}}, r'scene\.paint\.dirt is \(0\.3, 0\.1\); .*lowest value'),
        ({'paint': {'dirt': (-1, 0)}}, 'expected no negative value'),
        ({'paint': {'dirt': 0.3, 'repainted': 2.0}}, 'expected a probability from 0 to 1'),
        ({'paint': {'dirt': (0.1, 'x')}}, 'expected two numbers'),
        ({'paint': {'states': {'fresh': -1}}}, r"states\['fresh'\] is -1; expected 0 or more"),
        ({'paint': {'states': {'fresh': 0}}}, 'expected at least one weight above 0'),
        ({'light': {'indoors': {'epoxy': 2}}}, r"indoors\['epoxy'\] is 2; expected a probability"),
        ({'view': {'width': 10}}, r'scene\.view\.width is 10; expected at least 64 pixels'),
        ({'view': {'metres': (0, 1)}}, 'expected more than 0'),
        ({'paint': {'dirtt': (0, 1)}}, r"scene\.paint has no field 'dirtt'; did you mean dirt"),
        ({'layout': {'rows': {'slant': (30, 95)}}}, 'expected degrees above 0 and below 90'),
    ],
)
def test_an_impossible_value_is_named_with_what_was_expected(changes, message):
    with pytest.raises(ValueError, match=message):
        scene_config('all', **changes)


def test_an_unknown_preset_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="Unknown preset 'garge'; expected one of plain, all"):
        scene_config('garge')


def test_a_negative_range_is_allowed_where_the_field_says_so():
    @dataclass(frozen=True)
    class Config:
        offset: tuple[float, float] = field(default=(-1, 1), metadata={'signed': True})

    check_config(Config())


def test_kinds_are_drawn_by_their_weights():
    rng = np.random.default_rng(0)
    drawn = [choose(rng, {'a': 3, 'b': 1, 'c': 0}) for _ in range(2000)]
    assert drawn.count('a') / 2000 == pytest.approx(0.75, abs=0.03)
    assert 'c' not in drawn


def test_a_strip_shows_the_edge_of_the_ego_car_and_what_is_beside_it():
    config = ViewConfig(192, 600, (9.6, 9.6), {'left': 1}, ego_shown=(0.2, 0.2), ahead=(0.5, 0.5))
    view = sample_view(np.random.default_rng(0), config)
    left, top = view.to_metres(np.array([-0.5, -0.5]))
    right, bottom = view.to_metres(np.array([191.5, 599.5]))
    assert (right, bottom - top) == pytest.approx((-0.75, 9.6))  # the car's side is at -0.95
    assert right - left == pytest.approx(9.6 * 192 / 600)
    assert (top + bottom) / 2 == pytest.approx(-0.5)
