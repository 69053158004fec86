"""Smaller and faster files: half precision, and 8-bit integers."""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from mmdet_ext.deploy.file_format import ExportedModel
from mmdet_ext.deploy.onnx_export import save
from mmdet_ext.deploy.runtime import OnnxEngine

FLOAT = onnx.TensorProto.FLOAT
_RESIZE_SETTINGS = (1, 2)  # inputs of Resize that are float32 whatever it resizes


def write_half(source: str | Path, target: str | Path) -> None:
    """Store weights, and compute convolutions, as float16; decoding stays in float32.

    It halves the file and is meant for GPUs: most CPUs convert back and forth.

    Args:
        source: A file of tools/export.py in fp32.
        target: The file to write.

    Raises:
        OSError: It cannot be written.
    """
    model = onnx.shape_inference.infer_shapes(onnx.load(str(source)))
    _halve(model.graph)
    save(_named(model, source, 'fp16'), target)


def _halve(graph: onnx.GraphProto) -> None:
    """Make all before the decoding float16.

    onnxruntime's own converter sends what it is told to leave alone through float16, too, from node to
    node, which would cost an eighth of a pixel.
    """
    decoding = {node.name for node in decoding_nodes(graph)}
    network = [node for node in graph.node if node.name not in decoding]
    weights = {each.name: each for each in graph.initializer if each.data_type == FLOAT}
    produced = {name for node in network for name in node.output}
    for node in network:
        for i, name in enumerate(node.input):
            if name in weights and not (node.op_type == 'Resize' and i in _RESIZE_SETTINGS):
                node.input[i] = _half_of(graph, weights[name])
        for attribute in node.attribute:
            if node.op_type == 'Cast' and attribute.name == 'to' and attribute.i == FLOAT:
                attribute.i = onnx.TensorProto.FLOAT16
    floats = {v.name for v in _typed_values(graph) if v.type.tensor_type.elem_type == FLOAT}
    casts = {}
    for node in graph.node:
        if node.name not in decoding:
            continue
        for i, name in enumerate(node.input):
            if name in produced and name in floats:
                casts[name] = f'{name}_float'
                node.input[i] = casts[name]
    nodes = []
    for node in graph.node:
        nodes.append(node)
        nodes += [
            onnx.helper.make_node('Cast', [n], [casts[n]], f'{n}_to_float', to=FLOAT)
            for n in node.output
            if n in casts
        ]
    _replace(graph.node, nodes)
    used = {name for node in graph.node for name in node.input}
    _replace(graph.initializer, [each for each in graph.initializer if each.name in used])
    del graph.value_info[:]


def _half_of(graph: onnx.GraphProto, weight: onnx.TensorProto) -> str:
    """Name of a float16 copy of a weight, made once."""
    name = f'{weight.name}_half'
    if all(each.name != name for each in graph.initializer):
        values = onnx.numpy_helper.to_array(weight).astype(np.float16)
        graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    return name


def _typed_values(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    return [*graph.value_info, *graph.input, *graph.output]


def _replace(repeated: Any, values: list) -> None:
    del repeated[:]
    repeated.extend(values)


def write_int8(
    source: str | Path, target: str | Path, images: Sequence[np.ndarray], kept: int = 0
) -> None:
    """Quantise convolutions to 8-bit integers: weights per channel, activations by calibration.

    Args:
        source: A file of tools/export.py in fp32.
        target: The file to write.
        images: What activations are calibrated on: BGR, uint8.
        kept: Convolutions of the last so many layers stay in float32: those that regress suffer most.

    Raises:
        OSError: It cannot be written.
    """
    from onnxruntime import quantization  # noqa: PLC0415 (takes a second)

    engine = OnnxEngine(source)
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / 'ready.onnx'
        quantization.quant_pre_process(source, ready, skip_symbolic_shape=True)
        graph = onnx.load(str(ready)).graph
        quantization.quantize_static(
            ready,
            Path(folder) / 'int8.onnx',
            _Reader(engine.prepare(image).pixels[None] for image in images),
            op_types_to_quantize=['Conv'],
            per_channel=True,
            nodes_to_exclude=last_convolutions(graph, kept),
            extra_options=dict(ActivationSymmetric=False),
        )
        model = onnx.load(str(Path(folder) / 'int8.onnx'))
    save(_named(model, source, 'int8'), target)


class _Reader:
    """Images one by one, as onnxruntime's calibration asks for them."""

    def __init__(self, images: Iterable[np.ndarray]) -> None:
        self._images: Iterator[np.ndarray] = iter(images)

    def get_next(self) -> dict[str, np.ndarray] | None:
        image = next(self._images, None)
        return None if image is None else {'images': image}


def decoding_nodes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Nodes that no convolution comes after: what makes results of the maps of the head."""
    return [node for node, depth in _depths(graph) if depth == 0 and node.op_type != 'Conv']


def last_convolutions(graph: onnx.GraphProto, layers: int) -> list[str]:
    """Names of the convolutions that at most ``layers - 1`` others come after on their longest way out."""
    return [n.name for n, depth in _depths(graph) if n.op_type == 'Conv' and depth < layers]


def _depths(graph: onnx.GraphProto) -> list[tuple[onnx.NodeProto, int]]:
    """Nodes with the number of convolutions after them."""
    after: dict[str, int] = {}
    result = []
    for node in reversed(graph.node):  # in topological order, says ONNX
        depth = max((after.get(name, 0) for name in node.output), default=0)
        result.append((node, depth))
        passed = depth + (node.op_type == 'Conv')
        for name in node.input:
            after[name] = max(after.get(name, 0), passed)
    return result


def _named(model: onnx.ModelProto, source: str | Path, precision: str) -> onnx.ModelProto:
    metadata = {prop.key: prop.value for prop in onnx.load(str(source)).metadata_props}
    described = ExportedModel.from_metadata(metadata, str(source))
    changed = ExportedModel(**{**vars(described), 'precision': precision})
    onnx.helper.set_model_props(model, changed.to_metadata())
    return model


def first_good(
    candidates: Iterable[int], cost: Callable[[int], float], most: float
) -> tuple[int, float]:
    """Return the first candidate whose cost is at most ``most``, or else the cheapest, with its cost."""
    seen: list[tuple[int, float]] = []
    for candidate in candidates:
        seen.append((candidate, cost(candidate)))
        if seen[-1][1] <= most:
            return seen[-1]
    return min(seen, key=lambda pair: pair[1])
