"""Class activation maps: closed forms, whose score is followed, where the map lies in the image."""

import sys
from functools import cache
from unittest import mock

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from stock_detectors import STOCK, stock_detector
from torch import nn

from mmdet_ext.apis.explain import explain
from mmdet_ext.apis.explain.alignment import align
from mmdet_ext.apis.explain.class_activation_maps import write_class_activation_maps
from mmdet_ext.apis.explain.layers import find_layers, tap
from mmdet_ext.apis.explain.methods import METHODS, gradient_maps
from mmdet_ext.apis.explain.predictions import instances_of, scores_again, select_predictions
from mmdet_ext.apis.explain.subject import Subject, predict, predict_with_gradients
from mmdet_ext.utils.configs import config_path


class LinearDetector(nn.Module):
    """Reports one box, whose logit is a weighted sum of the feature map of one convolution."""

    def __init__(self, weights, channels=1, stride=8):
        super().__init__()
        self.neck = nn.Conv2d(channels, weights.shape[0], stride, stride)
        self.register_buffer('weights', weights)
        self.detached = False

    def predict(self, inputs, samples):
        logits = (self.neck(inputs) * self.weights).flatten(1).sum(1)
        for sample, logit in zip(samples, logits, strict=True):
            score = logit.detach().sigmoid() if self.detached else logit.sigmoid()
            sample.pred_instances = InstanceData(
                scores=score[None],
                labels=torch.zeros(1, dtype=torch.long),
                bboxes=torch.tensor([[8.0, 8.0, 40.0, 40.0]]),
            )
        return samples


@pytest.fixture(scope='module')
def stock(tmp_path_factory):
    """Detectors of mmdet by name, each with an image."""
    return cache(lambda name: stock_detector(name, tmp_path_factory.mktemp('images')))


def subject_of(inputs, **meta):
    """An image of the size of the input, unless ``ori_shape`` says otherwise."""
    size = tuple(inputs.shape[-2:])
    meta = dict(ori_shape=size, img_shape=size) | meta
    image = np.zeros((*meta['ori_shape'], 3), np.uint8)
    return Subject('image', image, inputs, DetDataSample(metainfo=meta))


@pytest.fixture
def linear():
    """The detector at one pixel per cell, an image of 8 x 8 pixels and its features."""
    torch.manual_seed(1)
    model = LinearDetector(torch.randn(3, 8, 8) / 30, stride=1).eval()
    subject = subject_of(torch.randn(1, 1, 8, 8))
    features = model.neck(subject.inputs)[0].detach()
    return model, subject, features


def assert_proportional(heat, expected):
    expected = np.maximum(np.asarray(expected), 0)
    assert expected.max() > 0
    np.testing.assert_allclose(heat, expected / expected.max(), atol=1e-4)


def test_grad_cam_of_a_linear_score_is_the_features_weighted_by_their_mean_weights(linear):
    model, subject, features = linear
    [heat] = explain(model, subject, 'gradcam', score_threshold=0).maps
    assert_proportional(heat, torch.einsum('c,chw->hw', model.weights.mean((1, 2)), features))


def test_grad_cam_plus_plus_of_a_linear_score_is_equation_19_of_its_paper(linear):
    model, subject, features = linear
    [heat] = explain(model, subject, 'gradcam++', score_threshold=0).maps
    slopes, values = model.weights.double(), features.double()
    alpha = slopes**2 / (2 * slopes**2 + values.sum((1, 2), keepdim=True) * slopes**3 + 1e-6)
    weights = (alpha * slopes.clamp(min=0)).sum((1, 2))
    assert_proportional(heat, torch.einsum('c,chw->hw', weights, values))


def test_layer_cam_of_a_linear_score_is_the_features_times_their_positive_weights(linear):
    model, subject, features = linear
    [heat] = explain(model, subject, 'layercam', score_threshold=0).maps
    assert_proportional(heat, (model.weights.clamp(min=0) * features).sum(0))


def test_eigen_cam_is_the_first_singular_vector_of_the_centred_features(linear):
    model, subject, features = linear
    found = explain(model, subject, 'eigencam', score_threshold=0)
    rows = features.flatten(1).T.double().numpy()
    rows = rows - rows.mean(0)
    left, values, _ = np.linalg.svd(rows, full_matrices=False)
    first = left[:, 0] * values[0]
    first *= np.sign(first[np.abs(first).argmax()])
    assert_proportional(found.maps[0], first.reshape(8, 8))
    assert found.notes == [
        'EigenCAM looks at the features alone: the map is the same for every prediction.'
    ]


