"""Colours as torchvision changes them, whatever the type of the pixels."""

import cv2
import numpy as np
import pytest
import torch
from mmengine.runner import set_random_seed
from torchvision.transforms.v2 import functional as F
from transform_scenes import build

from mmdet_ext.datasets.transforms.torchvision_images import from_torchvision, to_torchvision

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)


def jittered(image, **options):
    return build(dict(type='DetColorJitter', **options))({'img': image.copy()})['img']


def test_brightness_is_multiplied():
    out = jittered(IMAGE, brightness=(0.5, 0.5))
    np.testing.assert_allclose(out, np.floor(IMAGE * 0.5), atol=1)


def test_contrast_moves_pixels_towards_the_mean_of_grey():
    grey = cv2.cvtColor(IMAGE, cv2.COLOR_BGR2GRAY).mean()
    out = jittered(IMAGE, contrast=(0.25, 0.25))
    np.testing.assert_allclose(out, grey * 0.75 + IMAGE * 0.25, atol=1.5)


def test_saturation_zero_is_grey_by_the_weights_of_bgr():
    grey = cv2.cvtColor(IMAGE, cv2.COLOR_BGR2GRAY)
    np.testing.assert_allclose(jittered(IMAGE, saturation=(0, 0)), np.dstack([grey] * 3), atol=1)


def test_a_third_of_a_turn_of_hue_makes_red_green():
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 2] = 200
    np.testing.assert_allclose(jittered(red, hue=(1 / 3, 1 / 3))[0, 0], (0, 200, 0), atol=1)


def test_all_four_are_drawn_as_by_torchvision():
    from torchvision.transforms import v2  # noqa: PLC0415 (as everybody names it)

    options = dict(brightness=0.4, contrast=0.3, saturation=0.5, hue=0.2)
    for seed in range(5):
        set_random_seed(seed)
        ours = jittered(IMAGE, **options)
        set_random_seed(seed)
        tensor = torch.from_numpy(IMAGE[..., ::-1].copy()).permute(2, 0, 1)
        theirs = v2.ColorJitter(**options)(tensor).permute(1, 2, 0).numpy()[..., ::-1]
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(('dtype', 'scale'), [(np.float32, 1), (np.float64, 1), (np.uint16, 257)])
def test_other_pixel_types_come_out_as_uint8_does(dtype, scale):
    options = dict(brightness=(1.2, 1.2), contrast=(0.8, 0.8))
    set_random_seed(0)
    expected = jittered(IMAGE, **options).astype(float)
    set_random_seed(0)
    out = jittered(IMAGE.astype(dtype) * dtype(scale), **options)
    assert out.dtype == dtype
    np.testing.assert_allclose(out / scale, expected, atol=2)


@pytest.mark.parametrize('shape', [(40, 50), (40, 50, 1)])
def test_grey_images_stay_grey(shape):
    image = IMAGE[..., :1].reshape(shape)
    out = jittered(image, brightness=(0.5, 0.5), hue=0.5, saturation=0.5)
    assert out.shape == shape
    np.testing.assert_allclose(out, np.floor(image * 0.5), atol=1)


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize('shape', [(5, 7), (5, 7, 1), (5, 7, 3), (5, 7, 4)])
def test_images_survive_the_way_to_torchvision_and_back(dtype, shape):
    high = np.iinfo(dtype).max if np.dtype(dtype).kind == 'u' else 255
    image = (np.random.default_rng(0).random(shape) * high).astype(dtype)
    back = from_torchvision(to_torchvision(image), image)
    assert back.dtype == dtype
    np.testing.assert_allclose(back, image, rtol=1e-6)


def test_torchvision_sees_red_first():
    red = np.zeros((2, 2, 3), np.uint8)
    red[..., 2] = 9
    assert to_torchvision(red)[:, 0, 0].tolist() == [9, 0, 0]
    assert F.rgb_to_grayscale(to_torchvision(red)).max() == pytest.approx(9 * 0.299, abs=1)


def test_normalised_pixels_are_refused():
    with pytest.raises(
        ValueError, match=r'floating-point pixels from -2 to 2; expected 0 to 255: put'
    ):
        jittered(np.array([[[-2.0, 0, 2.0]]], np.float32), brightness=0.1)


def test_unknown_pixel_types_are_refused():
    with pytest.raises(ValueError, match='pixels of int64, which torchvision cannot take'):
        jittered(IMAGE.astype(np.int64), brightness=0.1)
