"""Inference of the detectors of mmdet that find boxes."""

import numpy as np
from mmdet.apis import DetInferencer
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmdet_ext.apis.box_inference import FoundBoxes, infer_boxes_with
from mmdet_ext.apis.frame_sources import FrameSource
from mmdet_ext.apis.infer import Inferred
from mmdet_ext.apis.models import usable_device
from mmdet_ext.models.detectors import ParkingSlotDetector
from mmdet_ext.utils.checkpoint import check_checkpoint


def finds_parking_slots(cfg: Config) -> bool:
    """Whether a config's model is a :class:`ParkingSlotDetector`.

    Raises:
        ValueError: The config has no model.
    """
    if 'model' not in cfg:
        raise ValueError('the config has no `model`: name one that a detector was trained with.')
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    kind = MODELS.get(cfg.model.type)
    # What is not registered is said when it is built.
    return kind is None or issubclass(kind, ParkingSlotDetector)


def infer_boxes(
    cfg: Config,
    checkpoint: str,
    source: FrameSource,
    out_dir: str,
    device: str | None,
    score_thr: float,
    max_frames: int | None,
) -> Inferred:
    """Draw the boxes of any detector of mmdet, frame by frame, and write them as it words them."""
    check_checkpoint(MODELS.build(cfg.model), checkpoint)
    place = str(usable_device(device))
    detector = DetInferencer(cfg, checkpoint, device=place, show_progress=False)
    classes = detector.model.dataset_meta['classes']

    def find(image: np.ndarray) -> FoundBoxes:
        result = detector(image, return_vis=True, pred_score_thr=score_thr)
        record = result['predictions'][0]
        picture = np.ascontiguousarray(result['visualization'][0][..., ::-1])
        return FoundBoxes(record, sum(score >= score_thr for score in record['scores']), picture)

    return infer_boxes_with(find, source, out_dir, classes, max_frames)
