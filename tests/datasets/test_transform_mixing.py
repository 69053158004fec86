"""Mosaic and mixup of pictures with marking points and slots: every label on its pixels."""

import numpy as np
import pytest
from mmengine.runner import set_random_seed
from transform_scenes import (
    box_results,
    build,
    coordinate_image,
    misplaced,
    slot_results,
    source_of,
)

from mmdet_ext.structures.slots import interior_angle

NUMBERS = (50, 100, 150, 200)
SIZES = ((128, 160), (100, 100), (160, 128), (64, 64))


def pictures():
    return [slot_results(*size, number) for size, number in zip(SIZES, NUMBERS, strict=True)]


def mixed(kind, parts, seed=0, **options):
    """The last of the pictures with the others mixed in."""
    transform = build(dict(type=kind, **options))
    set_random_seed(seed)
    for part in parts[:-1]:
        transform.prob = 0
        transform(part)
    transform.prob = 1
    return transform(parts[-1])


def mosaic(seed=0, **options):
    return mixed('ParkingSlotMosaic', pictures(), seed, img_scale=(120, 110), **options)


@pytest.mark.parametrize('seed', range(6))
def test_every_label_of_a_mosaic_lies_on_the_pixels_of_its_own_picture(seed):
    results = mosaic(seed)
    assert results['img'].shape == (220, 240, 3)
    sources, _, numbers = source_of(results['img'], results['gt_points'])
    told = np.flatnonzero(~np.isnan(numbers) & np.isin(numbers.round(), NUMBERS))
    assert len(told) >= 5
    for row in told:
        [original] = [p for p in pictures() if p['img'][0, 0, 2] == round(numbers[row])]
        nearest = np.linalg.norm(original['gt_points'] - sources[row], axis=1).argmin()
        point, expected = results['gt_points'][[row]], original['gt_points'][[nearest]]
        assert misplaced(results['img'], point, expected)[0] < 0.1


@pytest.mark.parametrize('seed', range(6))
def test_slots_of_a_mosaic_hang_on_their_points_or_on_none(seed):
    results = mosaic(seed)
    assert len(results['gt_corners']) == len(results['gt_bboxes_labels']) > 0
    for corners, links in zip(results['gt_corners'], results['gt_slot_points'], strict=True):
        assert 0 < interior_angle(corners) < np.pi
        for corner, row in zip(corners, links, strict=False):
            if row >= 0:
                np.testing.assert_allclose(results['gt_points'][row], corner, atol=1e-9)


@pytest.mark.parametrize('seed', range(6))
def test_at_a_seam_points_beyond_it_are_dropped_and_slots_stay_by_their_entrance(seed):
    """Brute force: place all labels of each picture without cutting, then look at its own pixels."""
    results = mosaic(seed)
    image = results['img']
    expected_points = expected_slots = 0
    for part in pictures():
        own = np.argwhere(image[..., 2] == part['img'][0, 0, 2])[:, ::-1]
        low, high = own.min(0), own.max(0)
        first, last = image[low[1], low[0], :2], image[high[1], high[0], :2]
        scale = (high - low) / (last - first)
        inside = [
            ((p - first) * scale + low >= low - 0.5) & ((p - first) * scale + low < high + 0.5)
            for p in (part['gt_points'], part['gt_corners'][:, :2].mean(1))
        ]
        expected_points += inside[0].all(1).sum()
        expected_slots += inside[1].all(1).sum()
    assert len(results['gt_points']) == expected_points
    assert len(results['gt_corners']) == expected_slots


def test_what_lies_outside_its_own_picture_does_not_land_on_another():
    parts = pictures()
    for part in parts:
        size = np.array(part['img'].shape[1::-1])
        outside = np.vstack([-5 * np.ones((4, 2)), size + 5 * np.ones((3, 2))])
        part['gt_points'] = outside
        part['gt_corners'] = outside[part['gt_slot_points']][:, [0, 1, 1, 0]]
    results = mixed('ParkingSlotMosaic', parts, img_scale=(60, 60), center_ratio_range=(1, 1))
    assert len(results['gt_points']) == len(results['gt_corners']) == 0


def test_the_first_pictures_pass_unmixed_and_nothing_in_the_cache_is_changed():
    transform = build(dict(type='ParkingSlotMosaic', img_scale=(100, 100)))
    for i, part in enumerate(pictures()):
        results = transform(part)
        assert (results['img'].shape == (200, 200, 3)) == (i == 3)
        results['img'][:] = 7  # as a later step may do
    for kept, part in zip(transform.results_cache.values(), pictures(), strict=True):
        np.testing.assert_array_equal(kept['img'], part['img'])
        np.testing.assert_array_equal(kept['gt_points'], part['gt_points'])


