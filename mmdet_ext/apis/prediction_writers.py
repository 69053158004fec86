"""Predictions as files: annotated pictures and videos, JSON and CSV, whole at any time they are closed."""

import csv
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import cv2
import numpy as np
import shapely

from mmdet_ext.apis.frame_sources import Video
from mmdet_ext.datasets.formats.parking_slot_coco import HIDDEN, KEYPOINTS, LABEL_KINDS, VISIBLE
from mmdet_ext.structures.marking_points import SHAPES
from mmdet_ext.structures.predictions import ParkingSlotPredictions
from mmdet_ext.utils.files import moved_into_place, require_writable_folder, write_whole

_ENCODINGS = {
    '.jpg': [cv2.IMWRITE_JPEG_QUALITY, 90],
    '.jpeg': [cv2.IMWRITE_JPEG_QUALITY, 90],
    '.png': [cv2.IMWRITE_PNG_COMPRESSION, 1],
    '.bmp': [],
    '.webp': [cv2.IMWRITE_WEBP_QUALITY, 90],
    '.tif': [],
    '.tiff': [],
}
_LISTS = ('videos', 'images', 'annotations', 'marking_points')
_USUAL_FPS = 25.0
_CSV_HEADER = (
    *('image', 'frame', 'slot', 'type', 'score', 'occupied', 'occupied_score'),
    *(f'{corner}_{axis}_px' for corner in KEYPOINTS for axis in 'xy'),
    *('entrance_width_px', 'depth_px'),
    *(f'{corner}_{axis}_m' for corner in KEYPOINTS for axis in 'xy'),
    *('entrance_width_m', 'depth_m'),
)


@dataclass
class InferredFrame:
    """What was found in one frame.

    Attributes:
        name: Of the frame, see :class:`~mmdet_ext.apis.frame_sources.Frame`.
        width: In pixels.
        height: In pixels.
        predictions: Slots and marking points.
        metres_per_pixel: Ground resolution, None if unknown.
        video: The video that it is of, None for an image.
        index: Its number in the video, from 0.
        picture: The frame with the predictions drawn in, RGB, ``(H, W, 3)``, uint8, possibly enlarged;
            None if it was not asked for.
    """

    name: str
    width: int
    height: int
    predictions: ParkingSlotPredictions
    metres_per_pixel: float | None = None
    video: Video | None = None
    index: int = 0
    picture: np.ndarray | None = None


class PredictionOutputs:
    """All that is written about frames below one folder; closed it is whole, whatever came before.

    ``pictures/`` has each image under its own name and each video as ``.mp4``; ``predictions.json`` is
    parking-slot COCO with scores, ``predictions.csv`` has one row per slot.

    Args:
        out_dir: The folder.
        classes: Names of the slot types.
        info: Entries for ``info`` of the JSON file.
        fps: Of the videos; by default that of their source, or 25 if it does not say.

    Raises:
        OSError: The folder cannot be written to.
    """

    def __init__(
        self,
        out_dir: str | Path,
        classes: Sequence[str],
        info: dict | None = None,
        fps: float | None = None,
    ) -> None:
        self.folder = Path(out_dir)
        self._fps, self._video = fps, None
        require_writable_folder(self.folder)
        self._files = ExitStack()
        coco = CocoPredictionFile(self.folder / 'predictions.json', classes, info or {})
        table = CsvPredictionFile(self.folder / 'predictions.csv', classes)
        self._records = [self._files.enter_context(each) for each in (coco, table)]

    def write_picture(self, frame: InferredFrame) -> None:
        """Write the picture of an image; any thread may, in any order.

        Raises:
            OSError: It cannot be written.
        """
        if frame.picture is None or frame.video is not None:
            return
        path = self.folder / 'pictures' / frame.name
        if path.suffix.lower() not in _ENCODINGS:
            path = path.with_name(f'{path.name}.jpg')
        suffix = path.suffix.lower()
        _, encoded = cv2.imencode(suffix, _bgr(frame.picture), _ENCODINGS[suffix])
        write_whole(path, encoded.tobytes())

    def add_to_video(self, frame: InferredFrame) -> None:
        """Append the picture of a frame of a video to the annotated one, frames in order.

        Raises:
            OSError: It cannot be written.
        """
        if frame.picture is None or frame.video is None:
            return
        if self._video is None or self._video.source != frame.video:
            self._close_video()
            name = Path(frame.video.name)
            name = name if name.suffix.lower() == '.mp4' else name.with_name(f'{name.name}.mp4')
            fps = self._fps or frame.video.fps or _USUAL_FPS
            path, size = self.folder / 'pictures' / name, (frame.width, frame.height)
            self._video = VideoFile(path, frame.video, fps, size)
        self._video.add(frame.picture)

    def add(self, frame: InferredFrame) -> None:
        """Write what was found in a frame, frames in order.

        Raises:
            OSError: It cannot be written.
        """
        for file in self._records:
            file.add(frame)

    def _close_video(self) -> None:
        video, self._video = self._video, None
        if video is not None:
            video.close()

    def close(self) -> None:
        """Finish the files.

        Raises:
            OSError: One of them cannot be finished; the others are.
        """
        with self._files:
            self._close_video()

    def __enter__(self) -> 'PredictionOutputs':
        return self

    def __exit__(self, *_) -> None:
        self.close()


