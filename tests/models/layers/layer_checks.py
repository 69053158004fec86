"""What every layer of the kit is put through."""

import inspect
import io
from contextlib import contextmanager

import numpy as np
import pytest
import torch


def onnx_outputs(module, inputs, opset_version=17):
    """Output of a module in onnxruntime, after export in evaluation mode."""
    onnxruntime = pytest.importorskip('onnxruntime')
    # torch < 2.5 has the TorchScript exporter only, and no argument to ask for it
    exporter = (
        {'dynamo': False} if 'dynamo' in inspect.signature(torch.onnx.export).parameters else {}
    )
    file = io.BytesIO()
    torch.onnx.export(
        module.eval(), (inputs,), file, opset_version=opset_version, input_names=['x'], **exporter
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        file.getvalue(), options, providers=['CPUExecutionProvider']
    )
    return session.run(None, {'x': inputs.numpy()})[0]


@contextmanager
def skipped_where_float16_is_missing():
    """Older torch has half of its CPU kernels only."""
    try:
        yield
    except RuntimeError as error:
        if "not implemented for 'Half'" not in str(error):
            raise
        pytest.skip(f'this torch: {error}')


def assert_same(actual, expected, tolerance=1e-5):
    """Equal up to rounding, whether tensors or arrays."""
    as_array = [t.detach().numpy() if hasattr(t, 'detach') else t for t in (actual, expected)]
    np.testing.assert_allclose(*as_array, rtol=tolerance, atol=tolerance)
