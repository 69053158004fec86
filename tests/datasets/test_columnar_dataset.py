"""ColumnarDataset gives what CocoDataset and ParkingSlotDataset give for the same JSON."""

import json
import multiprocessing
import pickle
import re
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.datasets import CocoDataset, ConcatDataset
from mmdet.registry import DATASETS
from mmengine.dataset import ClassBalancedDataset, DefaultSampler, RepeatDataset
from mmengine.registry import init_default_scope
from torch.utils.data import DataLoader

from mmdet_ext.datasets import ParkingSlotDataset
from mmdet_ext.datasets.columnar import ColumnarDataset, arrow_file
from mmdet_ext.datasets.columnar.convert import convert_json
from mmdet_ext.datasets.columnar.parking_slots import write_parking_slots
from mmdet_ext.datasets.formats.parking_slot_coco import (
    LABEL_KINDS,
    ParkingImage,
    write_parking_slot_coco,
)

CLASSES = ('cat', 'dog', 'cow')


@pytest.fixture(autouse=True, scope='module')
def small_batches():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrow_file, 'BATCH_ROWS', 3)
        yield


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('annotations')


def assert_same(ours, theirs):
    """Equal in type and value, all the way down."""
    if isinstance(theirs, dict):
        assert ours.keys() == theirs.keys()
        for key in theirs:
            assert_same(ours[key], theirs[key])
    elif isinstance(theirs, list | tuple):
        assert type(ours) is type(theirs)
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            assert_same(a, b)
    elif isinstance(theirs, np.ndarray):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs, strict=True)
    else:
        assert ours == theirs


def assert_same_items(ours, theirs):
    assert len(ours) == len(theirs)
    for i in range(len(theirs)):
        assert_same(ours[i], theirs[i])


# ---- boxes

SIDES = st.integers(-5, 70) | st.floats(-5, 70)
MASKS = st.sampled_from(
    [
        None,
        [],
        [[1, 2.5, 3, 4, 5, 6.125], [0.1, 1, 2, 3, 4, 5]],
        {'counts': [3, 4, 5], 'size': [4, 3]},
        {'counts': 'PQä', 'size': [4, 3]},
    ]
)


@st.composite
def coco_files(draw):
    ids = draw(st.lists(st.integers(-9, 99), min_size=3, max_size=8, unique=True))
    sides = st.integers(20, 60)
    images = [dict(id=i, file_name=f'{i}ö.jpg', width=draw(sides), height=draw(sides)) for i in ids]
    annotations = [
        dict(
            id=index,
            image_id=draw(st.sampled_from(ids)),
            category_id=draw(st.sampled_from([3, 1, 7, 99])),
            bbox=[draw(SIDES) for _ in range(4)],
            area=draw(st.floats(-1, 99)),
            segmentation=draw(MASKS),
            **draw(st.sampled_from([{}, {'iscrowd': 0}, {'iscrowd': 1}, {'ignore': True}])),
        )
        for index in range(draw(st.integers(0, 12)))
    ]
    categories = [dict(id=i, name=name) for i, name in zip((3, 1, 7), CLASSES, strict=True)]
    return dict(images=images, annotations=annotations, categories=categories)


def coco_pair(folder, content=None, **options):
    if content is not None:
        (folder / 'a.json').write_text(json.dumps(content, ensure_ascii=False), encoding='utf-8')
        convert_json(folder / 'a.json', folder / 'a.arrow')
    shared = dict(data_root=str(folder), data_prefix=dict(img='images', seg='maps'), pipeline=[])
    shared |= {'metainfo': dict(classes=CLASSES), 'serialize_data': False, **options}
    build = lambda kind, name: kind(ann_file=name, **shared)  # noqa: E731
    return (lambda: build(ColumnarDataset, 'a.arrow')), (lambda: build(CocoDataset, 'a.json'))


