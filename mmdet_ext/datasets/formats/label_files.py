"""Where readers find their files, and how they open them."""

import codecs
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

from mmdet_ext.datasets.formats.reader import IMAGE_SUFFIXES, LeftOut

_SPLITS = {
    'train': 'train',
    'training': 'train',
    'val': 'val',
    'valid': 'val',
    'validation': 'val',
    'test': 'test',
    'testing': 'test',
}


def read_text(path: Path) -> str:
    """Read a small text file in whatever encoding editors leave.

    UTF-8 with or without a byte order mark, UTF-16 with one, else Latin-1.

    Raises:
        OSError: The file cannot be read.
    """
    content = path.read_bytes()
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return content.decode('utf-16' if wide else 'utf-8-sig')
    except UnicodeDecodeError:
        return content.decode('latin-1')


def text_lines(path: Path) -> list[str]:
    """Lines of a text file that are not blank, stripped; see :func:`read_text`."""
    return [line.strip() for line in read_text(path).splitlines() if line.strip()]


def number(text: object) -> float:
    """The number in a text; NaN if there is none, which is left out and counted later."""
    try:
        return float(text)
    except (TypeError, ValueError):
        return float('nan')


def read_json(path: Path, reason: str = 'broken json') -> Any:
    """Read a JSON file in whatever encoding editors leave; see :func:`read_text`.

    Args:
        path: The file.
        reason: What the report counts a broken one as.

    Raises:
        OSError: The file cannot be read.
        LeftOut: It is not valid JSON.
    """
    try:
        return json.loads(read_text(path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise LeftOut(reason, error) from error


def split_name(text: str) -> str | None:
    """``train``, ``val`` or ``test`` where a word of ``text`` says so, as in ``instances_train2017``."""
    words = re.findall(r'[a-z]+', text.lower())
    return next((_SPLITS[word] for word in words if word in _SPLITS), None)


def split_of_folder(folder: str | PurePath) -> str | None:
    """``train``, ``val`` or ``test`` where one of the folders of a path is named so."""
    names = [part.lower().rstrip('0123456789') for part in PurePath(folder).parts]
    return next((_SPLITS[name] for name in names if name in _SPLITS), None)


def image_and_label_folders(root: Path, expected: str) -> list[Path]:
    """Folders at or below ``root`` that hold a folder ``image`` and a folder ``label``, sorted.

    Args:
        root: Folder of the data set.
        expected: Name of the format with an example, for the error.

    Raises:
        FileNotFoundError: There is none.
    """
    found = []
    for place, folders, _ in os.walk(root):
        if {'image', 'label'} <= set(folders):
            found.append(Path(place))
            folders[:] = [name for name in folders if name not in ('image', 'label')]
    if not found:
        raise FileNotFoundError(
            f'{root.absolute()}: no folder with `image` and `label` in it found; expected {expected}.'
        )
    return sorted(found)


def split_of_label(label: Path) -> str | None:
    """Split that the folder above ``label`` names, for a file of :func:`image_and_label_folders`."""
    above = next(folder.parent for folder in label.absolute().parents if folder.name == 'label')
    return split_of_folder(above.name)


def locate_image(names: Sequence[str], folders: Sequence[Path]) -> Path:
    """Find an image by the name that its label gives, which may come from another machine.

    Args:
        names: Names that it can have, the first one found counts; paths with slashes or backslashes.
        folders: Where to look, in this order; for the whole name everywhere first, then for its
            last part alone.

    Raises:
        LeftOut: It is in none of them.
    """
    paths = [PurePath(name.replace('\\', '/')) for name in names]
    candidates = [folder / p for path in paths for p in (path, path.name) for folder in folders]
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        places = ', '.join(str(folder) for folder in folders)
        raise LeftOut('label without image', f'{names[0]!r} is not in {places}')
    return found


def list_images(folder: Path) -> list[Path]:
    """All image files below a folder, sorted; hidden files (``._1.jpg``) left out."""
    paths = folder.rglob('*')
    return sorted(
        path
        for path in paths
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith('.')
    )
