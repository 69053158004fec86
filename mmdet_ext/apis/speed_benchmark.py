"""What each measure for speed is worth in whole training iterations, data included."""

import os
import statistics
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field

import cv2
import torch
from mmengine.config import Config
from rich.console import Group
from rich.table import Table

from mmdet_ext.apis.finders.subject import build_loader, build_subject, endless
from mmdet_ext.apis.run import prepare_data
from mmdet_ext.apis.speed_references import (
    decoding_milliseconds,
    epoch_start_seconds,
    matrix_peak,
    training_flops,
)
from mmdet_ext.engine.hooks.compile_hook import CompileHook, compile_parts
from mmdet_ext.utils.errors import did_you_mean

STOCK, TOGETHER, CONFIGURED = 'stock', 'all together', 'as configured'
_STOCK_WORKERS = 2  # of mmdet's own configs, persistent
_IMAGES = 64  # that the iterations go round in, so that kept ones are met again
_OF_OURS = ('ChannelsLastHook', 'CompileHook', 'KeepFreedMemoryHook')


@dataclass(frozen=True)
class Measure:
    """A change of a config that may make training faster.

    Attributes:
        apply: Makes it, in place.
        on_gpu: It concerns copies to a GPU, and is nothing without one.
    """

    apply: Callable[[Config], None]
    on_gpu: bool = False


@dataclass
class TrainingSpeed:
    """Of training with one config.

    Attributes:
        rates: Images/s of each round.
        waiting: Share of the time that the step waits for data, of each round.
        memory: Largest GPU memory in GiB; None without a GPU.
        share: Of the largest rate that this device multiplies matrices at, in the same precision.
        first: Seconds of the very first iteration: compilation, choice of kernels.
    """

    rates: list[float] = field(default_factory=list)
    waiting: list[float] = field(default_factory=list)
    memory: float | None = None
    share: float = 0.0
    first: float = 0.0

    @property
    def rate(self) -> float:
        """Median of the rounds."""
        return statistics.median(self.rates)


@dataclass
class SpeedReport:
    """How fast a config trains.

    Attributes:
        speeds: By the name of the measure; the first is the stock setting.
        epoch_start: Seconds until an epoch's first batch, with workers that persist and that do not.
        decoding: Milliseconds to decode an image, by decoder; None for one that is not installed.
        device: In words.
    """

    speeds: dict[str, TrainingSpeed]
    epoch_start: tuple[float, float]
    decoding: dict[str, float | None]
    device: str

    def gain(self, name: str) -> float:
        """Median ratio to the stock setting, round by round: what else the machine does cancels out."""
        pairs = zip(self.speeds[name].rates, self.speeds[STOCK].rates, strict=True)
        return statistics.median(own / stock for own, stock in pairs)


def _channels_last(cfg: Config) -> None:
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), dict(type='ChannelsLastHook')]


def _bfloat16(cfg: Config) -> None:
    cfg.optim_wrapper.type = 'BFloat16OptimWrapper'


def _fused(cfg: Config) -> None:
    optimizer = cfg.optim_wrapper.optimizer
    if optimizer.type == 'AdamW':
        optimizer.type = 'FusedAdamW'
    else:
        optimizer.fused = True


def _compiled(cfg: Config) -> None:
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), dict(type='CompileHook')]


def _workers(count: int) -> Callable[[Config], None]:
    def apply(cfg: Config) -> None:
        cfg.train_dataloader.update(num_workers=count, persistent_workers=count > 0)

    return apply


def _opencv_threads(cfg: Config) -> None:
    cfg.merge_from_dict({'env_cfg.mp_cfg.opencv_num_threads': os.cpu_count()})


def _kept(cfg: Config) -> None:
    cfg.keep_images = True


def _pinned(cfg: Config) -> None:
    cfg.train_dataloader.pin_memory = True


def _non_blocking(cfg: Config) -> None:
    _pinned(cfg)
    cfg.merge_from_dict({'model.data_preprocessor.non_blocking': True})


MEASURES = {
    'channels last': Measure(_channels_last),
    'bfloat16': Measure(_bfloat16),
    'fused optimizer': Measure(_fused),
    'data in the main process': Measure(_workers(0)),
    'a worker per core': Measure(_workers(os.cpu_count() or 1)),
    'OpenCV threads': Measure(_opencv_threads),
    'decoded images kept': Measure(_kept),
    'pinned memory': Measure(_pinned, on_gpu=True),
    'pinned and non-blocking': Measure(_non_blocking, on_gpu=True),
    'torch.compile': Measure(_compiled),
}
"""By the name that a table gives them; each alone on top of the stock setting."""

