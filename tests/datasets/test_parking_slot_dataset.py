"""ParkingSlotDataset: what it gives, and what it says about bad input."""

import json

import cv2
import numpy as np
import pytest
from mmdet.datasets import CocoDataset

from mmdet_ext.datasets import ParkingSlotDataset
from mmdet_ext.datasets.formats.parking_slot_coco import ParkingImage, write_parking_slot_coco
from mmdet_ext.datasets.transforms import (
    LoadParkingSlotAnnotations,
    LoadParkingSlotImage,
    PackParkingSlotInputs,
    ParkingSlotAffine,
)

SLOT = np.array([[[20.0, 60], [50, 60], [50, 10], [20, 10]]])
IMAGE = (100, 80)


@pytest.fixture
def root(tmp_path):
    """Three images: one with a slot and points, one with a point only, one empty."""
    slot = ParkingImage(
        'slot.jpg',
        *IMAGE,
        points=SLOT[0, :2],
        directions=np.array([[0.0, -1], [0, -1]]),
        shapes=np.array([0, 0]),
        corners=SLOT,
        slot_types=np.array([1]),
        occupied=np.array([-1]),
        slot_points=np.array([[0, 1]]),
    )
    point = ParkingImage(
        'point.jpg', *IMAGE, np.ones((1, 2)), np.full((1, 2), np.nan), np.array([-1])
    )
    empty = ParkingImage('empty.jpg', *IMAGE)
    write_parking_slot_coco(
        tmp_path / 'train.json', [slot, point, empty], ['marking_points', 'slots']
    )
    for record in (slot, point, empty):
        cv2.imwrite(str(tmp_path / record.file_name), np.zeros((80, 100, 3), np.uint8))
    return tmp_path


def build(root, **kwargs):
    defaults = dict(
        data_root=str(root), ann_file='train.json', data_prefix=dict(img=''), pipeline=[]
    )
    return ParkingSlotDataset(**{**defaults, **kwargs})


def edit(root, change):
    path = root / 'train.json'
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_images_without_slots_stay_in(root):
    assert [len(info['instances']) for info in build(root)] == [1, 0, 0]


def test_slots_are_stock_instances_too(root):
    ours = build(root)[0]['instances'][0]
    stock = CocoDataset(
        data_root=str(root),
        ann_file='train.json',
        data_prefix=dict(img=''),
        pipeline=[],
        metainfo=dict(classes=ParkingSlotDataset.METAINFO['classes']),
    )[0]['instances'][0]
    np.testing.assert_allclose(ours['bbox'], stock['bbox'])
    assert ours['bbox_label'] == stock['bbox_label'] == 1


@pytest.mark.parametrize('scale', [0.02, None])
def test_the_ground_resolution_reaches_the_meta_information_of_samples(root, scale):
    edit(root, lambda content: content['images'][0].update(metres_per_pixel=scale))
    results = LoadParkingSlotAnnotations()(LoadParkingSlotImage()(build(root)[0]))
    sample = PackParkingSlotInputs()(ParkingSlotAffine(size=(64, 64))(results))['data_samples']
    assert sample.metres_per_pixel == scale  # of the original image


def test_label_kinds_can_be_narrowed(root):
    assert build(root)[0]['label_kinds'] == ('marking_points', 'slots')
    assert build(root, labels=['slots'])[0]['label_kinds'] == ('slots',)


def test_filtering_keeps_images_with_points_alone(root):
    kept = build(root, filter_cfg=dict(filter_empty_gt=True))
    assert [info['img_path'].split('/')[-1] for info in kept] == ['slot.jpg', 'point.jpg']


def test_a_missing_data_root_is_named(root):
    with pytest.raises(
        FileNotFoundError, match=r'elsewhere/train\.json not found; check `data_root`'
    ):
        build(root / 'elsewhere')


def test_a_wrong_image_folder_is_named_before_training(root):
    with pytest.raises(
        FileNotFoundError, match=r'images/slot\.jpg not found; check .*`data_prefix`'
    ):
        build(root, data_prefix=dict(img='images'))


def test_a_file_without_categories_is_refused(root):
    edit(root, lambda content: content.pop('categories'))
    with pytest.raises(ValueError, match=r'train\.json: no list `categories` found'):
        build(root)


@pytest.mark.parametrize(
    ('keypoints', 'sentence'),
    [
        ([20, 60, 2, 50, 60, 2, 50, 10, 2], 'has 3 corners in `keypoints`; expected the four'),
        ([float('nan'), *range(11)], 'has a value that is not a finite number'),
    ],
)
def test_a_broken_slot_is_named_with_its_index(root, keypoints, sentence):
    edit(root, lambda content: content['annotations'][0].update(keypoints=keypoints))
    with pytest.raises(ValueError, match=rf'annotations\[0\] \(id 1\) {sentence}'):
        build(root)


def test_other_category_names_than_the_config_are_refused(root):
    with pytest.raises(
        ValueError, match=r"categories are .*'parallel'.* config has classes \('car',\)"
    ):
        build(root, metainfo=dict(classes=('car',)))


def test_labels_that_the_file_lacks_are_refused(root):
    with pytest.raises(ValueError, match=r"asks for \['occupancy'\], but `info\.labels` has only"):
        build(root, labels=['slots', 'occupancy'])


def test_an_empty_dataset_after_filtering_is_refused(root):
    with pytest.raises(ValueError, match='none of its 3 images is left after filter_cfg'):
        build(root, filter_cfg=dict(min_size=200))
