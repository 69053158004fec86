"""Under-sampling, repeat factors of conditions, Tomek links."""

import json
import math
from collections import Counter

import numpy as np
import pytest
from mmdet.datasets import CocoDataset
from mmdet.datasets.samplers import ClassAwareSampler
from mmengine.dataset import ClassBalancedDataset, RepeatDataset
from mmengine.registry import init_default_scope

from mmdet_ext.datasets.condition_balanced_dataset import ConditionBalancedDataset
from mmdet_ext.datasets.formats.parking_slot_coco import ParkingImage, write_parking_slot_coco
from mmdet_ext.datasets.image_labels import image_labels
from mmdet_ext.datasets.parking_slot_dataset import ParkingSlotDataset
from mmdet_ext.datasets.resampling import tomek_links, under_sampled_indices
from mmdet_ext.datasets.under_sampled_dataset import UnderSampledDataset


@pytest.fixture
def night_and_day(tmp_path):
    """CocoDataset of 18 images by day and 2 by night, one more without; every fifth has class b."""
    images, annotations = [], []
    for i in range(21):
        image = {'id': i + 100, 'file_name': f'{i}.jpg', 'width': 9, 'height': 9}
        if i < 20:
            image |= {'condition': 'night' if i < 2 else 'day', 'tags': {'ground': f'g{i % 2}'}}
        images.append(image)
        box = {'bbox': [1, 1, 4, 4], 'area': 16, 'iscrowd': 0, 'image_id': i + 100}
        annotations.append({'id': i + 1, 'category_id': 2 if i % 5 == 4 else 1, **box})
    categories = [{'id': 1, 'name': 'a'}, {'id': 2, 'name': 'b'}]
    content = {'images': images, 'annotations': annotations, 'categories': categories}
    path = tmp_path / 'ann.json'
    path.write_text(json.dumps(content))
    init_default_scope('mmdet')
    return dict(
        type='CocoDataset',
        ann_file=str(path),
        data_prefix=dict(img=''),
        metainfo=dict(classes=('a', 'b')),
        pipeline=[],
    )


def indices(dataset):
    return [dataset.get_data_info(i)['img_id'] - 100 for i in range(len(dataset))]


def test_images_of_a_rare_condition_are_repeated_by_the_repeat_factor(night_and_day):
    dataset = ConditionBalancedDataset(night_and_day, oversample_thr=0.5)
    times = math.ceil(math.sqrt(0.5 / (2 / 21)))
    assert times == 3
    assert Counter(indices(dataset)) == {i: times if i < 2 else 1 for i in range(21)}
    assert dataset[0]['img_id'] == 100
    assert dataset.get_cat_ids(0) == [0]
    assert dataset.metainfo['classes'] == ('a', 'b')


def test_by_class_the_repeat_factors_are_those_of_the_stock_wrapper(night_and_day):
    ours = ConditionBalancedDataset(night_and_day, 0.9, by='class')
    stock = ClassBalancedDataset(
        CocoDataset(**{k: v for k, v in night_and_day.items() if k != 'type'}), 0.9
    )
    assert ours.repeat_indices == stock.repeat_indices
    assert len(ours) > 21


def test_the_rarest_of_several_labels_decides(night_and_day):
    dataset = ConditionBalancedDataset(night_and_day, 0.5, by=['condition', 'class'])
    of_night, of_b = math.ceil(math.sqrt(0.5 * 21 / 2)), math.ceil(math.sqrt(0.5 * 21 / 4))
    expected = {i: of_night if i < 2 else of_b if i % 5 == 4 else 1 for i in range(21)}
    assert Counter(indices(dataset)) == expected


def test_under_sampling_keeps_rare_images_and_caps_frequent_ones(night_and_day):
    dataset = UnderSampledDataset(night_and_day, cap=6)
    classes = Counter(dataset.get_cat_ids(i)[0] for i in range(len(dataset)))
    assert classes == {0: 6, 1: 4}
    assert indices(dataset) == sorted(indices(dataset))
    assert indices(dataset) == indices(UnderSampledDataset(night_and_day, cap=6))
    assert indices(dataset) != indices(UnderSampledDataset(night_and_day, cap=6, seed=1))
    assert dataset.metainfo['classes'] == ('a', 'b')


