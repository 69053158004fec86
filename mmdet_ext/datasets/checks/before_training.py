"""The quick checks that training starts with."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from mmengine.logging import MMLogger

from mmdet_ext.datasets.checks.annotation_file import read_annotation_file
from mmdet_ext.datasets.checks.annotations import check_annotations
from mmdet_ext.datasets.checks.config import (
    DatasetUse,
    check_config,
    check_use,
    dataset_uses,
)
from mmdet_ext.datasets.checks.findings import WARNING, Finding, errors
from mmdet_ext.datasets.checks.images import check_first_images, image_paths
from mmdet_ext.datasets.checks.splits import Split, check_splits

_SHOWN = 3


def check_before_training(cfg: Mapping) -> None:
    """Check the annotations that a config trains and validates on, and the config against them.

    Takes about a second per 100,000 annotations beyond reading them. Warnings are logged, one line
    each, as are datasets that read no COCO file and are not checked. With
    ``check_before_training=False`` in the config nothing is done.

    Args:
        cfg: Config.

    Raises:
        ValueError: Training would fail or learn the wrong thing; names the first errors.
    """
    if not cfg.get('check_before_training', True):
        return
    logger = MMLogger.get_current_instance()
    uses, skipped = dataset_uses(cfg, ('train', 'val'))
    for sentence in skipped:
        logger.info(sentence)
    findings = [*check_config(cfg, uses), *_check_files(uses)]
    for finding in findings:
        if finding.severity == WARNING:
            logger.warning(finding.sentence)
    found = errors(findings)
    if found:
        raise ValueError(_explained(found, getattr(cfg, 'filename', None)))


def _explained(found: Sequence[Finding], config: str | None) -> str:
    more = f' ({len(found) - _SHOWN} more errors)' if len(found) > _SHOWN else ''
    return (
        '\n'.join(finding.sentence for finding in found[:_SHOWN])
        + f'{more}\nSee all with tools/dataset/check.py --config {config or "CONFIG"}, or train all the '
        'same with --cfg-options check_before_training=False.'
    )


def _check_files(uses: Sequence[DatasetUse]) -> Iterator[Finding]:
    splits = {}
    for use in uses:
        path = use.path.resolve()
        if path not in splits:
            file = read_annotation_file(use.path)
            if isinstance(file, Finding):
                yield file
                continue
            yield from check_annotations(file, thorough=False)
            splits[path] = Split(file, image_paths(file, use.folder), use.split)
            yield from check_first_images(file, use.folder)
        yield from check_use(use, splits[path].file)
    for finding in check_splits(list(splits.values())):
        yield replace(finding, severity=WARNING)  # a leak spoils the validation, not the training