def test_ablation_cam_weighs_channels_by_the_share_of_the_score_that_goes_with_them(linear):
    model, subject, features = linear
    [heat] = explain(model, subject, 'ablationcam', score_threshold=0).maps
    parts = (model.weights * features).sum((1, 2))
    score = parts.sum().sigmoid()
    drops = (score - (parts.sum() - parts).sigmoid()) / score
    assert_proportional(heat, torch.einsum('c,chw->hw', drops, features))


def test_maps_of_several_layers_add_up_as_if_they_were_of_one_size():
    """Features of half the resolution, spread over twice the cells, explain the same as the spread ones."""

    class Upsampling(LinearDetector):
        def predict(self, inputs, samples):
            with mock.patch.object(self, 'neck', nn.Sequential(self.neck, self.spread)):
                return super().predict(inputs, samples)

    torch.manual_seed(0)
    model = Upsampling(torch.rand(3, 8, 8), stride=16)
    model.spread = nn.Upsample(scale_factor=2)
    subject = subject_of(torch.rand(1, 1, 64, 64))
    with tap({'coarse': model.neck, 'fine': model.spread}, (64, 64)) as activations:
        sample = predict_with_gradients(model, subject)
    score = sample.pred_instances.scores[0]
    [[coarse], [fine]] = gradient_maps('gradcam', model, activations, score)
    spread = coarse.repeat_interleave(2, 0).repeat_interleave(2, 1)
    torch.testing.assert_close(spread, fine, rtol=1e-4, atol=1e-6)


CROPPED = np.array([[0.5, 0, 3.75], [0, 0.5, 11.75], [0, 0, 1]])  # half the size, at (4, 12)


@pytest.mark.parametrize(
    'meta',
    [
        dict(scale_factor=(0.5, 0.5), pad_param=(12, 12, 4, 4)),
        dict(homography_matrix=CROPPED, img_shape=(64, 64)),
    ],
    ids=['scale and padding', 'homography'],
)
@pytest.mark.parametrize('method', METHODS)
def test_map_lies_on_the_quadrant_that_the_score_depends_on(method, meta):
    """An image of 112 x 80 is halved and letterboxed into 64 x 64; its upper right quadrant counts."""
    weights = torch.zeros(2, 16, 16)
    weights[0, 3:8, 8:15] = 1  # rows 12-32, columns 32-60 of the input
    model = LinearDetector(weights, stride=4).eval()
    with torch.no_grad():
        model.neck.weight.copy_(torch.tensor([1.0, 0.0])[:, None, None, None].expand(2, 1, 4, 4))
        model.neck.bias.zero_()
    inputs = torch.zeros(1, 1, 64, 64)
    inputs[..., 12:32, 32:60] = 0.001
    subject = subject_of(inputs, ori_shape=(80, 112), **meta)
    [heat] = explain(model, subject, method, score_threshold=0).maps
    assert heat.shape == (80, 112)
    inside = heat[:40, 56:]
    assert inside.sum() > 0.85 * heat.sum()  # the rest is half a cell of interpolation around it
    assert inside[4:36, 4:52].min() > 0.99
    assert heat[46:].max() == 0
    assert heat[:, :50].max() == 0


def test_aligned_map_has_the_value_of_the_place_that_the_pixel_went_to():
    columns = torch.arange(8).float().expand(8, 8)
    meta = dict(ori_shape=(100, 50), img_shape=(64, 32), scale_factor=(0.64, 0.64))
    [found] = align(columns[None], (64, 64), meta)
    inputs = 0.64 * (np.arange(50) + 0.5) - 0.5  # a cell of 8 pixels has its value at pixel 3.5
    expected = np.clip((inputs - 3.5) / 8, 0, None)
    np.testing.assert_allclose(found.numpy(), np.tile(expected, (100, 1)), atol=1e-5)


def test_aligned_map_is_zero_where_the_model_saw_nothing_of_the_image():
    shift = np.array([[1.0, 0, -10], [0, 1, 0], [0, 0, 1]])
    meta = dict(ori_shape=(32, 32), img_shape=(32, 32), homography_matrix=shift)
    [found] = align(torch.ones(1, 4, 4), (32, 32), meta)
    assert found[:, :10].max() == 0
    assert found[:, 10:].min() == 1


