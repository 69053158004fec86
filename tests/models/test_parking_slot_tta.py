"""Test-time augmentation: each copy's answer comes back in order, and their merging."""

import copy
import math

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS, TRANSFORMS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from torch import nn

from mmdet_ext import config_path
from mmdet_ext.models.dense_heads.psd_head import PSDHead
from mmdet_ext.models.task_modules.decoding import ENTRANCE_UNIT
from mmdet_ext.models.test_time_augs.merging import View, merge_views

COLOURS = np.array([[255, 0, 0], [255, 0, 0], [0, 255, 0], [0, 255, 0]])
"""Of the corners: what a camera sees tells front and rear apart, but not left and right."""
STRIDE = 8


def blobs(image, channel):
    """Centres of the two squares of a colour in an image ``(3, H, W)``, ``(2, 2)``."""
    bright = image[channel].numpy().astype(float) * (image[channel] > 30).numpy()
    rows, columns = np.nonzero(bright)
    assert len(rows), 'a corner is out of the picture'
    places = np.stack([columns, rows], -1)
    far = np.abs(places - places[0]).max(-1) > 12
    weights = bright[rows, columns]
    return np.array([np.average(places[k], 0, weights[k]) for k in (~far, far)])


@MODELS.register_module(force=True)
class SightedHead(PSDHead):
    """Finds one slot by the colours of its corners: as exact as pixels, whatever the view."""

    def forward(self, x):
        return tuple(torch.cat(maps) for maps in zip(*map(self.look, x[0]), strict=True))

    def look(self, image):
        front, rear = blobs(image, 0), blobs(image, 1)
        into = rear.mean(0) - front.mean(0)
        along = front[1] - front[0]
        if along[0] * into[1] - along[1] * into[0] > 0:  # p1 is the left one of who drives in
            front = front[::-1]
        depth = np.linalg.norm(into)
        size = [s // STRIDE for s in image.shape[-2:]]
        points, slots = torch.full((10, *size), -9.0), torch.full((12, *size), -9.0)
        for place in front:
            self.write(points, place, [*into / depth, 9, -9, -9, -9, -9])
        half = (front[1] - front[0]) / 2 / (ENTRANCE_UNIT * STRIDE)
        length = math.log(depth / (ENTRANCE_UNIT * STRIDE))
        self.write(slots, front.mean(0), [*half, *into / depth, length, -9, -9, 9, -9])
        slots[8] = 9  # occupied, wherever it is read
        return points[None], slots[None]

    def write(self, maps, place, values):
        cell = (place + 0.5) / STRIDE
        column, row = cell.astype(int)
        offset = cell - (column + 0.5, row + 0.5)
        maps[:, row, column] = torch.tensor([9, *offset, *values], dtype=maps.dtype)


@MODELS.register_module(force=True)
class ImageAsFeatures(nn.Module):
    """A backbone that passes the image on."""

    def forward(self, images):
        return (images,)


def slot_on(size, centre, entrance, depth, heading):
    """Corners of a slot ``(4, 2)`` and a picture of them."""
    along = np.array([math.cos(heading), math.sin(heading)])
    into = np.array([along[1], -along[0]])
    p1, p2 = centre - along * entrance / 2, centre + along * entrance / 2
    corners = np.array([p1, p2, p2 + depth * into, p1 + depth * into]).round()
    picture = np.zeros((*size[::-1], 3), np.uint8)
    for (x, y), colour in zip(corners.astype(int), COLOURS, strict=True):
        picture[y - 4 : y + 5, x - 4 : x + 5] = colour
    return corners, picture


def merged_answer(picture, size, sizes=()):
    """What the default's pipeline and the head above make of a picture."""
    init_default_scope('mmdet')
    cfg = Config.fromfile(config_path('ext/psd_yolo.py'))
    steps = cfg.tta_pipeline[2].transforms
    steps[0] = [dict(step, size=own) for own in (size, *sizes) for step in copy.deepcopy(steps[0])]
    for step in steps[0]:
        step['border_value'] = 0
    views = TRANSFORMS.build(cfg.tta_pipeline[2])
    height, width = picture.shape[:2]
    data = views(
        dict(
            img=picture, img_id=0, img_path='', img_shape=(height, width), ori_shape=(height, width)
        )
    )
    detector = dict(
        type='ParkingSlotDetector',
        data_preprocessor=dict(type='DetDataPreprocessor'),
        backbone=dict(type='ImageAsFeatures'),
        bbox_head=dict(
            type='SightedHead',
            num_classes=3,
            in_channels=3,
            point_level=0,
            point_stride=STRIDE,
            slot_level=0,
            slot_stride=STRIDE,
        ),
    )
    model = MODELS.build(dict(cfg.tta_model, module=detector)).eval()
    with torch.no_grad():
        (sample,) = model.test_step(pseudo_collate([data]))
    return sample


@pytest.mark.parametrize('heading', [0.3, 1.9, 3.6, 5.2])
def test_turned_mirrored_and_rescaled_copies_agree_on_the_order_of_corners(heading):
    corners, picture = slot_on((512, 512), (256, 256), 100, 150, heading)
    sample = merged_answer(picture, (256, 256), [(320, 320), (224, 224)])
    found = sample.pred_instances
    assert len(found) == 1
    assert found.labels.tolist() == [1]
    assert float(found.scores[0]) > 0.99  # all 24 copies found it in one place
    assert np.abs(found.corners[0].numpy() - corners).max() < 1
    points = sample.pred_marking_points
    assert len(points) == 2
    assert float(points.scores.min()) > 0.99
    order = np.linalg.norm(points.points[0].numpy() - corners[:2], axis=-1).argsort()
    assert np.abs(points.points.numpy() - corners[order]).max() < 1
    into = (corners[3] - corners[0]) / np.linalg.norm(corners[3] - corners[0])
    assert np.abs(points.directions.numpy() - into).max() < 0.03


def test_copies_whose_frame_cuts_a_slot_off_have_no_say():
    corners, picture = slot_on((400, 200), (200, 120), 60, 60, 0.2)
    views = [
        view(corners, 0.8),
        view(corners, 0.8, matrix=np.eye(3), size=(400, 200)),
        view(None, matrix=np.array([[1.0, 0, 0], [0, 1, -150], [0, 0, 1]]), size=(400, 200)),
    ]
    slots, _ = merge_views(views, 400, 200)
    assert slots.scores.tolist() == pytest.approx([0.8])
    views[2].matrix = None  # it shows the slot, but found none
    slots, _ = merge_views(views, 400, 200)
    assert slots.scores.tolist() == pytest.approx([0.8 * 2 / 3])
    assert picture.any()


def view(
    corners,
    score=0.9,
    weight=1.0,
    occupied=0.5,
    label=0,
    points=(),
    directions=None,
    shapes=None,
    **kwargs,
):
    """A view with at most one slot, and points as x, y, score."""
    count = 0 if corners is None else 1
    points = torch.tensor(points, dtype=torch.float32).reshape(-1, 3)
    slots = InstanceData(
        corners=torch.zeros(0, 4, 2) if corners is None else torch.tensor(corners[None]).float(),
        scores=torch.full((count,), score),
        labels=torch.full((count,), label),
        occupied_scores=torch.full((count,), occupied),
    )
    marks = InstanceData(
        points=points[:, :2], scores=points[:, 2], shapes=torch.arange(len(points))
    )
    if directions is not None:
        marks.directions, marks.shapes = torch.tensor([directions]), torch.tensor([shapes])
    return View(slots, marks, weight, **kwargs)


def merged_points(*views):
    _, points = merge_views(views, 600, 600)
    return points


def test_one_point_in_all_copies_is_averaged_by_score():
    merged = merged_points(view(None, points=[[10, 10, 0.9]]), view(None, points=[[12, 10, 0.6]]))
    assert merged.points.tolist() == [pytest.approx([(9 + 7.2) / 1.5, 10.0])]
    assert merged.scores.tolist() == pytest.approx([0.75])
    assert merged.shapes.tolist() == [0]


def test_what_few_copies_show_loses_score_and_the_rest_comes_first():
    merged = merged_points(
        view(None, points=[[10, 10, 0.7], [50, 10, 0.9]]), view(None, points=[[10, 11, 0.8]])
    )
    assert merged.scores.tolist() == pytest.approx([0.75, 0.45])
    assert merged.points[1].tolist() == [50, 10]


def test_weights_decide_between_models_that_disagree():
    square = np.array([[0.0, 100], [80, 100], [80, 0], [0, 0]])
    views = [view(square, 0.8, 3.0, 0.9, 0), view(square + 4.0, 0.8, 1.0, 0.1, 2)]
    slots, _ = merge_views(views, 600, 600)
    assert slots.corners[0].tolist() == (square + 1).tolist()
    assert slots.occupied_scores.tolist() == pytest.approx([0.7])
    assert slots.labels.tolist() == [0]
    assert slots.scores.tolist() == pytest.approx([0.8])
    slots, _ = merge_views([views[0], view(None, weight=1.0)], 600, 600)
    assert slots.scores.tolist() == pytest.approx([0.6])


def test_copies_vote_on_classes_and_directions():
    views = [
        view(None, points=[[10, 10, score]], directions=direction, shapes=shape)
        for score, direction, shape in (
            (0.9, [1.0, 0.0], 0),
            (0.6, [0.0, 1.0], 1),
            (0.5, [0.28, 0.96], 1),
        )
    ]
    merged = merged_points(*views)
    assert merged.shapes.tolist() == [1]
    assert merged.directions.tolist() == [pytest.approx([0.28, 0.96])]


def test_a_direction_is_one_of_those_found_at_its_place():
    views = [
        view(None, points=[[x, 10, 0.9]], directions=[0.8, y], shapes=0)
        for x, y in ((10, 0.6), (11, -0.6), (200, 0.0))  # the last lies between the first two
    ]
    merged = merged_points(*views)
    by_place = merged.directions[merged.points[:, 0].argsort()].tolist()
    assert by_place[0] in ([pytest.approx(0.8), pytest.approx(y)] for y in (0.6, -0.6))


@pytest.mark.parametrize(
    ('position', 'shown'),
    [((-0.5, -0.5), 1), ((9.5, 7.5), 1), ((-0.6, 3), 0), ((9.6, 3), 0), ((3, 7.6), 0)],
)
def test_a_copy_shows_what_lies_on_its_pixels(position, shown):
    place = torch.tensor([position])
    identity = view(None, matrix=np.eye(3), size=(10, 8))
    assert identity.shows(place).tolist() == [bool(shown)]
    assert view(None).shows(place).tolist() == [True]


def test_a_reversed_slot_is_another_slot():
    square = np.array([[200.0, 300], [280, 300], [280, 200], [200, 200]])
    slots, _ = merge_views([view(square), view(square[[1, 0, 3, 2]])], 600, 600)
    assert slots.scores.tolist() == pytest.approx([0.45, 0.45])


def test_radii_are_of_600_pixels():
    def count(height, gap):
        views = [view(None, points=[[10, 10, 0.9]]), view(None, points=[[10 + gap, 10, 0.9]])]
        return len(merge_views(views, height, height)[1])

    assert [count(600, 9), count(600, 11), count(300, 4), count(300, 6)] == [1, 2, 1, 2]


def test_nothing_merges_to_nothing():
    slots, points = merge_views([view(None), view(None)], 600, 600)
    assert len(slots) == len(points) == 0
    assert slots.bboxes.shape == (0, 4)


def test_the_boxes_are_those_of_the_merged_corners():
    square = np.array([[-20.0, 100], [80, 100], [80, 10], [-20, 10]])
    slots, _ = merge_views([view(square), view(square)], 600, 600)
    assert slots.bboxes.tolist() == [[0, 10, 80, 100]]


class Idle(nn.Module):
    """A detector that is not asked."""

    test_step = None


def test_a_sample_without_a_map_is_taken_to_show_everything():
    model = MODELS.build(dict(type='ParkingSlotTTAModel', module=Idle()))
    samples = []
    for score in (0.9, 0.7):
        own = view(None, points=[[10, 10, score]])
        sample = DetDataSample(metainfo=dict(ori_shape=(600, 600), img_shape=(256, 256)))
        sample.pred_instances, sample.pred_marking_points = own.slots, own.points
        samples.append(sample)
    (merged,) = model.merge_preds([samples])
    assert merged.pred_marking_points.scores.tolist() == pytest.approx([0.8])


def test_the_recipe_of_a_stock_detector_merges_what_mirrored_copies_show():
    init_default_scope('mmdet')
    cfg = Config.fromfile(config_path('ext/retinanet_parking_slots.py'))
    height, width = 300, 500
    data = TRANSFORMS.build(cfg.tta_pipeline[1])(
        dict(
            img=np.zeros((height, width, 3), np.uint8),
            img_id=0,
            img_path='',
            img_shape=(height, width),
            ori_shape=(height, width),
            instances=[],
        )
    )
    x1, y1, x2, y2 = 20.0, 30.0, 120.0, 90.0
    seen = {
        None: [x1, y1, x2, y2],
        'horizontal': [width - x2, y1, width - x1, y2],
        'vertical': [x1, height - y2, x2, height - y1],
        'diagonal': [width - x2, height - y2, width - x1, height - y1],
    }
    copies = data['data_samples']
    assert [sample.flip_direction for sample in copies] == list(seen)
    for sample, box in zip(copies, seen.values(), strict=True):
        sample.pred_instances = InstanceData(
            bboxes=torch.tensor([box]), scores=torch.tensor([0.9]), labels=torch.tensor([2])
        )
    model = MODELS.build(dict(cfg.tta_model, module=Idle()))
    (merged,) = model.merge_preds([copies])
    assert merged.pred_instances.bboxes.tolist() == [pytest.approx([x1, y1, x2, y2])]
    assert merged.pred_instances.labels.tolist() == [2]
