"""Rules of the operators that only move elements."""

from .operators import Box, Operator, Sources, broadcast, by_name, reshaped


def _slice(op: Operator, box: Box) -> Sources:
    dim, size = op['dim'] % len(box), op['self'].shape[op['dim']]
    start = op['start'] or 0
    start = min(max(start + size if start < 0 else start, 0), size)
    step = op['step']
    inside = box[dim] and (start + box[dim][0] * step, start + box[dim][1] * step)
    if inside is None and op.shape != op['self'].shape:
        inside = start, start + (op.shape[dim] - 1) * step
    return [(op['self'], (*box[:dim], inside, *box[dim + 1 :]))]


def _select(op: Operator, box: Box) -> Sources:
    shape = op['self'].shape
    dim = op['dim'] % len(shape)
    index = op['index'] % shape[dim]
    return [(op['self'], (*box[:dim], (index, index), *box[dim:]))]


def _cat(op: Operator, box: Box) -> Sources:
    dim, offset, sources = op['dim'] % len(box), 0, []
    for source in op['tensors']:
        if len(source.shape) != len(box):  # torch lets empty tensors be of any shape
            continue
        first, last = box[dim] or (0, op.shape[dim] - 1)
        first, last = max(first, offset) - offset, min(last - offset, source.shape[dim] - 1)
        if first <= last:
            inside = None if box[dim] is None else (first, last)
            sources.append((source, (*box[:dim], inside, *box[dim + 1 :])))
        offset += source.shape[dim]
    return sources


def _stack(op: Operator, box: Box) -> Sources:
    dim = op['dim'] % len(box)
    first, last = box[dim] or (0, len(op['tensors']) - 1)
    taken = op['tensors'][max(first, 0) : last + 1]
    return [(source, (*box[:dim], *box[dim + 1 :])) for source in taken]


def _split(op: Operator, box: Box) -> Sources:
    dim = op['dim'] % len(box)
    offset = sum(shape[dim] for shape in op.shapes[: op.index])
    first, last = box[dim] or (0, op.shape[dim] - 1)
    inside = first + offset, last + offset
    return [(op['self'], (*box[:dim], inside, *box[dim + 1 :]))]


def _unbind(op: Operator, box: Box) -> Sources:
    dim = op['dim'] % (len(box) + 1)
    return [(op['self'], (*box[:dim], (op.index, op.index), *box[dim:]))]


def _permute(op: Operator, box: Box) -> Sources:
    inside = list(box)
    for dim, r in zip(op['dims'], box, strict=True):
        inside[dim] = r
    return [(op['self'], tuple(inside))]


def _transpose(op: Operator, box: Box) -> Sources:
    inside, a, b = list(box), op.arguments.get('dim0', 0), op.arguments.get('dim1', 1)
    if len(inside) > 1:
        inside[a], inside[b] = inside[b], inside[a]
    return [(op['self'], tuple(inside))]


def _pad(op: Operator, box: Box) -> Sources:
    inside = list(box)
    for i, before in enumerate(op.arguments.get('pad', op.arguments.get('padding'))[::2], 1):
        inside[-i] = inside[-i] and (inside[-i][0] - before, inside[-i][1] - before)
    return [(op['self'], tuple(inside))]


def _roll(op: Operator, box: Box) -> Sources:
    inside, shape = list(box), op['self'].shape
    shifts, dims = op['shifts'], op['dims'] or range(len(shape))
    for shift, dim in zip(shifts, dims, strict=True):
        if inside[dim] is None:
            continue
        first, last = inside[dim][0] - shift, inside[dim][1] - shift
        turns = first // shape[dim]
        together = last // shape[dim] == turns
        offset = turns * shape[dim]
        inside[dim] = (first - offset, last - offset) if together else None
    return [(op['self'], tuple(inside))]


def _pixel_shuffle(op: Operator, box: Box) -> Sources:
    factor = op['upscale_factor']
    spatial = [r and (r[0] // factor, r[1] // factor) for r in box[-2:]]
    return [(op['self'], (*box[:-3], None, *spatial))]


def _view(op: Operator, box: Box) -> Sources:
    return [(op['self'], tuple(reshaped(op.shape, box, op['self'].shape)))]


def _expand(op: Operator, box: Box) -> Sources:
    return [(op['self'], broadcast(box, op['self'].shape))]


def _copy(op: Operator, box: Box) -> Sources:
    return [(op['src'], broadcast(box, op['src'].shape))]


def _nothing(op: Operator, box: Box) -> Sources:
    return []


RULES = by_name(
    {
        'slice': _slice,
        'select': _select,
        'cat concat': _cat,
        'stack': _stack,
        'split split_with_sizes': _split,
        'unbind': _unbind,
        'permute': _permute,
        'transpose t': _transpose,
        'constant_pad_nd reflection_pad2d replication_pad2d': _pad,
        'roll': _roll,
        'pixel_shuffle': _pixel_shuffle,
        'view _unsafe_view reshape _reshape_alias squeeze unsqueeze flatten unflatten': _view,
        'expand': _expand,
        'copy': _copy,
        'fill zero normal uniform empty_like zeros_like ones_like full_like randn_like': _nothing,
    }
)
