"""Detection with files as the outcome: what ``tools/infer.py`` does."""

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mmdet_ext.apis.frame_sources import FrameSource, Location, open_frames
from mmdet_ext.apis.inferencer import SCORE_THRESHOLD, ParkingSlotInferencer, Window
from mmdet_ext.apis.prediction_writers import PredictionOutputs

_LINES_EVERY = 10.0  # seconds, where there is no terminal


@dataclass
class Inferred:
    """What came of a run.

    Attributes:
        kind: What was looked for, in the plural.
        total: Number of frames that there were, None if unknown.
        frames: Number of frames looked at.
        found: Number of these that were found.
        seconds: From the first frame to the last file.
        skipped: Why, by name, for frames that could not be read.
        stopped_by: The signal that ended the run early, if one did.
    """

    kind: str
    total: int | None
    frames: int = 0
    found: int = 0
    seconds: float = 0.0
    skipped: dict[str, str] = field(default_factory=dict)
    stopped_by: signal.Signals | None = None

    def lines(self, named: int = 10) -> list[str]:
        """The outcome in words, the first ``named`` skipped frames by name."""
        shown = list(self.skipped.items())[:named]
        lines = [f'skipped: {name}: {reason}' for name, reason in shown]
        if len(self.skipped) > named:
            lines.append(f'skipped: {len(self.skipped) - named} more')
        of_all = '' if self.total is None else f' of {self.total}'
        if self.stopped_by:
            lines.append(f'stopped by {self.stopped_by.name} after {self.frames}{of_all} images')
        skipped = f' ({len(self.skipped)} skipped)' if self.skipped else ''
        rate = self.frames / max(self.seconds, 1e-9)
        lines.append(
            f'images: {self.frames}{skipped}, {self.kind}: {self.found}, {rate:.1f} images/s'
        )
        return lines


def infer(
    inputs: Location | Sequence[Location],
    config: str | None = None,
    checkpoint: str | None = None,
    *,
    out_dir: str = 'work_dirs/infer',
    device: str | None = None,
    amp: bool = False,
    score_thr: float = SCORE_THRESHOLD,
    batch_size: int = 8,
    metres_per_pixel: float | None = None,
    fps: float | None = None,
    max_frames: int | None = None,
    pictures: bool = True,
    show: bool = False,
    backend: str | None = None,
) -> Inferred:
    """Look at everything there is and write what is found; see :class:`PredictionOutputs`.

    Ctrl-C and SIGTERM finish the frames underway and all files; a second one acts at once. A detector
    that is none of parking slots is run by mmdet's ``DetInferencer`` frame by frame; of the options it
    follows ``device``, ``score_thr`` and ``max_frames``.

    Args:
        inputs: See :func:`~mmdet_ext.apis.frame_sources.open_frames`.
        config: See :class:`ParkingSlotInferencer`.
        checkpoint: Likewise.
        out_dir: The folder to write to.
        device: As ``config``.
        amp: Likewise.
        score_thr: Slots and points below this score are left out.
        batch_size: Frames that the network sees at a time.
        metres_per_pixel: Ground resolution where the inputs do not know theirs.
        fps: Of videos written, by default that of their source.
        max_frames: Look at no more than these.
        pictures: Write annotated pictures and videos, too.
        show: Open a window for each picture, too.
        backend: ``torch``, or ``onnx`` for a ``checkpoint`` that tools/export.py wrote; None: as the
            checkpoint's name ends.

    Returns:
        What came of it.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: An option does not fit, or not a single frame could be read.
        OSError: The folder cannot be written to.
    """
    window = Window() if show else None
    source = open_frames(inputs, out_dir)
    if _is_onnx(backend, config, checkpoint, device, amp):
        from mmdet_ext.deploy.runtime import OnnxEngine  # noqa: PLC0415 (needs onnxruntime)

        engine = OnnxEngine(checkpoint)
        if engine.model.kind == 'boxes':
            from mmdet_ext.apis.box_inference import infer_exported_boxes  # noqa: PLC0415 (imports this)

            options = (out_dir, score_thr, max_frames, pictures)
            return _with_something(infer_exported_boxes(engine, source, *options))
    else:
        from mmdet_ext.apis import stock_inference  # noqa: PLC0415 (imports mmdet)
        from mmdet_ext.apis.torch_engine import TorchEngine, find_model  # noqa: PLC0415 (imports mmdet)

        cfg, checkpoint = find_model(config, checkpoint)
        if not stock_inference.finds_parking_slots(cfg):
            options = (out_dir, device, score_thr, max_frames)
            return _with_something(stock_inference.infer_boxes(cfg, checkpoint, source, *options))
        engine = TorchEngine.load(cfg, checkpoint, device, amp)
    inferencer = ParkingSlotInferencer(engine=engine)
    info = dict(description=f'predictions of {checkpoint}', score_threshold=score_thr)
    done = begun(source, max_frames, 'slots')
    with watched(done, out_dir, inferencer.engine.classes, info, fps) as (outputs, stop, advance):
        for frame in inferencer.stream(
            source,
            batch_size=batch_size,
            score_thr=score_thr,
            metres_per_pixel=metres_per_pixel,
            max_frames=max_frames,
            draw=pictures or show,
            on_skip=done.skipped.__setitem__,
            on_frame=outputs.write_picture if pictures else None,
            stop=stop,
        ):
            if window is not None:
                window.show(frame)
            if pictures:
                outputs.add_to_video(frame)
            outputs.add(frame)
            done.frames += 1
            done.found += len(frame.predictions.scores)
            advance(done.frames + len(done.skipped))
    return _with_something(done)


