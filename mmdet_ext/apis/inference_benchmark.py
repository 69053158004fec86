"""Speed of detection on files beside that of the network alone."""

import itertools
import math
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mmdet_ext.apis.frame_sources import open_frames
from mmdet_ext.apis.inferencer import ParkingSlotInferencer
from mmdet_ext.apis.prediction_writers import PredictionOutputs

_KEPT = 64  # prepared images in memory


@dataclass
class InferenceSpeed:
    """Medians over the repeats.

    Attributes:
        forward: Images/s of the batched network alone: prepared inputs to predictions, with torch's
            own threads.
        end_to_end: Images/s from files to files.
        ratio: The latter over the former, each pair measured one after the other.
        forward_cpu: CPU milliseconds per image of the network alone.
        end_to_end_cpu: Likewise from files to files.
    """

    forward: float
    end_to_end: float
    ratio: float
    forward_cpu: float
    end_to_end_cpu: float


def benchmark_inference_on_files(
    inferencer: ParkingSlotInferencer, folder: str | Path, batch_size: int = 8, repeats: int = 3
) -> InferenceSpeed:
    """Compare detection on files, annotated pictures included, with the network alone.

    Args:
        inferencer: What to measure.
        folder: Images, see :func:`~mmdet_ext.apis.frame_sources.open_frames`.
        batch_size: Images that the network sees at a time.
        repeats: How often each of the two is measured, in turn.

    Returns:
        The speeds.

    Raises:
        FileNotFoundError: There is no image.
    """
    engine, count = inferencer.engine, open_frames(folder).total
    images = [frame.load() for frame in itertools.islice(open_frames(folder).frames, _KEPT)]
    prepared = [engine.prepare(image) for image in images]
    batches = [prepared[i : i + batch_size] for i in range(0, len(prepared), batch_size)]

    def forward() -> int:
        again = itertools.islice(itertools.cycle(batches), math.ceil(count / batch_size))
        return sum(len(engine.predict(batch)) for batch in again)

    def end_to_end() -> int:
        with (
            tempfile.TemporaryDirectory() as out,
            PredictionOutputs(out, engine.classes) as outputs,
        ):
            stream = inferencer.stream(
                folder, batch_size=batch_size, draw=True, on_frame=outputs.write_picture
            )
            for frame in stream:
                outputs.add(frame)
            return count

    forward()  # what is set up once
    pairs = [(_timed(forward), _timed(end_to_end)) for _ in range(repeats)]
    alone, whole = (list(each) for each in zip(*pairs, strict=True))
    return InferenceSpeed(
        forward=statistics.median(rate for rate, _ in alone),
        end_to_end=statistics.median(rate for rate, _ in whole),
        ratio=statistics.median(b[0] / a[0] for a, b in pairs),
        forward_cpu=statistics.median(cpu for _, cpu in alone),
        end_to_end_cpu=statistics.median(cpu for _, cpu in whole),
    )


def _timed(call: Callable[[], int]) -> tuple[float, float]:
    """Images/s and CPU milliseconds per image of a call that returns how many images it did."""
    start, cpu = time.perf_counter(), time.process_time()
    images = call()
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    return images / seconds, 1e3 * cpu / images
