"""Sets of scenes on disk as parking-slot COCO: made once, whole or absent, gone on with when interrupted."""

import errno
import fcntl
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmdet_ext.datasets.surround_view.making import Recipe, make_split
from mmdet_ext.datasets.surround_view.presets import scene_config

SPLITS = {'train': 800, 'val': 200}
"""Images of each split of the default dataset."""

_MADE_WITH = re.compile(r'"description":"((\d+) synthetic .* scenes .*, (seed \d+, config \w+))"')


def make_dataset(
    out_dir: str | Path,
    splits: Mapping[str, int] = SPLITS,
    preset: str = 'plain',
    size: int | None = None,
    seed: int = 0,
    num_workers: int | None = None,
    overwrite: bool = False,
    overrides: Mapping[str, Any] | None = None,
) -> None:
    """Render scenes to ``{out_dir}/{split}/000000.jpg ...`` and labels to ``{out_dir}/{split}.json``.

    The result depends on the config, ``seed`` and the split's name only, not on the number of processes
    or images. A split is rendered aside and moved into place when complete, its JSON last: a split
    whose JSON exists is complete. What an interrupted call has rendered is kept aside, and the next
    call with the same config and seed goes on from there.

    Args:
        out_dir: Folder to write; splits of the same names and recipe in it are made again.
        splits: Number of images of each split.
        preset: Name in ``PRESETS``.
        size: Image height in pixels; the width follows. None: the preset's.
        seed: Seed, not negative.
        num_workers: Processes; by default one per available core.
        overwrite: Begin anew, and replace splits of the same names whatever they hold.
        overrides: Further keywords of ``scene_config``.

    Raises:
        ValueError: A number is out of range, the preset is unknown, or ``out_dir`` holds another set.
        OSError: The disk is full.
    """
    recipe = _check(splits, preset, size, seed, num_workers, overrides)
    with _lock(Path(out_dir)):
        if not overwrite:
            _refuse_other_sets(Path(out_dir), splits, recipe)
        for split, count in splits.items():
            make_split(Path(out_dir), split, count, recipe, num_workers, overwrite)


def ensure_dataset(
    out_dir: str | Path,
    splits: Mapping[str, int] = SPLITS,
    preset: str = 'plain',
    size: int | None = None,
    seed: int = 0,
    num_workers: int | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> None:
    """Make the splits that are missing; return at once if none is.

    Several processes may call this at the same time: one works, the others wait for it. A split that
    was made with other options is used as it is, with a warning.

    Args:
        out_dir: See :func:`make_dataset`.
        splits: See :func:`make_dataset`.
        preset: See :func:`make_dataset`.
        size: See :func:`make_dataset`.
        seed: See :func:`make_dataset`.
        num_workers: See :func:`make_dataset`.
        overrides: See :func:`make_dataset`.

    Raises:
        ValueError: See :func:`make_dataset`.
        OSError: See :func:`make_dataset`.
    """
    recipe = _check(splits, preset, size, seed, num_workers, overrides)
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
                for split, count in missing.items():
                    make_split(out_dir, split, count, recipe, num_workers)
    for split, count in splits.items():
        path = out_dir / f'{split}.json'
        found = _made_with(path)
        if found is None or (found[2], found[3]) != (str(count), recipe.key):
            print(
                f'{path} was not made with the options asked for ({count} scenes of preset '
                f'{preset}{_with_size(size)}, {recipe.key}); using it as it is. Delete it to have it '
                'made again.'
            )


def _check(
    splits: Mapping[str, int],
    preset: str,
    size: int | None,
    seed: int,
    num_workers: int | None,
    overrides: Mapping[str, Any] | None,
) -> Recipe:
    least = {'seed': (seed, 0), 'num_workers': (1 if num_workers is None else num_workers, 1)}
    least |= {f'splits[{split!r}]': (count, 1) for split, count in splits.items()}
    least |= {} if size is None else {'size': (size, 64)}
    for name, (value, smallest) in least.items():
        if value < smallest:
            raise ValueError(f'{name} is {value}; expected at least {smallest}.')
    sized = {} if size is None else {'size': size}
    return Recipe(preset, scene_config(preset, **sized, **(overrides or {})), seed)


def _with_size(size: int | None) -> str:
    return '' if size is None else f' at {size} px'


def _missing(out_dir: Path, splits: Mapping[str, int]) -> list[str]:
    return [split for split in splits if not (out_dir / f'{split}.json').is_file()]


def _made_with(path: Path) -> re.Match | None:
    """Description of a set, its number of images and its recipe's key; None for foreign files."""
    with path.open(errors='replace') as file:
        return _MADE_WITH.search(file.read(500))


def _refuse_other_sets(out_dir: Path, splits: Mapping[str, int], recipe: Recipe) -> None:
    for path in sorted(out_dir.glob('*.json')):
        found = _made_with(path)
        if found is None and path.stem not in splits:
            continue
        if found is None or found[3] != recipe.key:
            held = found[1] if found else 'labels of other origin or of an earlier version'
            raise ValueError(
                f'{path} already holds another set ({held}), not one of preset {recipe.preset}, '
                f'{recipe.key}; choose another folder or overwrite it (`overwrite=True`, --overwrite).'
            )


@contextmanager
def _lock(out_dir: Path) -> Iterator[None]:
    """Hold a lock that the system releases even if the process is killed."""
    with _clear_disk_errors(out_dir):
        out_dir.mkdir(parents=True, exist_ok=True)
        with (out_dir / '.lock').open('w') as file:
            try:  # lockf, not flock: forked workers must not inherit the lock
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):
                print(f'Waiting for another process that makes {out_dir} ...', flush=True)
                fcntl.lockf(file, fcntl.LOCK_EX)
            yield


@contextmanager
def _clear_disk_errors(out_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise OSError(
            f'the disk is full while scenes are made in {out_dir}: free some space and run the same '
            'again; it goes on with the images that are finished.'
        ) from error
