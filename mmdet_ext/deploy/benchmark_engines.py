"""Runtimes to measure beside onnxruntime: torch, OpenVINO, and a network without its decoding."""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from mmdet_ext.apis.run import load_config
from mmdet_ext.deploy.benchmark import Candidate
from mmdet_ext.deploy.graphs import build_graph
from mmdet_ext.deploy.runtime import OnnxEngine, open_session
from mmdet_ext.engine.optimizers.bfloat16_optim_wrapper import has_native_bfloat16

RUNTIMES = ('onnxruntime', 'openvino', 'torch', 'torch compiled')


class OpenVinoEngine(OnnxEngine):
    """Runs an exported file with OpenVINO.

    Args:
        path: The file.
        threads: Number of threads.
        bfloat16: Compute in bfloat16 instead of float32.

    Raises:
        ImportError: OpenVINO is missing.
    """

    def __init__(self, path: str | Path, threads: int, bfloat16: bool = False) -> None:
        super().__init__(path, threads)  # reads what the file says of itself
        try:
            import openvino  # noqa: PLC0415 (not everybody's)
        except ImportError as error:
            raise ImportError('the runtime openvino is missing: pip install openvino.') from error
        settings = {
            'INFERENCE_NUM_THREADS': threads,
            'INFERENCE_PRECISION_HINT': 'bf16' if bfloat16 else 'f32',
            'PERFORMANCE_HINT': 'LATENCY',
        }
        self._compiled = openvino.Core().compile_model(str(path), 'CPU', settings)

    def run(self, images: np.ndarray) -> list[np.ndarray]:
        """As :meth:`OnnxEngine.run`."""
        results = self._compiled(images)
        return [results[name] for name in self._outputs]


class TorchGraphEngine(OnnxEngine):
    """Runs the module that a file was exported from; all else is as with the file.

    Args:
        path: The file.
        threads: Number of threads.
        graph: The module.
        compiled: By ``torch.compile``.
        bfloat16: Compute in bfloat16 where torch's autocast does.
    """

    def __init__(
        self,
        path: str | Path,
        threads: int,
        graph: nn.Module,
        compiled: bool = False,
        bfloat16: bool = False,
    ) -> None:
        super().__init__(path, threads)
        self._run = TorchRun(graph, threads, compiled, bfloat16)

    def run(self, images: np.ndarray) -> list[np.ndarray]:
        """As :meth:`OnnxEngine.run`."""
        return self._run(images)


class TorchRun:
    """Runs a module on arrays.

    Args:
        graph: Takes ``(B, H, W, 3)``, uint8; returns one or several tensors.
        threads: Number of threads.
        compiled: By ``torch.compile``.
        bfloat16: Compute in bfloat16 where torch's autocast does.
    """

    def __init__(
        self, graph: nn.Module, threads: int, compiled: bool = False, bfloat16: bool = False
    ) -> None:
        graph = graph.eval().to(memory_format=torch.channels_last)
        self._graph = torch.compile(graph) if compiled else graph
        self._threads, self._bfloat16 = threads, bfloat16

    def __call__(self, images: np.ndarray) -> list[np.ndarray]:
        """Return what the module does, as float32 where it is of floats."""
        if torch.get_num_threads() != self._threads:
            torch.set_num_threads(self._threads)
        half = torch.autocast('cpu', torch.bfloat16, enabled=self._bfloat16)
        with torch.inference_mode(), half:
            outputs = self._graph(torch.from_numpy(images))
        outputs = outputs if isinstance(outputs, tuple | list) else (outputs,)
        return [
            (output.float() if output.is_floating_point() else output).numpy() for output in outputs
        ]


class NetworkEngine:
    """Runs an exported file up to the maps of its head, to see what decoding and suppression take.

    Args:
        path: The file.
        part: Of :func:`write_network_part`.
        threads: Number of threads.
    """

    def __init__(self, path: str | Path, part: str | Path, threads: int) -> None:
        self.prepare = OnnxEngine(path, threads).prepare
        self._session = open_session(part, threads)

    def run(self, images: np.ndarray) -> list[np.ndarray]:
        """Return the maps."""
        return self._session.run(None, {'images': images})

    def finish(self, outputs: list[np.ndarray], prepared: Any) -> None:
        """Nothing is made of them."""


