"""Transforms of torchvision by name: which there are, and what happens to the labels."""

import numpy as np
import pytest
from mmengine.runner import set_random_seed
from transform_scenes import box_results, build, empty_results, empty_slots, slot_results

from mmdet_ext.datasets.transforms.torchvision_transform import fit_map, probe_points


def transform(name, **options):
    return build(dict(type='TorchvisionTransform', name=name, **options))


def test_a_flip_swaps_the_two_ends_of_an_entrance():
    results = transform('RandomHorizontalFlip', p=1.0)(slot_results())
    mirrored = slot_results()['gt_corners'] * [-1, 1] + [159, 0]
    np.testing.assert_allclose(results['gt_corners'], mirrored[:, [1, 0, 3, 2]], atol=1e-9)
    assert results['gt_slot_points'].tolist() == [[1, 0], [3, 2], [5, 4], [6, 5]]


def test_colours_change_no_label():
    before, results = slot_results(), slot_results()
    results['img'] = results['img'].astype(np.uint8)
    results = transform('RandomInvert', p=1.0)(results)
    np.testing.assert_array_equal(results['img'], 255 - before['img'].astype(np.uint8))
    for key in before:
        if key.startswith('gt_'):
            np.testing.assert_array_equal(results[key], before[key])


def test_polygons_stay_polygons_under_colours():
    results = box_results(polygons=True)
    masks = transform('GaussianBlur', kernel_size=3)(results)['gt_masks']
    assert [ring.tolist() for [ring] in masks.masks] == [
        ring.tolist() for [ring] in box_results(polygons=True)['gt_masks'].masks
    ]


def test_boxes_that_vanish_are_dropped_with_all_that_belongs_to_them():
    results = transform('CenterCrop', size=[30, 30])(box_results())  # x 65-95, y 49-79
    assert results['gt_bboxes'].tensor.tolist() == [[5, 0, 25, 30]]
    assert results['gt_bboxes_labels'].tolist() == [1]
    assert len(results['gt_masks']) == len(results['gt_keypoints']) == 1


@pytest.mark.parametrize(
    ('name', 'options'),
    [
        ('RandomRotation', dict(degrees=30)),
        ('RandomHorizontalFlip', dict(p=1.0)),
        ('Resize', dict(size=[20, 30])),
        ('ColorJitter', dict(brightness=0.5)),
    ],
)
@pytest.mark.parametrize('make', [empty_results, empty_slots])
def test_pictures_without_labels_pass(name, options, make):
    results = transform(name, **options)(make())
    assert results['img'].shape[:2] == ((20, 30) if name == 'Resize' else (128, 160))


def test_an_image_alone_passes():
    results = transform('RandomVerticalFlip', p=1.0)(
        {'img': np.arange(6, dtype=np.uint8).reshape(3, 2)}
    )
    assert results['img'].tolist() == [[4, 5], [2, 3], [0, 1]]


def test_random_iou_crops_keep_boxes_and_masks():
    results = box_results()
    del results['gt_keypoints']
    set_random_seed(3)
    results = transform('RandomIoUCrop', sampler_options=[0.3])(results)
    assert results['img_shape'] != (128, 160)
    shift = results['img'][0, 0, :2]
    for box, label in zip(
        results['gt_bboxes'].tensor.numpy(), results['gt_bboxes_labels'], strict=True
    ):
        whole = box_results()['gt_bboxes'].tensor.numpy()[label]
        expected = (whole - np.tile(shift, 2)).clip(0, results['img_shape'][::-1] * 2)
        np.testing.assert_allclose(box, expected, atol=1e-4)


@pytest.mark.parametrize(
    ('name', 'make', 'message'),
    [
        ('RandomIoUCrop', slot_results, 'is for boxes and masks only'),
        ('RandomIoUCrop', box_results, 'is for boxes and masks only'),
        (
            'RandomPerspective',
            slot_results,
            'bends the image in a way that marking points and slots',
        ),
        (
            'ElasticTransform',
            slot_results,
            'bends the image in a way that marking points and slots',
        ),
        ('ElasticTransform', box_results, 'bends the image in a way that keypoints cannot follow'),
    ],
)
def test_what_the_labels_cannot_follow_is_refused(name, make, message):
    options = dict(p=1.0) if name == 'RandomPerspective' else {}
    with pytest.raises(ValueError, match=message):
        transform(name, **options)(make())


def test_boxes_and_masks_follow_an_elastic_transform():
    results = box_results()
    del results['gt_keypoints']
    results = transform('ElasticTransform', alpha=30.0, sigma=5.0)(results)
    assert results['gt_masks'].masks.shape == (3, 128, 160)
    assert len(results['gt_bboxes']) == 3


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('RandomRotate', r"has no transform 'RandomRotate' \(did you mean RandomRotation"),
        ('nonsense', r"has no transform 'nonsense': correct `name`"),
        ('Transform', "has no transform 'Transform'"),
        ('MixUp', 'MixUp mixes a batch: use CachedMixUp'),
        ('FiveCrop', 'makes several images of one: use TestTimeAug'),
        ('RandomApply', 'holds other transforms: use those of mmcv'),
        ('Normalize', 'converts types, ranges or formats'),
        ('SanitizeBoundingBoxes', 'drops labels: use FilterAnnotations'),
        ('RandAugment', 'moves the image without its labels'),
    ],
)
def test_a_name_that_does_not_fit_is_refused_when_the_pipeline_is_built(name, message):
    with pytest.raises(ValueError, match=message):
        transform(name)


def test_interpolation_is_named_in_words():
    assert (
        transform('Resize', size=9, interpolation='bicubic').operation.interpolation.value
        == 'bicubic'
    )


def test_a_map_is_read_off_probe_points_wherever_enough_of_them_stay():
    import torch  # noqa: PLC0415 (boxes are its tensors)

    matrix = np.array([[1.2, 0.3, 20], [-0.2, 0.9, -15], [0, 0, 1]])
    points = probe_points((100, 120))
    moved = (np.hstack([points, np.ones((len(points), 1))]) @ matrix.T)[:, :2].clip(0, (90, 80))
    found = fit_map(torch.from_numpy(np.tile(moved, 2)), (100, 120), (80, 90))
    np.testing.assert_allclose(found, matrix, atol=1e-9)
    assert fit_map(torch.zeros(len(points), 4), (100, 120), (80, 90)) is None
