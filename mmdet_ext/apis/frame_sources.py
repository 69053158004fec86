"""What to look at, as frames: images, folders, globs, lists, label files, arrays, videos, cameras, streams."""

import glob
import io
import math
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from mmdet_ext.datasets.formats.label_files import text_lines
from mmdet_ext.datasets.formats.parking_slot_coco import read_parking_slot_coco
from mmdet_ext.datasets.formats.reader import IMAGE_SUFFIXES

VIDEO_SUFFIXES = (
    *('.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg', '.wmv', '.flv'),
    *('.ts', '.mjpeg', '.mjpg', '.gif'),
)
_ENDINGS = {b'\xff\xd8': b'\xff\xd9', b'\x89PNG': b'IEND'}  # of whole files, by how they start
_NO_INPUT = {'.py': '--config', '.pth': '--checkpoint'}
_HOPELESS = 100  # unreadable video frames in a row

Location = Path | str | int | np.ndarray


@dataclass(frozen=True)
class Video:
    """A video, a camera or a stream.

    Attributes:
        name: Path relative to :attr:`FrameSource.folder`, or a name for a camera or a stream.
        fps: Frames per second; None if the source does not say.
    """

    name: str
    fps: float | None


@dataclass(frozen=True)
class Frame:
    """One image to look at.

    Attributes:
        name: Path relative to :attr:`FrameSource.folder`; ``clip.mp4/000012`` for a frame of a video.
        load: Gives the image as BGR, ``(H, W, 3)``, uint8; raises ``ValueError`` or ``OSError`` if it
            cannot be read.
        metres_per_pixel: Ground resolution, None if unknown.
        video: The video that it is of, None for an image.
        index: Its number in the video, from 0.
    """

    name: str
    load: Callable[[], np.ndarray]
    metres_per_pixel: float | None = None
    video: Video | None = None
    index: int = 0


@dataclass
class FrameSource:
    """Frames, each decoded when its ``load`` is called (those of a video when they are iterated).

    Attributes:
        frames: The frames in order. What turns out unreadable is one, too: its ``load`` says why.
        total: Number of frames, None if unknown.
        live: Whether they come from a camera or a stream, which wait for nobody.
        folder: What the names are relative to; None if no file is among them.
    """

    frames: Iterator[Frame]
    total: int | None
    live: bool
    folder: Path | None


@dataclass(frozen=True)
class _Entry:
    location: Location
    base: Path | None = None
    name: str = ''
    metres_per_pixel: float | None = None

    @property
    def is_video(self) -> bool:
        location = self.location
        if isinstance(location, Path):
            return location.suffix.lower() in VIDEO_SUFFIXES or location.is_char_device()
        return self.is_live

    @property
    def is_live(self) -> bool:
        location = self.location
        if isinstance(location, str):
            return Path(urlsplit(location).path).suffix.lower() not in IMAGE_SUFFIXES
        return isinstance(location, int) or (
            isinstance(location, Path) and location.is_char_device()
        )


def open_frames(
    inputs: Location | Sequence[Location], left_out: str | Path | None = None
) -> FrameSource:
    """Find what there is to look at.

    Args:
        inputs: An image file; a folder of images and videos, its sub-folders included; a glob; a
            ``.txt`` file with a path per line, relative to its folder or the current one; the
            ``.json`` file of images labelled in parking-slot COCO, which may know their metres per
            pixel; an array as for :func:`to_bgr`; a video; the number of a camera; the address of a
            stream (``rtsp://``, ``http://``) or of an image; or several of these. What is named twice
            is looked at once.
        left_out: Nothing below this folder is taken from a folder (results of an earlier run).

    Returns:
        The frames.

    Raises:
        FileNotFoundError: A file does not exist, or a folder, glob or list has nothing in it.
        ValueError: A config or a checkpoint is among them, or labels are not valid.
    """
    skipped = None if left_out is None else Path(left_out).absolute()
    found: dict[object, _Entry] = {}
    for entry in _expand(inputs, skipped):
        key = id(entry.location) if isinstance(entry.location, np.ndarray) else entry.location
        found.setdefault(key, entry)
    bases = [str(entry.base) for entry in found.values() if entry.base]
    folder = Path(os.path.commonpath(bases)) if bases else None
    entries = [_named(entry, i, folder) for i, entry in enumerate(found.values())]
    counts = [_count(entry) for entry in entries]
    total = None if None in counts else sum(counts)
    return FrameSource(_frames(entries), total, any(entry.is_live for entry in entries), folder)


