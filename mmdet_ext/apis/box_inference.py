"""Inference of detectors of boxes, exported ones among them: what ``tools/infer.py`` does with them."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from mmdet_ext.apis.frame_sources import FrameSource, load_or_reason
from mmdet_ext.apis.infer import Inferred, begun, watched
from mmdet_ext.apis.prediction_writers import InferredFrame
from mmdet_ext.deploy.runtime import BoxPredictions, OnnxEngine
from mmdet_ext.utils.files import write_whole


@dataclass
class FoundBoxes:
    """What was found in one image.

    Attributes:
        record: As mmdet's ``DetInferencer`` words it: ``labels``, ``scores``, ``bboxes`` ...
        count: Number of boxes that count.
        picture: The image with them, RGB, ``(H, W, 3)``, uint8; None where none is wanted.
    """

    record: dict
    count: int
    picture: np.ndarray | None


def infer_boxes_with(
    find: Callable[[np.ndarray], FoundBoxes],
    source: FrameSource,
    out_dir: str,
    classes: Sequence[str],
    max_frames: int | None,
) -> Inferred:
    """Find boxes frame by frame, write the pictures, and list them as mmdet's ``DetInferencer`` does.

    Args:
        find: Takes an image, BGR, ``(H, W, 3)``, uint8.
        source: What to look at.
        out_dir: The folder to write to.
        classes: Names of what is looked for.
        max_frames: Look at no more than these.

    Returns:
        What came of it.

    Raises:
        OSError: The folder cannot be written to.
    """
    done, records = begun(source, max_frames, 'boxes'), {}
    with watched(done, out_dir, classes) as (outputs, stop, advance):
        for frame in islice(source.frames, max_frames):
            if stop.is_set():
                break
            image, reason = load_or_reason(frame)
            if image is None:
                done.skipped[frame.name] = reason
                continue
            found = find(image)
            records[frame.name] = found.record
            if found.picture is not None:
                drawn = InferredFrame(
                    frame.name,
                    *image.shape[1::-1],
                    predictions=None,
                    video=frame.video,
                    picture=found.picture,
                )
                outputs.write_picture(drawn)
                outputs.add_to_video(drawn)
            done.frames += 1
            done.found += found.count
            advance(done.frames + len(done.skipped))
    if records:
        write_whole(Path(out_dir) / 'predictions.json', json.dumps(records))
    return done


def infer_exported_boxes(
    engine: OnnxEngine,
    source: FrameSource,
    out_dir: str,
    score_thr: float,
    max_frames: int | None,
    pictures: bool = True,
) -> Inferred:
    """Run the exported file of a detector of boxes.

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

    def find(image: np.ndarray) -> FoundBoxes:
        boxes = engine(image)[0].above(score_thr)
        record = dict(
            labels=boxes.labels.tolist(), scores=boxes.scores.tolist(), bboxes=boxes.boxes.tolist()
        )
        picture = draw_boxes(image, boxes, engine)[..., ::-1] if pictures else None
        return FoundBoxes(record, len(boxes.scores), picture)

    return infer_boxes_with(find, source, out_dir, engine.classes, max_frames)


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
