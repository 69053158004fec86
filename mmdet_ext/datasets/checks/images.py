"""The image files of a data set: there, readable, whole, of the stated size, each there once.

Images stream through worker processes; what is kept of each are about 90 bytes.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from mmdet_ext.datasets.checks.annotation_file import AnnotationFile
from mmdet_ext.datasets.checks.findings import ERROR, NOTE, WARNING, Finding, findings_at
from mmdet_ext.datasets.checks.near_duplicates import near_pairs, perceptual_hash
from mmdet_ext.utils.parallel import track_map

OK, CUT_OFF, UNREADABLE, MISSING = range(4)

NEAR_BITS = 4
"""Bits of the hash that may differ: recompression, scaling and blur flip no more in 98 % of images."""

_BLANK = 2.0
"""Standard deviation of the grey values below which an image shows nothing."""


@dataclass
class ImageSurvey:
    """What is known of images after reading them once, I of them.

    Attributes:
        status: :data:`OK`, :data:`CUT_OFF`, :data:`UNREADABLE` or :data:`MISSING`, ``(I,)``.
        sizes: Width and height in pixels as training gets them, ``(I, 2)``, 0 if not read.
        digests: Hash of the file's content, ``(I,)`` of 16 bytes.
        hashes: Perceptual hashes, ``(I,)``, uint64.
        spreads: Standard deviation of the grey values, ``(I,)``.
        brightness: Mean grey value, ``(I,)``, 0 to 255.
        colour_sums: Sums of the channels R, G, B over an image, ``(I, 3)``.
        square_sums: Sums of their squares, ``(I, 3)``.
    """

    status: np.ndarray
    sizes: np.ndarray
    digests: np.ndarray
    hashes: np.ndarray
    spreads: np.ndarray
    brightness: np.ndarray
    colour_sums: np.ndarray
    square_sums: np.ndarray

    @property
    def read(self) -> np.ndarray:
        """Which images could be decoded, ``(I,)``."""
        return self.status == OK

    @property
    def comparable(self) -> np.ndarray:
        """Which images show something, so that their perceptual hash means something, ``(I,)``."""
        return self.read & (self.spreads >= _BLANK)


def survey_images(
    paths: Sequence[str], description: str, num_workers: int | None = None
) -> ImageSurvey:
    """Read images once.

    Args:
        paths: Image files.
        description: Text beside the progress bar.
        num_workers: Processes; by default one per available core.

    Returns:
        One row per path.
    """
    count = len(paths)
    survey = ImageSurvey(
        status=np.full(count, MISSING, np.int8),
        sizes=np.zeros((count, 2), np.int32),
        digests=np.zeros(count, 'S16'),
        hashes=np.zeros(count, np.uint64),
        spreads=np.zeros(count, np.float32),
        brightness=np.zeros(count, np.float32),
        colour_sums=np.zeros((count, 3)),
        square_sums=np.zeros((count, 3)),
    )
    columns = [getattr(survey, field.name) for field in fields(survey)]
    results = track_map(survey_image, paths, description, num_workers=num_workers, chunksize=32)
    for row, values in enumerate(results):
        for column, value in zip(columns, values, strict=False):  # what is not read stays 0
            column[row] = value
    return survey


def survey_image(path: str) -> tuple:
    """Read one image.

    Args:
        path: Image file.

    Returns:
        A row of :class:`ImageSurvey`, as far as the image can be read.
    """
    try:
        data = Path(path).read_bytes()
    except (OSError, ValueError):  # a null byte in the name is a ValueError
        return (MISSING,)
    digest = hashlib.blake2b(data, digest_size=16).digest()
    image = None
    if data:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)  # as training does
    if image is None:
        return CUT_OFF if _is_cut_off(data) else UNREADABLE, (0, 0), digest
    gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    mean, spread = cv2.meanStdDev(gray)
    pixels = gray.size
    colour_mean, colour_spread = (part.ravel()[::-1] for part in cv2.meanStdDev(image))
    return (
        OK,
        image.shape[1::-1],
        digest,
        perceptual_hash(gray),
        spread.item(),
        mean.item(),
        colour_mean * pixels,
        (colour_spread**2 + colour_mean**2) * pixels,
    )


def _is_cut_off(data: bytes) -> bool:
    """Whether what cannot be decoded at least begins as an image does."""
    try:
        Image.open(BytesIO(data)).load()
    except (UnidentifiedImageError, Image.DecompressionBombError):
        return False
    except (OSError, SyntaxError, ValueError):
        return True
    return False


def channel_statistics(surveys: Sequence[ImageSurvey]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the channels over all pixels of all images.

    Args:
        surveys: Surveys of the images.

    Returns:
        Mean and standard deviation of R, G, B, each ``(3,)``, 0 to 255; NaN without images.
    """
    pixels = sum(survey.sizes.astype(np.int64).prod(-1).sum() for survey in surveys)
    if not pixels:
        return np.full(3, np.nan), np.full(3, np.nan)
    mean = sum(survey.colour_sums.sum(0) for survey in surveys) / pixels
    square = sum(survey.square_sums.sum(0) for survey in surveys) / pixels
    return mean, np.sqrt(np.maximum(square - mean**2, 0))


