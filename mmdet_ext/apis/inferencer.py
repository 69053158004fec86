"""Detection of parking slots in whatever there is to look at: the Python face."""

import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any

import cv2
import numpy as np

from mmdet_ext.apis.engine import Engine
from mmdet_ext.apis.frame_sources import (
    Frame,
    FrameSource,
    Location,
    load_or_reason,
    open_frames,
)
from mmdet_ext.apis.pipelining import map_in_order
from mmdet_ext.apis.prediction_writers import InferredFrame, PredictionOutputs
from mmdet_ext.structures.predictions import ParkingSlotPredictions
from mmdet_ext.visualization.drawing import draw_predictions

SCORE_THRESHOLD = 0.4

Skipped = Callable[[str, str], None]
"""Called with the name of a frame and the sentence that says why it was not looked at."""


class ParkingSlotInferencer:
    """Finds parking slots and marking points.

    Decoding, drawing and writing go on beside the network, batches one after another in threads; the
    results come in the order of the inputs.

    >>> inferencer = ParkingSlotInferencer()  # the checkpoint that comes with the package
    >>> inferencer('picture.jpg')['predictions'][0].corners

    Args:
        config: A config file, or the name of one of the package's; None: the one that the checkpoint
            was written with.
        checkpoint: A checkpoint trained with it; None: the one that comes with the package.
        device: Such as ``cpu`` or ``cuda:0``; None takes a GPU if there is one.
        amp: Compute in half precision where the device does that fast.
        engine: What runs the network, instead of all these.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: Config and checkpoint do not fit together, or the device cannot be used.
    """

    def __init__(
        self,
        config: str | None = None,
        checkpoint: str | None = None,
        device: str | None = None,
        amp: bool = False,
        engine: Engine | None = None,
    ) -> None:
        self.engine = engine or _torch_engine(config, checkpoint, device, amp)

    def __call__(
        self,
        inputs: Location | Sequence[Location],
        *,
        batch_size: int = 8,
        score_thr: float = SCORE_THRESHOLD,
        metres_per_pixel: float | None = None,
        out_dir: str | None = None,
        return_vis: bool = False,
        show: bool = False,
    ) -> dict[str, Any]:
        """Look at everything and keep the results; for a long video :meth:`stream` is the better one.

        Args:
            inputs: See :func:`~mmdet_ext.apis.frame_sources.open_frames`.
            batch_size: Frames that the network sees at a time.
            score_thr: Slots and points below this score are left out.
            metres_per_pixel: Ground resolution where the inputs do not know theirs.
            out_dir: A folder to write to, as :class:`PredictionOutputs` says.
            return_vis: Return pictures, too.
            show: Open a :class:`Window` for each picture.

        Returns:
            ``names`` of the frames, their ``predictions`` (:class:`ParkingSlotPredictions`),
            ``visualization`` (RGB pictures, or empty), and ``skipped``: the reason by name, for frames
            that could not be read and are in none of the lists.

        Raises:
            FileNotFoundError: A file is missing.
            ValueError: An option is out of range, or ``show`` finds no display.
            OSError: Something cannot be written.
        """
        skipped: dict[str, str] = {}
        window = Window() if show else None
        source = open_frames(inputs, out_dir)
        options = dict(score_thr=score_thr, metres_per_pixel=metres_per_pixel)
        outputs = None if out_dir is None else PredictionOutputs(out_dir, self.engine.classes)
        results: dict[str, Any] = dict(names=[], predictions=[], visualization=[], skipped=skipped)
        try:
            for frame in self.stream(
                source,
                batch_size=batch_size,
                draw=return_vis or show or outputs is not None,
                on_skip=skipped.__setitem__,
                on_frame=outputs and outputs.write_picture,
                **options,
            ):
                if outputs is not None:
                    outputs.add_to_video(frame)
                    outputs.add(frame)
                if window is not None:
                    window.show(frame)
                results['names'].append(frame.name)
                results['predictions'].append(frame.predictions)
                if return_vis:
                    results['visualization'].append(frame.picture)
        finally:
            if outputs is not None:
                outputs.close()
        return results

    def stream(
        self,
        inputs: Location | Sequence[Location] | FrameSource,
        *,
        batch_size: int = 8,
        score_thr: float = SCORE_THRESHOLD,
        metres_per_pixel: float | None = None,
        max_frames: int | None = None,
        draw: bool = False,
        on_skip: Skipped | None = None,
        on_frame: Callable[[InferredFrame], None] | None = None,
        stop: threading.Event | None = None,
    ) -> Iterator[InferredFrame]:
        """Look at one frame after the other, in little memory.

        Args:
            inputs: As for a call, or the result of ``open_frames``.
            batch_size: As for a call; a camera or a stream is looked at frame by frame.
            score_thr: As for a call.
            metres_per_pixel: As for a call.
            max_frames: Look at no more than these.
            draw: Draw the predictions.
            on_skip: Told of frames that cannot be read, which are skipped; by default a warning is.
            on_frame: Called with each result by the thread that made it, in any order.
            stop: When set, no further frame is read; what was read is finished.

        Yields:
            The frames in order.

        Raises:
            FileNotFoundError: A file is missing.
            ValueError: An option is out of range.
        """
        _check(batch_size, score_thr, metres_per_pixel)
        source = inputs if isinstance(inputs, FrameSource) else open_frames(inputs)
        frames = islice(source.frames, max_frames)
        batches = _batches(frames, 1 if source.live else batch_size)
        infer = partial(
            self._infer,
            score_thr=score_thr,
            metres_per_pixel=metres_per_pixel,
            draw=draw,
            on_frame=on_frame,
        )
        with self.engine.shared_threads() as workers:
            for inferred, unread in map_in_order(infer, batches, workers, stop):
                for name, reason in unread:
                    (on_skip or _warn)(name, reason)
                yield from inferred

    def _infer(
        self,
        frames: Sequence[Frame],
        score_thr: float,
        metres_per_pixel: float | None,
        draw: bool,
        on_frame: Callable[[InferredFrame], None] | None,
    ) -> tuple[list[InferredFrame], list[tuple[str, str]]]:
        """Do a batch from decoding to writing."""
        images, read, unread = [], [], []
        for frame in frames:
            image, reason = load_or_reason(frame)
            if image is None:
                unread.append((frame.name, reason))
            else:
                images.append(image)
                read.append(frame)
        found = self.engine.predict([self.engine.prepare(each) for each in images]) if read else []
        inferred = []
        for frame, image, predictions in zip(read, images, found, strict=True):
            scale = frame.metres_per_pixel or metres_per_pixel
            kept = predictions.above(score_thr)
            picture = self._draw(image, kept, scale) if draw else None
            height, width = image.shape[:2]
            inferred.append(
                InferredFrame(
                    frame.name, width, height, kept, scale, frame.video, frame.index, picture
                )
            )
            if on_frame is not None:
                on_frame(inferred[-1])
        return inferred, unread

    def _draw(
        self, image: np.ndarray, predictions: ParkingSlotPredictions, scale: float | None
    ) -> np.ndarray:
        rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        return draw_predictions(rgb, predictions, self.engine.classes, self.engine.palette, scale)


