"""K-fold cross-validation: one training per fold, mean and spread of every metric."""

import copy
import csv
import hashlib
import io
import json
import math
import multiprocessing
import os
import traceback
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from logging import WARNING
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.logging import print_log
from rich.table import Table

from mmdet_ext.apis.run import load_config, prepare_data, train
from mmdet_ext.datasets.coco_split import fold_coco
from mmdet_ext.utils.errors import sentence_of
from mmdet_ext.utils.files import write_whole
from mmdet_ext.utils.parallel import die_with_parent

_STATE = 'fold.json'
_START_METHOD = 'spawn'  # a process that has used a GPU cannot be forked


@dataclass
class KFoldReport:
    """What the folds gave.

    Attributes:
        metrics: Metrics by name of each fold that was trained.
        errors: One sentence for each fold that broke.
    """

    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    def rows(self) -> dict[str, dict[str, Any]]:
        """Each metric's ``mean``, ``std`` and value per fold.

        The standard deviation is that of a sample (n - 1). NaN, and the -1 by which COCO metrics say
        that a fold has no object of a size, count as no value: None.
        """
        rows = {}
        for name in dict.fromkeys(name for metrics in self.metrics.values() for name in metrics):
            folds = {fold: _value(name, m.get(name)) for fold, m in self.metrics.items()}
            values = [value for value in folds.values() if value is not None]
            mean = float(np.mean(values)) if values else None
            std = float(np.std(values, ddof=1)) if len(values) > 1 else None
            rows[name] = {'mean': mean, 'std': std, 'folds': folds}
        return rows

    def table(self) -> Table:
        """The same to print."""
        table = Table('metric', 'mean', 'std', *self.metrics)
        for column in table.columns[1:]:
            column.justify = 'right'
        for name, row in self.rows().items():
            values = (row['mean'], row['std'], *row['folds'].values())
            table.add_row(name, *('-' if value is None else f'{value:.4f}' for value in values))
        return table

    def write(self, folder: Path) -> None:
        """Write ``kfold.csv`` and ``kfold.json``."""
        rows = self.rows()
        write_whole(
            folder / 'kfold.json', json.dumps({'metrics': rows, 'errors': self.errors}, indent=2)
        )
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(['metric', 'mean', 'std', *self.metrics])
        for name, row in rows.items():
            writer.writerow([name, row['mean'], row['std'], *row['folds'].values()])
        write_whole(folder / 'kfold.csv', text.getvalue())


def _value(name: str, value: float | None) -> float | None:
    absent = value == -1 and ('mAP' in name or 'AR@' in name)
    return None if value is None or absent or not math.isfinite(value) else value


@dataclass
class _Fold:
    name: str
    config: Path
    work_dir: Path
    options: dict[str, bool]
    config_key: str
    data_key: str

    @property
    def state(self) -> dict[str, Any]:
        path = self.work_dir / _STATE
        return json.loads(path.read_text()) if path.is_file() else {}

    def save(self, metrics: Mapping[str, float] | None) -> None:
        state = {'config': self.config_key, 'data': self.data_key, 'metrics': metrics}
        write_whole(self.work_dir / _STATE, json.dumps(state, indent=2))

    def check(self) -> None:
        state = self.state
        if not state:
            return
        if state['data'] != self.data_key:
            raise ValueError(
                f'{self.work_dir} was trained on other images than {self.name} has now: choose another '
                '--work-dir, or the same data, --folds, --stratify, --group and --seed as before.'
            )
        if state['metrics'] and state['config'] != self.config_key:
            raise ValueError(
                f'{self.work_dir} was trained with another config or other options: choose another '
                f'--work-dir, or remove {self.work_dir / _STATE} to go on from its last checkpoint.'
            )