@pytest.mark.parametrize(
    'options',
    [
        {},
        dict(metainfo=dict(classes=('cow', 'cat'))),
        dict(filter_cfg=dict(filter_empty_gt=True)),
        dict(filter_cfg=dict(filter_empty_gt=True), metainfo=dict(classes=('cow',))),
        dict(filter_cfg=dict(min_size=40)),
        dict(filter_cfg=dict(filter_empty_gt=True, min_size=30), indices=-2),
        dict(indices=[0, -1, 0]),
        dict(indices=2, test_mode=True, filter_cfg=dict(filter_empty_gt=True, min_size=60)),
    ],
    ids=str,
)
@settings(max_examples=20)
@given(content=coco_files())
def test_items_are_those_of_coco_dataset(folder, content, options):
    ours, theirs = coco_pair(folder, content, **options)
    expected = theirs()
    if len(expected):
        assert_same_items(ours(), expected)
    else:
        with pytest.raises(ValueError, match='images is left after'):
            ours()


def boxes(*counts):
    """Image i has boxes of the first ``counts[i]`` classes."""
    ids = (3, 1, 7)
    images = [dict(id=i, file_name=f'{i}.jpg', width=64, height=48) for i in range(len(counts))]
    owners = [(i, k) for i, count in enumerate(counts) for k in range(count)]
    annotations = [
        dict(id=n, image_id=i, category_id=ids[k], bbox=[i, k, 9, 8.5], area=76.5, iscrowd=k % 2)
        for n, (i, k) in enumerate(owners, 1)
    ]
    categories = [dict(id=i, name=name) for i, name in zip(ids, CLASSES, strict=True)]
    return dict(images=images, annotations=annotations, categories=categories)


def pair(tmp_path, *counts, **options):
    ours, theirs = coco_pair(tmp_path, boxes(*counts), **options)
    return ours(), theirs()


def test_stock_pipelines_load_the_same_boxes_and_labels(tmp_path):
    pipeline = [
        dict(type='LoadAnnotations', with_bbox=True),
        dict(type='PackDetInputs', meta_keys=('img_id', 'img_path')),
    ]
    init_default_scope('mmdet')
    for a, b in zip(*pair(tmp_path, 2, 0, 3, pipeline=pipeline), strict=True):
        ours, theirs = a['data_samples'].gt_instances, b['data_samples'].gt_instances
        torch.testing.assert_close(ours.bboxes.tensor, theirs.bboxes.tensor, rtol=0, atol=0)
        assert ours.labels.tolist() == theirs.labels.tolist()
        assert a['data_samples'].metainfo == b['data_samples'].metainfo


def test_wrappers_see_the_same_set(tmp_path):
    ours, theirs = pair(tmp_path, 1, 3, 0, 2, 1, 1, 1)
    assert_same_items(ConcatDataset([ours, ours]), ConcatDataset([theirs, theirs]))
    assert_same_items(RepeatDataset(ours, times=2), RepeatDataset(theirs, times=2))
    balanced = [ClassBalancedDataset(dataset, oversample_thr=0.9) for dataset in (ours, theirs)]
    assert_same_items(*balanced)
    assert len(balanced[0]) > len(ours)
    assert [ours.get_cat_ids(i) for i in range(7)] == [theirs.get_cat_ids(i) for i in range(7)]


@pytest.mark.parametrize('indices', [2, -2, [3, -1, 0], []])
def test_subsets_are_those_of_the_base_class(tmp_path, indices):
    ours, theirs = pair(tmp_path, 1, 3, 0, 2, 1, filter_cfg=dict(filter_empty_gt=True))
    assert_same_items(ours.get_subset(indices), theirs.get_subset(indices))
    assert len(ours) == len(theirs) == 4
    ours.get_subset_(indices)
    theirs.get_subset_(indices)
    assert_same_items(ours, theirs)


def test_an_index_from_the_end_counts_from_the_end(tmp_path):
    ours, theirs = pair(tmp_path, 1, 3, 2)
    assert_same(ours[-1], theirs[-1])
    assert ours[-1]['sample_idx'] == 2
    with pytest.raises(IndexError):
        ours.get_data_info(3)


def test_without_metainfo_the_classes_are_those_of_the_file(tmp_path):
    ours, _ = coco_pair(tmp_path, boxes(1), metainfo=None)
    assert ours().metainfo == {'classes': CLASSES}


def test_lazy_init_reads_when_asked_for_an_item(tmp_path):
    ours, theirs = pair(tmp_path, 1, 3, lazy_init=True)
    assert not ours._fully_initialized
    assert_same(ours[1], theirs[1])


