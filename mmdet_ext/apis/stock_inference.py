"""Inference of the detectors of mmdet that find boxes."""

import json
from itertools import islice
from pathlib import Path

import numpy as np
from mmdet.apis import DetInferencer
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmdet_ext.apis.frame_sources import FrameSource, load_or_reason
from mmdet_ext.apis.infer import Inferred, begun, watched
from mmdet_ext.apis.models import usable_device
from mmdet_ext.apis.prediction_writers import InferredFrame
from mmdet_ext.models.detectors import ParkingSlotDetector
from mmdet_ext.utils.checkpoint import check_checkpoint
from mmdet_ext.utils.files import write_whole


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
    done, found = begun(source, max_frames, 'boxes'), {}
    with watched(done, out_dir, detector.model.dataset_meta['classes']) as (
        outputs,
        stop,
        advance,
    ):
        for frame in islice(source.frames, max_frames):
            if stop.is_set():
                break
            image, reason = load_or_reason(frame)
            if image is None:
                done.skipped[frame.name] = reason
                continue
            result = detector(image, return_vis=True, pred_score_thr=score_thr)
            found[frame.name] = result['predictions'][0]
            drawn = InferredFrame(
                frame.name,
                *image.shape[1::-1],
                predictions=None,
                video=frame.video,
                picture=np.ascontiguousarray(result['visualization'][0][..., ::-1]),
            )
            outputs.write_picture(drawn)
            outputs.add_to_video(drawn)
            done.frames += 1
            done.found += sum(score >= score_thr for score in found[frame.name]['scores'])
            advance(done.frames + len(done.skipped))
    if found:
        write_whole(Path(out_dir) / 'predictions.json', json.dumps(found))
    return done
