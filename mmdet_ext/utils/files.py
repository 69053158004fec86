"""Reading large JSON files, and writing files so that a half-written one is never taken for a whole one."""

import gc
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


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


def require_writable_folder(folder: str | Path, mend: str = 'name another one') -> None:
    """Make sure that files can be written to a folder, before anything is computed for them; it is made.

    Args:
        folder: The folder.
        mend: What to do if not, for the message.

    Raises:
        OSError: They cannot.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(
            f'the folder {folder} cannot be written to ({error.strerror}): {mend}.'
        ) from error


def parse_json(path: str | Path) -> Any:
    """Parse a JSON file, such as annotations of a whole data set.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no valid JSON, or not in UTF-8 (a byte order mark does no harm).
    """
    content = Path(path).read_bytes()
    collecting = gc.isenabled()
    gc.disable()  # it would go through the growing content again and again: three times as slow
    try:
        return json.loads(content)
    finally:
        if collecting:
            gc.enable()