class Window:
    """Shows pictures one after the other.

    Raises:
        ValueError: There is no display.
    """

    def __init__(self) -> None:
        import matplotlib.pyplot as plt  # noqa: PLC0415 (slow, and opens windows only)
        from mmengine.visualization import Visualizer  # noqa: PLC0415 (only to show pictures)

        if plt.get_backend().lower() == 'agg':  # what matplotlib takes where it finds no display
            raise ValueError(
                'show needs a display, and there is none here: leave it out and look at the files.'
            )
        self._visualizer = Visualizer()

    def show(self, frame: InferredFrame) -> None:
        """Show an image until the space bar is pressed, a frame of a video for a moment."""
        if frame.video is None:
            self._visualizer.show(frame.picture, win_name=frame.name)
        else:
            self._visualizer.show(frame.picture, win_name=frame.video.name, wait_time=0.001)


def _torch_engine(
    config: str | None, checkpoint: str | None, device: str | None, amp: bool
) -> Engine:
    from mmdet_ext.apis.torch_engine import TorchEngine, find_model  # noqa: PLC0415 (imports mmdet)

    return TorchEngine.load(*find_model(config, checkpoint), device, amp)


def _batches(frames: Iterator[Frame], size: int) -> Iterator[list[Frame]]:
    while batch := list(islice(frames, size)):
        yield batch


def _check(batch_size: int, score_thr: float, metres_per_pixel: float | None) -> None:
    if batch_size < 1:
        raise ValueError(f'the batch size is {batch_size}: give a number from 1 up.')
    if not 0 <= score_thr <= 1:
        raise ValueError(f'the least score is {score_thr}: give a number from 0 to 1.')
    if metres_per_pixel is not None and not 0 < metres_per_pixel < 10:
        raise ValueError(
            f'metres per pixel is {metres_per_pixel}: give the length of a pixel on the ground, such as '
            '0.0167 where 600 pixels are 10 metres.'
        )


def _warn(name: str, reason: str) -> None:
    warnings.warn(f'{name} is skipped: {reason}', stacklevel=3)
