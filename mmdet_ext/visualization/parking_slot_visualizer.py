"""The visualizer of slots and marking points."""

import mmcv
import numpy as np
from mmdet.registry import VISUALIZERS
from mmdet.structures import DetDataSample
from mmdet.visualization import DetLocalVisualizer
from mmengine.dist import master_only

from mmdet_ext.structures.marking_points import transform_directions
from mmdet_ext.structures.slots import transform_corners, transform_points

from .drawing import draw_points, draw_slots

_PALETTE = [(64, 170, 255), (255, 170, 40), (190, 90, 255)]


@VISUALIZERS.register_module()
class ParkingSlotVisualizer(DetLocalVisualizer):
    """Draws truth (left) and prediction (right) of a parking-slot data sample.

    Slots are filled by type with a white entrance, occupied ones are crossed out; marking points are circles
    with their direction.
    """

    @master_only
    def add_datasample(
        self,
        name: str,
        image: np.ndarray,
        data_sample: DetDataSample | None = None,
        draw_gt: bool = True,
        draw_pred: bool = True,
        show: bool = False,
        wait_time: float = 0,
        out_file: str | None = None,
        pred_score_thr: float = 0.3,
        step: int = 0,
    ) -> None:
        """Draw one sample and show, save or log the picture.

        Args:
            name: Tag of the picture.
            image: Original image, RGB, ``(H, W, 3)``.
            data_sample: Truth in the frame of the network input, prediction in the original one.
            draw_gt: Draw the truth where there is one.
            draw_pred: Draw the prediction where there is one.
            show: Open a window.
            wait_time: Seconds the window stays; 0 waits for a key.
            out_file: File to write instead of logging to the backends.
            pred_score_thr: Lowest score of what is drawn.
            step: Step of the logged picture.
        """
        panels = []
        if draw_gt and data_sample is not None and 'gt_marking_points' in data_sample:
            panels.append(self._draw_truth(image, data_sample))
        if draw_pred and data_sample is not None and 'pred_instances' in data_sample:
            panels.append(self._draw_prediction(image, data_sample, pred_score_thr))
        drawn = np.concatenate(panels or [image], 1)
        self.set_image(drawn)
        if show:
            self.show(drawn, win_name=name, wait_time=wait_time)
        if out_file is not None:
            mmcv.imwrite(drawn[..., ::-1], out_file)
        else:
            self.add_image(name, drawn, step)

    def _palette(self) -> list:
        return self.dataset_meta.get('palette', _PALETTE) if self.dataset_meta else _PALETTE

    def _draw_truth(self, image: np.ndarray, sample: DetDataSample) -> np.ndarray:
        back = np.linalg.inv(sample.metainfo.get('homography_matrix', np.eye(3)))
        slots, points = sample.gt_instances.cpu().numpy(), sample.gt_marking_points.cpu().numpy()
        corners = transform_corners(slots.corners, back)
        image = draw_slots(image, corners, slots.labels, slots.occupied, self._palette())
        directions, _ = transform_directions(
            points.directions, points.directions, np.zeros_like(points.shapes), back
        )
        return draw_points(image, transform_points(points.points, back), directions)

    def _draw_prediction(
        self, image: np.ndarray, sample: DetDataSample, score_thr: float
    ) -> np.ndarray:
        slots = sample.pred_instances
        slots = slots[slots.scores >= score_thr].cpu().numpy()
        occupied = slots.occupied_scores >= 0.5
        image = draw_slots(image, slots.corners, slots.labels, occupied, self._palette())
        points = sample.pred_marking_points
        points = points[points.scores >= score_thr].cpu().numpy()
        trained = {'directions'} & set(sample.metainfo.get('label_kinds', ('directions',)))
        return draw_points(image, points.points, points.directions if trained else None)
