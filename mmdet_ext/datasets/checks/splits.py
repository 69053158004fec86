"""Splits that leak: the same image, content, look or sequence in two annotation files."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mmdet_ext.datasets.checks.annotation_file import AnnotationFile
from mmdet_ext.datasets.checks.findings import ERROR, WARNING, Finding, findings_at
from mmdet_ext.datasets.checks.images import NEAR_BITS, ImageSurvey
from mmdet_ext.datasets.checks.near_duplicates import near_pairs


@dataclass(frozen=True)
class Split:
    """One annotation file with its images.

    Attributes:
        file: Annotation file.
        paths: Its images.
        part: Files of the same part, such as ``train``, may share images.
        survey: What was found in them; None if they were not read.
    """

    file: AnnotationFile
    paths: Sequence[str]
    part: str
    survey: ImageSurvey | None = None


def check_splits(splits: Sequence[Split]) -> Iterator[Finding]:
    """Compare every file with those of other parts before it.

    Args:
        splits: Files of one data set.

    Yields:
        Findings, named after the later file.
    """
    for first, second in itertools.combinations(splits, 2):
        if first.part != second.part:
            yield from _compare(first, second)


def _compare(first: Split, second: Split) -> Iterator[Finding]:
    source, other = str(second.file.path), first.file.path
    example = second.file.image_at
    remedy = 'take them out of one of the two files: what was trained on measures nothing'
    known = set(first.paths)
    same = np.array([path in known for path in second.paths], bool)
    yield from findings_at(same, source, f'images are in {other}, too', remedy, example, ERROR)
    if first.survey and second.survey:
        copied = find_copies(first.survey, second.survey)
        yield from findings_at(
            (copied >= 0) & ~same,
            source,
            f'images have the content of an image of {other} under another name',
            remedy,
            lambda row: f'{example(row)} and {first.file.image_at(copied[row])}',
            ERROR,
        )
        partner = find_look_alikes(first.survey, second.survey)
        yield from findings_at(
            (partner >= 0) & (copied < 0) & ~same,
            source,
            f'images look almost like one of {other}',
            'split by sequence or site (`group`) with tools/dataset/split.py',
            lambda row: f'{example(row)} and {first.file.image_at(partner[row])}',
            WARNING,
        )
    groups = {image.get('group') for image in first.file.images} - {None}
    straddling = [image.get('group') in groups for image in second.file.images]
    yield from findings_at(
        np.array(straddling, bool) & ~same,
        source,
        f'images are of a sequence or site (`group`) that {other} has images of',
        'split by group with tools/dataset/split.py, or be sure that a gap lies between the frames',
        lambda row: f'{example(row)} of group {second.file.images[row]["group"]!r}',
        WARNING,
    )


def find_copies(first: ImageSurvey, second: ImageSurvey) -> np.ndarray:
    """Find a row of the first survey with the content of each image of the second; -1 for none."""
    readable = np.flatnonzero(first.read)
    row_of = dict(zip(first.digests[readable].tolist(), readable.tolist(), strict=True))
    rows = np.array([row_of.get(digest, -1) for digest in second.digests.tolist()], np.int64)
    return np.where(second.read, rows, -1)


def find_look_alikes(first: ImageSurvey, second: ImageSurvey) -> np.ndarray:
    """Find a row of the first survey that looks like each image of the second; -1 for none."""
    hashes, rows = np.unique(first.hashes[first.comparable], return_index=True)
    rows = np.flatnonzero(first.comparable)[rows]
    both = np.union1d(hashes, second.hashes[second.comparable])
    partner_of_hash = np.full(len(both), -1)
    own = np.searchsorted(both, hashes)
    partner_of_hash[own] = rows
    found = partner_of_hash.copy()
    for left, right in near_pairs(both, NEAR_BITS):
        for here, there in ((left, right), (right, left)):
            fits = (found[here] < 0) & (partner_of_hash[there] >= 0)
            found[here[fits]] = partner_of_hash[there[fits]]
    partner = np.full(len(second.hashes), -1)
    seen = second.comparable
    partner[seen] = found[np.searchsorted(both, second.hashes[seen])]
    return partner
