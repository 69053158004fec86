"""Every attention layer at a small size, and what the tests do to each."""

import inspect
import io

import torch
from mmdet.registry import MODELS

from mmdet_ext.models.layers import attention

SHAPE = (2, 8, 7, 5)  # odd and not square, so that swapped axes show

# Arguments that let a layer fit SHAPE; none means that its defaults do.
ARGUMENTS = {
    'BottleneckAttention': dict(reduction=4, dilation=2),
    'ConvolutionalBlockAttention': dict(reduction=4),
    'FrequencyChannelAttention': dict(frequencies=4, reduction=4),
    'PositionSelfAttention': dict(reduction=4),
    'RelationAwareChannelAttention': dict(spatial_size=SHAPE[2:], reduction=4),
    'RelationAwareSpatialAttention': dict(spatial_size=SHAPE[2:], reduction=4),
    'SqueezeExcitation': dict(reduction=4),
}
LAYERS = sorted(
    name
    for name, value in vars(attention).items()
    if inspect.isclass(value) and value is not attention.AttentionLayer
)


def build(name, in_channels=SHAPE[1], **kwargs):
    torch.manual_seed(0)
    arguments = dict(in_channels=in_channels, **ARGUMENTS.get(name, {})) | kwargs
    return MODELS.build(dict(type=name, **arguments))


def randomised(layer, seed=0):
    """The layer with random weights and statistics: nothing is 0 or 1 by its start."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in layer.state_dict().items():
        if not value.is_floating_point():
            continue
        noise = torch.rand(value.shape, generator=generator)
        value.copy_(noise + 0.5 if name.endswith('running_var') else 2 * noise - 1)
    return layer


def features(shape=SHAPE, seed=1, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def export_to_onnx(model, inputs):
    """ONNX bytes at opset 17, by the exporter that both supported stacks have."""
    modern = 'dynamo' in inspect.signature(torch.onnx.export).parameters
    options = dict(dynamo=False) if modern else {}
    file = io.BytesIO()
    torch.onnx.export(model, inputs, file, opset_version=17, **options)
    return file.getvalue()


def run_onnx(data, *inputs):
    """Outputs of an ONNX model."""
    import onnxruntime  # noqa: PLC0415 (an extra)

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(data, options, providers=['CPUExecutionProvider'])
    names = [each.name for each in session.get_inputs()]
    return session.run(None, dict(zip(names, (x.numpy() for x in inputs), strict=True)))
