"""Pictures during validation and testing."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from mmcv import imread
from mmdet.engine.hooks import DetVisualizationHook
from mmdet.registry import HOOKS
from mmdet.structures import DetDataSample
from mmengine.runner import Runner

from mmdet_ext.engine.training_state import trains


@HOOKS.register_module()
class ParkingSlotVisualizationHook(DetVisualizationHook):
    """Stock hook that shows the same few images at each validation, so that one can watch them.

    The visualization backends get the first image of every ``interval``-th batch, ``max_images`` at
    most, with the training iteration as the step. Testing does so too unless it shows pictures or
    writes them to ``test_out_dir``: then it draws every image. Parking data come as sequences of
    ``000000.jpg``, so pictures are called ``val_<img_id>_<stem>`` and files ``<img_id>_<stem>.jpg``.

    Args:
        draw: Draw at all.
        interval: Batches from one logged picture to the next.
        max_images: Logged pictures of one validation or test.
        kwargs: As for :class:`mmdet.engine.hooks.DetVisualizationHook`.
    """

    def __init__(self, draw: bool = True, interval: int = 8, max_images: int = 4, **kwargs) -> None:
        super().__init__(draw=draw, interval=interval, **kwargs)
        self.max_images = max_images

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict,
        outputs: Sequence[DetDataSample],
    ) -> None:
        """Log or show the first picture of a batch, if it is its turn."""
        self._log('val', runner, batch_idx, data_batch, outputs)

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict,
        outputs: Sequence[DetDataSample],
    ) -> None:
        """Write (``--show-dir``) or show (``--show``) the pictures of a batch, else log one."""
        if not self.show and self.test_out_dir is None:
            self._log('test', runner, batch_idx, data_batch, outputs)
            return
        for i, sample in enumerate(outputs if self.draw else ()):
            out_file = None
            if self.test_out_dir is not None:
                folder = Path(runner.work_dir, runner.timestamp, self.test_out_dir)
                out_file = str(folder / f'{_name(sample)}.jpg')
            self._add(_name(sample), _image(sample, data_batch, i), sample, out_file=out_file)

    def _log(
        self,
        kind: str,
        runner: Runner,
        batch_idx: int,
        data_batch: dict,
        outputs: Sequence[DetDataSample],
    ) -> None:
        turn, between = divmod(batch_idx, self.interval)
        if self.draw and not between and turn < self.max_images:
            sample = outputs[0]
            image, step = _image(sample, data_batch, 0), runner.iter if trains(runner) else 0
            self._add(f'{kind}_{_name(sample)}', image, sample, step=step)

    def _add(self, name: str, image: np.ndarray, sample: DetDataSample, **kwargs) -> None:
        self._visualizer.add_datasample(
            name,
            image,
            data_sample=sample,
            show=self.show,
            wait_time=self.wait_time,
            pred_score_thr=self.score_thr,
            **kwargs,
        )


def _image(sample: DetDataSample, data_batch: dict, index: int) -> np.ndarray:
    """Original image, RGB; where scenes are rendered it is made of the network input."""
    if Path(sample.img_path).is_file():
        return imread(sample.img_path, channel_order='rgb')
    inputs = data_batch['inputs']
    inputs = inputs[0] if isinstance(inputs[0], Sequence) else inputs  # test-time augmentation
    picture = inputs[index].permute(1, 2, 0).numpy()[..., ::-1].copy()
    back = np.linalg.inv(sample.homography_matrix)[:2]
    return cv2.warpAffine(picture, back, sample.ori_shape[1::-1])


def _name(sample: DetDataSample) -> str:
    return f'{sample.img_id:06d}_{Path(sample.img_path).stem}'