def write_network_part(source: str | Path, target: str | Path) -> None:
    """Write an exported file without what makes findings of the maps of its head.

    Args:
        source: The file.
        target: The file to write.

    Raises:
        ImportError: A package is missing.
    """
    try:
        import onnx  # noqa: PLC0415 (of an extra)

        from mmdet_ext.deploy.compression import decoding_nodes  # noqa: PLC0415 (imports onnx)
    except ImportError as error:
        raise ImportError(
            f"taking a file apart needs {error.name}: pip install 'mmdet_ext[export]'."
        ) from error
    graph = onnx.load(str(source)).graph
    decoding = {node.name for node in decoding_nodes(graph)}
    made = {name for node in graph.node if node.name not in decoding for name in node.output}
    used = {name for node in graph.node if node.name in decoding for name in node.input}
    onnx.utils.extract_model(str(source), str(target), ['images'], sorted(made & used))


def graph_of(path: str | Path, config: str, checkpoint: str) -> nn.Module:
    """Build the module that a file was exported from.

    Args:
        path: The file.
        config: A config file, or the name of one of the package's.
        checkpoint: A checkpoint trained with it.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: The checkpoint does not fit, or the file comes from another config.
    """
    described, cfg = OnnxEngine(path, 1).model, load_config(config)
    size = described.input_size if described.kind == 'parking_slots' else None
    any_size = described.kind == 'parking_slots' and size is None
    graph = build_graph(cfg, checkpoint, size, any_size)
    if graph.describe('').config_sha256 != described.config_sha256:
        raise ValueError(
            f'{path} was not exported from the config {config} as it is now: give its own, or export it '
            'again.'
        )
    return graph


def candidates_of(
    files: Sequence[str | Path],
    runtimes: Sequence[str] | None = None,
    graph: nn.Module | None = None,
) -> list[Candidate]:
    """List what can be measured here.

    Args:
        files: Exported files; torch runs the module of the first.
        runtimes: Of :data:`RUNTIMES`; None: all that are here, ``torch compiled`` aside.
        graph: The module that the first file was exported from, for torch.

    Raises:
        ValueError: A runtime is unknown, or torch is asked for without a module.
    """
    if runtimes is None:
        runtimes = ['onnxruntime'] + (['openvino'] if find_spec('openvino') else [])
        runtimes += ['torch'] if graph is not None else []
    for name in runtimes:
        if name not in RUNTIMES:
            raise ValueError(f'there is no runtime {name!r}: choose from {"; ".join(RUNTIMES)}.')
        if name.startswith('torch') and graph is None:
            raise ValueError(
                f'the runtime {name} needs the model itself: give its config and checkpoint, too.'
            )
    halves = [False, True] if has_native_bfloat16('cpu') else [False]
    found = []
    for runtime in runtimes:
        for path in files[:1] if runtime.startswith('torch') else files:
            precision = OnnxEngine(path, 1).model.precision
            for half in halves if precision == 'fp32' and runtime != 'onnxruntime' else [False]:
                name = 'bf16' if half else precision
                opener = _opener(runtime, path, graph, half)
                found.append(Candidate(Path(files[0]).stem, runtime, name, opener))
    return found


def network_candidate(path: str | Path, folder: str | Path) -> Candidate:
    """Prepare a file's network alone, in onnxruntime.

    Args:
        path: An exported file.
        folder: To put the network into.
    """
    part = Path(folder) / f'{Path(path).stem}_network.onnx'
    write_network_part(path, part)
    precision = OnnxEngine(path, 1).model.precision
    name = f'{Path(path).stem}, not decoded'
    return Candidate(
        name, 'onnxruntime', precision, lambda threads: NetworkEngine(path, part, threads)
    )


def _opener(
    runtime: str, path: str | Path, graph: nn.Module | None, half: bool
) -> Callable[[int], OnnxEngine]:
    if runtime == 'onnxruntime':
        return lambda threads: OnnxEngine(path, threads)
    if runtime == 'openvino':
        return lambda threads: OpenVinoEngine(path, threads, half)
    compiled = runtime == 'torch compiled'
    return lambda threads: TorchGraphEngine(path, threads, graph, compiled, half)