def test_metainfo_can_be_had_without_the_file(tmp_path):
    dataset = ColumnarDataset(
        ann_file=str(tmp_path / 'no.arrow'), metainfo=dict(classes=('a',)), lazy_init=True
    )
    assert dataset.metainfo['classes'] == ('a',)


def test_it_is_registered():
    assert DATASETS.get('ColumnarDataset') is ColumnarDataset


# ---- parking slots

COORDINATES = st.floats(-30, 130)


def arrays(draw, count, *shape):
    size = int(np.prod((count, *shape)))
    return np.array([draw(COORDINATES) for _ in range(size)], np.float64).reshape(count, *shape)


@st.composite
def parking_images(draw):
    points, slots = draw(st.integers(0, 3)), draw(st.integers(0, 2))
    angles = [draw(st.sampled_from([np.nan, 0.3, 2.0])) for _ in range(points)]
    below = lambda end, start=0: st.integers(start, end - 1)  # noqa: E731
    return ParkingImage(
        f'{draw(below(9))}ß.jpg',
        draw(st.integers(20, 100)),
        draw(st.integers(20, 100)),
        points=arrays(draw, points, 2),
        directions=np.stack([np.cos(angles), np.sin(angles)], -1).reshape(-1, 2),
        shapes=np.array([draw(below(5, -1)) for _ in range(points)], np.int64),
        # A part inside the image, which the JSON's writer asks for.
        corners=np.array([[0, 9], [9, 9], [9, 0], [0, 0]])
        + arrays(draw, slots, 1, 2).clip(0, 9)
        + np.zeros((slots, 4, 2)),
        slot_types=np.array([draw(below(3)) for _ in range(slots)], np.int64),
        occupied=np.array([draw(below(2, -1)) for _ in range(slots)], np.int64),
        slot_points=np.array(
            [[draw(below(points, -1)), -1] for _ in range(slots)], np.int64
        ).reshape(-1, 2),
        metres_per_pixel=draw(st.none() | st.floats(0.01, 0.1)),
        group=draw(st.none() | st.text(max_size=3)),
        condition=draw(st.sampled_from([None, 'indoor'])),
        tags=draw(st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2)),
    )


def parking_pair(folder, **options):
    shared = dict(data_root=str(folder), data_prefix=dict(img=''), pipeline=[], **options)
    return (
        lambda: ColumnarDataset(ann_file='p.arrow', **shared),
        lambda: ParkingSlotDataset(ann_file='p.json', **shared),
    )


def write_parking(folder, records, labels=LABEL_KINDS):
    write_parking_slot_coco(folder / 'p.json', records, labels)
    for record in records[:1]:
        (folder / record.file_name).touch()


@pytest.mark.parametrize(
    'options',
    [
        {},
        dict(labels=['slots', 'shapes']),
        dict(filter_cfg=dict(filter_empty_gt=True)),
        dict(filter_cfg=dict(min_size=50)),
        dict(filter_cfg=dict(filter_empty_gt=True), test_mode=True),
    ],
    ids=str,
)
@settings(max_examples=20)
@given(records=st.lists(parking_images(), min_size=1, max_size=5))
def test_items_are_those_of_parking_slot_dataset(folder, records, options):
    write_parking(folder, records)
    assert convert_json(folder / 'p.json', folder / 'p.arrow').kind == 'parking_slots'
    ours, theirs = parking_pair(folder, serialize_data=False, **options)
    try:
        expected = theirs()
    except ValueError as error:  # no image left
        sentence = str(error).replace('p.json', 'p.arrow')
        with pytest.raises(ValueError, match=re.escape(sentence)):
            ours()
        return
    assert_same_items(ours(), expected)
    assert ours().metainfo == expected.metainfo


def test_records_are_written_without_a_json_between(tmp_path):
    records = [ParkingImage(f'{i}.jpg', 90, 60, points=np.full((i, 2), i / 3)) for i in range(5)]
    for record in records:
        n = len(record.points)
        record.directions, record.shapes = np.zeros((n, 2)), np.zeros(n, np.int64)
    (tmp_path / '0.jpg').touch()
    assert write_parking_slots(tmp_path / 'p.arrow', records, ['marking_points']) == 5
    items = list(parking_pair(tmp_path)[0]())
    assert [item['img_id'] for item in items] == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(items[4]['parking']['points'], records[4].points)
    assert items[0]['label_kinds'] == ('marking_points',)


