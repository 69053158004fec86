"""Pipeline steps: image and labels must move as one."""

import cv2
import numpy as np
import pytest

from mmdet_ext.datasets.transforms.affine import ParkingSlotAffine, affine_matrix, warp_image
from mmdet_ext.datasets.transforms.formatting import PackParkingSlotInputs
from mmdet_ext.datasets.transforms.loading import LoadParkingSlotAnnotations, LoadParkingSlotImage
from mmdet_ext.structures.marking_points import SHAPES, order_arms
from mmdet_ext.structures.slots import interior_angle, transform_points

T, L = SHAPES.index('T'), SHAPES.index('L')


def make_record(**changes):
    """One slanted slot between an L (its left end) and a T, in a 200 x 160 image."""
    p1, p2 = np.array([60.0, 100.0]), np.array([120.0, 100.0])
    reach = 50 * np.array([0.5, -np.sqrt(0.75)])  # 60 degrees at p1
    record = {
        'points': np.stack([p1, p2]),
        'directions': np.stack([reach / 50, reach / 50]),
        'shapes': np.array([L, T]),
        'corners': np.stack([p1, p2, p2 + reach, p1 + reach])[None],
        'slot_types': np.array([2]),
        'occupied': np.array([1]),
        'slot_points': np.array([[0, 1]]),
        'width': 200,
        'height': 160,
    }
    return {**record, **changes}


def load(record=None):
    results = {'img': np.zeros((160, 200, 3), np.uint8), 'parking': record or make_record()}
    return LoadParkingSlotAnnotations()(results)


class Fixed(ParkingSlotAffine):
    """The transform with given random parameters."""

    def __init__(self, size, rotation=0.0, zoom=1.0, shift=(0.0, 0.0), flip=False):
        super().__init__(size)
        self.parameters = (rotation, zoom, np.array(shift), flip)

    def random_parameters(self):
        return self.parameters


CASES = {
    'resize': {},
    'rotation': {'rotation': 0.7},
    'flip': {'flip': True},
    'all': {'rotation': 2.5, 'zoom': 0.9, 'shift': (7.3, -4.6), 'flip': True},
}


@pytest.mark.parametrize('case', CASES.values(), ids=CASES)
def test_points_land_where_their_paint_lands(case):
    results = load()
    for x, y in results['gt_points']:  # a soft blob whose centroid is measurable
        yy, xx = np.mgrid[:160, :200]
        blob = 250 * np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / (2 * 4.0**2))
        results['img'] = np.maximum(results['img'], blob[..., None].astype(np.uint8))
    background = 0
    transform = Fixed((256, 256), **case)
    transform.border_value = background
    out = transform(results)
    assert len(out['gt_points']) == 2
    grey = out['img'][..., 0].astype(float)
    for x, y in out['gt_points']:
        x0, y0 = round(x) - 15, round(y) - 15
        patch = grey[y0 : y0 + 31, x0 : x0 + 31]
        yy, xx = np.mgrid[:31, :31]
        assert (patch * xx).sum() / patch.sum() + x0 == pytest.approx(x, abs=0.1)
        assert (patch * yy).sum() / patch.sum() + y0 == pytest.approx(y, abs=0.1)


@pytest.mark.parametrize('case', CASES.values(), ids=CASES)
def test_slots_hang_on_their_points_after_any_map(case):
    out = Fixed((256, 256), **case)(load())
    linked = out['gt_points'][out['gt_slot_points'][0]]
    np.testing.assert_allclose(out['gt_corners'][0, :2], linked, atol=1e-9)
    flipped = case.get('flip', False)
    assert interior_angle(out['gt_corners'])[0] == pytest.approx(np.pi * (2 if flipped else 1) / 3)


def test_a_flipped_slanted_l_points_along_the_mirror_of_its_entrance_arm():
    before = load()
    np.testing.assert_allclose(before['gt_second_arms'][0], [1, 0])  # read off the slot: not 90 deg
    out = Fixed((200, 160), flip=True)(before)
    np.testing.assert_allclose(out['gt_directions'][0], [-1, 0], atol=1e-12)
    first, _ = order_arms(out['gt_directions'][0], out['gt_second_arms'][0])
    np.testing.assert_allclose(first, out['gt_directions'][0])


def test_resize_keeps_pixel_centres_aligned():
    matrix = affine_matrix((100, 50), (200, 100))
    corners = np.array([[-0.5, -0.5], [99.5, 49.5]])  # the outer edges of the image
    np.testing.assert_allclose(transform_points(corners, matrix), [[-0.5, -0.5], [199.5, 99.5]])


