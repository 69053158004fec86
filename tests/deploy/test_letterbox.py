"""Resizing inside a graph keeps positions."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mmdet_ext.deploy.letterbox import Letterbox

sides = st.integers(8, 700)


@given(height=sides, width=sides)
def test_images_keep_their_shape_and_fill_the_canvas_one_way(height, width):
    rows, columns = Letterbox((height, width), (256, 128)).inner
    ratio = min(256 / width, 128 / height)
    assert abs(rows - max(height * ratio, 1)) <= 0.5
    assert abs(columns - max(width * ratio, 1)) <= 0.5
    assert rows == 128 or columns == 256


def test_pixels_are_those_of_pillow_on_grey():
    image = np.random.default_rng(0).integers(0, 256, (90, 200, 3), dtype=np.uint8)
    canvas = Letterbox((90, 200), (64, 64)).resize(torch.from_numpy(image[None]))[0]
    inner = np.asarray(Image.fromarray(image).resize((64, 29), Image.Resampling.BILINEAR))
    assert canvas.shape == (3, 64, 64)
    assert (canvas[:, :17] == 114).all()
    assert (canvas[:, 46:] == 114).all()
    ours = canvas[:, 17:46].permute(1, 2, 0).numpy()
    assert np.abs(ours - inner).max() <= 1


@pytest.mark.parametrize(('height', 'width'), [(512, 512), (300, 640), (640, 300), (40, 50)])
def test_a_spot_is_found_where_it_was(height, width):
    y, x = 0.3 * height, 0.6 * width
    rows, columns = np.mgrid[:height, :width]
    width_of_spot = min(height, width) / 16
    spot = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * width_of_spot**2))
    image = np.repeat((spot * 255).astype(np.uint8)[None, ..., None], 3, -1)
    letterbox = Letterbox((height, width), (256, 256))
    canvas = letterbox.resize(torch.from_numpy(image))[0, 0].numpy()
    (top, left), (inner_height, inner_width) = letterbox.before, letterbox.inner
    weights = np.zeros_like(canvas)
    inner = slice(top, top + inner_height), slice(left, left + inner_width)
    weights[inner] = canvas[inner] / canvas[inner].sum()
    centre = [(weights.sum(0) * np.arange(256)).sum(), (weights.sum(1) * np.arange(256)).sum()]
    back = letterbox.back(torch.tensor([centre]))[0]
    np.testing.assert_allclose(back, [x, y], atol=0.6)


def test_of_one_size_nothing_changes():
    image = torch.randint(0, 256, (1, 8, 16, 3), dtype=torch.uint8)
    letterbox = Letterbox((8, 16), (16, 8))
    assert torch.equal(letterbox.resize(image), image.permute(0, 3, 1, 2).float())
    assert torch.equal(letterbox.back(torch.ones(1, 2)), torch.ones(1, 2))