def _is_onnx(
    backend: str | None,
    config: str | None,
    checkpoint: str | None,
    device: str | None,
    amp: bool,
) -> bool:
    """Whether onnxruntime is to run it."""
    if backend not in (None, 'torch', 'onnx'):
        raise ValueError(f"the backend is {backend!r}; expected 'torch' or 'onnx'.")
    exported = str(checkpoint).endswith('.onnx')
    if backend == 'torch' and exported:
        raise ValueError(f'{checkpoint} is for the backend onnx: leave out the other one.')
    if backend == 'onnx' and not exported:
        raise ValueError(
            f'the backend onnx needs a file that tools/export.py wrote, but the checkpoint is {checkpoint}: '
            'export it, and name the .onnx file.'
        )
    if exported and (config or amp or device not in (None, 'cpu')):
        raise ValueError(
            f'{checkpoint} holds all there is to know and runs on the CPU: leave out config, amp and device.'
        )
    return exported


def begun(source: FrameSource, max_frames: int | None, kind: str) -> Inferred:
    """The outcome before the first frame."""
    total = source.total
    if max_frames is not None:
        total = max_frames if total is None else min(total, max_frames)
    return Inferred(kind=kind, total=total)


def _with_something(done: Inferred) -> Inferred:
    if done.frames or done.stopped_by or not done.skipped:
        return done
    name, reason = next(iter(done.skipped.items()))
    if len(done.skipped) > 1:
        reason = f'none of {len(done.skipped)} images could be read; the first, {name}: {reason}'
    raise ValueError(reason)


@contextmanager
def watched(
    done: Inferred,
    out_dir: str,
    classes: Sequence[str],
    info: dict | None = None,
    fps: float | None = None,
) -> Iterator[tuple[PredictionOutputs, threading.Event, Callable[[int], None]]]:
    """Files to write to, an event that signals set, and a progress bar; times what is done in it."""
    start = time.perf_counter()
    with (
        _stopped_by_signals(done) as stop,
        PredictionOutputs(out_dir, classes, info, fps) as outputs,
        _progress(done.total) as advance,
    ):
        yield outputs, stop, advance
    done.seconds = time.perf_counter() - start


@contextmanager
def _stopped_by_signals(done: Inferred) -> Iterator[threading.Event]:
    """Let the first Ctrl-C or SIGTERM set an event and the second act as before."""
    stop, before = threading.Event(), {}

    def ask(number: int, _) -> None:
        done.stopped_by = signal.Signals(number)
        stop.set()
        restore()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    if threading.current_thread() is threading.main_thread():
        before |= {each: signal.signal(each, ask) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        restore()


@contextmanager
def _progress(total: int | None) -> Iterator[Callable[[int], None]]:
    """Show how far it is: a bar in a terminal, else a line now and then; yields what to call."""
    console, start, last = Console(stderr=True), time.perf_counter(), time.perf_counter()

    def rate(done: int) -> str:
        return f'{done / (time.perf_counter() - start):.1f} images/s'

    def line(done: int) -> None:
        nonlocal last
        if time.perf_counter() - last >= _LINES_EVERY:
            last = time.perf_counter()
            print(f'{done}{f"/{total}" if total else ""} images, {rate(done)}', file=sys.stderr)

    if not console.is_terminal:
        yield line
        return
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn('{task.fields[rate]}'))
    with Progress(*columns, TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task('', total=total, rate='')
        yield lambda done: bar.update(task, completed=done, rate=rate(done))