def test_letterbox_keeps_angles_and_centres_the_image():
    matrix = affine_matrix((100, 50), (200, 200))
    np.testing.assert_allclose(matrix[:2, :2], 2 * np.eye(2))
    np.testing.assert_allclose(transform_points(np.array([49.5, 24.5]), matrix), [99.5, 99.5])


def test_a_strong_reduction_averages_instead_of_skipping_pixels():
    stripes = np.zeros((400, 400, 3), np.uint8)
    stripes[::2] = 200
    small = warp_image(stripes, affine_matrix((400, 400), (50, 50)), (50, 50), 0)
    assert np.abs(small[2:-2].astype(int) - 100).max() <= 2


def test_points_outside_are_dropped_with_the_links_to_them():
    out = Fixed((200, 160), shift=(-80.0, 0))(load())  # p1 leaves on the left, the midpoint stays
    assert len(out['gt_points']) == 1
    np.testing.assert_array_equal(out['gt_slot_points'], [[-1, 0]])
    assert len(out['gt_corners']) == 1
    assert out['gt_corners'][0, 0, 0] == pytest.approx(-20)


def test_slots_whose_entrance_midpoint_leaves_are_dropped_and_the_image_stays():
    out = Fixed((200, 160), shift=(-100.0, 0))(load())
    assert len(out['gt_corners']) == len(out['gt_occupied']) == len(out['gt_slot_points']) == 0
    assert out['img'].shape == (160, 200, 3)


def test_homography_leads_back_to_the_original_image():
    out = Fixed((256, 224), rotation=1.0, zoom=0.7, flip=True)(load())
    back = transform_points(out['gt_points'], np.linalg.inv(out['homography_matrix']))
    np.testing.assert_allclose(back, make_record()['points'], atol=1e-3)


def test_packed_sample_has_the_model_contract():
    results = Fixed((256, 256))(load())
    results['label_kinds'] = ('slots',)
    sample = PackParkingSlotInputs()(results)['data_samples']
    slots, points = sample.gt_instances, sample.gt_marking_points
    assert slots.bboxes.shape == (1, 4)
    assert slots.labels.tolist() == [2]
    assert slots.corners.shape == (1, 4, 2)
    assert slots.occupied.tolist() == [1]
    assert points.points.shape == points.directions.shape == (2, 2)
    assert points.has_direction.tolist() == [True, True]
    assert points.shapes.tolist() == [L, T]
    assert sample.label_kinds == ('slots',)


def test_unknown_directions_stay_unknown():
    directions = np.array([[np.nan, np.nan], [0.0, -1.0]])
    results = load(make_record(directions=directions))
    assert results['gt_has_direction'].tolist() == [False, True]
    assert np.isfinite(results['gt_directions']).all()


@pytest.fixture
def jpeg(tmp_path):
    path = tmp_path / 'scene.jpg'
    noise = np.random.default_rng(0).integers(0, 255, (160, 200, 3), np.uint8)
    cv2.imwrite(str(path), noise)
    return path


def load_image(path, **labelled):
    return LoadParkingSlotImage()({'img_path': str(path), **labelled})


def test_a_readable_image_is_loaded_as_bgr(jpeg):
    np.testing.assert_array_equal(load_image(jpeg)['img'], cv2.imread(str(jpeg)))


def test_a_missing_image_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'none\.jpg not found; check `data_prefix`'):
        load_image(tmp_path / 'none.jpg')


def test_a_truncated_image_is_refused(jpeg):
    jpeg.write_bytes(jpeg.read_bytes()[:-3000])
    with pytest.raises(ValueError, match=r'scene\.jpg \(\d+ bytes\) is truncated'):
        load_image(jpeg)


@pytest.mark.parametrize('content', [b'', b'not an image'])
def test_an_unreadable_image_is_refused(jpeg, content):
    jpeg.write_bytes(content)
    with pytest.raises(ValueError, match=r'scene\.jpg \(\d+ bytes\) cannot be decoded'):
        load_image(jpeg)


def test_an_image_of_another_size_than_its_labels_is_refused(jpeg):
    with pytest.raises(ValueError, match='is 200 x 160 pixels, its labels were made on 600 x 600'):
        load_image(jpeg, width=600, height=600)


def test_quarter_turns_turn_a_square_image_without_loss():
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    turn = ParkingSlotAffine((64, 64), quarter_turns=True)
    seen = {turn.transform({'img': image})['img'].tobytes() for _ in range(60)}
    assert seen == {np.rot90(image, k).tobytes() for k in range(4)}
