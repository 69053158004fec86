"""A config against its data: classes, ``num_classes`` of the heads, what filtering leaves."""

import inspect
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mmdet.datasets import CocoDataset
from mmdet.registry import DATASETS

from mmdet_ext.datasets.checks.annotation_file import AnnotationFile
from mmdet_ext.datasets.checks.findings import ERROR, NOTE, WARNING, Finding
from mmdet_ext.datasets.parking_slot_dataset import ParkingSlotDataset
from mmdet_ext.utils.errors import did_you_mean

_OTHER_CLASSES = ('backbone', 'rpn_head', 'semantic_head')
"""Parts of a detector whose ``num_classes`` is not that of the detected objects."""


@dataclass(frozen=True)
class DatasetUse:
    """A dataset of a config that reads a COCO file.

    Attributes:
        key: Where it is in the config, such as ``train_dataloader.dataset``.
        split: ``train``, ``val`` or ``test``.
        path: Its annotation file.
        folder: Folder of its images.
        classes: Its class names; a string or None if the config says so, which is wrong.
        filter_cfg: What is left out, empty with ``test_mode``.
        metainfo: As written in the config.
        parking: Whether it is a :class:`ParkingSlotDataset`.
    """

    key: str
    split: str
    path: Path
    folder: Path
    classes: Sequence[str] | str | None
    filter_cfg: Mapping
    metainfo: Mapping
    parking: bool


def dataset_uses(cfg: Mapping, splits: Sequence[str]) -> tuple[list[DatasetUse], list[str]]:
    """Find the datasets of a config that read COCO files, inside wrappers, too.

    Args:
        cfg: Config.
        splits: Those of ``train``, ``val`` and ``test`` that matter.

    Returns:
        The datasets, and one sentence for each other dataset, which is not checked.
    """
    uses, skipped = [], []
    for split in splits:
        loader = cfg.get(f'{split}_dataloader') or {}
        if loader.get('dataset') is not None:
            for found in _leaves(loader['dataset'], f'{split}_dataloader.dataset'):
                use = _use(split, *found)
                (skipped if isinstance(use, str) else uses).append(use)
    return uses, skipped


def _leaves(node: Mapping, key: str) -> Iterator[tuple[str, Mapping]]:
    """Yield the datasets inside wrappers such as RepeatDataset and ConcatDataset."""
    inner = node.get('dataset') or node.get('datasets')
    if inner is None:
        yield key, node
    elif isinstance(inner, list | tuple):
        for i, child in enumerate(inner):
            yield from _leaves(child, f'{key}.datasets.{i}')
    else:
        yield from _leaves(inner, f'{key}.dataset')


def _use(split: str, key: str, node: Mapping) -> DatasetUse | str:
    kind = node.get('type')
    kind = kind if inspect.isclass(kind) else DATASETS.get(str(kind))
    name = kind.__name__ if kind else node.get('type')
    not_checked = f'{key} is not checked before training: {name}'
    if not _reads_coco(kind):
        return f'{not_checked} reads no COCO file.'
    root, ann_file = node.get('data_root') or '', node.get('ann_file') or ''
    if not ann_file:
        return f'{not_checked} has no `ann_file`.'
    if '://' in f'{root}{ann_file}' or ':s3' in f'{root}{ann_file}':
        return f'{not_checked} reads a file that is not on this machine.'
    metainfo = node.get('metainfo') or {}
    prefix = (node.get('data_prefix') or {}).get('img', '')
    return DatasetUse(
        key=key,
        split=split,
        path=Path(os.path.join(root, ann_file)),
        folder=Path(os.path.join(root, prefix)),
        classes=_classes(metainfo, kind),
        filter_cfg={} if node.get('test_mode') else node.get('filter_cfg') or {},
        metainfo=metainfo,
        parking=issubclass(kind, ParkingSlotDataset),
    )


def _reads_coco(kind: type | None) -> bool:
    """Whether a dataset loads its file as the two known classes do; heirs may read other formats."""
    loaders = (
        (CocoDataset.load_data_list, CocoDataset.parse_data_info),
        (ParkingSlotDataset.load_data_list, ParkingSlotDataset.parse_data_info),
    )
    own = getattr(kind, 'load_data_list', None), getattr(kind, 'parse_data_info', None)
    return own in loaders


def _classes(metainfo: Mapping, kind: type) -> Sequence[str] | str | None:
    classes = metainfo.get('classes', kind.METAINFO.get('classes'))
    if isinstance(classes, str) and os.path.isfile(classes):  # mmengine reads a list from it
        return tuple(Path(classes).read_text().splitlines())
    return classes