@pytest.mark.parametrize('name', STOCK)
def test_gradient_starts_at_the_score_that_the_detector_reports(name, stock):
    model, subject = stock(name)
    [plain] = predict(model, subject)
    sample = predict_with_gradients(model, subject)
    torch.testing.assert_close(sample.pred_instances.scores.detach(), plain.pred_instances.scores)
    torch.testing.assert_close(sample.pred_instances.bboxes.detach(), plain.pred_instances.bboxes)
    found = explain(model, subject, 'layercam', score_threshold=0, top_k=2)
    assert [p.score for p in found.predictions] == pytest.approx(
        plain.pred_instances.scores.sort(descending=True)[0][:2].tolist()
    )
    assert found.maps.shape == (2, 48, 64)
    assert found.maps.max((1, 2)) == pytest.approx([1, 1])


def reached(model, subject, head, row):
    """Raw outputs of a head that the score of a prediction depends on."""
    outputs = []
    handle = head.register_forward_hook(lambda *call: outputs.append(call[2]))
    sample = predict_with_gradients(model, subject)
    handle.remove()
    flat = []
    stack = [outputs[-1]]
    while stack:
        value = stack.pop(0)
        if isinstance(value, torch.Tensor):
            flat.append(value)
        else:
            stack = [*value, *stack]
    score = sample.pred_instances.scores[row]
    slopes = torch.autograd.grad(score, flat, allow_unused=True)
    used = [
        tensor[slope != 0]
        for tensor, slope in zip(flat, slopes, strict=True)
        if slope is not None and (slope != 0).any()
    ]
    return torch.cat(used).detach(), score.detach()


def test_score_of_retinanet_is_the_sigmoid_of_the_one_logit_that_its_gradient_reaches(stock):
    model, subject = stock('RetinaNet')
    logits, score = reached(model, subject, model.bbox_head, 3)
    torch.testing.assert_close(logits.sigmoid(), score[None])


def test_score_of_yolox_is_the_product_of_class_and_objectness_that_its_gradient_reaches(stock):
    model, subject = stock('YOLOX')
    logits, score = reached(model, subject, model.bbox_head, 3)
    assert len(logits) == 2
    torch.testing.assert_close(logits.sigmoid().prod(), score)


def test_score_of_faster_rcnn_is_in_the_softmax_of_the_region_that_its_gradient_reaches(stock):
    model, subject = stock('Faster R-CNN')
    logits, score = reached(model, subject, model.roi_head.bbox_head, 3)
    assert len(logits) == 4  # three classes and the background
    assert torch.isclose(logits.softmax(0), score).sum() == 1


def test_score_of_detr_is_in_the_softmax_of_the_query_that_its_gradient_reaches(stock):
    model, subject = stock('DETR')
    logits, score = reached(model, subject, model.bbox_head, 3)
    assert len(logits) == 4
    assert torch.isclose(logits.softmax(0), score).sum() == 1


@pytest.fixture
def parking():
    """Our detector, whose head says: a slot at row 16, between points at columns 2 and 18."""
    model = Config.fromfile(config_path('_base_/models/psd_yolo.py')).model
    model.backbone.widen_factor, model.neck.in_channels = 0.0625, [16, 32, 64]
    model.neck.out_channels = model.bbox_head.in_channels = model.bbox_head.feat_channels = 8
    init_default_scope('mmdet')
    model = MODELS.build(model).eval()
    points, slots = torch.zeros(1, 10, 32, 32), torch.zeros(1, 12, 32, 32)
    points[:, 0] = slots[:, 0] = -9 - torch.arange(1024.0).view(32, 32) / 1024  # hardly any peaks
    points[:, 2:5] = 1e-3
    points[0, 0, 16, 2], points[0, 0, 16, 18] = 2.0, 0.5
    slots[0, 0, 16, 10], slots[0, 3], slots[0, 6] = 1.0, 1.0, -1.0
    tied = (points, slots)
    model.bbox_head.forward = lambda x: tuple(t + 0 * sum(f.sum() for f in x) for t in tied)
    shape = dict(ori_shape=(256, 256), img_shape=(256, 256), homography_matrix=np.eye(3))
    return model, subject_of(torch.rand(1, 3, 256, 256), **shape)


