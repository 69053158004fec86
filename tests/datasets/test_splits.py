"""Splits that do not leak."""

import itertools
import sys

import numpy as np
import pytest

from mmdet_ext.datasets.formats.parking_slot_coco import ParkingImage
from mmdet_ext.datasets.splits import (
    fold_indices,
    label_shares,
    nested_subsets,
    parse_ratios,
    split_at_random,
    split_by_blocks,
    split_by_sequences,
    split_indices,
)


def frames(group, numbers):
    return [ParkingImage(f'{group}/{n}.jpg', 10, 10, group=group) for n in numbers]


def numbers(records):
    return [int(record.file_name.split('/')[1][:-4]) for record in records]


def test_each_sequence_is_cut_into_train_gap_and_val_in_the_order_of_frame_numbers():
    shuffled = np.random.default_rng(0).permutation(200)
    train, val, gap = split_by_blocks(frames('a', shuffled), val_fraction=0.2)
    assert numbers(train) == list(range(135))
    assert numbers(gap) == list(range(135, 160))
    assert numbers(val) == list(range(160, 200))


def test_the_gap_grows_with_the_sequence_and_every_sequence_has_its_own():
    train, val, gap = split_by_blocks(frames('a', range(2000)) + frames('b', range(100)))
    assert sum(r.group == 'a' for r in gap) == 40
    assert sum(r.group == 'b' for r in gap) == 25
    assert len(train) + len(val) + len(gap) == 2100
    assert sum(r.group == 'b' for r in val) == 20


def test_held_out_sequences_are_never_trained_on():
    train, val = split_by_sequences(frames('a', range(3)) + frames('b', range(2)), ['b'])
    assert {r.group for r in train} == {'a'}
    assert {r.group for r in val} == {'b'}
    with pytest.raises(ValueError, match=r"No sequence is called \['c'\].*\['a', 'b'\]"):
        split_by_sequences(frames('a', [1]) + frames('b', [1]), ['c'])


def test_splits_refuse_what_would_leak_or_make_no_sense():
    with pytest.raises(ValueError, match=r'x\.jpg has no `group`'):
        split_by_blocks([ParkingImage('x.jpg', 10, 10)])
    with pytest.raises(ValueError, match=r'val_fraction is 1\.5'):
        split_by_blocks(frames('a', range(3)), val_fraction=1.5)


def test_a_random_split_has_the_share_asked_for_and_depends_on_the_seed_only():
    records = frames('a', range(50))
    train, val = split_at_random(records, 0.2)
    assert (len(train), len(val)) == (40, 10)
    assert sorted(numbers(train) + numbers(val)) == list(range(50))
    assert numbers(val) == numbers(split_at_random(records, 0.2)[1])
    assert numbers(val) != numbers(split_at_random(records, 0.2, seed=1)[1])


def random_labels(count, frequencies, seed=0):
    return np.random.default_rng(seed).random((count, len(frequencies))) < frequencies


@pytest.mark.parametrize(
    ('text', 'count', 'sizes'),
    [('6:2:2', 50, [30, 10, 10]), ('98:1:1', 1000, [980, 10, 10]), ('1:2', 10, [3, 7])],
)
def test_parts_have_the_sizes_of_the_ratios_and_share_no_image(text, count, sizes):
    parts = split_indices(count, parse_ratios(text))
    assert [len(part) for part in parts] == sizes
    assert sorted(np.concatenate(parts)) == list(range(count))


def test_the_same_seed_gives_the_same_parts_and_another_seed_others():
    first, again, other = (split_indices(50, [1, 1], seed=seed)[0] for seed in (0, 0, 1))
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()


def test_every_label_of_multi_label_images_is_shared_out_in_the_same_ratios():
    labels = random_labels(1000, [0.5, 0.1, 0.02])
    parts = split_indices(1000, [6, 2, 2], labels=labels)
    for part, share in zip(parts, (0.6, 0.2, 0.2), strict=True):
        assert labels[part].sum(0) == pytest.approx(share * labels.sum(0), abs=1.5)
        assert len(part) == pytest.approx(share * 1000, abs=2)
    shares = label_shares(parts, labels)
    assert shares.sum(0) == pytest.approx(1)
    assert shares[1, 0] == labels[parts[1], 0].sum() / labels[:, 0].sum()