class VideoFile:
    """An MP4 file that is there once it is closed.

    Args:
        path: The file.
        source: What it is made of.
        fps: Frames per second.
        size: Width and height of the frames in pixels; odd ones lose a column or row, as MPEG-4 wants.

    Raises:
        OSError: It cannot be written.
    """

    def __init__(self, path: Path, source: Video, fps: float, size: tuple[int, int]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.source, self._size, self._written = path, source, size, 0
        self._aside = path.with_name(
            f'.{path.stem}.{os.getpid()}.part.mp4'
        )  # OpenCV reads the suffix
        codec = cv2.VideoWriter_fourcc(*'mp4v')
        self._writer = cv2.VideoWriter(str(self._aside), codec, fps, size)
        if not self._writer.isOpened():
            raise OSError(
                f'the video {path} cannot be written: see whether its folder and disk can be.'
            )

    def add(self, picture: np.ndarray) -> None:
        """Append a frame, RGB, which is brought to the size of the video."""
        if picture.shape[1::-1] != self._size:
            picture = cv2.resize(picture, self._size, interpolation=cv2.INTER_AREA)
        self._writer.write(_bgr(picture))
        self._written += 1

    def close(self) -> None:
        """Finish the file.

        Raises:
            OSError: Not all of it could be written, which OpenCV does not tell.
        """
        self._writer.release()
        try:
            there = cv2.VideoCapture(str(self._aside))
            whole = there.isOpened() and there.get(cv2.CAP_PROP_FRAME_COUNT) == self._written
            there.release()
            if not whole:
                raise OSError(f'the video {self.path} could not be written: is the disk full?')
            self._aside.replace(self.path)
        finally:
            self._aside.unlink(missing_ok=True)


class CocoPredictionFile:
    """Parking-slot COCO of predictions, which :func:`read_parking_slot_coco` and pycocotools read.

    Beside what labels have, slots carry ``score`` and ``occupied_score``, and where the ground
    resolution is known ``corners_metres``, ``entrance_width_metres`` and ``depth_metres``; marking
    points ``score`` and ``point_metres``. Metres count from the upper left pixel, x right, y down.
    Frames of videos have ``video_id`` and ``frame_id``, and their video is in ``videos``.

    Entries wait in temporary files, so that a long video does not fill the memory.

    Args:
        path: The file; its folder exists.
        classes: Names of the slot types.
        info: Entries for ``info``.
    """

    def __init__(self, path: Path, classes: Sequence[str], info: dict) -> None:
        self._path, self._info, self._classes = path, info, classes
        self._files = ExitStack()
        self._parts = {key: self._files.enter_context(_spool(path)) for key in _LISTS}
        self._counts = dict.fromkeys(_LISTS, 0)
        self._video: Video | None = None
        self._label_kinds: set[str] = set(LABEL_KINDS)

    def add(self, frame: InferredFrame) -> None:
        """Add one frame."""
        image = {'id': self._counts['images'], 'file_name': frame.name}
        image |= {'width': frame.width, 'height': frame.height}
        if frame.metres_per_pixel:
            image['metres_per_pixel'] = frame.metres_per_pixel
        if frame.video is not None:
            if frame.video != self._video:
                self._video = frame.video
                video = {'id': self._counts['videos'], 'name': frame.video.name}
                self._write('videos', {**video, 'fps': frame.video.fps})
            image |= {'video_id': self._counts['videos'] - 1, 'frame_id': frame.index}
        if frame.predictions.directions is None:
            self._label_kinds.discard('directions')
        if frame.predictions.shapes is None:
            self._label_kinds.discard('shapes')
        for slot in slot_entries(frame):
            number = self._counts['annotations'] + 1  # pycocotools takes a match with id 0 for none
            self._write('annotations', {'id': number, 'image_id': image['id'], **slot})
        for point in point_entries(frame):
            number = self._counts['marking_points']
            self._write('marking_points', {'id': number, 'image_id': image['id'], **point})
        self._write('images', image)

    def _write(self, key: str, entry: dict) -> None:
        part = self._parts[key]
        part.write(',\n' if self._counts[key] else '')
        part.write(json.dumps(entry, separators=(',', ':'), allow_nan=False))
        self._counts[key] += 1

    def close(self) -> None:
        """Write the file, if any frame was added."""
        with self._files:
            if self._counts['images']:
                with moved_into_place(self._path) as aside, _text_file(aside) as file:
                    self._assemble(file)

    def _assemble(self, file: IO[str]) -> None:
        labels = [kind for kind in LABEL_KINDS if kind in self._label_kinds]
        skeleton = [[1, 2], [2, 3], [3, 4], [4, 1]]
        categories = [
            {'id': i, 'name': name, 'keypoints': list(KEYPOINTS), 'skeleton': skeleton}
            for i, name in enumerate(self._classes, 1)
        ]
        info = json.dumps({**self._info, 'labels': labels})
        file.write(f'{{"info":{info},\n"categories":{json.dumps(categories)}')
        for key, part in self._parts.items():
            part.seek(0)
            file.write(f',\n"{key}":[')
            shutil.copyfileobj(part, file)
            file.write(']')
        file.write('}\n')

    def __enter__(self) -> 'CocoPredictionFile':
        return self

    def __exit__(self, *_) -> None:
        self.close()


class CsvPredictionFile:
    """One row per slot; the header names the units, metres are empty where they are not known.

    Args:
        path: The file; its folder exists.
        classes: Names of the slot types.
    """

    def __init__(self, path: Path, classes: Sequence[str]) -> None:
        self._path, self._classes, self._any = path, classes, False
        self._files = ExitStack()
        self._part = self._files.enter_context(_spool(path))
        self._rows = csv.writer(self._part, lineterminator='\n')
        self._rows.writerow(_CSV_HEADER)

    def add(self, frame: InferredFrame) -> None:
        """Add the slots of one frame."""
        self._any = True
        found, scale = frame.predictions, frame.metres_per_pixel
        sizes = np.c_[found.corners.reshape(-1, 8), slot_sizes(found.corners)].astype(np.float64)
        for i, pixels in enumerate(sizes):
            score, occupied = float(found.scores[i]), float(found.occupied_scores[i])
            self._rows.writerow(
                [
                    *(frame.name, '' if frame.video is None else frame.index, i),
                    *(self._classes[found.labels[i]], round(score, 4)),
                    *('yes' if occupied >= 0.5 else 'no', round(occupied, 4)),
                    *pixels.round(2).tolist(),
                    *((pixels * scale).round(3).tolist() if scale else [''] * len(pixels)),
                ]
            )

    def close(self) -> None:
        """Write the file, if any frame was added."""
        with self._files:
            if self._any:
                self._part.seek(0)
                with moved_into_place(self._path) as aside, _text_file(aside) as file:
                    shutil.copyfileobj(self._part, file)

    def __enter__(self) -> 'CsvPredictionFile':
        return self

    def __exit__(self, *_) -> None:
        self.close()


def slot_sizes(corners: np.ndarray) -> np.ndarray:
    """Width of the entrance and depth of slots.

    Args:
        corners: Shape ``(M, 4, 2)``.

    Returns:
        Shape ``(M, 2)``, in the unit of the corners.
    """
    left, right, rear_right, rear_left = np.moveaxis(corners, 1, 0)
    reach = (rear_right - right + rear_left - left) / 2
    return np.stack([np.linalg.norm(right - left, axis=-1), np.linalg.norm(reach, axis=-1)], -1)


def slot_entries(frame: InferredFrame) -> Iterator[dict]:
    """COCO annotations of a frame's slots, without ids; see :class:`CocoPredictionFile`."""
    found, scale = frame.predictions, frame.metres_per_pixel
    if not len(found.corners):
        return
    corners, (width, height) = found.corners.astype(np.float64), (frame.width, frame.height)
    inside = ((corners >= 0) & (corners <= (width, height))).all(-1)
    flags = np.where(inside, VISIBLE, HIDDEN)
    columns = {
        'category_id': (found.labels + 1).tolist(),
        'keypoints': [
            [number for (x, y), flag in zip(quad, seen, strict=True) for number in (x, y, flag)]
            for quad, seen in zip(corners.round(3).tolist(), flags.tolist(), strict=True)
        ],
        **_visible_parts(corners, width, height),
        'score': found.scores.astype(np.float64).round(5).tolist(),
        'occupied': (found.occupied_scores >= 0.5).tolist(),
        'occupied_score': found.occupied_scores.astype(np.float64).round(5).tolist(),
    }
    if scale:
        columns['corners_metres'] = (corners * scale).round(4).tolist()
        sizes = (slot_sizes(corners) * scale).round(4).T.tolist()
        columns |= dict(zip(('entrance_width_metres', 'depth_metres'), sizes, strict=True))
    for row in zip(*columns.values(), strict=True):
        yield {'iscrowd': 0, 'num_keypoints': 4, **dict(zip(columns, row, strict=True))}


def _visible_parts(corners: np.ndarray, width: int, height: int) -> dict[str, list]:
    """What COCO wants of the parts of slots inside the image, empty where there is none."""
    whole = shapely.buffer(shapely.polygons(corners), 0)  # valid, should its sides cross
    visible = shapely.intersection(whole, shapely.box(0, 0, width, height))
    boxes = np.nan_to_num(shapely.bounds(visible))
    boxes[:, 2:] -= boxes[:, :2]
    outlines = [[] for _ in corners]
    for part, slot in zip(*shapely.get_parts(visible, return_index=True), strict=True):
        if shapely.area(part):
            outlines[slot].append(shapely.get_coordinates(part)[:-1].round(3).ravel().tolist())
    return {
        'segmentation': outlines,
        'bbox': boxes.round(3).tolist(),
        'area': shapely.area(visible).round(2).tolist(),
    }


def point_entries(frame: InferredFrame) -> Iterator[dict]:
    """Marking points of a frame, without ids; see :class:`CocoPredictionFile`."""
    found, scale = frame.predictions, frame.metres_per_pixel
    points, count = found.points.astype(np.float64), len(found.points)
    unknown = [None] * count
    columns = {
        'point': points.round(3).tolist(),
        'direction': unknown,
        'shape': unknown,
        'score': found.point_scores.astype(np.float64).round(5).tolist(),
    }
    if found.directions is not None:
        columns['direction'] = found.directions.astype(np.float64).round(5).tolist()
    if found.shapes is not None:
        columns['shape'] = [SHAPES[shape] for shape in found.shapes]
    if scale:
        columns['point_metres'] = (points * scale).round(4).tolist()
    for row in zip(*columns.values(), strict=True):
        yield dict(zip(columns, row, strict=True))


def _spool(path: Path) -> IO[str]:
    """A file without a name beside ``path``, gone once it is closed."""
    return tempfile.TemporaryFile('w+', encoding='utf-8', newline='\n', dir=path.parent)


def _text_file(path: str) -> IO[str]:
    return open(path, 'w', encoding='utf-8', newline='\n')


def _bgr(picture: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
