"""``torch.compile`` takes every attention layer as one graph, forward and backward."""

import pytest
import torch
from attention_cases import LAYERS, build, features, randomised


@pytest.mark.parametrize('name', LAYERS)
def test_a_compiled_layer_and_its_gradients_are_the_same(name):
    layer = randomised(build(name)).eval()
    torch._dynamo.reset()
    compiled = torch.compile(layer, backend='aot_eager', fullgraph=True)
    results = []
    for run in (layer, compiled):
        layer.zero_grad()
        x = features().requires_grad_()
        y = run(x)
        y.square().sum().backward()
        results.append([y, x.grad, *(p.grad for p in layer.parameters())])
    for eager, after in zip(*results, strict=True):
        torch.testing.assert_close(after, eager, rtol=1e-4, atol=1e-4)