def train_folds(
    config: str,
    folds: int = 5,
    *,
    fold_dir: str | None = None,
    work_dir: str | None = None,
    ann_file: str | None = None,
    stratify: Sequence[str] = (),
    group: str | None = None,
    seed: int = 0,
    amp: bool = False,
    auto_scale_lr: bool = False,
    cfg_options: Mapping | None = None,
) -> KFoldReport:
    """Train and validate once per fold of the config's training data, each in a process of its own.

    The folds are written to ``<work_dir>/folds`` and trained in ``<work_dir>/fold_0`` and so on. A
    fold's validation images replace those of ``val_dataloader`` and ``val_evaluator``; the test data
    stays. Metrics are those of the weights at the end of the training, not of the best epoch, which
    would be chosen on the images that it is judged by. Called again, it skips finished folds and goes
    on with an unfinished one from its last checkpoint; a fold that breaks does not stop the others.

    Args:
        config: A config file whose training data is a COCO JSON, within any dataset wrappers.
        folds: Number of folds.
        fold_dir: Folder with ``fold_0/train.json``, ``fold_0/val.json`` and so on to use instead, as
            ``tools/dataset/split.py --folds`` writes it.
        work_dir: See :func:`mmdet_ext.apis.run.train`, as for ``amp`` and ``auto_scale_lr``.
        ann_file: Which annotation file to make folds of if the training data has several (in a
            ``ConcatDataset``); the others are trained on in every fold.
        stratify: See :func:`mmdet_ext.datasets.coco_split.split_coco`, as for ``group``.
        group: What never to separate.
        seed: Same seed, same folds. The config's ``randomness`` seeds the training.
        amp: Use mixed precision.
        auto_scale_lr: Scale the learning rate to the batch size.
        cfg_options: Values that override the config's.

    Returns:
        The metrics, which are also in ``<work_dir>/kfold.csv`` and ``kfold.json``.

    Raises:
        FileNotFoundError: The config, its annotations or ``fold_dir`` do not exist.
        ValueError: The config cannot be validated on folds, or folds of other data or another config
            are in ``work_dir``.
    """
    cfg = load_config(config, cfg_options, work_dir)
    _check_validation(cfg, config)
    prepare_data(cfg)
    source = _source(cfg, config, ann_file)
    if fold_dir is None:
        fold_dir = str(Path(cfg.work_dir, 'folds'))
        split = fold_coco(source, fold_dir, folds, stratify=stratify, group=group, seed=seed)
        for warning in split.warnings:
            print_log(warning, logger='current', level=WARNING)
        folders = [Path(fold_dir, f'fold_{number}') for number in range(folds)]
    else:
        folders = _fold_folders(fold_dir)
    options = {'amp': amp, 'auto_scale_lr': auto_scale_lr}
    prepared = [
        _prepare_fold(cfg, source, folder, Path(config).stem, options) for folder in folders
    ]
    for fold in prepared:
        fold.check()
    report = KFoldReport()
    for fold in prepared:
        _train_or_skip(fold, report)
        report.write(Path(cfg.work_dir))
    return report


def _check_validation(cfg: Config, name: str) -> None:
    missing = [k for k in ('val_dataloader', 'val_evaluator', 'val_cfg') if cfg.get(k) is None]
    if missing:
        raise ValueError(
            f'{name} has no {", ".join(missing)}, but every fold is validated: add them, with any '
            'annotation file.'
        )
    if not list(_with_ann_file(cfg.val_dataloader.dataset)):
        raise ValueError(f'{name}: no `ann_file` in `val_dataloader.dataset` to set to a fold.')


def _with_ann_file(node: Any) -> Iterator[dict]:
    """Configs with an ``ann_file`` in a dataset's or evaluator's config, wrappers or lists of them."""
    if isinstance(node, dict):
        if node.get('ann_file'):
            yield node
        node = list(node.values())
    if isinstance(node, list | tuple):
        for child in node:
            yield from _with_ann_file(child)


def _path(dataset: Mapping) -> str:
    return os.path.join(dataset.get('data_root') or '', dataset['ann_file'])


def _source(cfg: Config, name: str, ann_file: str | None) -> str:
    """Path of the annotations to make folds of."""
    paths = list(dict.fromkeys(map(_path, _with_ann_file(cfg.train_dataloader.dataset))))
    if ann_file is not None:
        chosen = [path for path in paths if Path(path).absolute() == Path(ann_file).absolute()]
        if not chosen:
            raise ValueError(
                f'{name} does not train on {ann_file}, but on {paths}: choose of these.'
            )
        return chosen[0]
    if len(paths) != 1:
        raise ValueError(
            f'{name} trains on {len(paths)} annotation files {paths}; choose with --ann-file which to '
            'make folds of: the others are trained on in every fold.'
        )
    return paths[0]


def _fold_folders(folder: str) -> list[Path]:
    found = [
        p.parent
        for p in Path(folder).glob('fold_*/val.json')
        if p.with_name('train.json').is_file()
    ]
    if len(found) < 2:
        raise FileNotFoundError(
            f'{folder} has {len(found)} folds; expected fold_0/train.json, fold_0/val.json and so on, as '
            'tools/dataset/split.py --folds writes them.'
        )
    return sorted(found, key=lambda path: (len(path.name), path.name))


