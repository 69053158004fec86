"""Feature maps: what is tapped is what the layer computed; how channels are brought down to pictures."""

import cv2
import numpy as np
import pytest
import torch
from stock_detectors import stock_detector

from mmdet_ext.apis.explain import feature_maps, list_layers, write_feature_maps
from mmdet_ext.apis.explain.feature_maps import draw_feature_maps, reduce_channels
from mmdet_ext.apis.explain.projection import principal_components
from mmdet_ext.apis.explain.subject import predict
from mmdet_ext.visualization.canvas import enlarged


@pytest.fixture(scope='module')
def detector(tmp_path_factory):
    """A narrow RetinaNet, and an image of 64 x 48 pixels that it gets as 128 x 96."""
    return stock_detector('RetinaNet', tmp_path_factory.mktemp('image'))


@pytest.fixture
def features():
    return torch.randn(5, 6, 7, generator=torch.Generator().manual_seed(0))


def stretched(values):
    low, high = values.min((-2, -1), keepdims=True), values.max((-2, -1), keepdims=True)
    return (values - low) / (high - low)


def test_feature_maps_are_what_the_layers_return(detector):
    model, subject = detector
    found = feature_maps(model, subject, ['backbone.layer2', 'neck'])
    with torch.no_grad():
        pyramid = model.backbone(subject.inputs)
        expected = [pyramid[1], *model.neck(pyramid)[:4]]  # the fifth has one cell and no places
    assert [a.layer for a in found] == ['backbone.layer2'] + 4 * ['neck']
    torch.testing.assert_close([a.tensor for a in found], expected)


def test_tapping_neither_changes_what_the_model_says_nor_stays_behind(detector):
    model, subject = detector
    [before] = predict(model, subject)
    every_layer = [name for name, *_ in list_layers(model, subject)]
    feature_maps(model, subject, every_layer)
    [after] = predict(model, subject)
    assert torch.equal(before.pred_instances.scores, after.pred_instances.scores)
    assert not any(module._forward_hooks for module in model.modules())


def test_layers_are_listed_with_the_sizes_of_their_maps(detector):
    rows = {name: row for name, *row in list_layers(*detector)}
    assert rows['backbone.layer4'] == ['ResLayer', '64 x 3 x 4']
    assert rows['neck.fpn_convs.0'] == ['ConvModule', '16 x 12 x 16']
    assert rows['neck'] == ['FPN', *(f'16 x {s}' for s in ('12 x 16', '6 x 8', '3 x 4', '2 x 2'))]
    assert 'bbox_head.loss_cls' not in rows


@pytest.mark.parametrize(('how', 'reduce'), [('mean', np.mean), ('max', np.max)])
def test_mean_and_max_are_taken_over_channels_at_each_place(features, how, reduce):
    maps, names = reduce_channels(features, how)
    np.testing.assert_allclose(maps, stretched(reduce(features.numpy(), 0))[None], atol=1e-6)
    assert names == [f'{how} of 5 channels']


def test_colours_are_the_first_three_principal_components(features):
    rows = features.flatten(1).T.double().numpy()
    left, values, _ = np.linalg.svd(rows - rows.mean(0), full_matrices=False)
    expected = (left * values)[:, :3].T
    expected *= np.sign(expected[np.arange(3), np.abs(expected).argmax(1)])[:, None]
    found = principal_components(features, 3)
    np.testing.assert_allclose(found.flatten(1), expected, atol=1e-5)
    maps, _ = reduce_channels(features, 'pca')
    np.testing.assert_allclose(maps, stretched(expected.reshape(3, 6, 7)), atol=1e-5)


def test_components_beyond_the_number_of_channels_are_zero():
    assert principal_components(torch.randn(1, 3, 3), 3)[1:].abs().max() == 0


def test_grid_has_the_channels_that_vary_most(features):
    features = features * torch.tensor([1.0, 5, 0, 3, 4])[:, None, None] + 100
    maps, names = reduce_channels(features, 'grid', 3)
    assert names == ['channel 1', 'channel 4', 'channel 3']
    np.testing.assert_allclose(maps, stretched(features.numpy()[[1, 4, 3]]), atol=1e-4)


def test_constant_channels_are_drawn_dark_instead_of_as_noise():
    maps, _ = reduce_channels(torch.full((2, 3, 3), 7.0), 'grid', 5)
    assert maps.tolist() == torch.zeros(2, 3, 3).tolist()


def test_picture_of_components_has_the_image_beside_them_pixel_by_pixel(detector):
    _, subject = detector
    features = torch.zeros(3, 12, 16)
    features[0, :, 12:] = 9.0  # the right quarter of the image
    features[1, 9:] = 1.0  # the lower quarter
    picture = draw_feature_maps(subject, features, 'pca', 1, 'title')
    height, width = 6 * 48, 6 * 64  # enlarged
    image, colours = np.split(picture[4 : 4 + height, 4 : 8 + 2 * width], [width], 1)
    np.testing.assert_array_equal(image, enlarged(subject.image)[0])
    red, green, _ = colours[:, 4:].transpose(2, 0, 1)
    assert (red[:, 6 * 51 :] == 255).all()
    assert (red[:, : 6 * 45] == 0).all()
    assert (green[6 * 39 :] == 255).all()
    assert (green[: 6 * 33] == 0).all()


@pytest.mark.parametrize('how', ['grid', 'mean', 'max', 'pca'])
def test_each_map_of_a_layer_is_written_as_a_picture(detector, how, tmp_path):
    model, subject = detector
    found = feature_maps(model, subject, ['backbone.layer3', 'backbone'])
    files = write_feature_maps(subject, found, how, 4, str(tmp_path))
    layers = ['backbone.layer3', *(f'backbone_{i}' for i in range(4))]
    assert [file.name for file in files] == [f'noise_{how}_{layer}.png' for layer in layers]
    assert all(cv2.imread(str(file)).std() > 10 for file in files)


@pytest.mark.parametrize(
    ('how', 'channels', 'sentence'),
    [
        ('sum', 1, r"reduce is 'sum'; expected one of \('grid', 'mean', 'max', 'pca'\)\."),
        ('grid', 0, r'channels is 0; expected at least 1\.'),
    ],
)
def test_mistake_gets_one_sentence(features, how, channels, sentence):
    with pytest.raises(ValueError, match=sentence):
        reduce_channels(features, how, channels)
