"""Runs exported models with NumPy, OpenCV and onnxruntime alone."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mmdet_ext.deploy.file_format import OUTPUTS, ExportedModel
from mmdet_ext.structures.predictions import ParkingSlotPredictions
from mmdet_ext.structures.warping import affine_matrix, warp_image
from mmdet_ext.utils.contrast import equalise_lightness


@dataclass(frozen=True)
class Prepared:
    """An image as a model takes it.

    Attributes:
        pixels: BGR, ``(H, W, 3)``, uint8.
        width: Of the image that it was made of, in pixels.
        height: Likewise.
        factor: Pixels here per pixel there, in x and y.
        offset: Where the centre of the first pixel there lies here, ``(2,)``.
    """

    pixels: np.ndarray
    width: int
    height: int
    factor: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)

    def back(self, positions: np.ndarray) -> np.ndarray:
        """Carry positions ``(..., 2)`` here to the image that it was made of."""
        return (positions - np.float32(self.offset)) / np.float32(self.factor)


@dataclass
class BoxPredictions:
    """What a detector of boxes found in one image, best score first.

    Attributes:
        boxes: Left, top, right, bottom in pixels of the image, ``(M, 4)``.
        scores: In [0, 1], ``(M,)``.
        labels: Classes, ``(M,)``, int.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray

    def above(self, score: float) -> 'BoxPredictions':
        """Those that score at least ``score``."""
        kept = self.scores >= score
        return BoxPredictions(self.boxes[kept], self.scores[kept], self.labels[kept])