_LEFT_OUT = {'a worker per core', 'OpenCV threads'}  # contradict others when all come together


def stock_config(cfg: Config) -> Config:
    """A config with what mmengine and mmdet set by themselves where ours differ for speed.

    Args:
        cfg: A config; stays as it is.

    Returns:
        float32, contiguous weights, the plain optimizer, two persistent workers, OpenCV without
        threads, no pinned memory.
    """
    cfg = deepcopy(cfg)
    wrapper = cfg.optim_wrapper
    wrapper.type = 'OptimWrapper'
    for option in ('native_only', 'loss_scale', 'dtype'):
        wrapper.pop(option, None)
    wrapper.optimizer.type = wrapper.optimizer.type.removeprefix('Fused')
    wrapper.optimizer.pop('fused', None)
    hooks = cfg.get('custom_hooks') or []
    cfg.custom_hooks = [hook for hook in hooks if hook['type'] not in _OF_OURS]
    _workers(_STOCK_WORKERS)(cfg)
    cfg.train_dataloader.pop('pin_memory', None)
    cfg.merge_from_dict({'env_cfg.mp_cfg.opencv_num_threads': 0})
    cfg.model.get('data_preprocessor', {}).pop('non_blocking', None)
    return cfg


def benchmark_speed(
    cfg: Config, measures: Sequence[str] | None = None, iterations: int = 8, rounds: int = 5
) -> SpeedReport:
    """Train with the stock setting, with each measure alone, with all, and as the config says.

    All take turns, a few iterations each, round after round, so that what else the machine does hits
    all of them. Only iterations are timed: no hooks, no validation. Workers fill their queues before
    the clock starts. ``KeepFreedMemoryHook`` has no row, and no part in any: it concerns the process.

    Args:
        cfg: A config whose training data is one data set.
        measures: Names in :data:`MEASURES`. Defaults to all that this machine has a use for.
        iterations: Timed in each turn.
        rounds: Turns of each.

    Returns:
        The report.

    Raises:
        ValueError: An unknown measure, or the data is no single data set.
    """
    names = _chosen(measures)
    if 'ann_file' not in cfg.train_dataloader.dataset:
        raise ValueError(
            '`train_dataloader.dataset` of the config is no single data set with an `ann_file`, which '
            'the measurement takes some images of: give a config with one.'
        )
    prepare_data(cfg)
    cfg = deepcopy(cfg)
    cfg.train_dataloader.dataset.indices = max(_IMAGES, 2 * cfg.train_dataloader.batch_size)
    configs = _configs(cfg, names)
    trainings = {name: _Training(variant) for name, variant in configs.items()}
    for _ in range(rounds):
        for training in trainings.values():
            training.take_turn(iterations)
    loader = trainings[STOCK].loader
    flops = training_flops(trainings[STOCK].model, trainings[STOCK].wrapper, next(iter(loader)))
    for training in trainings.values():
        peak = matrix_peak(training.precision)
        training.speed.share = training.speed.rate * flops / loader.batch_size / peak
    files = [
        loader.dataset.get_data_info(i)['img_path'] for i in range(min(len(loader.dataset), 40))
    ]
    return SpeedReport(
        {name: training.speed for name, training in trainings.items()},
        epoch_start_seconds(configs[STOCK]),
        decoding_milliseconds(files),
        _device_name(),
    )


def speed_tables(report: SpeedReport) -> Group:
    """A report to print.

    Args:
        report: As of :func:`benchmark_speed`.

    Returns:
        A table of the measures and one of the decoders.
    """
    table = Table('training', 'images/s', 'x stock', 'waits for data', 'of matrix peak', 'GPU GiB')
    table.columns[0].no_wrap = True
    for column in table.columns[1:]:
        column.justify = 'right'
    for name, speed in report.speeds.items():
        if name in (TOGETHER, CONFIGURED):
            table.add_section()
        table.add_row(
            f'{name} (first iteration {speed.first:.0f} s)' if speed.first > 10 else name,
            f'{speed.rate:.1f}',
            f'{report.gain(name):.2f}',
            f'{statistics.median(speed.waiting):.0%}',
            f'{speed.share:.1%}',
            '-' if speed.memory is None else f'{speed.memory:.2f}',
        )
    lasting, new = report.epoch_start
    table.caption = (
        f'{report.device}. The first batch of an epoch comes after {lasting:.2f} s from '
        f'{_STOCK_WORKERS} workers that persist, after {new:.2f} s from new ones.'
    )
    decoders = Table('decoder', 'ms per image')
    decoders.columns[1].justify = 'right'
    for name, milliseconds in report.decoding.items():
        decoders.add_row(name, 'not installed' if milliseconds is None else f'{milliseconds:.2f}')
    return Group(table, decoders)


