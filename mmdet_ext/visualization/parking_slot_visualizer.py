"""The visualizer of slots and marking points."""

import mmcv
import numpy as np
from mmdet.registry import VISUALIZERS
from mmdet.structures import DetDataSample
from mmdet.visualization import DetLocalVisualizer
from mmengine.dist import master_only

from mmdet_ext.datasets.parking_slot_dataset import ParkingSlotDataset
from mmdet_ext.structures.marking_points import rotate_quarter, transform_directions
from mmdet_ext.structures.predictions import ParkingSlotPredictions
from mmdet_ext.structures.slots import transform_corners, transform_points

from .drawing import draw_predictions, draw_truth
from .montage import side_by_side


@VISUALIZERS.register_module()
class ParkingSlotVisualizer(DetLocalVisualizer):
    """Draws truth and prediction of a parking-slot data sample beside each other.

    For what is drawn see :func:`draw_predictions`; a scale bar needs ``metres_per_pixel`` among the
    meta information. Predicted boxes and samples of other data are drawn as mmdet draws them.
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
        sample = data_sample if data_sample is not None else DetDataSample()
        if not {'gt_marking_points', 'pred_marking_points'} & set(sample.keys()):
            super().add_datasample(
                name,
                image,
                data_sample,
                draw_gt=draw_gt,
                draw_pred=draw_pred,
                show=show,
                wait_time=wait_time,
                out_file=out_file,
                pred_score_thr=pred_score_thr,
                step=step,
            )
            return
        panels = {}
        if draw_gt and 'gt_marking_points' in sample:
            panels['truth'] = self._draw_truth(image, sample)
        if draw_pred and 'pred_instances' in sample:
            caption = f'prediction (score >= {pred_score_thr:g})'
            panels[caption] = self._draw_prediction(image, sample, pred_score_thr)
        drawn = next(iter(panels.values()), image)
        if len(panels) == 2:
            drawn = side_by_side(list(panels.values()), [[caption] for caption in panels])
        self.set_image(drawn)
        if show:
            self.show(drawn, win_name=name, wait_time=wait_time)
        if out_file is not None:
            mmcv.imwrite(drawn[..., ::-1], out_file)
        else:
            self.add_image(name, drawn, step)

    def _look(self, sample: DetDataSample) -> dict:
        meta = ParkingSlotDataset.METAINFO | (self.dataset_meta or {})
        return dict(
            classes=meta['classes'],
            palette=meta['palette'],
            metres_per_pixel=sample.metainfo.get('metres_per_pixel'),
        )

    def _draw_truth(self, image: np.ndarray, sample: DetDataSample) -> np.ndarray:
        back = np.linalg.inv(sample.metainfo.get('homography_matrix', np.eye(3)))
        slots, points = sample.gt_instances.cpu().numpy(), sample.gt_marking_points.cpu().numpy()
        directions, _ = transform_directions(
            points.directions, rotate_quarter(points.directions), points.shapes, back
        )
        return draw_truth(
            image,
            corners=transform_corners(slots.corners, back),
            labels=slots.labels,
            occupied=slots.occupied,
            points=transform_points(points.points, back),
            directions=directions,
            shapes=points.shapes,
            **self._look(sample),
        )

    def _draw_prediction(
        self, image: np.ndarray, sample: DetDataSample, score_thr: float
    ) -> np.ndarray:
        look, slots = self._look(sample), sample.pred_instances.cpu().numpy()
        if 'pred_marking_points' not in sample:  # of a stock detector
            boxes = sample.pred_instances[sample.pred_instances.scores >= score_thr].cpu()
            return self._draw_instances(image, boxes, look['classes'], look['palette'])
        points = sample.pred_marking_points.cpu().numpy()
        kinds = sample.metainfo.get('label_kinds', ('directions', 'shapes'))
        predictions = ParkingSlotPredictions(
            corners=slots.corners,
            labels=slots.labels,
            scores=slots.scores,
            occupied_scores=slots.occupied_scores,
            points=points.points,
            point_scores=points.scores,
            directions=points.directions if 'directions' in kinds else None,
            shapes=points.shapes if 'shapes' in kinds else None,
        )
        return draw_predictions(image, predictions.above(score_thr), **look)
