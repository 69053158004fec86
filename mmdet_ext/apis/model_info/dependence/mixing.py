"""Rules of the operators that compute with several positions at once."""

import math
from typing import Any

from .operators import Box, Operator, Range, Sources, broadcast, by_name, reshaped


def _convolution(op: Operator, box: Box) -> Sources:
    dims = len(op['weight'].shape) - 2
    stride, padding, dilation = (_each(op[k], dims) for k in ('stride', 'padding', 'dilation'))
    spatial = []
    for r, k, s, p, d in zip(
        box[2:], op['weight'].shape[2:], stride, padding, dilation, strict=True
    ):
        reach = d * (k - 1)
        if r is None:
            spatial.append(None)
        elif op['transposed']:
            # Upwards from i s - p + reach >= r[0], downwards from i s - p <= r[1].
            spatial.append((-((reach - p - r[0]) // s), (r[1] + p) // s))
        else:
            spatial.append((r[0] * s - p, r[1] * s - p + reach))
    if any(r and r[0] > r[1] for r in spatial):  # in a gap between the taps of a transposed one
        return []
    return [(op['input'], (box[0], None, *spatial)), (op['weight'], (None,) * (dims + 2))]


def _pool(op: Operator, box: Box) -> Sources:
    dims = 2
    kernel = _each(op['kernel_size'], dims)
    stride = _each(op['stride'] or kernel, dims)
    padding, dilation = _each(op['padding'], dims), _each(op.arguments.get('dilation', 1), dims)
    spatial = [
        r and (r[0] * s - p, r[1] * s - p + d * (k - 1))
        for r, k, s, p, d in zip(box[-dims:], kernel, stride, padding, dilation, strict=True)
    ]
    return [(op['self'], (*box[:-dims], *spatial))]


def _unfold(op: Operator, box: Box) -> Sources:
    """Its last dimension has the windows, row by row."""
    kernel, dilation, padding, stride = (
        _each(op[k], 2) for k in ('kernel_size', 'dilation', 'padding', 'stride')
    )
    reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    sizes = [
        (n + 2 * p - e - 1) // s + 1
        for n, p, e, s in zip(op['self'].shape[-2:], padding, reach, stride, strict=True)
    ]
    windows = reshaped(op.shape[-1:], box[-1:], sizes)
    spatial = [
        r and (r[0] * s - p, r[1] * s - p + e)
        for r, s, p, e in zip(windows, stride, padding, reach, strict=True)
    ]
    return [(op['self'], (*box[:-2], None, *spatial))]


def _adaptive_pool(op: Operator, box: Box) -> Sources:
    sizes = zip(box[-2:], op['self'].shape[-2:], op.shape[-2:], strict=True)
    spatial = [
        None if r is None or out == 1 else (r[0] * n // out, -(-(r[1] + 1) * n // out) - 1)
        for r, n, out in sizes
    ]
    return [(op['self'], (*box[:-2], *spatial))]


def _interpolate(op: Operator, box: Box) -> Sources:
    def seen(r: Range, n: int, out: int) -> Range:
        if r is None:
            return None
        if 'nearest' in op.name:
            half = 0.5 if 'exact' in op.name else 0
            first, last = (math.floor((i + half) * n / out) for i in r)
            return first, last
        if op.arguments.get('align_corners'):
            first, last = (i * (n - 1) / max(out - 1, 1) for i in r)
        else:
            first, last = ((i + 0.5) * n / out - 0.5 for i in r)
        more = 1 if 'bicubic' in op.name else 0
        return math.floor(first) - more, math.ceil(last) + more

    source = op[next(name for name in ('self', 'input') if name in op.arguments)]
    spatial = map(seen, box[2:], source.shape[2:], op.shape[2:])
    return [(source, (*box[:2], *spatial))]


def _reduce(op: Operator, box: Box) -> Sources:
    source = op['self']
    dims = op.arguments.get('dim')
    dims = range(len(source.shape)) if dims is None or dims == [] else dims
    dims = {dim % len(source.shape) for dim in (dims if hasattr(dims, '__iter__') else [dims])}
    kept = iter(box)
    if len(box) == len(source.shape):  # keepdim, or an operator such as softmax
        return [(source, tuple(None if i in dims else r for i, r in enumerate(box)))]
    return [(source, tuple(None if i in dims else next(kept) for i in range(len(source.shape))))]


def _matrix_product(op: Operator, box: Box) -> Sources:
    left, right = ('mat1', 'mat2') if op.name == 'addmm' else ('self', 'mat2')
    if op.name == 'baddbmm':
        left, right = 'batch1', 'batch2'
    sources = [(op[left], (*box[:-1], None)), (op[right], (*box[:-2], None, box[-1]))]
    if 'add' in op.name:
        sources.append((op['self'], broadcast(box, op['self'].shape)))
    return sources


def _attention(op: Operator, box: Box) -> Sources:
    query, key, value = (op[name] for name in ('query', 'key', 'value'))
    everything = (*box[:-2], None, None)
    return [(query, (*box[:-1], None)), (key, everything), (value, everything)]


def _each(value: Any, number: int) -> list[int]:
    values = list(value) if isinstance(value, list | tuple) else [value]
    return values * number if len(values) == 1 else values


RULES = by_name(
    {
        'convolution _convolution cudnn_convolution mkldnn_convolution': _convolution,
        'max_pool2d_with_indices max_pool2d mkldnn_max_pool2d avg_pool2d': _pool,
        'im2col': _unfold,
        '_adaptive_avg_pool2d adaptive_avg_pool2d adaptive_max_pool2d': _adaptive_pool,
        'upsample_nearest2d _upsample_nearest_exact2d upsample_bilinear2d upsample_bicubic2d': (
            _interpolate
        ),
        'mean sum amax amin max min argmax var std var_mean logsumexp norm linalg_vector_norm '
        '_softmax _safe_softmax _log_softmax cumsum': _reduce,
        'mm bmm addmm baddbmm': _matrix_product,
        'scaled_dot_product_attention _scaled_dot_product_attention_math '
        '_scaled_dot_product_flash_attention _scaled_dot_product_flash_attention_for_cpu '
        '_scaled_dot_product_efficient_attention _scaled_dot_product_cudnn_attention': _attention,
    }
)