def load_or_reason(frame: Frame) -> tuple[np.ndarray | None, str]:
    """The image of a frame; or None and the sentence that says why it cannot be read."""
    try:
        return frame.load(), ''
    except (ValueError, OSError) as error:
        return None, str(error)


def _expand(source: Location | Sequence[Location], left_out: Path | None) -> Iterator[_Entry]:
    if isinstance(source, np.ndarray) or (isinstance(source, str) and '://' in source):
        yield _Entry(source)
        return
    if isinstance(source, list | tuple):
        for each in source:
            yield from _expand(each, left_out)
        return
    path = Path(str(source)).absolute()
    if path.is_dir():
        yield from _below(path, left_out)
    elif str(source).isdecimal() and not path.exists():
        yield _Entry(int(source))
    elif path.suffix.lower() == '.txt' and path.is_file():
        yield from _listed(path)
    elif path.suffix.lower() == '.json' and path.is_file():
        for record in read_parking_slot_coco(path).images:
            image = path.parent / record.file_name
            yield _Entry(image, path.parent, metres_per_pixel=record.metres_per_pixel)
    elif path.suffix in _NO_INPUT:
        raise ValueError(
            f'{path.name} is nothing to look at: name it with {_NO_INPUT[path.suffix]}.'
        )
    elif path.exists():
        yield _Entry(path, path.parent)
    else:
        yield from _matching(str(source), left_out)


def _below(folder: Path, left_out: Path | None) -> Iterator[_Entry]:
    """Images and videos of a folder, sorted; hidden ones are left out."""
    found = []
    for place, folders, names in os.walk(folder):
        inside = Path(place)
        folders[:] = [name for name in folders if inside / name != left_out and name[0] != '.']
        found += [inside / name for name in names if name[0] != '.' and _is_known(name)]
    if not found:
        raise FileNotFoundError(
            f'{folder} has no image and no video in it: name another folder, or one file.'
        )
    yield from (_Entry(path, folder) for path in sorted(found))


def _listed(path: Path) -> Iterator[_Entry]:
    lines = text_lines(path)
    if not lines:
        raise FileNotFoundError(f'the list {path} is empty: write the path of an image per line.')
    for line in lines:
        beside = path.parent / line
        entry = Path(line).absolute() if Path(line).exists() and not beside.exists() else beside
        yield _Entry(line) if '://' in line else _Entry(entry, entry.parent)


def _matching(pattern: str, left_out: Path | None) -> Iterator[_Entry]:
    found = sorted(Path(path).absolute() for path in glob.glob(pattern, recursive=True))
    found = [path for path in found if path.is_dir() or _is_known(path.name)]
    if not found and glob.has_magic(pattern):
        raise FileNotFoundError(f'no image and no video matches {pattern}: correct the pattern.')
    if not found:
        raise FileNotFoundError(
            f'{pattern} does not exist: name an image, a folder, a list (.txt), a video, the number of '
            'a camera or the address of a stream.'
        )
    for path in found:
        yield from _below(path, left_out) if path.is_dir() else [_Entry(path, path.parent)]


def _is_known(name: str) -> bool:
    return name.lower().endswith((*IMAGE_SUFFIXES, *VIDEO_SUFFIXES))


