"""How long inference takes on this machine, in all and part by part."""

import statistics
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

from mmdet_ext.utils.tensors import tensors_in

from .calls import Stopwatch, named_layers, now_on, wrapped_methods
from .subject import Subject

WARM_UP = 2
PREPROCESSING, POST_PROCESSING, OTHER = 'preprocessing', 'post-processing', '(other)'


@dataclass
class LayerRun:
    """What a module did in one inference.

    Attributes:
        calls: How often it was called.
        seconds: How long that took, its own modules included.
        share: Of the whole inference.
        outputs: Shapes of the tensors that its first call returned.
    """

    calls: int = 0
    seconds: float = 0.0
    share: float = 0.0
    outputs: list[tuple[int, ...]] = field(default_factory=list)

    def kept(self, result: Any) -> Any:
        """Note the shapes in a result, unless there are some already, and hand it on."""
        self.outputs = self.outputs or [tuple(tensor.shape) for tensor in tensors_in(result)]
        return result


@dataclass
class Speed:
    """Durations of inference in seconds, medians.

    Attributes:
        batches: Of one batch, by batch size.
        parts: Of each part for one image, in the order of their first call: preprocessing, the
            model's children, post-processing and the rest; they add up to a whole inference.
        layers: Of each module for one image.
        repeats: Timed inferences behind each median.
    """

    batches: dict[int, float]
    parts: dict[str, float]
    layers: dict[str, LayerRun] = field(repr=False)
    repeats: int


def measure_speed(subject: Subject, batch_size: int, depth: int, repeats: int) -> Speed:
    """Time inference, preprocessing and post-processing included.

    Args:
        subject: A model and what to run it on.
        batch_size: Images in a batch, timed beside a single one.
        depth: Down to which modules are timed.
        repeats: Timed inferences, after two to warm up.

    Returns:
        The durations. Those of parts and layers are of inferences of their own: measuring them waits
        for the device after each, which on a GPU takes time by itself.
    """
    batches = {size: _median(subject, size, repeats) for size in sorted({1, batch_size})}
    runs = [_parts(subject, subject.batch(1)) for _ in range(repeats)]
    layers = [_layers(subject, subject.batch(1), depth) for _ in range(repeats)]
    return Speed(
        batches=batches,
        parts={name: statistics.median(run[name] for run in runs) for name in runs[0]},
        layers={
            name: replace(run, share=statistics.median(other[name].share for other in layers))
            for name, run in layers[0].items()
        },
        repeats=repeats,
    )


def _median(subject: Subject, size: int, repeats: int) -> float:
    seconds = []
    for i in range(WARM_UP + repeats):
        batch = subject.batch(size)
        start = now_on(subject.device)
        subject.predict(batch)
        if i >= WARM_UP:
            seconds.append(now_on(subject.device) - start)
    return statistics.median(seconds)


def _parts(subject: Subject, batch: Any) -> dict[str, float]:
    """Seconds of each part in one inference; what is nested in another part is its own only."""
    watch = Stopwatch(subject.device)
    with ExitStack() as stack:
        for name, child in subject.model.named_children():
            label = PREPROCESSING if name == 'data_preprocessor' else name
            stack.enter_context(wrapped_methods(_entries(child), watch.labelled(label)))
        decoders = [
            (module, 'predict_by_feat')
            for name, module in subject.model.named_modules()
            # A region proposal network's boxes are no result but what its detector goes on with.
            if hasattr(module, 'predict_by_feat') and 'rpn' not in name
        ]
        stack.enter_context(wrapped_methods(decoders, watch.labelled(POST_PROCESSING)))
        watch.labelled(OTHER)(subject.predict, subject.model)(batch)
    seconds = dict(watch.seconds)
    rest = {name: seconds.pop(name) for name in (POST_PROCESSING, OTHER) if name in seconds}
    return seconds | rest


def _layers(subject: Subject, batch: Any, depth: int) -> dict[str, LayerRun]:
    layers = named_layers(subject.model, depth)
    runs = {name: LayerRun() for name in layers}
    by_module = {id(module): runs[name] for name, module in layers.items()}
    inside: set[int] = set()

    def watch(method: Callable, module: nn.Module) -> Callable:
        run = by_module[id(module)]

        def watched(*args: Any, **kwargs: Any) -> Any:
            if id(module) in inside:  # `predict` calls `forward`
                return run.kept(method(*args, **kwargs))
            inside.add(id(module))
            start = now_on(subject.device)
            try:
                return run.kept(method(*args, **kwargs))
            finally:
                inside.discard(id(module))
                run.seconds += now_on(subject.device) - start
                run.calls += 1

        return watched

    methods = [entry for module in layers.values() for entry in _entries(module)]
    with wrapped_methods(methods, watch):
        start = now_on(subject.device)
        subject.predict(batch)
        whole = now_on(subject.device) - start
    _add_up_uncalled(runs)
    for run in runs.values():
        run.share = run.seconds / whole
    return runs


def _add_up_uncalled(runs: dict[str, LayerRun]) -> None:
    """Give modules that were never called themselves the time of what is in them."""
    for name in sorted(runs, key=lambda name: -name.count('.')):
        if not runs[name].calls:
            runs[name].seconds = sum(
                run.seconds for child, run in runs.items() if child.rpartition('.')[0] == name
            )


def _entries(module: nn.Module) -> list[tuple[nn.Module, str]]:
    """Methods of a module through which a model runs it."""
    return [(module, name) for name in ('forward', 'predict') if hasattr(module, name)]
