"""Regions cut out of feature maps, compared with loops over cells in float64."""

import math

import numpy as np
import pytest
import torch
from mmdet.models import SingleRoIExtractor

from mmdet_ext.models.roi_heads import TorchvisionRoIExtractor

STRIDES = (4, 8, 16)
ROIS = torch.tensor(
    [
        [0, 10.3, 20.7, 60.2, 50.9],  # each of a size for another map
        [1, 5.0, 1.0, 150.0, 118.0],
        [0, 0.0, 0.0, 300.0, 240.0],
        [1, 33.0, 40.0, 33.0, 40.0],  # a point
        [0, -30.0, -20.0, 20.0, 14.0],  # partly outside
        [1, 400.0, 400.0, 460.0, 450.0],  # wholly outside
    ],
    dtype=torch.float64,
)


def maps(seed=0, channels=3):
    generator = torch.Generator().manual_seed(seed)
    sizes = [(256 // stride, 320 // stride) for stride in STRIDES]
    return [
        torch.randn(2, channels, *size, generator=generator, dtype=torch.float64) for size in sizes
    ]


def extractor(kind=TorchvisionRoIExtractor, out_channels=3, **roi_layer):
    return kind(roi_layer, out_channels, STRIDES)


def level_of(roi):
    side = math.sqrt((roi[3] - roi[1]) * (roi[4] - roi[2]))
    return min(max(math.floor(math.log2(side / 56 + 1e-6)), 0), len(STRIDES) - 1)


def pooled(feature, roi, scale, size):
    """RoI pooling as in Fast R-CNN: the largest value of each cell of whole places."""
    height, width = feature.shape[-2:]
    x1, y1, x2, y2 = (
        math.copysign(math.floor(abs(value) * scale + 0.5), value) for value in roi[1:]
    )
    cell_w, cell_h = max(x2 - x1 + 1, 1) / size, max(y2 - y1 + 1, 1) / size
    result = np.zeros((feature.shape[0], size, size))
    for i, j in np.ndindex(size, size):
        top, bottom = math.floor(i * cell_h) + y1, math.ceil((i + 1) * cell_h) + y1
        left, right = math.floor(j * cell_w) + x1, math.ceil((j + 1) * cell_w) + x1
        top, bottom = (int(min(max(value, 0), height)) for value in (top, bottom))
        left, right = (int(min(max(value, 0), width)) for value in (left, right))
        if bottom > top and right > left:
            result[:, i, j] = feature[:, top:bottom, left:right].max((1, 2))
    return result


def interpolated(feature, y, x):
    height, width = feature.shape[-2:]
    if not (-1 <= y <= height and -1 <= x <= width):
        return np.zeros(feature.shape[0])
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    upper = (left + 1 - x) * feature[:, top, left] + (x - left) * feature[:, top, right]
    lower = (left + 1 - x) * feature[:, bottom, left] + (x - left) * feature[:, bottom, right]
    return (top + 1 - y) * upper + (y - top) * lower


def aligned(feature, roi, scale, size, reduce):
    """RoI alignment: ``reduce`` of four samples in each cell."""
    x1, y1, x2, y2 = (value * scale - 0.5 for value in roi[1:])
    cell_w, cell_h = (x2 - x1) / size, (y2 - y1) / size
    result = np.zeros((feature.shape[0], size, size))
    for i, j in np.ndindex(size, size):
        samples = [
            interpolated(feature, y1 + (i + a) * cell_h, x1 + (j + b) * cell_w)
            for a in (0.25, 0.75)
            for b in (0.25, 0.75)
        ]
        result[:, i, j] = reduce(samples, 0)
    return result


def reference(features, cut, *args):
    results = []
    for roi in ROIS.tolist():
        level = level_of(roi)
        feature = features[level][int(roi[0])].numpy()
        results.append(cut(feature, roi, 1 / STRIDES[level], *args))
    return torch.from_numpy(np.stack(results))


@pytest.mark.parametrize('size', [7, 2])
def test_roi_pooling_takes_the_largest_value_of_each_rounded_cell(size):
    for seed in range(3):
        features = maps(seed)
        cut = extractor(type='RoIPool', output_size=size)(features, ROIS)
        expected = reference(features, pooled, size)
        torch.testing.assert_close(cut, expected, rtol=0, atol=0)
        assert (expected[:3] != 0).all()


def test_roi_pooling_passes_the_gradient_to_the_largest_value():
    features = [feature.requires_grad_() for feature in maps(channels=1)]
    rois = ROIS[[0, 1, 2, 4]]
    layer = extractor(type='RoIPool', output_size=2, out_channels=1)
    cut = layer(features, rois)
    cut.sum().backward()
    for feature in features:
        counts = feature.grad.round()
        torch.testing.assert_close(counts, feature.grad)  # how many cells a place is the largest of
    total = sum((feature * feature.grad).sum() for feature in features)
    assert total.item() == pytest.approx(cut.sum().item())


@pytest.mark.parametrize(('mode', 'reduce'), [('max', np.max), ('avg', np.mean)])
def test_stock_roi_alignment_by_four_samples_runs_on_the_cpu_with_max_and_mean(mode, reduce):
    features = maps()
    options = dict(type='RoIAlign', output_size=3, sampling_ratio=2, pool_mode=mode)
    cut = extractor(SingleRoIExtractor, **options)(features, ROIS)
    torch.testing.assert_close(cut, reference(features, aligned, 3, reduce))


def test_stock_maximum_of_samples_passes_the_gradient():
    options = dict(type='RoIAlign', output_size=2, sampling_ratio=2, pool_mode='max')
    layer = extractor(SingleRoIExtractor, out_channels=1, **options)
    features = [feature.requires_grad_() for feature in maps(channels=1)]
    cut = layer(features, ROIS)
    cut.sum().backward()
    # Interpolation is linear, so that a map times its gradient is what was cut out.
    total = sum((feature * feature.grad).sum() for feature in features)
    assert total.item() == pytest.approx(cut.sum().item())


@pytest.mark.parametrize('sampling_ratio', [0, 2])
def test_roi_alignment_is_that_of_the_stock_extractor(sampling_ratio):
    options = dict(type='RoIAlign', output_size=3, sampling_ratio=sampling_ratio)
    ours, stock = extractor(**options), extractor(SingleRoIExtractor, **options)
    torch.testing.assert_close(ours(maps(), ROIS), stock(maps(), ROIS))
    scaled = ours(maps(), ROIS, roi_scale_factor=1.5), stock(maps(), ROIS, roi_scale_factor=1.5)
    torch.testing.assert_close(*scaled)


@pytest.mark.parametrize(
    ('name', 'options'), [('PSRoIPool', {}), ('PSRoIAlign', {'sampling_ratio': 2})]
)
def test_position_sensitive_layers_give_a_channel_of_their_own_to_each_cell(name, options):
    features = [
        torch.arange(8.0)[None, :, None, None].expand(2, 8, *feature.shape[-2:]).contiguous()
        for feature in maps()
    ]
    layer = extractor(type=name, output_size=2, out_channels=2, **options)
    cut = layer(features, ROIS[:1].float())
    torch.testing.assert_close(cut[0], torch.arange(8.0).reshape(2, 2, 2))


@pytest.mark.parametrize('name', ['RoIPool', 'RoIAlign'])
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_features_are_cut_where_single_precision_ones_are(name, dtype):
    features = [feature.to(dtype) for feature in maps()]
    layer = extractor(type=name, output_size=3)
    rois = ROIS.float() + torch.tensor([0, 1.3, 1.3, 1.3, 1.3])
    cut = layer(features, rois)
    assert cut.dtype == dtype
    full = layer([feature.float() for feature in features], rois)
    torch.testing.assert_close(cut, full.to(dtype), rtol=0, atol=0)
    with torch.autocast('cpu', torch.bfloat16):
        torch.testing.assert_close(layer(features, rois), cut, rtol=0, atol=0)


def test_no_regions_give_no_values_and_a_gradient_of_zero():
    features = [feature.requires_grad_() for feature in maps()]
    cut = extractor(type='RoIPool', output_size=3)(features, ROIS[:0])
    assert cut.shape == (0, 3, 3, 3)
    cut.sum().backward()
    assert all(feature.grad.abs().max() == 0 for feature in features)


def test_a_layer_that_torchvision_does_not_have_is_named_with_the_nearest():
    with pytest.raises(ValueError, match=r"no roi_layer 'RoiPol' \(did you mean RoIPool"):
        extractor(type='RoiPol', output_size=7)