def test_the_cache_forgets_the_oldest_picture():
    transform = build(dict(type='ParkingSlotMixUp', max_cached_images=2, prob=0))
    for part in pictures():
        transform(part)
    assert [kept['img'][0, 0, 2] for kept in transform.results_cache.values()] == [150, 200]


def test_a_picture_is_kept_once_and_never_mixed_with_itself():
    transform = build(dict(type='ParkingSlotMixUp'))
    for _ in range(3):
        for name in ('a.jpg', 'b.jpg'):
            part = slot_results() | {'img_path': name}
            part['gt_occupied'][:] = name == 'a.jpg'
            occupied = transform(part)['gt_occupied']
    assert len(transform.results_cache) == 2
    assert occupied.tolist() == [0] * 4 + [1] * 4


def test_a_mixup_blends_pixels_and_joins_labels():
    first, second = slot_results(), slot_results(number=100)
    results = mixed('ParkingSlotMixUp', [second, first], alpha=1e6)  # equal shares
    np.testing.assert_allclose(results['img'][..., 2], 150, atol=0.5)
    single = slot_results()
    np.testing.assert_array_equal(results['gt_points'], np.vstack([single['gt_points']] * 2))
    np.testing.assert_array_equal(results['gt_corners'], np.vstack([single['gt_corners']] * 2))
    assert results['gt_slot_points'].tolist()[4:] == (single['gt_slot_points'] + 7).tolist()


def test_a_mixup_fits_the_other_picture_into_this_one():
    this, other = slot_results(), slot_results(64, 64)
    this['img'][:] = 0
    results = mixed('ParkingSlotMixUp', [other, this], alpha=1e6, border_value=0)
    points = results['gt_points'][7:]
    expected = slot_results(64, 64)['gt_points']
    shown = results['img'].copy()
    shown[..., :2] *= 2  # half of it shines through
    error = misplaced(shown, points, expected)
    assert np.isfinite(error).sum() >= 5
    assert np.nanmax(error) < 0.1


def test_shares_of_a_mixup_follow_the_beta_distribution():
    transform = build(dict(type='ParkingSlotMixUp', alpha=4.0))
    set_random_seed(0)
    shares = [transform.random_share() for _ in range(4000)]
    assert np.mean(shares) == pytest.approx(0.5, abs=0.01)
    assert np.var(shares) == pytest.approx(1 / (4 * (2 * 4 + 1)), abs=0.002)  # of Beta(a, a)


def test_only_kinds_of_label_that_all_pictures_have_are_left():
    other = slot_results()
    other['label_kinds'] = ('slots', 'occupancy')
    results = mixed('ParkingSlotMixUp', [other, slot_results()])
    assert results['label_kinds'] == ('slots',)


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize('channels', [(), (1,), (3,)])
@pytest.mark.parametrize('kind', ['ParkingSlotMosaic', 'ParkingSlotMixUp'])
def test_pixel_types_and_channels_are_kept(kind, dtype, channels):
    parts = pictures()
    for part in parts:
        grey = coordinate_image(*part['img'].shape[:2])[..., 0].astype(dtype)
        part['img'] = np.broadcast_to(
            grey.reshape(*grey.shape, *(1 for _ in channels)), grey.shape + channels
        ).copy()
    image = mixed(kind, parts)['img']
    assert image.dtype == dtype
    assert image.shape[2:] == channels


@pytest.mark.parametrize('kind', ['ParkingSlotMosaic', 'ParkingSlotMixUp'])
def test_boxes_without_slots_are_refused(kind):
    with pytest.raises(ValueError, match=f'{kind} needs the labels of LoadParkingSlotAnnotations'):
        build(dict(type=kind))(box_results())


def test_images_of_two_kinds_are_not_mixed():
    grey = slot_results()
    grey['img'] = grey['img'][..., 0]
    with pytest.raises(ValueError, match='cannot be mixed: load all images in one format'):
        mixed('ParkingSlotMixUp', [grey, slot_results()])


def test_rendered_scenes_are_mixed_and_packed_like_images():
    from mmdet_ext.datasets import SurroundViewSceneDataset  # noqa: PLC0415 (renders: costs a second)

    steps = (
        dict(type='ParkingSlotMosaic', img_scale=(64, 64), center_ratio_range=(1, 1)),
        dict(type='ParkingSlotAffine', size=(96, 96)),
        dict(type='PackParkingSlotInputs'),
    )
    options = dict(length=4, overrides=dict(size=96), repeat=True)
    dataset = SurroundViewSceneDataset(pipeline=[build(step) for step in steps], **options)
    sample = [dataset[i] for i in range(4)][-1]['data_samples']
    alone = SurroundViewSceneDataset(pipeline=[build(step) for step in steps[1:]], **options)
    slots = sum(len(alone[i]['data_samples'].gt_instances) for i in range(4))
    assert len(sample.gt_instances.corners) == len(sample.gt_instances.bboxes) == slots > 4