def test_slot_is_explained_by_its_own_confidence_and_those_of_the_points_it_hangs_on(parking):
    model, subject = parking
    with tap({'bbox_head': model.bbox_head}, subject.input_size) as activations:
        sample = predict_with_gradients(model, subject)
    score = sample.pred_instances.scores[0]
    expected = torch.tensor([1.0, 2.0, 0.5]).sigmoid().prod() ** (1 / 3)
    assert score.item() == pytest.approx(expected.item())
    points, slots = torch.autograd.grad(score, [a.tensor for a in activations])
    assert points.nonzero().tolist() == [[0, 0, 16, 2], [0, 0, 16, 18]]
    assert slots.nonzero().tolist() == [[0, 0, 16, 10]]
    # d score / d logit = score (1 - p) / 3
    assert slots[0, 0, 16, 10].item() == pytest.approx(expected.item() * (1 - 0.731059) / 3, 1e-4)


def test_point_is_explained_by_its_own_confidence_and_never_by_what_is_not_a_number(parking):
    model, subject = parking
    found = explain(model, subject, 'layercam', target='points')
    assert [p.kind for p in found.predictions] == ['points', 'points']
    assert np.isfinite(found.maps).all()
    with tap({'bbox_head': model.bbox_head}, subject.input_size) as activations:
        sample = predict_with_gradients(model, subject)
    score = sample.pred_marking_points.scores[0]
    assert score.item() == pytest.approx(torch.tensor(2.0).sigmoid().item())
    [slopes] = torch.autograd.grad(score, [activations[0].tensor])
    assert slopes.nonzero().tolist() == [[0, 0, 16, 2]]


def test_same_prediction_is_found_again_in_another_pass(parking):
    model, subject = parking
    [sample] = predict(model, subject)
    chosen = select_predictions(instances_of(model, sample))
    assert [p.name for p in chosen] == ['slot 0', 'point 0', 'point 1']
    expected = [p.score for p in chosen]
    assert scores_again(model, sample, chosen).tolist() == pytest.approx(expected)
    sample.pred_instances.corners = sample.pred_instances.corners + 30
    sample.pred_marking_points.points = sample.pred_marking_points.points + 2
    again = scores_again(model, sample, chosen).tolist()
    assert again == pytest.approx([0, *expected[1:]])


def test_same_box_overlaps_by_half_and_is_of_the_same_class(linear):
    model, subject, _ = linear
    [sample] = predict(model, subject)
    [chosen] = select_predictions(instances_of(model, sample), score_threshold=0)
    for moved, label, same in ((8, 0, True), (16, 0, False), (0, 1, False)):
        instances = sample.pred_instances.clone()
        instances.bboxes = instances.bboxes + torch.tensor([moved, 0, moved, 0])
        instances.labels = instances.labels + label
        other = DetDataSample(metainfo=sample.metainfo, pred_instances=instances)
        [score] = scores_again(model, other, [chosen])
        assert score == pytest.approx(chosen.score if same else 0)


@pytest.mark.parametrize('method', METHODS)
def test_model_is_left_as_it_was(method, stock):
    model, subject = stock('Faster R-CNN')
    [before] = predict(model, subject)
    explain(model, subject, method, ['neck.fpn_convs.3'], score_threshold=0, top_k=1)
    [after] = predict(model, subject)
    assert torch.equal(before.pred_instances.scores, after.pred_instances.scores)
    assert not any(module._forward_hooks for module in model.modules())
    assert 'forward' not in vars(model.backbone)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_layer_is_tapped_before_the_next_one_overwrites_it():
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(inplace=True))
    inputs = torch.randn(1, 1, 8, 8)
    with tap({'conv': model[0], 'relu': model[1]}, (8, 8)) as activations:
        output = model(inputs)
    raw = model[0](inputs)
    assert raw.min() < 0
    torch.testing.assert_close([a.tensor for a in activations], [raw, raw.clamp(min=0)])
    torch.testing.assert_close(output, raw.clamp(min=0))


def test_tokens_of_swin_become_the_maps_that_the_backbone_returns(stock):
    model, subject = stock('RetinaNet on Swin')
    layers = find_layers(model, ['backbone.norm3', 'backbone.stages.3', 'backbone'])
    with tap(layers, subject.input_size) as activations:
        predict(model, subject)
    by_name = {}
    for activation in activations:
        by_name.setdefault(activation.layer, []).extend(activation.maps())
    assert [tuple(m.shape) for m in by_name['backbone.stages.3']] == [(1, 64, 3, 4)]
    torch.testing.assert_close(by_name['backbone.norm3'][0], by_name['backbone'][-1])


