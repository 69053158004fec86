"""How long a detector takes from images in memory to its findings, by runtime, batch and threads."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice, product
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

_WARM_UPS = 2
_PAUSE = 0.005  # seconds, in which the threads of the engine before fall asleep
_COLD = """
import sys, time
start = time.perf_counter()
import cv2
from mmdet_ext.deploy.runtime import OnnxEngine
engine = OnnxEngine(sys.argv[1], int(sys.argv[2]))
engine(cv2.imread(sys.argv[3]))
print(time.perf_counter() - start)
"""


class Engine(Protocol):
    """What is measured; :class:`~mmdet_ext.deploy.runtime.OnnxEngine` is such."""

    def prepare(self, image: np.ndarray) -> Any:
        """Make the network's input of a BGR image ``(H, W, 3)``, uint8: its ``pixels`` are ``(h, w, 3)``."""

    def run(self, images: np.ndarray) -> list[np.ndarray]:
        """Run the network on ``(B, h, w, 3)``, uint8."""

    def finish(self, outputs: list[np.ndarray], prepared: Any) -> Any:
        """Make findings of the outputs for one image."""


@dataclass(frozen=True)
class Candidate:
    """What is to be measured.

    Attributes:
        model: The network's name.
        runtime: What runs it.
        precision: Such as ``fp32``.
        open: Makes an engine that uses a number of threads.
        is_reference: Whether others are compared with it.
    """

    model: str
    runtime: str
    precision: str
    open: Callable[[int], Engine]
    is_reference: bool = False


@dataclass
class Timing:
    """What one engine took with one number of threads and one batch size, in milliseconds.

    Attributes:
        candidate: What was measured.
        threads: Number of threads.
        batch: Number of images at a time.
        load: From the file, or the module, to an engine.
        first: Its first image after that.
        prepare: From images to the network's input, of each round, for the whole batch.
        run: From there to the network's outputs; decoding and suppression are in the graph.
        finish: From there to findings.
    """

    candidate: Candidate
    threads: int
    batch: int
    load: float
    first: float
    prepare: list[float] = field(default_factory=list)
    run: list[float] = field(default_factory=list)
    finish: list[float] = field(default_factory=list)

    @property
    def totals(self) -> list[float]:
        """From images to findings in each round, for the whole batch."""
        return [sum(parts) for parts in zip(self.prepare, self.run, self.finish, strict=True)]

    @property
    def latency(self) -> float:
        """Median of :attr:`totals`: how long the first image of a batch waits for its findings."""
        return statistics.median(self.totals)

    @property
    def spread(self) -> tuple[float, float]:
        """First and third quartile of :attr:`totals`."""
        low, high = np.quantile(self.totals, [0.25, 0.75])
        return float(low), float(high)

    @property
    def throughput(self) -> float:
        """Images per second."""
        return 1e3 * self.batch / self.latency

    def times_faster(self, reference: 'Timing') -> float:
        """Median ratio of another's totals to these, round by round: what else the machine does cancels."""
        pairs = zip(reference.totals, self.totals, strict=True)
        return statistics.median(other / own for other, own in pairs)


def benchmark_engines(
    candidates: Sequence[Candidate],
    images: Sequence[np.ndarray],
    batch_sizes: Sequence[int] = (1,),
    threads: Sequence[int] = (1,),
    rounds: int = 15,
    progress: Callable[[Sequence], Iterator] = iter,
) -> list[Timing]:
    """Time engines one after the other in each round, so that a busy moment hits all.

    Args:
        candidates: What to measure.
        images: BGR, uint8; repeated as needed.
        batch_sizes: Images at a time.
        threads: Numbers of threads; preparing an image uses them, too.
        rounds: Timed calls of each, after two that are not.
        progress: Wraps the numbers of the rounds.

    Returns:
        A timing of each candidate with each number of threads and each batch size; of a reference, which
        may be slow, with the smallest alone.

    Raises:
        ValueError: There is nothing to measure.
    """
    if not candidates or not images:
        raise ValueError('there is no engine or no image to measure with: give one of each.')
    opened = []
    for candidate, count in product(candidates, threads):
        engine, load, first = _open(candidate, count, images[0])
        sizes = [min(batch_sizes)] if candidate.is_reference else batch_sizes
        opened += [(engine, Timing(candidate, count, size, load, first)) for size in sizes]
    opencv = cv2.getNumThreads()
    try:
        for number in progress(range(_WARM_UPS + rounds)):
            for engine, timing in opened:
                time.sleep(_PAUSE)
                cv2.setNumThreads(timing.threads)
                parts = _measure(engine, list(islice(cycle(images), timing.batch)))
                if number >= _WARM_UPS:
                    for name, seconds in zip(('prepare', 'run', 'finish'), parts, strict=True):
                        getattr(timing, name).append(1e3 * seconds)
    finally:
        cv2.setNumThreads(opencv)
    return [timing for _, timing in opened]


def reference_of(timing: Timing, timings: Sequence[Timing]) -> Timing | None:
    """Find what to compare with: the reference in the same runtime, or else in the first that has one.

    Args:
        timing: Of an engine.
        timings: All of a benchmark.

    Returns:
        The reference with as many threads and images at a time; None if there is none.
    """
    fitting = [
        other
        for other in timings
        if other.candidate.is_reference
        and (other.threads, other.batch) == (timing.threads, timing.batch)
    ]
    same = [other for other in fitting if other.candidate.runtime == timing.candidate.runtime]
    return next(iter(same + fitting), None)


def cold_start(path: str | Path, image: np.ndarray, folder: str | Path, threads: int) -> float:
    """Time a new Python process that imports the runtime, loads a file and looks at one image.

    Args:
        path: An exported file.
        image: BGR, ``(H, W, 3)``, uint8.
        folder: To write the image to.
        threads: Number of threads.

    Returns:
        Seconds, without the start of Python itself.

    Raises:
        ValueError: The process failed.
    """
    picture = Path(folder) / 'cold_start.png'
    cv2.imwrite(str(picture), image)
    command = [sys.executable, '-c', _COLD, str(path), str(threads), str(picture)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or ['it said nothing']
        raise ValueError(f'a new process cannot run {path}: {reason[0]}')
    return float(done.stdout.split()[-1])


def _open(candidate: Candidate, threads: int, image: np.ndarray) -> tuple[Engine, float, float]:
    start = time.perf_counter()
    engine = candidate.open(threads)
    loaded = time.perf_counter()
    _measure(engine, [image])
    done = time.perf_counter()
    return engine, 1e3 * (loaded - start), 1e3 * (done - loaded)


def _measure(engine: Engine, images: Sequence[np.ndarray]) -> tuple[float, float, float]:
    """Seconds of the three parts."""
    start = time.perf_counter()
    prepared = [engine.prepare(image) for image in images]
    batch = np.stack([each.pixels for each in prepared])
    ready = time.perf_counter()
    outputs = engine.run(batch)
    through = time.perf_counter()
    for i, each in enumerate(prepared):
        engine.finish([output[i] for output in outputs], each)
    return ready - start, through - ready, time.perf_counter() - through
