"""Image and labels move as one: checked against pixels that say where they come from."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.runner import set_random_seed
from transform_scenes import (
    HEIGHT,
    INSIDE,
    WIDTH,
    L,
    box_results,
    build,
    misplaced,
    slot_results,
    source_of,
)

from mmdet_ext.structures.slots import interior_angle

SMOOTH = dict(interpolation='bilinear')
COMMON = {
    'centre crop': dict(type='DetCenterCrop', crop_size=(110, 101)),
    'resized crop': dict(type='DetRandomResizedCrop', size=(140, 120), scale=(0.4, 1.0)),
    'horizontal flip': dict(type='TorchvisionTransform', name='RandomHorizontalFlip'),
    'vertical flip': dict(type='TorchvisionTransform', name='RandomVerticalFlip'),
    'rotation': dict(type='TorchvisionTransform', name='RandomRotation', degrees=40, **SMOOTH),
    'expanding rotation': dict(
        type='TorchvisionTransform', name='RandomRotation', degrees=80, expand=True, **SMOOTH
    ),
    'affine': dict(
        type='TorchvisionTransform',
        name='RandomAffine',
        degrees=20,
        translate=(0.1, 0.1),
        scale=(0.8, 1.2),
        shear=15,
        **SMOOTH,
    ),
    'pad': dict(type='TorchvisionTransform', name='Pad', padding=[3, 7, 11, 2]),
    'resize': dict(type='TorchvisionTransform', name='Resize', size=[150, 130]),
    'torchvision crop': dict(
        type='TorchvisionTransform', name='RandomCrop', size=[100, 90], pad_if_needed=True
    ),
    'zoom out': dict(type='TorchvisionTransform', name='RandomZoomOut', side_range=[1.0, 1.5]),
    'scale jitter': dict(
        type='TorchvisionTransform',
        name='ScaleJitter',
        target_size=[140, 150],
        scale_range=[0.7, 1.3],
    ),
}
SLOT_ONLY = {
    'parking slot affine': dict(
        type='ParkingSlotAffine',
        size=(150, 140),
        rotation=(-30, 30),
        quarter_turns=True,
        flip_prob=0.5,
        scale=(0.8, 1.2),
        shift=0.1,
        border_value=0,
    ),
}
BOX_ONLY = {
    'perspective': dict(
        type='TorchvisionTransform', name='RandomPerspective', p=1.0, distortion_scale=0.3, **SMOOTH
    )
}
PROBABLE = ('RandomHorizontalFlip', 'RandomVerticalFlip', 'RandomZoomOut')


def certain(cfg):
    """The same transform without the chance that nothing happens."""
    return cfg | (dict(p=1.0) if cfg.get('name') in PROBABLE else {})


def check_slots(results, before, tolerance=0.5):
    """Points, corners, directions and links against the pixels; how many points were told apart."""
    image = results['img']
    sources, derivatives, _ = source_of(image, results['gt_points'])
    told = np.flatnonzero(~np.isnan(sources[:, 0]))
    for row in told:
        original = np.linalg.norm(before['gt_points'] - sources[row], axis=1).argmin()
        error = misplaced(image, results['gt_points'][[row]], before['gt_points'][[original]])
        assert error[0] < tolerance
        check_direction(results, row, before, original, derivatives[row])
    for slot, corners in enumerate(results['gt_corners']):
        assert 0 < interior_angle(corners) < np.pi  # anticlockwise on screen, whatever was mirrored
        check_corners(image, corners, before['gt_corners'][results['gt_occupied'][slot]])
    for slot, rows in enumerate(results['gt_slot_points']):
        for corner, row in enumerate(rows):
            if row >= 0:
                gap = results['gt_corners'][slot, corner] - results['gt_points'][row]
                assert np.abs(gap).max() < 1e-6
    return len(told)


def check_direction(results, row, before, original, derivative):
    assert results['gt_shapes'][row] == before['gt_shapes'][original]
    mirrored = np.linalg.det(derivative) < 0 and results['gt_shapes'][row] == L
    expected = before['gt_second_arms' if mirrored else 'gt_directions'][original]
    back = derivative @ results['gt_directions'][row]
    assert back @ expected / np.linalg.norm(back) > 0.999


def check_corners(image, corners, originals):
    """Each corner that shows is one of the slot's own, and no two are the same."""
    sources, _, _ = source_of(image, corners)
    seen = np.flatnonzero(~np.isnan(sources[:, 0]))
    nearest = [np.linalg.norm(originals - sources[i], axis=1).argmin() for i in seen]
    assert (misplaced(image, corners[seen], originals[nearest]) < 0.5).all()
    assert len(set(nearest)) == len(nearest)