class OnnxEngine:
    """Runs a file of tools/export.py.

    >>> engine = OnnxEngine('psd_yolo.onnx')
    >>> engine(cv2.imread('picture.jpg'))[0].corners

    For files, folders, videos and cameras hand it to an inferencer: ``ParkingSlotInferencer(engine=engine)``.

    Args:
        path: The file.
        threads: Cores that one call uses; None: all that the process may.
        providers: Of onnxruntime, such as ``['CUDAExecutionProvider']``; the CPU by default.

    Attributes:
        model: What the file says of itself.
        classes: Names of the classes.
        palette: Their colours, RGB.

    Raises:
        ImportError: onnxruntime is missing.
        FileNotFoundError: There is no such file.
        ValueError: It is no ONNX file, none of ours, of another version, or not decoded.
    """

    def __init__(
        self,
        path: str | Path,
        threads: int | None = None,
        providers: Sequence[str] = ('CPUExecutionProvider',),
    ) -> None:
        self._path, self._providers = str(path), list(providers)
        self._threads = threads or len(os.sched_getaffinity(0))
        self._session = open_session(self._path, self._threads, self._providers)
        metadata = self._session.get_modelmeta().custom_metadata_map
        self.model = ExportedModel.from_metadata(metadata, self._path)
        if self.model.kind == 'raw':
            raise ValueError(
                f'{path} gives the maps of the head and decodes nothing: export without --raw for this '
                'runtime.'
            )
        self.classes = tuple(self.model.classes)
        self.palette = [tuple(colour) for colour in self.model.palette]
        self._outputs = OUTPUTS[self.model.kind]

    def __call__(self, images: np.ndarray | Sequence[np.ndarray]) -> list:
        """Find what there is in images.

        Args:
            images: One, or several: BGR, ``(H, W, 3)``, uint8.

        Returns:
            :class:`ParkingSlotPredictions` of each, or :class:`BoxPredictions`.

        Raises:
            ValueError: An image is of another type or shape.
        """
        if isinstance(images, np.ndarray) and images.ndim == 3:
            images = [images]
        return self.predict([self.prepare(image) for image in images])

    def prepare(self, image: np.ndarray) -> Prepared:
        """Bring an image to the size that the file takes as in training; any thread may.

        Args:
            image: BGR, ``(H, W, 3)``, uint8.

        Raises:
            ValueError: It is of another type or shape.
        """
        _check_image(image)
        height, width = image.shape[:2]
        if self.model.local_contrast:
            image = equalise_lightness(image, **self.model.local_contrast)
        size = self.model.input_size
        if size is None or tuple(size) == (width, height):
            return Prepared(image, width, height)
        if self.model.placement == 'centre':
            matrix = affine_matrix((width, height), tuple(size))
            pixels = warp_image(image, matrix, tuple(size), self.model.padding[0])
            factor = matrix[0, 0], matrix[1, 1]
            return Prepared(pixels, width, height, factor, tuple(matrix[:2, 2]))
        return self._resize_as_mmdet(image)

    def _resize_as_mmdet(self, image: np.ndarray) -> Prepared:
        """As ``Resize`` and ``Pad`` do."""
        height, width = image.shape[:2]
        inner = size = tuple(self.model.input_size)
        if self.model.placement == 'top_left':
            ratio = min(size[0] / width, size[1] / height)
            inner = int(width * ratio + 0.5), int(height * ratio + 0.5)
        pixels = np.empty((size[1], size[0], 3), np.uint8)
        pixels[:] = self.model.padding
        pixels[: inner[1], : inner[0]] = cv2.resize(image, inner)
        return Prepared(pixels, width, height, (inner[0] / width, inner[1] / height))

    def predict(self, batch: Sequence[Prepared]) -> list:
        """Run the file on a batch; any thread may.

        Args:
            batch: Of :meth:`prepare`; images of different sizes go one size after the other.

        Returns:
            As a call does.
        """
        found: list = [None] * len(batch)
        sizes = [each.pixels.shape for each in batch]
        for size in dict.fromkeys(sizes):
            rows = [row for row, other in enumerate(sizes) if other == size]
            outputs = self.run(np.stack([batch[row].pixels for row in rows]))
            for i, row in enumerate(rows):
                found[row] = self.finish([output[i] for output in outputs], batch[row])
        return found

    def run(self, images: np.ndarray) -> list[np.ndarray]:
        """Run the file as it is.

        Args:
            images: BGR, ``(B, H, W, 3)``, uint8, of the size that it takes.

        Returns:
            Its outputs in the order of :data:`~mmdet_ext.deploy.file_format.OUTPUTS`.
        """
        return self._session.run(self._outputs, {'images': images})

    def finish(
        self, outputs: Sequence[np.ndarray], image: Prepared
    ) -> ParkingSlotPredictions | BoxPredictions:
        """Make predictions of the outputs for one image.

        Args:
            outputs: Of :meth:`run`, without the first dimension.
            image: What they belong to.
        """
        values = dict(zip(self._outputs, outputs, strict=True))
        if self.model.kind == 'boxes':
            return self._boxes(values, image)
        corners, points = image.back(values['corners']), image.back(values['points'])
        slots = values['scores'] >= self.model.score_threshold
        slots &= self._enter_inside(corners, image) & np.isfinite(corners).all((1, 2))
        marks = values['point_scores'] >= self.model.score_threshold
        kinds = self.model.label_kinds
        return ParkingSlotPredictions(
            corners=corners[slots],
            labels=values['labels'][slots],
            scores=values['scores'][slots],
            occupied_scores=values['occupied_scores'][slots],
            points=points[marks],
            point_scores=values['point_scores'][marks],
            directions=values['directions'][marks] if 'directions' in kinds else None,
            shapes=values['shapes'][marks] if 'shapes' in kinds else None,
        )

    def _enter_inside(self, corners: np.ndarray, image: Prepared) -> np.ndarray:
        margin = self.model.entrance_margin * image.height / 600
        entrance, limit = corners[:, :2], (image.width + margin, image.height + margin)
        return ((entrance >= -margin) & (entrance <= limit)).all((1, 2))

    def _boxes(self, values: dict[str, np.ndarray], image: Prepared) -> BoxPredictions:
        boxes = image.back(values['boxes'].reshape(-1, 2, 2))
        boxes = boxes.clip(0, (image.width, image.height)).reshape(-1, 4)
        kept = values['scores'] > self.model.score_threshold
        return BoxPredictions(boxes[kept], values['scores'][kept], values['labels'][kept])

    @contextmanager
    def shared_threads(self) -> Iterator[int]:
        """Share the cores out to threads that each do a whole batch, as long as the context is open.

        Yields:
            How many such threads to start.
        """
        session, opencv = self._session, cv2.getNumThreads()
        self._session = open_session(self._path, 1, self._providers)
        cv2.setNumThreads(1)
        try:
            yield self._threads
        finally:
            self._session = session
            cv2.setNumThreads(opencv)


def open_session(
    path: str | Path, threads: int, providers: Sequence[str] = ('CPUExecutionProvider',)
):
    """Open any ONNX file in onnxruntime.

    Args:
        path: The file.
        threads: Number of threads.
        providers: See :class:`OnnxEngine`.

    Returns:
        An ``onnxruntime.InferenceSession``.

    Raises:
        ImportError: onnxruntime is missing.
        FileNotFoundError: There is no such file.
        ValueError: It is no ONNX file.
    """
    try:
        import onnxruntime  # noqa: PLC0415 (said in one sentence if it is missing)
    except ImportError as error:
        raise ImportError(
            "exported models need onnxruntime: pip install 'mmdet_ext[deploy]'."
        ) from error
    if not Path(path).is_file():
        raise FileNotFoundError(f'there is no file {path}: tools/export.py writes one.')
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # what it may warn of concerns who exports
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=list(providers))
    except Exception as error:  # of a type of its own, without a common base
        reason = str(error).split('\n')[0]
        raise ValueError(
            f'{path} cannot be opened as an ONNX file ({reason}): export it again.'
        ) from error


def _check_image(image: np.ndarray) -> None:
    if not isinstance(image, np.ndarray):
        raise ValueError(
            f'an image is {type(image).__name__}: give a NumPy array, such as cv2.imread makes.'
        )
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(
            f'an image is {image.dtype} of shape {image.shape}: give uint8 in BGR, (height, width, 3).'
        )
