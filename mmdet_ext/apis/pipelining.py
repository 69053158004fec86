"""Work on a stream of items in threads: in order, a bounded number at a time."""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

Item = TypeVar('Item')
Result = TypeVar('Result')

_PATIENCE = 1.0  # seconds, for a source that does not answer


def map_in_order(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int,
    stop: threading.Event | None = None,
) -> Iterator[Result]:
    """Apply a function to items in threads while the source is read in another one.

    Args:
        function: Called by several threads at once.
        items: Read in a thread of its own, a few items ahead.
        workers: Number of threads.
        stop: When it is set, no further item is read; what was read is finished.

    Yields:
        Results in the order of ``items``. The first exception, of ``items`` or ``function``, is
        raised in its place, and everything ends.
    """
    stop = stop or threading.Event()
    abandoned = threading.Event()
    underway: queue.Queue[Future | None] = queue.Queue(workers + 1)
    with ThreadPoolExecutor(workers, 'batch') as pool:

        def feed() -> None:
            last = None
            try:
                for item in items:
                    if stop.is_set() or abandoned.is_set():
                        break
                    _put(underway, pool.submit(function, item), abandoned)
            except BaseException as error:
                last = Future()
                last.set_exception(error)
            for end in (last, None) if last else (None,):
                _put(underway, end, abandoned)

        feeder = threading.Thread(target=feed, name='source', daemon=True)
        feeder.start()
        try:
            while (future := _next(underway, stop)) is not None:
                yield future.result()
        finally:
            abandoned.set()
            pool.shutdown(wait=False, cancel_futures=True)
            feeder.join(_PATIENCE)


def _put(underway: queue.Queue, item: Future | None, abandoned: threading.Event) -> None:
    while not abandoned.is_set():
        with suppress(queue.Full):
            underway.put(item, timeout=0.1)
            return


def _next(underway: queue.Queue, stop: threading.Event) -> Future | None:
    waited = 0.0
    while waited < _PATIENCE:
        with suppress(queue.Empty):
            return underway.get(timeout=0.1)
        waited += 0.1 if stop.is_set() else 0  # a camera or a stream may never answer again
    return None