# ---- processes


def test_a_pickled_dataset_is_as_small_for_many_images_as_for_few(tmp_path):
    sizes = [len(pickle.dumps(pair(tmp_path, *([1] * count))[0])) for count in (2, 200)]
    assert sizes[1] - sizes[0] < 20


def test_a_pickled_dataset_gives_the_same_items(tmp_path):
    ours, theirs = pair(tmp_path, 1, 3, 0, 2, filter_cfg=dict(filter_empty_gt=True))
    assert_same_items(pickle.loads(pickle.dumps(ours)), theirs)


def test_a_forked_process_opens_the_file_itself(tmp_path):
    ours, _ = pair(tmp_path, 1, 3)
    file = ours.data_list.file
    ours[0]
    mine = file._opened()

    def child(sender):
        sender.send((ours[1]['instances'], file._opened() is mine))

    receiver, sender = multiprocessing.Pipe()
    process = multiprocessing.get_context('fork').Process(target=child, args=(sender,))
    process.start()
    instances, shared = receiver.recv()
    process.join()
    assert instances == ours[1]['instances']
    assert not shared
    assert file._opened() is mine


def test_one_loader_shuffles_the_whole_set_anew_each_epoch(tmp_path):
    ours, _ = pair(tmp_path, *([1] * 40))
    sampler = DefaultSampler(ours, shuffle=True, seed=0)
    loader = DataLoader(
        ours, 5, sampler=sampler, num_workers=2, persistent_workers=True, collate_fn=list
    )
    epochs = []
    for epoch in range(2):
        sampler.set_epoch(epoch)
        epochs.append([item['img_id'] for batch in loader for item in batch])
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(40))
    assert epochs[0] != epochs[1]


# ---- what it says about bad input


def test_a_json_file_is_refused_with_the_command_that_converts_it(tmp_path):
    pair(tmp_path, 1)
    with pytest.raises(ValueError, match=r'a\.json: not a .* columnar .*to_columnar\.py'):
        ColumnarDataset(ann_file=str(tmp_path / 'a.json'))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no\.arrow not found; check `data_root`'):
        ColumnarDataset(ann_file=str(tmp_path / 'no.arrow'))


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        (dict(metainfo=dict(classes=('bus',))), r"none of the classes \('bus',\) .*'cat', 'dog'"),
        (dict(labels=['slots']), r"`labels` is \['slots'\], but this is a file of boxes"),
        (dict(proposal_file='p.pkl'), 'no `proposal_file`; use CocoDataset'),
        (dict(filter_cfg=dict(min_size=99)), 'none of its 2 images is left after filter_cfg'),
    ],
)
def test_options_that_do_not_fit_are_refused(tmp_path, options, sentence):
    ours, _ = coco_pair(tmp_path, boxes(1, 2), **options)
    with pytest.raises(ValueError, match=sentence):
        ours()


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        (dict(metainfo=dict(classes=('car',))), r"'slanted'\), the config has classes \('car',\)"),
        (dict(labels=['occupancy']), r"asks for \['occupancy'\], but `info\.labels` has only"),
    ],
)
def test_parking_slot_options_that_do_not_fit_are_refused(tmp_path, options, sentence):
    write_parking(tmp_path, [ParkingImage('a.jpg', 90, 60)], ['slots'])
    convert_json(tmp_path / 'p.json', tmp_path / 'p.arrow')
    with pytest.raises(ValueError, match=sentence):
        parking_pair(tmp_path, **options)[0]()


def test_a_wrong_image_folder_is_named_before_training(tmp_path):
    write_parking(tmp_path, [ParkingImage('a.jpg', 90, 60)])
    convert_json(tmp_path / 'p.json', tmp_path / 'p.arrow')
    (tmp_path / 'a.jpg').unlink()
    with pytest.raises(FileNotFoundError, match=r'a\.jpg not found; check .*`data_prefix`'):
        parking_pair(tmp_path)[0]()


def test_pyarrow_is_asked_for_where_it_is_missing(tmp_path, monkeypatch):
    ours, _ = coco_pair(tmp_path, boxes(1))
    monkeypatch.setitem(sys.modules, 'pyarrow', None)
    with pytest.raises(ImportError, match=r"pip install 'mmdet_ext\[data\]'"):
        ours()