def image_paths(file: AnnotationFile, folder: str | Path) -> list[str]:
    """Paths of a file's images.

    Args:
        file: Annotation file.
        folder: Folder that its file names are relative to.

    Returns:
        One absolute path per entry of ``images``.
    """
    folder = os.path.realpath(folder)  # `..` leads out of where a link points to
    return [
        os.path.normpath(os.path.join(folder, str(image.get('file_name')))) for image in file.images
    ]


def check_first_images(
    file: AnnotationFile, folder: str | Path, count: int = 16
) -> Iterator[Finding]:
    """Check that images are where the config says, by a few of them.

    Args:
        file: Annotation file.
        folder: Folder that its file names are relative to.
        count: Images to look for, spread over the file, the first among them.

    Yields:
        A finding if one is not there.
    """
    paths = image_paths(file, folder)
    tried = np.unique(np.linspace(0, len(paths) - 1, min(count, len(paths))).astype(int))
    missing = [row for row in tried if not os.path.isfile(paths[row])]
    if missing:
        yield Finding(
            ERROR,
            str(file.path),
            'images looked for are not there',
            'correct `data_root` and `data_prefix` of the dataset, or fetch the images',
            len(missing),
            len(tried),
            os.path.abspath(paths[missing[0]]),
        )


def check_images(
    file: AnnotationFile, paths: Sequence[str], survey: ImageSurvey
) -> Iterator[Finding]:
    """Check the images of one annotation file.

    Args:
        file: Annotation file.
        paths: Its images.
        survey: What was found in them.

    Yields:
        Findings.
    """
    source = str(file.path)

    def example(row: int) -> str:
        return f'{file.image_at(row)} at {os.path.abspath(paths[row])}'

    for status, problem, remedy in (
        (MISSING, 'image files are not there', 'correct the image folder (--images)'),
        (CUT_OFF, 'image files are cut off or damaged', 'fetch them again or remove them'),
        (UNREADABLE, 'files are no images that OpenCV can read', 'write them as JPEG or PNG'),
    ):
        yield from findings_at(survey.status == status, source, problem, remedy, example, ERROR)
    yield from _check_sizes(file, source, survey)
    yield from findings_at(
        survey.read & (survey.spreads < _BLANK),
        source,
        'images are of one colour',
        'remove them if their labels cannot be seen',
        example,
    )
    yield from _check_repeats(file, source, survey)


def _check_sizes(file: AnnotationFile, source: str, survey: ImageSurvey) -> Iterator[Finding]:
    stated = file.sizes
    wrong = survey.read & (stated != survey.sizes).any(-1) & ~np.isnan(stated).any(-1)
    turned = wrong & (stated[:, ::-1] == survey.sizes).all(-1)

    def example(row: int) -> str:
        width, height = survey.sizes[row]
        return (
            f'{file.image_at(row)} is {width} x {height}, stated {stated[row].astype(int).tolist()}'
        )

    yield from findings_at(
        turned,
        source,
        'images have width and height exchanged: they are turned by an EXIF tag, or the labels are '
        'wrong',
        'turn the pixels and drop the tag, or exchange `width` and `height`',
        example,
    )
    yield from findings_at(
        wrong & ~turned,
        source,
        'images have another size than stated',
        'scale the labels to the images, or fetch the images that were labelled',
        example,
    )


def _check_repeats(file: AnnotationFile, source: str, survey: ImageSurvey) -> Iterator[Finding]:
    first = first_with(survey.digests)
    copies = survey.read & (first != np.arange(len(first)))
    yield from findings_at(
        copies,
        source,
        'images have the content of another one',
        'remove the copies, and merge their labels',
        lambda row: f'{file.image_at(row)} and {file.image_at(first[row])}',
        WARNING,
    )
    partner = np.full(len(first), -1)
    for left, right in similar_images(survey):
        later, earlier = np.maximum(left, right), np.minimum(left, right)
        partner[later] = earlier
    near = (partner >= 0) & ~copies
    yield from findings_at(
        near,
        source,
        'images look almost like another one',
        'keep such frames of a video in the same split, or thin them out',
        lambda row: f'{file.image_at(row)} and {file.image_at(partner[row])}',
        NOTE,
    )


def first_with(keys: np.ndarray) -> np.ndarray:
    """Row of the first entry with the same key, ``(N,)``."""
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    return first[inverse.ravel()]


def similar_images(survey: ImageSurvey) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Find images that look alike; of those with the same hash, only the first stands for all.

    Args:
        survey: Survey of the images.

    Yields:
        Rows of images that look alike, two arrays of the same length.
    """
    rows = np.flatnonzero(survey.comparable)
    hashes, first = np.unique(survey.hashes[rows], return_index=True)
    same = rows[first_with(survey.hashes[rows])]
    yield rows[rows != same], same[rows != same]
    for left, right in near_pairs(hashes, NEAR_BITS):
        yield rows[first[left]], rows[first[right]]
