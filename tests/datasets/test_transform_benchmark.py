"""The benchmark of transforms: ours and the nearest in turn, on fresh pictures."""

import importlib.util
import io
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from mmdet.registry import TRANSFORMS
from rich.console import Console

from mmdet_ext.apis import transform_benchmark
from mmdet_ext.apis.transform_benchmark import (
    Pair,
    TransformTiming,
    benchmark_transforms,
    pairs,
    sample_boxes,
    sample_slots,
    timing_table,
)

TOOL = Path(__file__).parents[2] / 'tools/analysis/benchmark_transforms.py'


@pytest.fixture
def main():
    spec = importlib.util.spec_from_file_location('benchmark_transforms_tool', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


@pytest.mark.parametrize('name', pairs(128))
def test_every_pair_runs_on_the_same_picture_again_and_again(name):
    [row] = benchmark_transforms({name: pairs(128)[name]}, size=128, rounds=2)
    assert row.milliseconds > 0
    assert row.nearest_milliseconds > 0
    assert row.nearest == pairs(128)[name].nearest['type']


def test_medians_and_ratios_are_those_of_the_calls(monkeypatch):
    """The clock goes on by 1, 2, 3, ... ms from look to look: calls take 2, 4, 6, 8, ... ms in turn."""
    steps = itertools.accumulate(itertools.count(1))
    monkeypatch.setattr(transform_benchmark.time, 'perf_counter', lambda: next(steps) / 1e3)
    pair = Pair(dict(type='DetCutOut'), dict(type='CutOut', n_holes=1, cutout_shape=(9, 9)))
    [row] = benchmark_transforms({'mine': pair}, size=128, rounds=3)
    # Six rounds do not count; ours then takes 26, 30 and 34 ms, the nearest 28, 32 and 36 ms.
    assert row.milliseconds == pytest.approx(30)
    assert row.nearest_milliseconds == pytest.approx(32)
    assert row.ratio == pytest.approx(30 / 32)


def test_every_transform_of_ours_that_changes_pixels_is_measured():
    ours = {
        name
        for name, transform in TRANSFORMS.module_dict.items()
        if transform.__module__.startswith('mmdet_ext.') and not name.startswith(('Load', 'Pack'))
    }
    assert {pair.ours['type'] for pair in pairs().values()} == ours


def test_samples_have_labels_inside_the_image():
    boxes = sample_boxes(256)['gt_bboxes'].tensor
    assert len(boxes) == 20
    assert boxes.min() >= 0
    assert boxes.max() <= 256
    slots = sample_slots(256)
    assert len(slots['gt_corners']) == 20
    linked = slots['gt_points'][slots['gt_slot_points']]
    np.testing.assert_array_equal(linked, slots['gt_corners'][:, :2])


def test_the_table_fits_into_80_columns():
    rows = [
        TransformTiming(name, 12.34, pair.nearest['type'], 23.45, 0.53)
        for name, pair in pairs().items()
    ]
    console = Console(width=80, file=io.StringIO())
    console.print(timing_table(rows))
    text = console.file.getvalue()
    assert '…' not in text
    assert 'v2.RandomHorizontalFlip' in text


def test_the_tool_prints_the_rows_asked_for_and_writes_them(main, tmp_path, capsys):
    path = tmp_path / 'timings.json'
    main(['--size', '128', '--rounds', '1', '--only', 'DetC', '--json', str(path)])
    names = [row['name'] for row in json.loads(path.read_text())['timings']]
    assert names == ['DetCenterCrop', 'DetCutOut', 'DetColorJitter']
    out = capsys.readouterr().out
    assert 'an image of 128 x 128 px' in out
    assert all(name in out for name in names)


@pytest.mark.parametrize(
    ('argv', 'message'),
    [
        (['--size', '5'], '--size is 5: give a number of 128 or more.'),
        (['--only', 'DetCutout'], "--only names 'DetCutout' (did you mean DetCutOut"),
    ],
)
def test_a_mistake_ends_with_one_sentence(main, argv, message, capsys):
    with pytest.raises(SystemExit):
        main(argv)
    assert message in capsys.readouterr().err
