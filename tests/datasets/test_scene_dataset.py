"""SurroundViewSceneDataset: new scenes each epoch, reproducible with any number of workers."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import DATASETS
from mmengine.dataset import DefaultSampler, pseudo_collate
from mmengine.runner import BaseLoop
from torch.utils.data import ConcatDataset, DataLoader

from mmdet_ext.datasets import ParkingSlotDataset
from mmdet_ext.datasets.formats.parking_slot_coco import (
    LABEL_KINDS,
    ParkingImage,
    write_parking_slot_coco,
)
from mmdet_ext.datasets.surround_view import scene_dataset
from mmdet_ext.datasets.transforms import (
    LoadParkingSlotAnnotations,
    LoadParkingSlotImage,
    PackParkingSlotInputs,
    ParkingSlotAffine,
)
from mmdet_ext.engine.hooks import ClassCheckHook


def small_scene(rng, config):
    """A stand-in for the renderer: noise and one slot, both drawn from ``rng``."""
    x = rng.uniform(10, 60)
    corners = np.array([[[x, 50], [x + 30, 50], [x + 30, 20], [x, -20.0]]])
    record = ParkingImage(
        '',
        128,
        64,
        points=corners[0, :2],
        directions=np.array([[0.0, -1.0], [0.6, -0.8]]),
        shapes=np.array([1, 0]),
        corners=corners,
        slot_types=np.array([2]),
        occupied=np.array([1]),
        slot_points=np.array([[0, 1]]),
        metres_per_pixel=0.015,
    )
    return rng.integers(0, 256, (64, 128, 3), dtype=np.uint8), record


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(scene_dataset, 'render_scene', small_scene)


def build(**options):
    return DATASETS.build({'type': 'SurroundViewSceneDataset', 'pipeline': [], **options})


def sums(dataset, epochs=2, workers=0):
    """Which scene each index shows in each epoch, as a number for each image."""
    loader = DataLoader(
        dataset,
        batch_size=2,
        num_workers=workers,
        sampler=DefaultSampler(dataset, shuffle=True, seed=1),
        persistent_workers=workers > 0,
        collate_fn=pseudo_collate,
        multiprocessing_context='fork' if workers else None,
    )
    table = np.zeros((epochs, len(dataset)), np.int64)
    for epoch in range(epochs):
        loader.sampler.set_epoch(epoch)
        for batch in loader:
            for index, image in zip(batch['img_id'], batch['img'], strict=True):
                table[epoch, index] = np.asarray(image, np.int64).sum()
    return table


def test_every_index_of_every_epoch_is_a_scene_of_its_own():
    table = sums(build(length=7), epochs=3)
    assert len(np.unique(table)) == table.size == 21


@pytest.mark.parametrize('workers', [1, 2, 3])
def test_the_number_of_workers_changes_no_scene(workers):
    np.testing.assert_array_equal(sums(build(length=7), workers=workers), sums(build(length=7)))


def test_repeated_scenes_are_the_same_each_epoch_and_not_those_of_training():
    first, second = sums(build(length=7, repeat=True), workers=2)
    np.testing.assert_array_equal(first, second)
    assert not np.isin(first, sums(build(length=7))).any()


def test_other_seeds_and_ranks_give_other_scenes(monkeypatch):
    plain = sums(build(length=7))
    assert not np.isin(sums(build(length=7, seed=1)), plain).any()
    monkeypatch.setattr(scene_dataset, 'get_rank', lambda: 1)
    assert not np.isin(sums(build(length=7)), plain).any()
    same = sums(build(length=7, repeat=True))
    monkeypatch.setattr(scene_dataset, 'get_rank', lambda: 0)
    np.testing.assert_array_equal(sums(build(length=7, repeat=True)), same)


@pytest.mark.parametrize('labels', [None, ['marking_points', 'slots']])
def test_an_item_is_what_the_set_on_disk_gives_after_loading(tmp_path, labels):
    dataset = build(length=3, seed=2, repeat=True, labels=labels)
    item = dataset[2]
    image, record = small_scene(np.random.default_rng([2, 1, 0, 0, 2]), None)
    record.file_name = '2.png'
    write_parking_slot_coco(tmp_path / 'a.json', [record], LABEL_KINDS)
    cv2.imwrite(str(tmp_path / '2.png'), image)
    stored = ParkingSlotDataset(
        data_root=str(tmp_path),
        ann_file='a.json',
        data_prefix=dict(img=''),
        labels=labels,
        pipeline=[LoadParkingSlotImage(), LoadParkingSlotAnnotations()],
    )[0]
    assert item.keys() == stored.keys()
    for key in stored.keys() - {'img_path', 'img_id', 'sample_idx', 'parking', 'instances'}:
        if isinstance(stored[key], np.ndarray):
            np.testing.assert_allclose(item[key], stored[key], atol=1e-3, err_msg=key)
            assert item[key].dtype == stored[key].dtype
        else:
            assert item[key] == stored[key]
    assert item['img_id'] == 2
    assert item['instances'][0]['bbox_label'] == stored['instances'][0]['bbox_label'] == 2


def test_a_training_pipeline_without_the_load_transforms_packs_it():
    pipeline = [
        ParkingSlotAffine(size=(64, 64), rotation=(-15, 15), flip_prob=0.5),
        PackParkingSlotInputs(),
    ]
    packed = build(length=2, pipeline=pipeline)[0]
    assert packed['inputs'].shape == (3, 64, 64)
    sample = packed['data_samples']
    assert sample.gt_instances.corners.shape == (1, 4, 2)
    assert sample.label_kinds == LABEL_KINDS


def test_it_mixes_with_other_datasets_and_counts_classes_for_samplers():
    dataset = build(length=2)
    mixed = ConcatDataset([dataset, build(length=3, seed=5)])
    assert (len(dataset), len(mixed)) == (2, 5)
    assert mixed[4]['img_id'] == 2
    assert dataset.get_cat_ids(0) == [2]


class Loop(BaseLoop):
    def __init__(self, dataset):
        self.dataloader = SimpleNamespace(dataset=dataset)

    def run(self):
        pass


def check_classes(dataset, num_classes):
    model = torch.nn.Module()
    model.bbox_head = torch.nn.Module()
    model.bbox_head.num_classes = num_classes
    loops = dict(_train_loop=Loop(dataset), _val_loop=None, _test_loop=None)
    ClassCheckHook().before_run(SimpleNamespace(model=model, **loops))


def test_the_class_check_passes_and_names_the_preset_where_it_does_not():
    dataset = build(length=2, metainfo=dict(classes=('perpendicular', 'parallel', 'slanted')))
    check_classes(dataset, 3)
    with pytest.raises(ValueError, match='num_classes is 4, but preset plain is read with 3'):
        check_classes(dataset, 4)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'length': 0}, 'length is 0; expected at least 1'),
        ({'seed': -1}, 'seed is -1; expected at least 0'),
        ({'preset': 'moon'}, 'plain'),
        ({'labels': ['lanes']}, r"asks for \['lanes'\]; expected some of"),
        ({'metainfo': dict(classes=('car',))}, r"the config has \('car',\)"),
    ],
)
def test_options_out_of_range_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)
