"""ParkingSlotVisualizer: which of a data sample's contents are drawn, in which frame."""

import cv2
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mmdet_ext.datasets import ParkingSlotDataset
from mmdet_ext.structures.predictions import ParkingSlotPredictions
from mmdet_ext.visualization import ParkingSlotVisualizer
from mmdet_ext.visualization.drawing import draw_predictions, draw_truth

SLOT = np.array([[[60.0, 260], [160, 260], [160, 60], [60, 60]]])
POINT = np.array([[60.0, 260]])
UP = np.array([[0.0, -1]])
LOOK = {key: ParkingSlotDataset.METAINFO[key] for key in ('classes', 'palette')}
T, L = 0, 1
SHAPE = np.array([T])
GREY = np.full((300, 300, 3), 90, np.uint8)


def tensors(**arrays):
    return InstanceData(
        **{key: torch.from_numpy(np.array(value)).float() for key, value in arrays.items()}
    )


def make_sample(truth=True, prediction=True, **meta):
    """Truth as the network sees it (twice as large), prediction in the original frame."""
    sample = DetDataSample(metainfo=dict(homography_matrix=np.diag([2.0, 2.0, 1])) | meta)
    if truth:
        sample.gt_instances = tensors(corners=SLOT * 2)
        sample.gt_instances.labels = torch.tensor([1])
        sample.gt_instances.occupied = torch.tensor([1])
        sample.gt_marking_points = tensors(points=POINT * 2, directions=UP)
        sample.gt_marking_points.shapes = torch.tensor([L])
    if prediction:
        sample.pred_instances = tensors(
            corners=[SLOT[0], SLOT[0] + 20], scores=[0.9, 0.2], occupied_scores=[0.1, 0.1]
        )
        sample.pred_instances.labels = torch.tensor([0, 0])
        sample.pred_marking_points = tensors(points=POINT, directions=UP, scores=[0.8])
        sample.pred_marking_points.shapes = torch.tensor([T])
    return sample


def picture(sample, tmp_path, **kwargs):
    out = tmp_path / 'out.png'
    ParkingSlotVisualizer(name='picture').add_datasample(
        'x', GREY, sample, out_file=str(out), **kwargs
    )
    return cv2.imread(str(out))[..., ::-1]


def expected_truth(**kwargs):
    return draw_truth(
        GREY,
        **LOOK,
        **dict(
            corners=SLOT,
            labels=np.array([1]),
            occupied=np.array([1]),
            points=POINT,
            directions=UP,
            shapes=np.array([L]),
        )
        | kwargs,
    )


def expected_prediction(directions=UP, shapes=SHAPE, metres_per_pixel=None):
    found = ParkingSlotPredictions(
        SLOT,
        np.array([0]),
        np.array([0.9]),
        np.array([0.1]),
        POINT,
        np.array([0.8]),
        directions,
        shapes,
    )
    return draw_predictions(GREY, found, **LOOK, metres_per_pixel=metres_per_pixel)


def test_truth_is_drawn_in_the_frame_of_the_original_image(tmp_path):
    drawn = picture(make_sample(prediction=False), tmp_path)
    np.testing.assert_array_equal(drawn, expected_truth())


def test_an_l_in_a_mirrored_input_points_along_the_mirror_of_its_other_arm(tmp_path):
    mirror = np.array([[-1.0, 0, 299], [0, 1, 0], [0, 0, 1]])
    sample = make_sample(prediction=False, homography_matrix=mirror)
    mirrored = SLOT * (-1, 1) + (299, 0)
    sample.gt_instances.corners = torch.from_numpy(mirrored[:, [1, 0, 3, 2]]).float()
    sample.gt_marking_points.points = torch.from_numpy(POINT * (-1, 1) + (299, 0)).float()
    sample.gt_marking_points.directions = torch.tensor([[-1.0, 0]])  # up is clockwise of it
    np.testing.assert_array_equal(picture(sample, tmp_path), expected_truth())


def test_predictions_below_the_threshold_are_not_drawn(tmp_path):
    drawn = picture(make_sample(truth=False), tmp_path, pred_score_thr=0.3)
    np.testing.assert_array_equal(drawn, expected_prediction())
    lower = picture(make_sample(truth=False), tmp_path, pred_score_thr=0.1)
    assert (lower != drawn).any()


@pytest.mark.parametrize('kinds', [('marking_points',), ('marking_points', 'directions')])
def test_kinds_of_label_that_the_data_lack_are_not_drawn(tmp_path, kinds):
    drawn = picture(make_sample(truth=False, label_kinds=kinds), tmp_path)
    directions = UP if 'directions' in kinds else None
    np.testing.assert_array_equal(drawn, expected_prediction(directions, shapes=None))


def test_the_scale_bar_comes_from_the_meta_information(tmp_path):
    drawn = picture(make_sample(truth=False, metres_per_pixel=0.02), tmp_path)
    np.testing.assert_array_equal(drawn, expected_prediction(metres_per_pixel=0.02))
    assert (drawn != expected_prediction()).any()


def test_truth_stands_left_of_the_prediction_each_with_a_caption(tmp_path):
    drawn = picture(make_sample(), tmp_path)
    panel = np.s_[4:304, 4:304], np.s_[4:304, 308:608]  # 4 pixels apart
    np.testing.assert_array_equal(drawn[panel[0]], expected_truth())
    np.testing.assert_array_equal(drawn[panel[1]], expected_prediction())
    captions = drawn[304:, 4:304].std(), drawn[304:, 308:608].std()
    assert min(captions) > 10
    only = picture(make_sample(), tmp_path, draw_gt=False)
    np.testing.assert_array_equal(only, expected_prediction())


def test_without_a_sample_the_image_is_shown_as_it_is(tmp_path):
    np.testing.assert_array_equal(picture(None, tmp_path), GREY)


@pytest.mark.parametrize('truth', [False, True])
def test_boxes_of_a_stock_detector_are_drawn_too(tmp_path, truth):
    sample = make_sample(truth, prediction=False)
    sample.pred_instances = tensors(bboxes=[[50.0, 60, 250, 200]], scores=[0.9])
    sample.pred_instances.labels = torch.tensor([0])
    visualizer = ParkingSlotVisualizer(name='boxes')
    visualizer.dataset_meta = LOOK
    out = tmp_path / 'out.png'
    visualizer.add_datasample('x', GREY, sample, out_file=str(out))
    drawn = cv2.imread(str(out))[..., ::-1]
    drawn = (
        drawn[4:304, 308:608] if truth else drawn[:, 300:]
    )  # mmdet leaves the place of the truth
    assert drawn.shape == GREY.shape
    for place in ((130, 50), (130, 250), (60, 150), (200, 150)):  # rows and columns of the edges
        around = drawn[place[0] - 3 : place[0] + 4, place[1] - 3 : place[1] + 4]
        assert (around != 90).any()
    assert (drawn[230:] == 90).all()
