"""All checks of a data set: annotations, config, images and splits."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mmdet_ext.datasets.checks.annotation_file import read_annotation_file
from mmdet_ext.datasets.checks.annotations import check_annotations
from mmdet_ext.datasets.checks.config import (
    DatasetUse,
    check_config,
    check_use,
    dataset_uses,
)
from mmdet_ext.datasets.checks.findings import ERROR, WARNING, Finding, by_severity, errors
from mmdet_ext.datasets.checks.images import (
    channel_statistics,
    check_images,
    image_paths,
    survey_images,
)
from mmdet_ext.datasets.checks.splits import Split, check_splits
from mmdet_ext.datasets.checks.statistics import LabelStatistics, label_statistics

NO_IMAGES = 'none'


@dataclass(frozen=True)
class Diagnosis:
    """What is known of a data set.

    Attributes:
        findings: Defects, the gravest first.
        splits: Its annotation files and images, as far as they could be read.
        statistics: Of the labels of each split.
        not_checked: Datasets of the config that no check applies to, one sentence each.
        colour_mean: Mean of R, G, B over all images, ``(3,)``; NaN if none was read.
        colour_std: Their standard deviation, ``(3,)``.
    """

    findings: list[Finding]
    splits: list[Split]
    statistics: list[LabelStatistics]
    not_checked: list[str]
    colour_mean: np.ndarray
    colour_std: np.ndarray

    @property
    def trainable(self) -> bool:
        """Whether training makes sense: there is no error."""
        return not errors(self.findings)


def diagnose(
    annotations: Sequence[str | Path] = (),
    cfg: Mapping | None = None,
    images: str | Path | None = None,
    num_workers: int | None = None,
) -> Diagnosis:
    """Check a data set.

    Args:
        annotations: COCO files, one per split. By default all that the config names.
        cfg: Config that trains on them; without it classes are not compared.
        images: Folder that file names are relative to, or ``none`` to leave images alone. By
            default the config's, else that of the annotation file.
        num_workers: Processes that read images; by default one per available core.

    Returns:
        What was found.

    Raises:
        ValueError: There is no annotation file to check, or the image folder does not exist.
    """
    if images not in (None, NO_IMAGES) and not Path(images).is_dir():
        raise ValueError(
            f'the image folder {images} does not exist: correct --images, or give `none` to check '
            'the annotations alone.'
        )
    uses, not_checked = dataset_uses(cfg or {}, ('train', 'val', 'test'))
    findings = list(check_config(cfg, uses)) if cfg else []
    targets = _targets(annotations, uses)
    if not targets:
        raise ValueError(
            'there is no annotation file to check: name one, or a config with datasets that read '
            'COCO files.' + ''.join(f' {line}' for line in not_checked)
        )
    splits = []
    for path, use in targets.items():
        split = _check_file(path, use, images, num_workers, findings)
        splits += [split] if split else []
    findings += check_splits(splits)
    surveys = [split.survey for split in splits if split.survey]
    return Diagnosis(
        by_severity(findings),
        splits,
        [label_statistics(split.file) for split in splits],
        not_checked,
        *channel_statistics(surveys),
    )


def _targets(
    annotations: Sequence[str | Path], uses: Sequence[DatasetUse]
) -> dict[Path, DatasetUse | None]:
    """The files to check, each with the dataset of the config that it belongs to."""
    known = {}
    for use in uses:
        known.setdefault(use.path.resolve(), use)
    if not annotations:
        return {use.path: use for use in known.values()}
    targets = {}
    for path in map(Path, annotations):
        use = known.get(path.resolve())
        if use is None and uses:  # the config's classes, the file's own folder
            use = replace(uses[0], path=path, folder=path.parent, split=str(path))
        targets[path] = use
    return targets


def _check_file(
    path: Path,
    use: DatasetUse | None,
    images: str | Path | None,
    num_workers: int | None,
    findings: list[Finding],
) -> Split | None:
    file = read_annotation_file(path)
    if isinstance(file, Finding):
        findings.append(file)
        return None
    findings += check_annotations(file)
    if use:
        findings += check_use(use, file)
    folder = images if images not in (None, NO_IMAGES) else use.folder if use else path.parent
    paths = image_paths(file, folder)
    survey = None
    if images != NO_IMAGES and paths:
        survey = survey_images(paths, f'Images of {path.name}', num_workers)
        findings += check_images(file, paths, survey)
    return Split(file, paths, use.split if use else str(path), survey)


def overview(diagnosis: Diagnosis) -> Iterator[tuple[str, str, str, str]]:
    """Yield a row per file: its name and its numbers of images, objects and marking points.

    Args:
        diagnosis: What was found.

    Yields:
        Texts.
    """
    for split in diagnosis.splits:
        file = split.file
        lists = (file.images, file.annotations, file.marking_points)
        yield str(file.path), *(f'{len(entries):,}' for entries in lists)


def verdict(diagnosis: Diagnosis) -> str:
    """Say in one sentence whether training makes sense.

    Args:
        diagnosis: What was found.

    Returns:
        The sentence, with the number of errors and warnings.
    """
    grades = [finding.severity for finding in diagnosis.findings]
    counts = ', '.join(
        f'{grades.count(grade)} {grade}{"" if grades.count(grade) == 1 else "s"}'
        for grade in (ERROR, WARNING)
    )
    if diagnosis.trainable:
        return f'Training makes sense: {counts}.'
    return f'Training makes no sense yet: {counts}.'


def preprocessor_line(diagnosis: Diagnosis) -> str | None:
    """Mean and standard deviation as a config's ``data_preprocessor`` takes them.

    Args:
        diagnosis: What was found.

    Returns:
        Keywords for ``DetDataPreprocessor``; None if no image was read.
    """
    if np.isnan(diagnosis.colour_mean).any():
        return None
    mean, std = (
        [round(float(value), 2) for value in values]
        for values in (diagnosis.colour_mean, diagnosis.colour_std)
    )
    return f'mean={mean}, std={std}, bgr_to_rgb=True'
