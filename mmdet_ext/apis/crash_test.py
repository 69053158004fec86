"""End a training at random moments again and again, and see whether it comes to the same result."""

import multiprocessing
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress

from mmdet_ext.apis.run import train
from mmdet_ext.utils.checkpoint import read_checkpoint
from mmdet_ext.utils.checkpoint_files import damage_of
from mmdet_ext.utils.configs import config_path

CONFIG = 'ext/psd_yolo_tiny.py'
SIGNALS = (signal.SIGKILL, signal.SIGTERM)
COMPARED = ('state_dict', 'optimizer', 'param_schedulers', 'ema_state_dict', 'training_state')
"""Entries of the last checkpoints that have to be equal bit for bit."""

_PATIENCE = 120
_PRELOADED = ('apis.run', 'models', 'datasets', 'engine', 'evaluation', 'visualization')


@dataclass
class CrashTest:
    """What happened.

    Attributes:
        kills: Trainings that were ended, by the signal.
        trainings: Trainings that came to their end.
        problems: What went wrong; empty if all is well.
    """

    kills: Counter[str] = field(default_factory=Counter)
    trainings: int = 0
    problems: list[str] = field(default_factory=list)


def crash_test(
    out_dir: str | Path,
    kills: int = 200,
    config: str = CONFIG,
    cfg_options: Mapping[str, Any] | None = None,
    seed: int = 0,
    signals: Sequence[int] = SIGNALS,
) -> CrashTest:
    """Train twice undisturbed, then again and again with random ends, each time resumed to the end.

    Whatever ``last_checkpoint`` names after a kill has to be intact, each resume has to succeed, and
    the last checkpoints have to be equal in all of :data:`COMPARED`.

    Args:
        out_dir: Folder to work in, which is empty or not there; relative paths of the config are taken
            inside. What a problem is about stays there.
        kills: How many trainings to end.
        config: A training of seconds.
        cfg_options: Values that override the config's.
        seed: Of the moments.
        signals: One of these each time.

    Returns:
        What happened, up to the first problem.

    Raises:
        ValueError: The folder is not empty, or the undisturbed training fails.
    """
    out_dir = Path(out_dir).resolve()
    if out_dir.exists() and any(out_dir.iterdir()):
        raise ValueError(f'{out_dir} is not empty: name another folder, or remove it.')
    trainings = _Trainings(out_dir, config_path(config), dict(cfg_options or {}))
    trainings.start('undisturbed').join()  # makes the data, too
    began = time.monotonic()
    trainings.start('reference').join()
    duration = time.monotonic() - began
    result, moments = CrashTest(), random.Random(seed)
    trainings.compare('undisturbed', result)
    with Progress() as progress:
        task = progress.add_task('kills', total=kills)
        while result.kills.total() < kills and not result.problems:
            name = f'killed_{result.trainings}'
            while not (trainings.has_ended(name) or result.problems):
                process = trainings.start(name)
                if result.kills.total() < kills:
                    process.join(moments.uniform(0, duration))
                    _end(process, moments.choice(signals), result)
                process.join(_PATIENCE)
                trainings.check(name, process, result)
                progress.update(task, completed=result.kills.total())
            trainings.compare(name, result)
    return result


class _Trainings:
    """Trainings in processes of their own, forked from one that has imported everything."""

    def __init__(self, folder: Path, config: str, options: dict[str, Any]) -> None:
        self.folder, self.config, self.options = folder, config, options
        folder.mkdir(parents=True, exist_ok=True)
        self.context = multiprocessing.get_context('forkserver')
        self.context.set_forkserver_preload([f'mmdet_ext.{module}' for module in _PRELOADED])

    def start(self, name: str) -> BaseProcess:
        arguments = (str(self.folder), name, self.config, self.options, torch.get_num_threads())
        process = self.context.Process(target=_train, args=arguments)
        process.start()
        return process

    def has_ended(self, name: str) -> bool:
        return (self.folder / f'{name}.ended').is_file()

    def check(self, name: str, process: BaseProcess, result: CrashTest) -> None:
        """Look at what a training left behind when it ended."""
        by_signal = [code for number in SIGNALS for code in (-number, 128 + number)]
        if process.exitcode not in (0, *by_signal):
            how = 'hangs' if process.exitcode is None else f'failed with {process.exitcode}'
            result.problems.append(f'{name} {how}: see {self.folder}/{name}.log')
        named = self.folder / name / 'last_checkpoint'
        if named.is_file():
            damage = damage_of(named.read_text())
            if damage:
                result.problems.append(f'{name}: {named.read_text()} {damage}')

    def compare(self, name: str, result: CrashTest) -> None:
        """Compare a training's last checkpoint with the reference's; remove it if they are equal."""
        if result.problems:
            return
        for one in ('reference', name):
            if not self.has_ended(one):
                raise ValueError(
                    f'the training of {self.config} fails even if left alone: see {self.folder}/{one}.log.'
                )
        ours, reference = self._last(name), self._last('reference')
        for key in COMPARED:
            place = first_difference(ours.get(key), reference.get(key), key)
            if place:
                result.problems.append(f'{name} differs from the undisturbed training in {place}')
                return
        result.trainings += 1
        shutil.rmtree(self.folder / name)

    def _last(self, name: str) -> dict[str, Any]:
        return read_checkpoint((self.folder / name / 'last_checkpoint').read_text())


def first_difference(one: Any, other: Any, place: str = '') -> str | None:
    """Compare nested dicts, lists and tuples of tensors and plain values bit for bit.

    Args:
        one: A value.
        other: Another.
        place: Name of the whole.

    Returns:
        Where they first differ, such as ``optimizer.state.3.exp_avg``; None if they are equal.
    """
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return None if torch.equal(one, other) else place
    if type(one) is not type(other):
        return place
    if isinstance(one, dict):
        if one.keys() != other.keys():
            return place
        pairs = ((key, one[key], other[key]) for key in one)
    elif isinstance(one, list | tuple):
        if len(one) != len(other):
            return place
        pairs = zip(range(len(one)), one, other, strict=True)
    else:
        return None if one == other else place
    differences = (first_difference(a, b, f'{place}.{key}') for key, a, b in pairs)
    return next((difference for difference in differences if difference), None)


def _end(process: BaseProcess, number: int, result: CrashTest) -> None:
    if not process.is_alive():
        return
    os.kill(process.pid, number)
    process.join(_PATIENCE)
    if process.exitcode:
        result.kills[signal.Signals(number).name] += 1


def _train(folder: str, name: str, config: str, options: dict[str, Any], threads: int) -> None:
    os.chdir(folder)
    torch.set_num_threads(threads)
    log = os.open(f'{name}.log', os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(log, stream.fileno())
    train(config, work_dir=name, resume='auto', cfg_options=options)
    Path(f'{name}.ended').touch()