def _named(entry: _Entry, row: int, folder: Path | None) -> _Entry:
    location = entry.location
    if isinstance(location, Path):
        # Labels may lead out of their folder; what is written may not.
        name = Path(os.path.relpath(location, folder)).as_posix().replace('../', '')
    elif isinstance(location, int):
        name = f'camera_{location}'
    elif isinstance(location, str):
        parts = urlsplit(location)  # no user name and no password: this is printed and written
        name = re.sub(r'[^\w.-]+', '_', f'{parts.hostname or ""}{parts.path}').strip('_')
    else:
        name = f'array_{row:06d}'
    return replace(entry, name=name)


def _count(entry: _Entry) -> int | None:
    if not entry.is_video:
        return 1
    if entry.is_live:
        return None
    capture = _capture(entry)
    announced = _announced(capture)
    capture.release()
    return announced or None


def _frames(entries: Sequence[_Entry]) -> Iterator[Frame]:
    for entry in entries:
        if entry.is_video:
            yield from _video_frames(entry)
        elif isinstance(entry.location, np.ndarray):
            yield Frame(entry.name, partial(to_bgr, entry.location, entry.name))
        else:
            load = partial(_read, entry.location)
            yield Frame(entry.name, load, entry.metres_per_pixel)


def _read(location: Path | str) -> np.ndarray:
    if isinstance(location, Path):
        return decode_image(location.read_bytes(), _shown(location))
    from mmengine import fileio  # noqa: PLC0415 (what runs exported models has none)

    return decode_image(fileio.get(location), _shown(location))


def decode_image(content: bytes, name: str) -> np.ndarray:
    """Decode an image file the way a viewer shows it.

    It is turned as its EXIF data say; grey, palette and CMYK become colours. Transparency is dropped,
    as where models are trained and tested. More than 8 bits are scaled as :func:`to_bgr` says.

    Args:
        content: Of the file.
        name: For the error.

    Returns:
        BGR, ``(H, W, 3)``, uint8.

    Raises:
        ValueError: It is truncated or no image.
    """
    for start, end in _ENDINGS.items():
        if content.startswith(start) and end not in content[-4096:]:
            raise ValueError(f'{name} ({len(content)} bytes) is truncated: copy the file again.')
    image = None
    webp = content[8:12] == b'WEBP'  # whose EXIF data OpenCV 4 does not read
    if content and not webp:
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
        image = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    if image is None:
        image = _decode_with_pillow(content, name)
    return to_bgr(image, name)


def _decode_with_pillow(content: bytes, name: str) -> np.ndarray:
    try:
        with Image.open(io.BytesIO(content)) as picture:
            return np.asarray(ImageOps.exif_transpose(picture).convert('RGB'))[..., ::-1]
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(
            f'{name} ({len(content)} bytes) cannot be decoded as an image: copy the file again.'
        ) from error


def to_bgr(image: np.ndarray, name: str = 'the array') -> np.ndarray:
    """Give an image the form that models take.

    Values of more than 8 bits are scaled by the range that they use: by 2^k - 1 for the smallest k of
    8 to 16 that holds the largest one, so that 10, 12 and 14-bit cameras are not taken for darkness;
    floating-point values up to 1 by 1.

    Args:
        image: Grey ``(H, W)`` or ``(H, W, 1)``, BGR ``(H, W, 3)``, or BGR with an alpha channel,
            which is dropped, ``(H, W, 4)``; of any number type.
        name: For the error.

    Returns:
        BGR, ``(H, W, 3)``, uint8.

    Raises:
        ValueError: It has another shape.
    """
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or image.shape[2] not in (1, 3, 4) or not image.size:
        raise ValueError(
            f'{name} has shape {image.shape}; expected an image of shape (H, W), (H, W, 3) or (H, W, 4).'
        )
    if image.dtype != np.uint8:
        image = _to_8_bits(image)
    if image.shape[2] == 1:
        return np.repeat(image, 3, 2)
    return np.ascontiguousarray(image[..., :3])