def test_wrappers_read_nothing_before_full_init_if_lazy(night_and_day):
    for dataset in (
        UnderSampledDataset({**night_and_day, 'lazy_init': True}, cap=6, lazy_init=True),
        ConditionBalancedDataset({**night_and_day, 'lazy_init': True}, 0.5, lazy_init=True),
    ):
        assert not dataset.dataset.data_list
        dataset.full_init()
        assert len(dataset.dataset) == 21
        assert len(dataset) == len(dataset.repeat_indices)


def test_wrappers_nest_and_serve_the_class_aware_sampler(night_and_day):
    balanced = dict(type='ConditionBalancedDataset', oversample_thr=0.5, dataset=night_and_day)
    dataset = UnderSampledDataset(balanced, cap=3, by=['class', 'condition'])
    kept = image_labels(dataset, ['class', 'condition'])
    counts = Counter(label for labels in kept for label in labels)
    assert min(counts.values()) == 3
    sampled = list(ClassAwareSampler(dataset, seed=0))
    classes = Counter(dataset.get_cat_ids(i)[0] for i in sampled)
    assert abs(classes[0] - classes[1]) <= 1
    twice = RepeatDataset(dict(type='UnderSampledDataset', cap=6, dataset=night_and_day), times=2)
    once = image_labels(twice.dataset, 'condition')
    assert len(once) == 10
    assert image_labels(twice, 'condition') == 2 * once
    assert image_labels(twice, 'class') == 2 * image_labels(twice.dataset, 'class')


def test_conditions_and_tags_of_parking_slot_datasets_are_used(tmp_path):
    grounds = ['asphalt'] * 9 + ['grass']
    records = [
        ParkingImage(f'{i}.jpg', 10, 10, tags={'ground': ground})
        for i, ground in enumerate(grounds)
    ]
    write_parking_slot_coco(tmp_path / 'ann.json', records, ['marking_points'])
    (tmp_path / '0.jpg').touch()
    options = dict(data_root=str(tmp_path), ann_file='ann.json', data_prefix=dict(img=''))
    dataset = ParkingSlotDataset(**options, pipeline=[])
    assert image_labels(dataset, 'ground') == [{('ground', ground)} for ground in grounds]
    assert Counter(UnderSampledDataset(dataset, by='ground').repeat_indices)[9] == 1
    assert len(UnderSampledDataset(dataset, by='ground')) == 2
    with pytest.raises(ValueError, match=r"ann\.json\) has \['light'\]; expected `class`"):
        ConditionBalancedDataset(dataset, 0.5, by='light')


def test_by_default_every_label_is_capped_to_the_rarest_one():
    labels = [{'sick'}] * 176 + [{'well'}] * 1655
    chosen = under_sampled_indices(labels)
    assert len(chosen) == 352
    assert chosen[:176].tolist() == list(range(176))
    assert len(set(chosen)) == 352


def test_subsets_share_the_rare_images_and_no_frequent_one_until_all_were_used():
    labels = [{'rare'}] * 3 + [{'often'}] * 12
    subsets = [under_sampled_indices(labels, subset=i) for i in range(4)]
    assert all(subset[:3].tolist() == [0, 1, 2] for subset in subsets)
    assert sorted(np.concatenate([subset[3:] for subset in subsets])) == list(range(3, 15))
    assert under_sampled_indices(labels, subset=4).tolist() == subsets[0].tolist()


def test_images_that_a_rarer_label_needs_count_for_the_frequent_one_too():
    labels = [{'a', 'b'}] * 2 + [{'a'}] * 10 + [set()] * 5
    chosen = under_sampled_indices(labels, cap=4)
    counts = Counter(name for i in chosen for name in labels[i] or {None})
    assert counts == {'a': 4, 'b': 2, None: 4}
    with pytest.raises(ValueError, match=r'`cap` is 0'):
        under_sampled_indices(labels, cap=0)


def test_of_two_nearest_images_of_different_labels_the_frequent_one_is_removable():
    embeddings = np.array([[0.0], [1.0], [2.0], [5.0], [5.1], [9.0]])
    labels = ['often', 'often', 'often', 'often', 'rare', 'rare']
    assert tomek_links(embeddings, labels).tolist() == [3]
    with pytest.raises(ValueError, match=r'shape \(6, 1\); expected one row for each of the 5'):
        tomek_links(embeddings, labels[:5])
    with pytest.raises(ValueError, match=r"All images are labelled \['often'\]"):
        tomek_links(embeddings[:4], labels[:4])