def check_config(cfg: Mapping, uses: Sequence[DatasetUse]) -> Iterator[Finding]:
    """Check what the config alone tells: classes, heads, evaluators.

    Args:
        cfg: Config.
        uses: Its datasets.

    Yields:
        Findings.
    """
    for use in uses:
        yield from _check_metainfo(use)
    named = [use for use in uses if isinstance(use.classes, list | tuple)]
    for use in named[1:]:
        if tuple(use.classes) != tuple(named[0].classes):
            yield Finding(
                ERROR,
                use.key,
                f'its classes {_shown(use.classes)} are not those of {named[0].key}, '
                f'{_shown(named[0].classes)}',
                'give both the same `metainfo=dict(classes=...)`',
            )
    model = cfg.get('model') or {}
    if named and 'language_model' not in model:  # with text prompts, num_classes is a text length
        wanted = len(named[0].classes)
        for key, found in _heads(model, 'model'):
            if found != wanted:
                yield Finding(
                    ERROR,
                    f'{key}.num_classes',
                    f'it is {found}, but {named[0].key} has {wanted} classes '
                    f'{_shown(named[0].classes)}',
                    f'set it to {wanted}, or correct `metainfo=dict(classes=...)` of the dataset',
                )
    yield from _check_evaluators(cfg, uses)
    trained = {os.path.abspath(use.path): use.key for use in uses if use.split == 'train'}
    for use in uses:
        if use.split != 'train' and os.path.abspath(use.path) in trained:
            yield Finding(
                WARNING,
                use.key,
                f'it reads {use.path}, which {trained[os.path.abspath(use.path)]} trains on',
                'validate on other images: what was trained on measures nothing',
            )


def _check_metainfo(use: DatasetUse) -> Iterator[Finding]:
    if isinstance(use.classes, str):
        yield Finding(
            ERROR,
            use.key,
            f'its classes are the string {use.classes!r} instead of a tuple, so each letter is '
            'taken for a class',
            f'add the comma: `classes=({use.classes!r},)`',
        )
    if 'CLASSES' in use.metainfo:
        yield Finding(
            ERROR,
            use.key,
            'its `metainfo` has `CLASSES`, which MMDetection 3 does not read',
            'write `metainfo=dict(classes=...)` in small letters',
        )


def _heads(node: object, key: str) -> Iterator[tuple[str, int]]:
    """Yield the keys of a model's parts that have a ``num_classes``, with its value."""
    if hasattr(node, 'items'):
        if isinstance(node.get('num_classes'), int):
            yield key, node['num_classes']
        children = [item for item in node.items() if item[0] not in _OTHER_CLASSES]
    elif isinstance(node, list | tuple):
        children = enumerate(node)
    else:
        return
    for name, child in children:
        yield from _heads(child, f'{key}.{name}')


def _check_evaluators(cfg: Mapping, uses: Sequence[DatasetUse]) -> Iterator[Finding]:
    for split in ('val', 'test'):
        paths = {os.path.abspath(use.path) for use in uses if use.split == split}
        evaluators = cfg.get(f'{split}_evaluator') or []
        evaluators = evaluators if isinstance(evaluators, list | tuple) else [evaluators]
        files = [evaluator.get('ann_file') for evaluator in evaluators]
        for path in filter(None, files):
            if paths and os.path.abspath(path) not in paths:
                yield Finding(
                    WARNING,
                    f'{split}_evaluator',
                    f'its `ann_file` {path} is not that of {split}_dataloader, {sorted(paths)[0]}',
                    'name the same file in both',
                )


def check_use(use: DatasetUse, file: AnnotationFile) -> Iterator[Finding]:
    """Check a dataset of a config against the file that it reads.

    Args:
        use: Dataset.
        file: Its annotation file.

    Yields:
        Findings.
    """
    if not isinstance(use.classes, list | tuple):
        return
    classes = tuple(use.classes)
    if use.parking:
        if tuple(file.names) != classes:
            yield Finding(
                ERROR,
                str(file.path),
                f'its categories are {_shown(file.names)}, but {use.key} has the classes '
                f'{_shown(classes)}',
                'set `metainfo=dict(classes=...)` to the names in the file, in their order',
            )
            return
    else:
        problems = list(_check_names(use, file, classes))
        yield from problems
        if any(problem.severity == ERROR for problem in problems):
            return
    yield from _check_instances(use, file, classes)
    yield from _check_filtered(use, file)


