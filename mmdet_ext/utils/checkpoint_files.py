"""Which checkpoint to resume from."""

import re
import zipfile
from pathlib import Path

_COUNT = re.compile(r'(?:epoch|iter)_(\d+)$')


def damage_of(path: str | Path) -> str | None:
    """Check a checkpoint against the checksums in it (torch's files carry a CRC-32 of each part).

    Args:
        path: A file that ``torch.save`` wrote.

    Returns:
        What is wrong with it; None if nothing is.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            part = archive.testzip()
    except FileNotFoundError:
        return 'is not there'
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        return f'is cut off or no checkpoint ({error})'
    return None if part is None else f'is damaged (checksum of {part})'


def find_intact_checkpoint(work_dir: str | Path) -> tuple[str | None, list[str]]:
    """Find the checkpoint that training should go on from.

    Args:
        work_dir: Folder of a run, with ``last_checkpoint`` or without.

    Returns:
        The one that ``last_checkpoint`` names, or, if that is damaged, the newest of the others that is
        not; None if there is none. And what is wrong with those that were passed over, a sentence each.

    Raises:
        ValueError: There are checkpoints, and all of them are damaged.
    """
    candidates = _candidates(Path(work_dir))
    problems = []
    for path in candidates:
        damage = damage_of(path)
        if damage is None:
            return str(path), problems
        problems.append(f'{path} {damage}')
    if problems:
        raise ValueError(
            f'none of the checkpoints in {work_dir} can be resumed from: {"; ".join(problems)}; train '
            'anew with another --work-dir.'
        )
    return None, []


def _candidates(work_dir: Path) -> list[Path]:
    named = work_dir / 'last_checkpoint'
    first = [Path(named.read_text().strip())] if named.is_file() else []
    if first and not first[0].is_file():  # the folder may have been moved
        first = [work_dir / first[0].name]
    others = [path for path in work_dir.glob('*.pth') if _COUNT.search(path.stem)]
    others.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    others = [path for path in others if not path.name.startswith('best_')]
    return first + [path for path in others if path not in first]
