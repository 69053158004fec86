"""Pictures of slots and points: what is drawn where."""

import cv2
import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mmdet_ext.visualization import ParkingSlotVisualizer
from mmdet_ext.visualization.drawing import draw_points, draw_slots

SLOT = np.array([[20.0, 80], [60, 80], [60, 20], [20, 20]])
PALETTE = [(0, 200, 0), (200, 0, 0), (0, 0, 200)]
GREY = np.full((100, 100, 3), 90, np.uint8)


def test_slots_are_tinted_inside_and_untouched_outside():
    drawn = draw_slots(GREY, SLOT[None], [0], [0], PALETTE)
    np.testing.assert_array_equal(drawn[50, 40], [63, 123, 63])  # 0.7 grey + 0.3 green
    np.testing.assert_array_equal(drawn[50, 80], [90, 90, 90])
    assert (drawn[80, 30:50] == 255).all()  # the entrance
    assert not (drawn[20, 30:50] == 255).any()


def test_only_occupied_slots_are_crossed_out():
    free, unknown, taken = (draw_slots(GREY, SLOT[None], [0], [o], PALETTE) for o in (0, -1, 1))
    np.testing.assert_array_equal(free, unknown)
    assert (taken[50, 40] != free[50, 40]).any()


def test_points_show_their_direction():
    drawn = draw_points(GREY.copy(), np.array([[50.0, 50]]), np.array([[1.0, 0.0]]))
    assert (drawn[50, 54] != 90).any()
    assert (drawn[50, 46] == 90).all()


def test_corners_far_outside_do_not_break_the_drawing():
    far = SLOT + np.array([[0, 0], [0, 0], [1e7, 0], [0, -1e7]])
    assert draw_slots(GREY, far[None], [0], [1], PALETTE).shape == GREY.shape


def test_truth_and_prediction_stand_side_by_side_in_the_original_frame(tmp_path):
    sample = DetDataSample()
    doubled = torch.from_numpy(SLOT * 2).float()[None]  # truth is in the frame of the input
    sample.gt_instances = InstanceData(
        corners=doubled, labels=torch.tensor([0]), occupied=torch.tensor([0])
    )
    nothing = torch.zeros(0, 2)
    sample.gt_marking_points = InstanceData(
        points=nothing, directions=nothing, shapes=torch.zeros(0).long()
    )
    sample.pred_instances = InstanceData(
        corners=torch.from_numpy(SLOT).float()[None] + 30,
        labels=torch.tensor([0]),
        scores=torch.tensor([0.9]),
        occupied_scores=torch.tensor([0.1]),
    )
    sample.pred_marking_points = InstanceData(
        points=nothing, directions=nothing, scores=torch.zeros(0)
    )
    sample.set_metainfo(dict(homography_matrix=np.diag([2.0, 2.0, 1.0])))
    out = tmp_path / 'out.png'
    ParkingSlotVisualizer(name='picture').add_datasample('x', GREY, sample, out_file=str(out))
    picture = cv2.imread(str(out))
    assert picture.shape == (100, 200, 3)
    assert (picture[50, 40] != 90).any()  # truth, left
    assert (picture[50, 140] == 90).all()
    assert (picture[70, 170] != 90).any()  # prediction, right, 30 pixels further