def _check_names(
    use: DatasetUse, file: AnnotationFile, classes: tuple[str, ...]
) -> Iterator[Finding]:
    source = str(file.path)
    taken = [name for name in file.names if name in classes]
    absent = [name for name in classes if name not in file.names]
    if not taken:
        yield Finding(
            ERROR,
            source,
            f'none of its categories {_shown(file.names)} is a class of {use.key}, '
            f'{_shown(classes)}',
            'set `metainfo=dict(classes=...)` to the names in the file',
        )
        return
    if absent:
        shifts = taken != list(classes[: len(taken)])
        yield Finding(
            ERROR if shifts else WARNING,
            source,
            f'it has no category {absent[0]!r}{did_you_mean(absent[0], file.names)}, a class of '
            f'{use.key}' + (', so that later classes get the wrong names' if shifts else ''),
            'correct the name or take it out of `classes`',
            len(absent),
        )
    elif taken != list(classes):
        yield Finding(
            ERROR,
            source,
            f'its categories are in the order {_shown(taken)}, the classes of {use.key} in the '
            f'order {_shown(classes)}: CocoDataset numbers them as in the file, so predictions get '
            'the wrong names',
            "put `classes` into the file's order",
        )
    yield from _check_unused(use, file, classes)


def _check_unused(
    use: DatasetUse, file: AnnotationFile, classes: tuple[str, ...]
) -> Iterator[Finding]:
    unused = [name not in classes for name in file.names]
    left_out = np.array([*unused, False])[file.category_rows]
    if left_out.any():
        names = [name for name, out in zip(file.names, unused, strict=True) if out]
        yield Finding(
            WARNING,
            str(file.path),
            f'annotations are of categories that are no class of {use.key}: {_shown(names)}',
            'add them to `classes` if they are to be detected',
            int(left_out.sum()),
            len(left_out),
            file.annotation_at(int(np.argmax(left_out))),
        )


def usable_annotations(use: DatasetUse, file: AnnotationFile) -> np.ndarray:
    """Mark the annotations that the dataset trains on, ``(N,)``."""
    if use.parking:
        return (file.image_rows >= 0) & np.isfinite(file.corners).all((1, 2))
    low, high = file.boxes[:, :2], file.boxes[:, :2] + file.boxes[:, 2:]
    inside = (np.minimum(high, file.box_sizes) > np.maximum(low, 0)).all(-1)
    kept = [not entry.get('ignore') and not entry.get('iscrowd') for entry in file.annotations]
    in_classes = np.array([name in use.classes for name in file.names] + [False], bool)
    return (
        inside
        & (file.boxes[:, 2:] >= 1).all(-1)
        & (file.areas > 0)
        & np.array(kept, bool)
        & in_classes[file.category_rows]
    )


def _check_instances(
    use: DatasetUse, file: AnnotationFile, classes: tuple[str, ...]
) -> Iterator[Finding]:
    usable = usable_annotations(use, file)
    labelled = usable.any() or (use.parking and len(file.marking_points))
    if not labelled and use.filter_cfg.get('filter_empty_gt'):
        return  # an error of its own
    if not labelled:
        unlabelled_on_purpose = use.split == 'test' or '.datasets.' in use.key  # semi-supervised
        yield Finding(
            WARNING if unlabelled_on_purpose else ERROR,
            str(file.path),
            f'none of its {len(file.annotations):,} annotations can be used by {use.key}',
            'look at the other findings, or label the images',
        )
        return
    present = {file.names[row] for row in np.unique(file.category_rows[usable])}
    missing = [name for name in classes if name not in present]
    if missing and usable.any():
        yield Finding(
            WARNING,
            str(file.path),
            f'classes have no object at all in {use.key}: {_shown(missing)}',
            'label some, or take them out of `classes`',
            len(missing),
            len(classes),
        )


def _check_filtered(use: DatasetUse, file: AnnotationFile) -> Iterator[Finding]:
    kept = np.ones(len(file.images) + 1, bool)
    if use.filter_cfg.get('filter_empty_gt'):
        kept[:] = False
        kept[file.image_rows[usable_annotations(use, file)]] = True
        if use.parking:
            kept[file.point_image_rows] = True
    kept = kept[:-1] & ~(file.sizes.min(-1, initial=np.inf) < use.filter_cfg.get('min_size', 0))
    if kept.all() and len(kept):
        return
    nothing = not kept.any()
    yield Finding(
        ERROR if nothing else NOTE,
        str(file.path),
        f'images are left out by filter_cfg={dict(use.filter_cfg)} of {use.key}'
        if len(kept)
        else f'there is no image for {use.key}',
        'loosen `filter_cfg`, or label the images' if len(kept) else 'convert the data set again',
        int((~kept).sum()),
        len(kept),
        '' if not len(kept) else file.image_at(int(np.argmin(kept))),
    )


def _shown(names: Sequence[str], limit: int = 8) -> str:
    more = f', ... ({len(names)} in all)' if len(names) > limit else ''
    return f'({", ".join(names[:limit])}{more})'
