"""Curves of the run in the work folder."""

import csv
import time
from io import StringIO
from pathlib import Path

import numpy as np
from mmdet.registry import HOOKS
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner

from mmdet_ext.utils.figures import png_of
from mmdet_ext.utils.files import write_whole
from mmdet_ext.visualization.training_curves import columns_of, plot_training_curves

_TRAIN = 'train/'


@HOOKS.register_module()
class TrainingCurvesHook(Hook):
    """Keep ``results.csv`` and ``results.png`` in the work folder up to date.

    The table has a row per epoch and, of iteration-based training, per validation: the means of what
    was logged since the last row (``train/loss``), the learning rates of its last iteration and the
    metrics of the validation that followed. The picture has the curves of every iteration, as far as
    the message hub remembers them. A resumed run goes on with the rows up to its first iteration.

    Args:
        interval: Least seconds from one picture to the next; the last one is always drawn.
    """

    priority = 'LOW'  # when everything of the epoch is logged

    def __init__(self, interval: float = 30) -> None:
        self.interval = interval
        self._rows: dict[int, dict[str, float]] | None = None
        self._start = 0
        self._drawn = -np.inf

    @master_only
    def before_train(self, runner: Runner) -> None:
        """Read the rows of the run that is resumed."""
        path = Path(runner.work_dir, 'results.csv')
        rows = _read(path) if runner.iter and path.is_file() else []
        self._rows = {int(row['iter']): row for row in rows if row['iter'] <= runner.iter}
        self._start = runner.iter

    @master_only
    def after_train_epoch(self, runner: Runner) -> None:
        """Add the row of the epoch."""
        if not isinstance(runner.train_loop, IterBasedTrainLoop):
            self._add_row(runner, runner.epoch + 1)
            self._write(runner)

    @master_only
    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Add the metrics of the model as it is now."""
        if self._rows is None:  # validation without training
            return
        if runner.iter not in self._rows:
            by_iter = isinstance(runner.train_loop, IterBasedTrainLoop)
            self._add_row(runner, None if by_iter else runner.epoch)
        numbers = {k: v for k, v in (metrics or {}).items() if isinstance(v, int | float)}
        self._rows[runner.iter] |= numbers
        self._write(runner)

    @master_only
    def after_train(self, runner: Runner) -> None:
        """Draw the last picture."""
        if runner.iter not in self._rows:
            self._add_row(runner, None)
        self._write(runner, last=True)

    def _add_row(self, runner: Runner, epoch: int | None) -> None:
        """Mean of what was logged since the last row."""
        count = runner.iter - max(
            [row for row in self._rows if row < runner.iter], default=self._start
        )
        row = {} if epoch is None else {'epoch': epoch}
        row['iter'] = runner.iter
        for name, buffer in runner.message_hub.log_scalars.items():
            if name.startswith(_TRAIN) and count and len(buffer.data[0]):
                rate = name.endswith('lr')
                row[name] = float(buffer.current() if rate else buffer.mean(count))
        self._rows[runner.iter] = row

    def _write(self, runner: Runner, last: bool = False) -> None:
        try:
            rows = [self._rows[key] for key in sorted(self._rows)]
            write_whole(Path(runner.work_dir, 'results.csv'), _table(rows))
            if last or time.monotonic() - self._drawn > self.interval:
                write_whole(Path(runner.work_dir, 'results.png'), _picture(runner, rows))
                self._drawn = time.monotonic()
        except OSError as error:  # training matters more
            runner.logger.warning(
                f'{runner.work_dir}: the training curves were not written: {error}'
            )


def _read(path: Path) -> list[dict[str, float]]:
    with path.open(encoding='utf-8', newline='') as file:
        rows = list(csv.DictReader(file))
    return [{name: _number(text) for name, text in row.items() if text} for row in rows]


def _number(text: str) -> float:
    return int(text) if text.isdigit() else float(text)


def _table(rows: list[dict[str, float]]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    target = StringIO()
    writer = csv.DictWriter(target, names, lineterminator='\n')
    writer.writeheader()
    writer.writerows(rows)
    return target.getvalue()


def _picture(runner: Runner, rows: list[dict[str, float]]) -> bytes:
    training = {}
    for name, buffer in runner.message_hub.log_scalars.items():
        if name.startswith(_TRAIN):
            values, counts = buffer.data
            steps = np.arange(runner.iter - len(values), runner.iter) + 1
            training[name.removeprefix(_TRAIN)] = (steps, values / np.maximum(counts, 1))
    step = 'epoch' if any('epoch' in row for row in rows) else 'iter'
    metrics = {
        name: curve
        for name, curve in columns_of(rows, step).items()
        if name not in ('epoch', 'iter') and not name.startswith(_TRAIN)
    }
    figure = plot_training_curves(training, metrics, 'Epoch' if step == 'epoch' else 'Iteration')
    return png_of(figure)