def test_each_image_is_validated_on_in_one_fold_and_trained_on_in_the_others():
    labels = random_labels(100, [0.3, 0.1])
    folds = fold_indices(100, 5, labels=labels)
    assert sorted(np.concatenate([val for _, val in folds])) == list(range(100))
    for train, val in folds:
        assert sorted([*train, *val]) == list(range(100))
        assert labels[val].sum(0) == pytest.approx(labels.sum(0) / 5, abs=1)


@pytest.mark.parametrize('labels', [None, random_labels(600, [0.4, 0.1])])
def test_no_group_straddles_parts_and_their_sizes_come_near_the_ratios(labels):
    groups = [f'site {number}' for number in np.random.default_rng(1).integers(0, 60, 600)]
    parts = split_indices(600, [6, 2, 2], labels=labels, groups=groups)
    names = [{groups[index] for index in part} for part in parts]
    assert not names[0] & names[1] | names[0] & names[2] | names[1] & names[2]
    assert [len(part) for part in parts] == pytest.approx([360, 120, 120], abs=12)


def test_grouped_parts_share_labels_better_when_stratified():
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 50, 1000)
    labels = rng.random((1000, 3)) < rng.random((50, 3))[groups] * [0.8, 0.4, 0.1]

    def distance(**options):
        parts = split_indices(1000, [1] * 5, groups=groups, **options)
        return np.abs(label_shares(parts, labels) - 0.2).max()

    assert distance(labels=labels) < 0.05
    assert distance() > 0.1


def test_few_uneven_groups_leave_no_part_empty():
    groups = ['a'] * 50 + ['b'] * 30 + ['c'] * 5
    assert [len(part) for part in split_indices(85, [98, 1, 1], groups=groups)] == [50, 30, 5]
    with pytest.raises(ValueError, match=r'3 groups of images cannot be split 1:1:1:1.*empty'):
        fold_indices(85, 4, groups=groups)


def test_what_cannot_be_split_is_said():
    with pytest.raises(
        ValueError, match=r'10 images cannot be split 98:1:1: part 1 would be empty'
    ):
        split_indices(10, [98, 1, 1])
    with pytest.raises(ValueError, match=r'number of folds is 1'):
        fold_indices(10, 1)
    with pytest.raises(ValueError, match=r'`labels` has 3 entries; expected one for 10 images'):
        split_indices(10, [1, 1], labels=np.ones((3, 1), bool))
    with pytest.raises(ValueError, match=r'fraction of a subset is 5'):
        nested_subsets(10, [5])
    for text in ('6', '6:0', 'a:b', '6:-2', '1:inf'):
        with pytest.raises(ValueError, match=r'expected positive numbers such as 6:2:2'):
            parse_ratios(text)


@pytest.mark.parametrize('labels', [None, random_labels(400, [0.5, 0.1])])
@pytest.mark.parametrize('groups', [None, np.random.default_rng(0).integers(0, 80, 400).tolist()])
def test_each_subset_of_a_learning_curve_is_part_of_the_larger_ones(labels, groups):
    options = dict(labels=labels, groups=groups)
    subsets = nested_subsets(400, [0.05, 0.1, 0.25, 1], **options)
    slack = 0 if groups is None else 6
    assert [len(subset) for subset in subsets] == pytest.approx([20, 40, 100, 400], abs=slack)
    for small, large in itertools.pairwise(subsets):
        assert set(small) < set(large)
    assert nested_subsets(400, [0.1], **options)[0].tolist() == subsets[1].tolist()
    if groups is not None:
        names = {groups[index] for index in subsets[1]}
        assert sum(group in names for group in groups) == len(subsets[1])


def test_small_subsets_have_their_share_of_every_label():
    labels = random_labels(2000, [0.5, 0.1, 0.02])
    for subset, fraction in zip(
        nested_subsets(2000, [0.1, 0.3], labels=labels), (0.1, 0.3), strict=True
    ):
        assert labels[subset].sum(0) == pytest.approx(fraction * labels.sum(0), abs=5)


def test_a_missing_library_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, 'iterstrat.ml_stratifiers', None)
    with pytest.raises(ImportError, match=r"pip install 'mmdet_ext\[data\]'"):
        split_indices(10, [1, 1], labels=np.ones((10, 1), bool))