@pytest.mark.parametrize('cfg', (COMMON | SLOT_ONLY).values(), ids=COMMON | SLOT_ONLY)
def test_points_and_slots_stay_on_their_pixels(cfg):
    transform = build(certain(cfg))
    told = 0
    for seed in range(5):
        set_random_seed(seed)
        results = transform(slot_results())
        assert results['img_shape'] == results['img'].shape[:2]
        told += check_slots(results, slot_results(), tolerance=0.1)
    assert told >= 5


@pytest.mark.parametrize('cfg', (COMMON | BOX_ONLY).values(), ids=COMMON | BOX_ONLY)
@pytest.mark.parametrize('polygons', [False, True], ids=['bitmaps', 'polygons'])
def test_boxes_masks_and_keypoints_stay_on_their_pixels(cfg, polygons):
    transform = build(certain(cfg))
    told = 0
    for seed in range(4):
        set_random_seed(seed)
        results = transform(box_results(polygons))
        before = box_results()
        labels = results['gt_bboxes_labels']
        told += check_keypoints(results, before['gt_keypoints'][labels])
        masks = results['gt_masks'].to_ndarray()
        assert masks.shape == (len(labels), *results['img_shape'])
        for label, box, mask in zip(
            labels, results['gt_bboxes'].tensor.numpy(), masks, strict=True
        ):
            check_box(box, mask)
            check_mask(results, mask, before['gt_masks'].masks[label])
            assert (results['gt_seg_map'] == label + 1)[mask > 0].mean() > 0.93
    assert told >= 8


def check_keypoints(results, originals):
    keypoints = results['gt_keypoints'].reshape(-1, 3)
    error = misplaced(results['img'], keypoints[:, :2] - 0.5, originals.reshape(-1, 3)[:, :2] - 0.5)
    told = ~np.isnan(error)
    assert (error[told] < 0.1).all()
    assert (keypoints[told, 2] == 2).all()
    height, width = results['img_shape']
    x, y, visible = keypoints.T
    assert ((visible == 0) == ((x < 0) | (y < 0) | (x >= width) | (y >= height))).all()
    return told.sum()