def _to_8_bits(image: np.ndarray) -> np.ndarray:
    values = np.nan_to_num(image.astype(np.float64))
    largest = values.max()
    fraction = image.dtype.kind in 'fb' and largest <= 1
    white = 1 if fraction else 2 ** max(8, math.ceil(math.log2(largest + 1))) - 1
    return (values.clip(0, white) * (255 / white)).round().astype(np.uint8)


def _video_frames(entry: _Entry) -> Iterator[Frame]:
    """Read a video; frames that cannot be decoded are gone past, as far as it announces more."""
    capture = _capture(entry)
    try:
        if not capture.isOpened():
            yield Frame(entry.name, partial(_fail, _unopened(entry)))
            return
        fps = capture.get(cv2.CAP_PROP_FPS)
        video = Video(entry.name, fps if 0 < fps < 1000 else None)  # 0, NaN or a time base: unknown
        announced = 0 if entry.is_live else _announced(capture)
        index, unread = 0, []
        while len(unread) < _HOPELESS:
            whole, image = capture.read()
            if whole:
                yield from (_damaged(entry, video, missing) for missing in unread)
                yield Frame(
                    _frame_name(video, index), lambda image=image: image, None, video, index
                )
                unread = []
            elif index >= announced:
                break
            else:
                unread.append(index)
            index += 1
        if unread or index == 0:
            read = unread[0] if unread else 0
            yield Frame(entry.name, partial(_fail, _too_short(entry, read, announced)), None, video)
    finally:
        capture.release()


def _capture(entry: _Entry) -> cv2.VideoCapture:
    """Open a video; what is wrong with it is said in a sentence of ours, not by OpenCV and FFmpeg."""
    location = entry.location if isinstance(entry.location, int) else str(entry.location)
    os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')
    log = getattr(cv2.utils, 'logging', cv2)  # where OpenCV 5 and 4 have it
    level = log.getLogLevel()
    log.setLogLevel(0)
    try:
        return cv2.VideoCapture(location)
    finally:
        log.setLogLevel(level)


def _announced(capture: cv2.VideoCapture) -> int:
    """Number of frames that a video's header tells, 0 if it does not or cannot know."""
    count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    return int(count) if math.isfinite(count) and 0 < count < 2**31 else 0


def _frame_name(video: Video, index: int) -> str:
    return f'{video.name}/{index:06d}'


def _damaged(entry: _Entry, video: Video, index: int) -> Frame:
    reason = (
        f'frame {index} of {_shown(entry.location)} cannot be decoded: the file is damaged there.'
    )
    return Frame(_frame_name(video, index), partial(_fail, reason), None, video, index)


def _too_short(entry: _Entry, read: int, announced: int) -> str:
    if not read:
        return f'{_shown(entry.location)} gives not a single frame: see whether it plays elsewhere.'
    of_all = f' of the {announced} that it announces' if announced else ''
    return f'{_shown(entry.location)} ended after {read} frames{of_all}: copy or record it again.'


def _unopened(entry: _Entry) -> str:
    location = entry.location
    if isinstance(location, int):
        cameras = sorted(glob.glob('/dev/video*'))
        there = f'there are {", ".join(cameras)}' if cameras else 'this machine has none'
        return (
            f'camera {location} cannot be opened ({there}): plug it in, close other programs that use '
            'it, or name another one.'
        )
    if isinstance(location, str):
        return (
            f'{_shown(location)} cannot be opened: correct the address, or see whether it answers.'
        )
    size = location.stat().st_size if location.is_file() else 0
    return f'{location} ({size} bytes) cannot be opened as a video: copy or convert the file again.'


def _shown(location: Location) -> str:
    """A location for people; without the user name and password of an address."""
    if isinstance(location, str):
        return re.sub(r'(?<=://)[^/@]*@', '', location)
    return f'camera {location}' if isinstance(location, int) else str(location)


def _fail(reason: str) -> NoReturn:
    raise ValueError(reason)