def _prepare_fold(
    cfg: Config, source: str, data: Path, stem: str, options: dict[str, bool]
) -> _Fold:
    """Write the config of a fold, beside which its data may lie."""
    fold_cfg = copy.deepcopy(cfg)
    fold_cfg.work_dir = str(Path(cfg.work_dir, data.name))
    train_json, val_json = (str((data / f'{part}.json').absolute()) for part in ('train', 'val'))
    # Copies: parts of a config may be one object, such as val_dataloader and test_dataloader.
    fold_cfg.train_dataloader = copy.deepcopy(cfg.train_dataloader)
    trained = [d for d in _with_ann_file(fold_cfg.train_dataloader.dataset) if _path(d) == source]
    validated = copy.deepcopy(next(_with_ann_file(cfg.val_dataloader.dataset)))
    for key in ('data_root', 'data_prefix'):
        validated.pop(key, None)
        if key in trained[0]:
            validated[key] = trained[0][key]
    validated.ann_file = val_json
    for dataset in trained:
        dataset.ann_file = train_json
    fold_cfg.val_dataloader = {**cfg.val_dataloader, 'dataset': validated}
    fold_cfg.val_evaluator = copy.deepcopy(cfg.val_evaluator)
    for evaluator in _with_ann_file(fold_cfg.val_evaluator):
        evaluator.ann_file = val_json
    path = Path(cfg.work_dir, 'folds', data.name, f'{stem}.py')
    path.parent.mkdir(parents=True, exist_ok=True)
    fold_cfg.dump(path)
    return _Fold(
        data.name,
        path,
        Path(fold_cfg.work_dir),
        options,
        config_key=_digest(path.read_bytes(), str(options).encode()),
        data_key=_digest(Path(train_json).read_bytes(), Path(val_json).read_bytes()),
    )


def _digest(*contents: bytes) -> str:
    digest = hashlib.sha256()
    for content in contents:
        digest.update(content)
    return digest.hexdigest()


def _train_or_skip(fold: _Fold, report: KFoldReport) -> None:
    metrics = fold.state.get('metrics')
    if metrics:
        print_log(f'{fold.name} is finished, see {fold.work_dir}.', logger='current')
        report.metrics[fold.name] = metrics
        return
    print_log(f'{fold.name} is trained in {fold.work_dir}.', logger='current')
    fold.save(None)
    error_file = fold.work_dir / 'error.txt'
    error_file.unlink(missing_ok=True)
    try:
        metrics = _in_own_process(_train_fold, fold.config, fold.work_dir, fold.options)
        if not metrics:
            raise ValueError('the evaluators gave no metric')
    except Exception as error:  # whatever broke this fold, the others can still be trained
        write_whole(error_file, ''.join(traceback.format_exception(error)))
        reason = _reason(error)
        report.errors[fold.name] = f'{reason} (traceback: {error_file})'
        print_log(f'{fold.name} is broken: {reason}', logger='current', level=WARNING)
        return
    fold.save(metrics)
    report.metrics[fold.name] = metrics


def _reason(error: Exception) -> str:
    if isinstance(error, BrokenProcessPool):
        return 'its process was killed, for lack of memory perhaps'
    lines = sentence_of(error).splitlines() or ['']
    is_sentence = len(lines[0].split()) > 3
    return lines[0] if is_sentence else f'{type(error).__name__}: {lines[0]}'


def _in_own_process(function, *args) -> Any:
    context = multiprocessing.get_context(_START_METHOD)
    with ProcessPoolExecutor(1, context, initializer=die_with_parent) as process:
        return process.submit(function, *args).result()


def _train_fold(config: Path, work_dir: Path, options: dict[str, bool]) -> dict[str, float]:
    # Only where there is a checkpoint: to resume replaces the config's load_from.
    begun = (work_dir / 'last_checkpoint').is_file()
    runner = train(
        str(config),
        work_dir=str(work_dir),
        resume='auto' if begun else None,
        **options,
    )
    # Once more: a training that was interrupted after its last epoch has not been validated now.
    metrics = runner.val_loop.run()
    return {k: float(v) for k, v in metrics.items() if np.ndim(v) == 0 and not isinstance(v, str)}
