"""From a torch module to an ONNX file that any runtime can read."""

import contextlib
import io
import logging
import warnings
from collections import Counter
from pathlib import Path

import torch
from torch import nn

from mmdet_ext.deploy.file_format import ExportedModel
from mmdet_ext.utils.files import moved_into_place, require_writable_folder

OPSET = 18  # the first whose Resize can antialias; all that runs today knows it
_LARGEST = 8192  # pixels of a side, for images of any size
_NOT_EVERYWHERE = ('GridSample', 'If', 'Loop', 'Scan', 'NonZero')
"""Operators that runtimes for cars and cameras lack or do slowly."""


def write_onnx(graph: nn.Module, path: str | Path, opset: int = OPSET) -> ExportedModel:
    """Export a graph with its metadata.

    torch's exporter (``torch.onnx.export(dynamo=True)``) is tried first, then the older one, which
    traces TorchScript. onnxslim simplifies the file if it is installed.

    Args:
        graph: Takes images; has ``input_size``, ``any_size``, ``input_names``, ``output_names`` and
            ``describe()``, like :class:`ParkingSlotGraph`.
        path: The file to write; the batch size stays open in it.
        opset: Version of ONNX's operators.

    Returns:
        What the file says of itself.

    Raises:
        ImportError: A package is missing.
        ValueError: No exporter can do it, or the result has operators that not every runtime has.
        OSError: The file cannot be written.
    """
    onnx = _require_onnx()
    require_writable_folder(Path(path).parent)
    width, height = graph.input_size
    images = torch.zeros(2, height, width, 3, dtype=torch.uint8)
    graph = graph.eval()
    try:
        exporter, model = 'torch.onnx.export(dynamo=True)', _with_dynamo(graph, images, opset)
    except Exception as error:  # it has many reasons, all its own
        if graph.any_size or images.shape[1:3] != _network_shape(graph):
            raise ValueError(
                f"torch {torch.__version__}'s exporter cannot do it ({_first_line(error)}), and the older "
                'one does not resize: export for the size of the network.'
            ) from error
        logging.getLogger('mmengine').warning(
            'torch.onnx.export(dynamo=True) cannot do it (%s): falling back to TorchScript.',
            _first_line(error),
        )
        exporter, model = 'torch.onnx.export(dynamo=False)', _with_torchscript(graph, images, opset)
    model = _slimmed(model)
    _check_operators(model)
    described = graph.describe(f'torch {torch.__version__}, {exporter}')
    onnx.helper.set_model_props(model, described.to_metadata())
    onnx.checker.check_model(model)
    save(model, path)
    return described


def save(model, path: str | Path) -> None:
    """Write a model whole or not at all.

    Raises:
        OSError: The file cannot be written.
    """
    with moved_into_place(path) as aside:
        Path(aside).write_bytes(model.SerializeToString())


def _with_dynamo(graph: nn.Module, images: torch.Tensor, opset: int):
    shapes = {0: torch.export.Dim('batch', min=1, max=1024)}
    if graph.any_size:
        shapes |= {
            i: torch.export.Dim(name, min=8, max=_LARGEST)
            for i, name in ((1, 'height'), (2, 'width'))
        }
    logging.getLogger('onnx_ir').setLevel(logging.ERROR)  # it warns of what torch does
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
        warnings.simplefilter('ignore')  # of torch about itself
        program = torch.onnx.export(
            graph,
            (images,),
            dynamo=True,
            dynamic_shapes=(shapes,),
            input_names=list(graph.input_names),
            output_names=list(graph.output_names),
            opset_version=opset,
            verbose=False,
        )
    return program.model_proto


def _with_torchscript(graph: nn.Module, images: torch.Tensor, opset: int):
    onnx = _require_onnx()
    axes = {name: {0: 'batch'} for name in (*graph.input_names, *graph.output_names)}
    options = {} if 'dynamo' not in torch.onnx.export.__code__.co_varnames else {'dynamo': False}
    target = io.BytesIO()
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter('ignore')  # of tracing, of every shape that Python looks at
            torch.onnx.export(
                graph,
                (images,),
                target,
                input_names=list(graph.input_names),
                output_names=list(graph.output_names),
                dynamic_axes=axes,
                opset_version=min(opset, 17),
                **options,
            )
    except Exception as error:
        raise ValueError(
            f'neither exporter of torch {torch.__version__} can do it: {_first_line(error)}.'
        ) from error
    return onnx.load_from_string(target.getvalue())


def _slimmed(model):
    """Fold constants and drop what exporters noted for their own use."""
    try:
        import onnxslim  # noqa: PLC0415 (makes files smaller, nothing else)
    except ImportError:
        pass
    else:
        model = onnxslim.slim(model)
    for node in model.graph.node:
        node.doc_string = ''
        del node.metadata_props[:]
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        del value.metadata_props[:]
    del model.graph.metadata_props[:]
    return model


def _check_operators(model) -> None:
    found = Counter(node.op_type for node in model.graph.node)
    bad = [name for name in found if name in _NOT_EVERYWHERE]
    bad += sorted({node.op_type for node in model.graph.node if node.domain not in ('', 'ai.onnx')})
    if bad:
        raise ValueError(
            f'the graph needs {", ".join(bad)}, which not every runtime has: take another layer for it.'
        )


def _require_onnx():
    try:
        import onnx  # noqa: PLC0415 (of an extra)
        import onnxscript  # noqa: F401, PLC0415
    except ImportError as error:
        raise ImportError(f"export needs {error.name}: pip install 'mmdet_ext[export]'.") from error
    return onnx


def _network_shape(graph: nn.Module) -> tuple[int, int]:
    return graph.network_size[::-1]


def _first_line(error: Exception) -> str:
    cause = error.__cause__ or error
    return (str(cause).strip() or type(cause).__name__).split('\n')[0].rstrip('.')