def check_box(box, mask):
    """The box spans the mask that was its own box, up to rounding."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if len(rows):
        extents = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        height, width = mask.shape
        cut = np.equal(
            extents, [0, 0, width, height]
        ).any()  # a turned box is clipped after the turn
        outwards = (box - extents) * [-1, -1, 1, 1]
        assert (outwards > -1.6).all()
        assert cut or (outwards < 1.6).all()
    else:
        assert min(box[2:] - box[:2]) < 1.6


def check_mask(results, mask, original):
    """Brute force: each pixel of the picture says where it comes from; look it up in the mask."""
    x, y = np.rint(results['img'][..., :2]).astype(int).transpose(2, 0, 1)
    expected = original[y.clip(0, HEIGHT - 1), x.clip(0, WIDTH - 1)].astype(bool)
    shown = np.abs(results['img'][..., 2] - INSIDE) < 0.1
    square = np.ones((3, 3), np.uint8)
    mask = mask.astype(np.uint8)
    outline = cv2.dilate(mask, square) != cv2.erode(mask, square)  # where rounding decides
    assert not ((expected != mask) & shown & ~outline).any()


def pipelines(names):
    return st.lists(st.sampled_from(sorted(names)), min_size=5, max_size=5)


@settings(max_examples=40)
@given(names=pipelines(COMMON | SLOT_ONLY), seed=st.integers(0, 2**16))
def test_five_transforms_in_a_row_keep_points_and_slots_in_step(names, seed):
    set_random_seed(seed)
    results = slot_results()
    for name in names:
        results = build((COMMON | SLOT_ONLY)[name])(results)
    check_slots(results, slot_results())


@settings(max_examples=30)
@given(names=pipelines(COMMON), seed=st.integers(0, 2**16))
def test_five_transforms_in_a_row_keep_keypoints_in_step(names, seed):
    set_random_seed(seed)
    results = box_results()
    for name in names:
        results = build(COMMON[name])(results)
    originals = box_results()['gt_keypoints'][results['gt_bboxes_labels']]
    keypoints = results['gt_keypoints'].reshape(-1, 3)
    error = misplaced(results['img'], keypoints[:, :2] - 0.5, originals.reshape(-1, 3)[:, :2] - 0.5)
    assert not (error > 0.5).any()


@settings(max_examples=20)
@given(names=pipelines(COMMON | SLOT_ONLY), seed=st.integers(0, 2**16))
def test_the_recorded_map_leads_back_to_the_original(names, seed):
    set_random_seed(seed)
    results, before = slot_results(), slot_results()
    for name in names:
        results = build((COMMON | SLOT_ONLY)[name])(results)
    back = np.linalg.inv(results.get('homography_matrix', np.eye(3)))
    points = results['gt_points'] @ back[:2, :2].T + back[:2, 2]
    gaps = np.linalg.norm(points[:, None] - before['gt_points'], axis=-1)
    assert (gaps.min(1) < 0.05).all()


def test_a_centre_crop_takes_the_middle():
    results = build(dict(type='DetCenterCrop', crop_size=(60, 40)))(box_results())
    np.testing.assert_array_equal(results['img'], box_results()['img'][44:84, 50:110])


def test_a_crop_larger_than_the_image_keeps_the_image():
    results = build(dict(type='DetCenterCrop', crop_size=(1000, 40)))(box_results())
    np.testing.assert_array_equal(results['img'], box_results()['img'][44:84])


def test_boxes_of_which_nothing_is_left_are_dropped_with_all_that_belongs_to_them():
    results = build(dict(type='DetCenterCrop', crop_size=(30, 30)))(
        box_results()
    )  # x 65-95, y 49-79
    assert results['gt_bboxes'].tensor.tolist() == [[5, 0, 25, 30]]
    assert results['gt_bboxes_labels'].tolist() == [1]
    assert len(results['gt_masks']) == len(results['gt_keypoints']) == 1
    assert results['gt_masks'].masks.sum() == 20 * 30


def test_random_resized_crops_have_the_areas_and_shapes_of_torchvision():
    """Against the definition: area U(0.2, 0.5) of the image, log aspect U(log 1/2, log 2)."""
    transform = build(
        dict(type='DetRandomResizedCrop', size=32, scale=(0.2, 0.5), ratio=(0.5, 2.0))
    )
    set_random_seed(0)
    boxes = np.array([transform.random_part(512, 512) for _ in range(3000)])
    width, height = (boxes[:, 2:] - boxes[:, :2]).T
    areas, aspects = width * height / 512**2, np.log2(width / height)
    np.testing.assert_allclose(
        np.quantile(areas, [0, 0.25, 0.5, 0.75, 1]), [0.2, 0.275, 0.35, 0.425, 0.5], atol=0.01
    )
    np.testing.assert_allclose(
        np.quantile(aspects, [0, 0.25, 0.5, 0.75, 1]), [-1, -0.5, 0, 0.5, 1], atol=0.06
    )


def test_a_crop_without_any_box_can_be_refused():
    results = box_results()
    results['gt_bboxes'].tensor[:] += 1000
    transform = build(dict(type='DetRandomResizedCrop', size=32, allow_negative_crop=False))
    assert transform(results) is None