class _Training:
    """One of those that take turns."""

    def __init__(self, cfg: Config) -> None:
        self.speed = TrainingSpeed()
        before = _allocated()
        self.model, self.wrapper = build_subject(cfg)
        for hook in map(dict, cfg.get('custom_hooks') or []):
            if hook.pop('type') == 'CompileHook':
                own = CompileHook(**hook)
                compile_parts(self.model, own.parts, own.options)
        reduced = getattr(self.wrapper, 'enabled', False)
        self.precision = torch.bfloat16 if reduced else torch.float32
        self.opencv_threads = cfg.env_cfg.mp_cfg.get('opencv_num_threads', 0)
        self.loader = build_loader(cfg)
        if cfg.get('keep_images'):
            _keep_images(self.loader.dataset)
        self.batches = endless(self.loader)
        # Queues of the workers, so that no batch that is timed was made in another's turn.
        self.warm_up = 2 + (self.loader.prefetch_factor or 0) * self.loader.num_workers
        self.speed.first, _ = self._run(1)
        self._run(2)
        self.own_memory = _allocated() - before

    def take_turn(self, iterations: int) -> None:
        cv2.setNumThreads(self.opencv_threads)
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        others = _allocated() - self.own_memory
        self._run(self.warm_up)
        seconds, waiting = self._run(iterations)
        self.speed.rates.append(iterations * self.loader.batch_size / seconds)
        self.speed.waiting.append(waiting / seconds)
        if torch.cuda.is_available():
            peak = torch.cuda.max_memory_allocated() - others
            self.speed.memory = max(peak / 2**30, self.speed.memory or 0)

    def _run(self, iterations: int) -> tuple[float, float]:
        """Seconds of some iterations, and those of them in which there was no data."""
        waiting, start = 0.0, time.perf_counter()
        for _ in range(iterations):
            begin = time.perf_counter()
            batch = next(self.batches)
            waiting += time.perf_counter() - begin
            self.model.train_step(batch, self.wrapper)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter() - start, waiting


def _chosen(measures: Sequence[str] | None) -> list[str]:
    if measures is None:
        has_gpu = torch.cuda.is_available()
        return [name for name, measure in MEASURES.items() if has_gpu or not measure.on_gpu]
    for name in measures:
        if name not in MEASURES:
            raise ValueError(
                f'Unknown measure {name!r}{did_you_mean(name, MEASURES)}: expected some of '
                f'{", ".join(MEASURES)}.'
            )
    return list(measures)


def _configs(cfg: Config, names: Sequence[str]) -> dict[str, Config]:
    """What is trained, by name; all have the same data."""
    configs = {STOCK: stock_config(cfg)}
    for name in names:
        configs[name] = stock_config(cfg)
        MEASURES[name].apply(configs[name])
    if len(names) > 1:
        configs[TOGETHER] = stock_config(cfg)
        for name in names:
            if name not in _LEFT_OUT:
                MEASURES[name].apply(configs[TOGETHER])
    configs[CONFIGURED] = cfg
    return configs


def _keep_images(dataset: torch.utils.data.Dataset) -> None:
    """Decode all images now, once; workers that are forked later share them."""
    steps = dataset.pipeline.transforms
    load, kept = steps[0], {}
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        kept[info['img_path']] = load(info)

    def keeping(results: dict) -> dict:
        loaded = kept[results['img_path']]
        return {**results, **{key: loaded[key] for key in ('img', 'img_shape', 'ori_shape')}}

    steps[0] = keeping


def _allocated() -> int:
    return torch.cuda.memory_allocated() if torch.cuda.is_available() else 0


def _device_name() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f'CPU, {torch.get_num_threads()} threads'