def test_tokens_of_several_levels_are_split_by_the_sizes_that_the_layer_is_called_with():
    class Encoder(nn.Module):
        def forward(self, query, spatial_shapes):
            return query

    first, second = torch.randn(1, 5, 3, 4), torch.randn(1, 5, 2, 2)
    tokens = torch.cat([first.flatten(2), second.flatten(2)], 2).transpose(1, 2)
    encoder = Encoder()
    with tap({'encoder': encoder}, (24, 32)) as activations:
        encoder(tokens, spatial_shapes=torch.tensor([[3, 4], [2, 2]]))
    torch.testing.assert_close(activations[0].maps(), [first, second])


@pytest.mark.parametrize('extra', [0, 1], ids=['patches', 'class token and patches'])
def test_tokens_are_laid_out_by_the_size_of_the_input(extra):
    grid = torch.randn(1, 5, 6, 4)
    tokens = torch.cat([torch.zeros(1, extra, 5), grid.flatten(2).transpose(1, 2)], 1)
    layer = nn.Identity()
    with tap({'layer': layer}, (90, 60)) as activations:  # 16 pixels per token, rounded up
        layer(tokens)
    torch.testing.assert_close(activations[0].maps(), [grid])


def test_channels_may_come_last():
    layer, tensor = nn.Identity(), torch.randn(1, 6, 4, 5)
    with tap({'layer': layer}, (96, 64)) as activations:
        layer(tensor)
    torch.testing.assert_close(activations[0].maps(), [tensor.permute(0, 3, 1, 2)])


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        (dict(layers=['nek']), r'no layer `nek` \(did you mean neck\?\): LinearDetector has neck;'),
        (dict(layers=['neck.0']), '`neck` has nothing; --list-layers'),
        (dict(layers=['pool']), r'`pool` returns \(1, 1, 1, 1\), which is no feature map'),
        (dict(layers=['idle']), 'the layer `idle` does not run: choose one'),
        (dict(method='cam'), "method is 'cam'; expected one of"),
        (dict(target='points'), "target is 'points', but this model predicts boxes"),
        (dict(target='cars'), "target is 'cars'; expected one of"),
        (dict(index=[0, 4]), 'index has 4, but of this image the model predicts 1 boxes'),
        (dict(score_threshold=0.99), r'scores 0.99 or more \(the best: 0\.\d+\)'),
    ],
)
def test_mistake_gets_one_sentence(linear, options, sentence):
    model, subject, _ = linear
    if options.get('layers', ['neck'])[0] in ('pool', 'idle'):
        model.pool, model.idle = nn.AdaptiveAvgPool2d(1), nn.Identity()
        run = model.predict
        model.predict = lambda x, samples: (model.pool(x), run(x, samples))[1]
    with pytest.raises(ValueError, match=sentence):
        explain(model, subject, **options)


def test_detector_without_gradients_still_has_eigen_and_ablation_cam(linear):
    model, subject, _ = linear
    model.detached = True
    with pytest.raises(
        ValueError, match=r'LinearDetector reports scores that are cut off .* eigencam'
    ):
        explain(model, subject, 'gradcam', score_threshold=0)
    for method in ('eigencam', 'ablationcam'):
        assert explain(model, subject, method, score_threshold=0).maps.max() == pytest.approx(1)


def test_score_that_does_not_depend_on_the_layer_has_an_empty_map_and_a_note(linear):
    model, subject, _ = linear
    model.other = nn.Conv2d(1, 2, 1)
    run = model.predict
    model.predict = lambda x, samples: (model.other(x), run(x, samples))[1]
    found = explain(model, subject, 'gradcam', ['other'], score_threshold=0)
    assert not found.maps.any()
    assert 'The map of box 0 is empty: nothing at other makes its score' in found.notes[0]


def test_missing_grad_cam_package_is_named_with_its_extra(linear, monkeypatch):
    model, subject, _ = linear
    monkeypatch.setitem(sys.modules, 'pytorch_grad_cam', None)
    with pytest.raises(ImportError, match=r"gradcam needs .* pip install 'mmdet_ext\[explain\]'"):
        explain(model, subject, 'gradcam', score_threshold=0)
    assert explain(model, subject, 'ablationcam', score_threshold=0).maps.any()


def test_each_prediction_has_a_picture_and_all_have_one(parking, tmp_path):
    model, subject = parking
    found = explain(model, subject, 'layercam')
    files = write_class_activation_maps(subject, found, str(tmp_path))
    names = ['all', 'slot0', 'point0', 'point1']
    assert [file.name for file in files] == [f'image_layercam_{name}.png' for name in names]
    same_for_all = explain(model, subject, 'eigencam')
    [file] = write_class_activation_maps(subject, same_for_all, str(tmp_path))
    assert file.name == 'image_eigencam_all.png'
