"""A file backend of MMEngine whose files are complete or not there."""

import os
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

from mmdet_ext.utils.files import moved_into_place

ATOMIC = 'atomic'
"""Its name, for ``backend_args=dict(backend='atomic')``."""


class AtomicBackend(LocalBackend):
    """Local files that are written aside, flushed to the disk and moved into place."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write a file; one of that name stays as it was until the new one is complete.

        Args:
            obj: Its content.
            filepath: File to write or replace; folders are made.

        Raises:
            OSError: The disk is full or the folder cannot be written to.
        """
        with moved_into_place(filepath) as aside, open(aside, 'wb') as file:
            file.write(obj)
            file.flush()
            os.fsync(file.fileno())  # else a power cut may leave the name without the content


register_backend(ATOMIC, AtomicBackend, force=True)
