"""Pictures during validation and testing."""

from collections.abc import Sequence
from pathlib import Path

from mmcv import imread
from mmdet.engine.hooks import DetVisualizationHook
from mmdet.registry import HOOKS
from mmdet.structures import DetDataSample
from mmengine.runner import Runner


@HOOKS.register_module()
class ParkingSlotVisualizationHook(DetVisualizationHook):
    """Stock hook whose test pictures keep apart images of one name in several folders.

    Parking data come as sequences of ``000000.jpg``; pictures are written as
    ``<img_id>_<stem>.jpg`` instead of overwriting each other.
    """

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict,
        outputs: Sequence[DetDataSample],
    ) -> None:
        """Write (``--show-dir``) or show (``--show``) the pictures of a batch."""
        if not self.draw or self.test_out_dir is None:
            super().after_test_iter(runner, batch_idx, data_batch, outputs)
            return
        folder = Path(runner.work_dir, runner.timestamp, self.test_out_dir)
        for sample in outputs:
            self._visualizer.add_datasample(
                'test_img',
                imread(sample.img_path, channel_order='rgb'),
                data_sample=sample,
                show=self.show,
                wait_time=self.wait_time,
                pred_score_thr=self.score_thr,
                out_file=str(folder / f'{sample.img_id:06d}_{Path(sample.img_path).stem}.jpg'),
            )
