"""Work spread over processes, with a progress bar."""

import ctypes
import functools
import itertools
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from typing import TypeVar

import cv2
from rich.console import Console
from rich.progress import track

Item = TypeVar('Item')
Result = TypeVar('Result')


def track_map(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    description: str,
    *,
    num_workers: int | None = None,
    already_done: int = 0,
    chunksize: int = 4,
) -> Iterator[Result]:
    """Apply a function to items in worker processes, in order, and show how far it is.

    Args:
        function: Picklable function of one item.
        items: Items, picklable.
        description: Text beside the progress bar, which goes to the standard error stream.
        num_workers: Processes; by default one per available core. 1: none but this one.
        already_done: Items that an earlier call did; the bar starts with them.
        chunksize: Items that a worker takes at a time.

    Yields:
        Results in the order of ``items``.
    """
    workers = min(num_workers or len(os.sched_getaffinity(0)), len(items))
    with ExitStack() as stack:
        run = map
        if workers > 1:
            # Forked like a data loader's workers: spawned ones would import torch and mmdet first (10 s).
            context = multiprocessing.get_context('fork')
            pool = ProcessPoolExecutor(workers, context, _start_worker)
            run = functools.partial(stack.enter_context(pool).map, chunksize=chunksize)
        everything = itertools.chain(
            itertools.repeat(None, already_done), map(_Done, run(function, items))
        )
        console = Console(stderr=True)
        for done in track(
            everything, description, total=already_done + len(items), console=console
        ):
            if done is not None:
                yield done.result


class _Done:
    def __init__(self, result) -> None:
        self.result = result


def die_with_parent() -> None:
    """Let this process be killed with the one that started it, so that none is left behind."""
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


def _start_worker() -> None:
    cv2.setNumThreads(0)
    die_with_parent()
