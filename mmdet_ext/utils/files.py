"""Writing files so that a half-written one is never taken for a whole one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def moved_into_place(path: str | Path) -> Iterator[str]:
    """Name a file to write in parts, which becomes ``path`` if all goes well and is removed if not.

    Args:
        path: File to write or replace; folders are made.

    Yields:
        File to write instead, in the same folder.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f'.{path.name}.{os.getpid()}.part')
    try:
        yield str(aside)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def write_whole(path: str | Path, content: str | bytes) -> None:
    """Write a file aside and move it into place when it is complete; folders are made.

    Args:
        path: File to write or replace.
        content: Its content.

    Raises:
        OSError: The disk is full or the folder cannot be written to; ``path`` is as before.
    """
    with moved_into_place(path) as aside:
        if isinstance(content, str):
            Path(aside).write_text(content, encoding='utf-8')
        else:
            Path(aside).write_bytes(content)
