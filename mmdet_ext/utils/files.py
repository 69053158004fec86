"""Writing files so that a half-written one is never taken for a whole one."""

import os
from pathlib import Path


def write_whole(path: str | Path, content: str | bytes) -> None:
    """Write a file aside and move it into place when it is complete; folders are made.

    Args:
        path: File to write or replace.
        content: Its content.

    Raises:
        OSError: The disk is full or the folder cannot be written to; ``path`` is as before.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f'.{path.name}.{os.getpid()}.part')
    try:
        if isinstance(content, str):
            aside.write_text(content, encoding='utf-8')
        else:
            aside.write_bytes(content)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
