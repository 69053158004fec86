"""Lightness is evened out, colour is not touched."""

import cv2
import numpy as np
import pytest

from mmdet_ext.datasets.transforms import LocalContrast


def faded_line():
    """A line that is 6 grey values brighter than its dim, slightly blue ground."""
    image = np.full((96, 96, 3), (66, 60, 60), np.uint8)
    image[:, 44:50] += 6
    noise = np.random.default_rng(0).integers(0, 3, (96, 96, 1), dtype=np.uint8)
    return image + noise


def contrast(image):
    return float(image[:, 44:50].mean() - image[:, 20:40].mean())


def test_a_faded_line_gains_contrast_and_more_with_a_higher_limit():
    image = faded_line()
    gains = [
        contrast(LocalContrast(limit).transform({'img': image})['img']) / contrast(image)
        for limit in (1.0, 4.0, 16.0)
    ]
    assert 1.3 < gains[1] < gains[2]
    assert gains[0] < gains[1]


def test_colour_stays():
    image = faded_line()
    even = LocalContrast(4.0).transform({'img': image})['img']
    before, after = (cv2.cvtColor(i, cv2.COLOR_BGR2LAB)[..., 1:].astype(int) for i in (image, even))
    assert np.abs(before - after).mean() < 1.5


@pytest.mark.parametrize('shape', [(300, 96), (7, 5)])
def test_size_and_type_are_kept(shape):
    image = np.zeros((*shape, 3), np.uint8)
    even = LocalContrast(tiles=(2, 4)).transform({'img': image})['img']
    assert (even.shape, even.dtype) == (image.shape, np.uint8)
