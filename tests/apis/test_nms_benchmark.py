"""The NMS benchmark: the same boxes for all, in turn, beside torchvision's."""

import itertools

import pytest
import torch
from rich.console import Console
from torchvision.ops import batched_nms as torchvision_nms
from torchvision.ops import box_iou

from mmdet_ext.apis import nms_benchmark
from mmdet_ext.apis.nms_benchmark import (
    VARIANTS,
    Timing,
    benchmark_nms,
    crowded_boxes,
    timing_table,
    with_threshold,
)
from mmdet_ext.models.layers import nms

SMALL = crowded_boxes(300, classes=4, objects=20)


@pytest.fixture
def clock(monkeypatch):
    """Time goes on by one, two, three, ... seconds from look to look."""
    steps = itertools.accumulate(itertools.count(1))
    monkeypatch.setattr(nms_benchmark, '_now', lambda device: float(next(steps)))


def test_boxes_are_as_many_as_asked_for_and_the_same_each_time():
    boxes, scores, labels = crowded_boxes(1000, classes=7, objects=100)
    assert (boxes.shape, scores.shape, labels.shape) == ((1000, 4), (1000,), (1000,))
    assert labels.unique().tolist() == list(range(7))
    assert (boxes[:, 2:] > boxes[:, :2]).float().mean() > 0.999
    assert 0 <= scores.min() <= scores.median() < 0.12 < scores.max() <= 1
    for first, again in zip((boxes, scores, labels), crowded_boxes(1000, 7, 100), strict=True):
        assert torch.equal(first, again)


def test_boxes_of_an_object_overlap_and_clutter_does_not():
    boxes, _, labels = crowded_boxes(1000, classes=7, objects=100)
    same = (labels[:, None] == labels) & ~torch.eye(1000, dtype=torch.bool)
    best = (box_iou(boxes, boxes) * same).amax(1)
    assert 0.75 < (best > 0.5).float().mean() < 0.9  # four fifths are detections


def test_medians_ratios_and_counts_are_those_of_the_calls(clock):
    found = benchmark_nms(SMALL, {'mine': dict(type='cluster_nms')}, rounds=3)
    assert [row.name for row in found] == ['torchvision', 'mine']
    # The clock is looked at once per call in two rounds that do not count, so four times; then twice:
    # torchvision's call takes 6, 10 and 14 s, the other's 8, 12 and 16 s.
    assert [row.milliseconds for row in found] == [10e3, 12e3]
    assert [row.ratio for row in found] == [1, 1.2]
    assert {row.kept for row in found} == {len(torchvision_nms(*SMALL, 0.5))}


def test_every_variant_of_the_kit_is_measured_and_can_be():
    assert {cfg['type'] for cfg in VARIANTS.values()} == {'nms', 'soft_nms', *nms.VARIANTS}
    found = benchmark_nms(SMALL, rounds=1)
    assert [row.name for row in found] == ['torchvision', *VARIANTS]
    assert all(0 < row.kept <= 300 for row in found)


def test_the_threshold_goes_to_those_that_take_one_and_have_none():
    assert with_threshold(dict(type='nms'), 0.7) == dict(type='nms', iou_threshold=0.7)
    own = dict(type='diou_nms', iou_threshold=0.3)
    assert with_threshold(own, 0.7) == own
    assert with_threshold(dict(type='matrix_nms'), 0.7) == dict(type='matrix_nms')
    with pytest.raises(ValueError, match=r"'nmss' is unknown \(did you mean nms"):
        with_threshold(dict(type='nmss'), 0.7)


def test_the_table_is_for_the_terminal_and_for_markdown():
    rows = [Timing('torchvision', 2.5, 1.0, 1517), Timing('soft_nms', 25.04, 10.016, 3329)]
    console = Console(width=100)
    with console.capture() as capture:
        console.print(timing_table(rows, markdown=True))
    lines = [
        [cell.strip() for cell in line.split('|')[1:-1]] for line in capture.get().splitlines()
    ]
    assert ['NMS', 'ms', 'x', 'kept'] in lines
    assert ['soft_nms', '25.04', '10.0', '3,329'] in lines
    assert nms_benchmark.as_dicts(rows)[1]['ratio'] == 10.016
