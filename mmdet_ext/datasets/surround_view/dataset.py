"""The default dataset: scenes on disk as parking-slot COCO, made once."""

import ctypes
import fcntl
import functools
import json
import multiprocessing
import os
import shutil
import signal
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from rich.progress import track

from mmdet_ext.datasets.formats.parking_slot_coco import (
    LABEL_KINDS,
    ParkingImage,
    write_parking_slot_coco,
)
from mmdet_ext.datasets.surround_view.render import render_scene

SPLITS = {'train': 800, 'val': 200}
"""Images of each split of the default dataset."""


def make_dataset(
    out_dir: str | Path,
    splits: Mapping[str, int] = SPLITS,
    size: int = 512,
    seed: int = 0,
    num_workers: int | None = None,
) -> None:
    """Render scenes to ``{out_dir}/{split}/000000.jpg ...`` and labels to ``{out_dir}/{split}.json``.

    The result depends on ``seed``, ``size`` and the split's name only, not on the number of
    processes or images. A split is rendered aside and moved into place when complete, its JSON
    last: a split whose JSON exists is complete.

    Args:
        out_dir: Folder to write; splits of the same names in it are replaced.
        splits: Number of images of each split.
        size: Image width and height in pixels.
        seed: Seed, not negative.
        num_workers: Processes; by default one per available core.

    Raises:
        ValueError: A number is out of range.
    """
    _check(splits, size, seed, num_workers)
    with _lock(Path(out_dir)):
        _make_splits(Path(out_dir), splits, size, seed, num_workers)


def _make_splits(
    out_dir: Path, splits: Mapping[str, int], size: int, seed: int, num_workers: int | None
) -> None:
    for left_over in out_dir.glob('.*.making-*'):  # of a run that was killed
        shutil.rmtree(left_over)
    for split, count in splits.items():
        with tempfile.TemporaryDirectory(prefix=f'.{split}.making-', dir=out_dir) as scratch:
            _make_split(Path(scratch), split, count, size, seed, num_workers)
            _replace_split(Path(scratch), out_dir, split)


def ensure_dataset(
    out_dir: str | Path,
    splits: Mapping[str, int] = SPLITS,
    size: int = 512,
    seed: int = 0,
    num_workers: int | None = None,
) -> None:
    """Make the splits that are missing; return at once if none is.

    Several processes may call this at the same time: one works, the others wait for it.

    Args:
        out_dir: See :func:`make_dataset`.
        splits: See :func:`make_dataset`.
        size: See :func:`make_dataset`.
        seed: See :func:`make_dataset`.
        num_workers: See :func:`make_dataset`.
    """
    _check(splits, size, seed, num_workers)
    out_dir = Path(out_dir)
    if _missing(out_dir, splits):
        with _lock(out_dir):
            missing = {split: splits[split] for split in _missing(out_dir, splits)}
            if missing:
                print(
                    f'Making {sum(missing.values())} synthetic parking scenes in {out_dir} '
                    '(once, 1-2 minutes) ...',
                    flush=True,
                )
                _make_splits(out_dir, missing, size, seed, num_workers)
    for split, count in splits.items():
        path = out_dir / f'{split}.json'
        with path.open() as file:
            head = file.read(500)
        if json.dumps(_describe(count, size, seed)) not in head:
            print(
                f'{path} was not made with the options asked for ({_describe(count, size, seed)}); '
                'using it as it is. Delete it to have it made again.'
            )


def _check(splits: Mapping[str, int], size: int, seed: int, num_workers: int | None) -> None:
    least = {'size': (size, 64), 'seed': (seed, 0), 'num_workers': (num_workers or 1, 1)}
    least |= {f'splits[{split!r}]': (count, 1) for split, count in splits.items()}
    for name, (value, smallest) in least.items():
        if value < smallest:
            raise ValueError(f'{name} is {value}; expected at least {smallest}.')


def _describe(count: int, size: int, seed: int) -> str:
    return f'{count} synthetic surround-view parking scenes, {size} px, seed {seed}'


def _missing(out_dir: Path, splits: Mapping[str, int]) -> list[str]:
    return [split for split in splits if not (out_dir / f'{split}.json').is_file()]


@contextmanager
def _lock(out_dir: Path) -> Iterator[None]:
    """Hold a lock that the system releases even if the process is killed."""
    out_dir.mkdir(parents=True, exist_ok=True)
    with (out_dir / '.lock').open('w') as file:
        try:  # lockf, not flock: forked workers must not inherit the lock
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            print(f'Waiting for another process that makes {out_dir} ...', flush=True)
            fcntl.lockf(file, fcntl.LOCK_EX)
        yield


def _make_split(
    folder: Path, split: str, count: int, size: int, seed: int, num_workers: int | None
) -> None:
    (folder / split).mkdir()
    make = functools.partial(_make_image, folder, split, size, seed)
    workers = min(num_workers or len(os.sched_getaffinity(0)), count)
    if workers == 1:
        records = list(track(map(make, range(count)), split, total=count))
    else:
        # Forked like a data loader's workers: spawned ones would import torch and mmdet first (10 s).
        context = multiprocessing.get_context('fork')
        with ProcessPoolExecutor(workers, context, _start_worker) as pool:
            results = pool.map(make, range(count), chunksize=4)
            records = list(track(results, split, total=count))
    description = _describe(count, size, seed)
    write_parking_slot_coco(folder / f'{split}.json', records, LABEL_KINDS, description)


def _start_worker() -> None:
    cv2.setNumThreads(0)
    die_with_parent = 1  # PR_SET_PDEATHSIG: a killed parent leaves no worker behind
    ctypes.CDLL(None).prctl(die_with_parent, signal.SIGKILL)


def _make_image(folder: Path, split: str, size: int, seed: int, index: int) -> ParkingImage:
    rng = np.random.default_rng([seed, zlib.crc32(split.encode()), index])
    image, record = render_scene(rng, size)
    record.file_name = f'{split}/{index:06d}.jpg'
    path = folder / record.file_name
    if not cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, 92]):
        raise OSError(f'Could not write {path}; check the free space and permissions there.')
    return record


def _replace_split(scratch: Path, out_dir: Path, split: str) -> None:
    """Move a split into place so that its JSON exists only beside all of its images."""
    (out_dir / f'{split}.json').unlink(missing_ok=True)
    shutil.rmtree(out_dir / split, ignore_errors=True)
    (scratch / split).rename(out_dir / split)
    (scratch / f'{split}.json').rename(out_dir / f'{split}.json')
