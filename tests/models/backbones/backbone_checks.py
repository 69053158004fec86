"""What every backbone has to stand: ONNX, torch.compile, bfloat16, gradients."""

import inspect

import pytest
import torch


def run_in_onnxruntime(module, image, path):
    """Export a module with opset 17 and return what onnxruntime computes."""
    onnxruntime = pytest.importorskip('onnxruntime')
    pytest.importorskip('onnx')
    # torch 2.1 knows only the exporter that later versions call `dynamo=False`.
    known = inspect.signature(torch.onnx.export).parameters
    exporter = dict(dynamo=False) if 'dynamo' in known else {}
    torch.onnx.export(module.eval(), (image,), path, opset_version=17, **exporter)
    session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])
    outputs = session.run(None, {session.get_inputs()[0].name: image.numpy()})
    return [torch.from_numpy(output) for output in outputs]


@torch.no_grad()
def assert_exports_compiles_and_runs_in_bfloat16(module, image, tmp_path):
    expected = module.eval()(image)
    exported = run_in_onnxruntime(module, image, str(tmp_path / 'module.onnx'))
    compiled = torch.compile(module, backend='aot_eager')(image)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        rounded = module(image)
    # Of the spread of a map; bfloat16 has 8 bits of mantissa, and a network has many layers.
    for outputs, tolerance in ((exported, 1e-4), (compiled, 1e-4), (rounded, 0.05)):
        for output, reference in zip(outputs, expected, strict=True):
            assert output.shape == reference.shape
            assert (output.float() - reference).std() < tolerance * reference.std()
