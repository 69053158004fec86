"""Inference of exported detectors of boxes: what ``tools/infer.py`` does with their files."""

import json
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from mmdet_ext.apis.frame_sources import FrameSource, load_or_reason
from mmdet_ext.apis.infer import Inferred, begun, watched
from mmdet_ext.apis.prediction_writers import InferredFrame
from mmdet_ext.deploy.runtime import BoxPredictions, OnnxEngine
from mmdet_ext.utils.files import write_whole


def infer_exported_boxes(
    engine: OnnxEngine,
    source: FrameSource,
    out_dir: str,
    score_thr: float,
    max_frames: int | None,
    pictures: bool = True,
) -> Inferred:
    """Find boxes frame by frame, draw them, and list them as mmdet's ``DetInferencer`` does.

    Args:
        engine: Of a file of ``kind`` boxes.
        source: What to look at.
        out_dir: The folder to write to.
        score_thr: Boxes below this score are left out.
        max_frames: Look at no more than these.
        pictures: Write annotated pictures and videos, too.

    Returns:
        What came of it.

    Raises:
        OSError: The folder cannot be written to.
    """
    done, found = begun(source, max_frames, 'boxes'), {}
    with watched(done, out_dir, engine.classes) as (outputs, stop, advance):
        for frame in islice(source.frames, max_frames):
            if stop.is_set():
                break
            image, reason = load_or_reason(frame)
            if image is None:
                done.skipped[frame.name] = reason
                continue
            boxes = engine(image)[0].above(score_thr)
            found[frame.name] = dict(
                labels=boxes.labels.tolist(),
                scores=boxes.scores.tolist(),
                bboxes=boxes.boxes.tolist(),
            )
            if pictures:
                picture = draw_boxes(image, boxes, engine)[..., ::-1]
                size = image.shape[1::-1]
                drawn = InferredFrame(
                    frame.name, *size, predictions=None, video=frame.video, picture=picture
                )
                outputs.write_picture(drawn)
                outputs.add_to_video(drawn)
            done.frames += 1
            done.found += len(boxes.scores)
            advance(done.frames + len(done.skipped))
    if found:
        write_whole(Path(out_dir) / 'predictions.json', json.dumps(found))
    return done


def draw_boxes(image: np.ndarray, boxes: BoxPredictions, engine: OnnxEngine) -> np.ndarray:
    """Draw boxes with class and score.

    Args:
        image: BGR, ``(H, W, 3)``, uint8.
        boxes: What was found in it.
        engine: Knows classes and colours.

    Returns:
        A new image, BGR.
    """
    drawn = np.ascontiguousarray(image.copy())
    for box, score, label in zip(boxes.boxes, boxes.scores, boxes.labels, strict=True):
        left, top, right, bottom = (round(float(side)) for side in box)
        colour = tuple(int(channel) for channel in engine.palette[label][::-1])
        cv2.rectangle(drawn, (left, top), (right, bottom), colour, 2)
        text = f'{engine.classes[label]} {score:.2f}'
        place = left + 3, max(top + 14, 14)
        for shade, width in (((0, 0, 0), 3), ((255, 255, 255), 1)):
            cv2.putText(drawn, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, shade, width)
    return drawn
