"""The attention layers in float64 NumPy, written from the papers' formulas.

Each function takes maps ``x`` ``(B, C, H, W)``, the layer's weights ``w`` by name and the layer's
arguments.
"""

import numpy as np
from scipy.fft import dctn
from scipy.ndimage import affine_transform
from scipy.signal import correlate2d
from scipy.special import expit as sigmoid
from scipy.special import softmax


def relu(x):
    return np.maximum(x, 0)


def mean_hw(x):
    return x.mean((2, 3), keepdims=True)


def linear(x, weight, bias=None):
    """A 1 x 1 convolution."""
    out = np.einsum('oi,bihw->bohw', weight.reshape(weight.shape[:2]), x)
    return out if bias is None else out + bias[:, None, None]


def conv(x, weight, dilation=1):
    """A convolution that keeps the size, by scipy."""
    kernel = np.zeros((*weight.shape[:2], *((k - 1) * dilation + 1 for k in weight.shape[2:])))
    kernel[..., ::dilation, ::dilation] = weight
    return np.array(
        [
            [sum(map(lambda m, k: correlate2d(m, k, 'same'), image, filters)) for filters in kernel]
            for image in x
        ]
    )


def norm(x, w, name):
    """Batch normalisation by its statistics."""
    mean, variance, weight, bias = (
        w[f'{name}.{key}'][:, None, None]
        for key in ('running_mean', 'running_var', 'weight', 'bias')
    )
    return (x - mean) / np.sqrt(variance + 1e-5) * weight + bias


def conv_norm(x, w, name, dilation=1):
    """mmcv's ConvModule without its activation."""
    weight = w[f'{name}.conv.weight']
    out = linear(x, weight) if weight.shape[2:] == (1, 1) else conv(x, weight, dilation)
    return norm(out, w, f'{name}.bn')


def mlp(x, w, name):
    hidden = relu(linear(x, w[f'{name}.0.weight'], w.get(f'{name}.0.bias')))
    return linear(hidden, w[f'{name}.2.weight'], w.get(f'{name}.2.bias'))


def max_pool(x):
    """3 x 3 with stride 2."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))
    return windows[:, :, ::2, ::2].max((4, 5))


def resize(x, size):
    """Bilinear, with pixel centres at halves."""
    for axis, length in zip((2, 3), size, strict=True):
        old = x.shape[axis]
        at = np.clip((np.arange(length) + 0.5) * old / length - 0.5, 0, old - 1)
        low = np.floor(at).astype(int)
        share = np.expand_dims(at - low, tuple(range(1, 4 - axis)))
        high = np.minimum(low + 1, old - 1)
        x = x.take(low, axis) * (1 - share) + x.take(high, axis) * share
    return x


def squeeze_excitation(x, w, **_):
    names = 'excitation.conv1.conv', 'excitation.conv2.conv'
    hidden = relu(linear(mean_hw(x), w[f'{names[0]}.weight'], w[f'{names[0]}.bias']))
    return x * sigmoid(linear(hidden, w[f'{names[1]}.weight'], w[f'{names[1]}.bias']))


def efficient_channel_attention(x, w):
    means, kernel = x.mean((2, 3)), w['conv.weight'].ravel()
    weights = np.array([np.correlate(each, kernel, 'same') for each in means])
    return x * sigmoid(weights)[..., None, None]


def gated_channel_transformation(x, w):
    s = w['alpha'] * np.sqrt((x**2).sum((2, 3), keepdims=True) + 1e-5)
    rms = np.sqrt((s**2).mean(1, keepdims=True) + 1e-5)
    return x * (1 + np.tanh(w['gamma'] * s / rms + w['beta']))


def style_recalibration(x, w):
    mean, std = x.mean((2, 3)), np.sqrt(x.var((2, 3)) + 1e-5)
    z = mean * w['weight'][0] + std * w['weight'][1]
    return x * sigmoid(norm(z[..., None, None], w, 'norm'))


def frequency_channel_attention(x, w, frequencies, **_):
    assert frequencies == 4
    size = x.shape[1] // 4
    spectrum = dctn(x, axes=(2, 3), norm='ortho') / np.sqrt(x.shape[2] * x.shape[3])
    squeezed = np.empty_like(x[:, :, :1, :1])
    for group, (u, v) in enumerate([(0, 0), (0, 1), (1, 0), (0, 2)]):
        channels = slice(group * size, (group + 1) * size)
        squeezed[:, channels, 0, 0] = spectrum[:, channels, u, v]
    return x * sigmoid(mlp(squeezed, w, 'excitation'))


def global_second_order_pooling(x, w):
    reduced = relu(conv_norm(x, w, 'reduction'))
    covariances = np.array([np.cov(each.reshape(len(each), -1), bias=True) for each in reduced])
    rows = norm(covariances[..., None], w, 'norm')[..., 0]  # (B, c, c)
    filters = w['row_conv.weight'].reshape(rows.shape[1], 4, -1)
    convolved = np.einsum('cfk,bck->bcf', filters, rows).reshape(len(x), -1)
    convolved = (convolved + w['row_conv.bias'])[..., None, None]
    return x * sigmoid(linear(convolved, w['excitation.weight'], w['excitation.bias']))


def spatial_gate(x, w, name):
    pooled = np.stack([x.mean(1), x.max(1)], axis=1)
    return x * sigmoid(conv_norm(pooled, w, f'{name}.conv'))


def convolutional_block_attention(x, w, **_):
    peak = x.max((2, 3), keepdims=True)
    z = x * sigmoid(mlp(mean_hw(x), w, 'mlp') + mlp(peak, w, 'mlp'))
    return spatial_gate(z, w, 'spatial')


def bottleneck_attention(x, w, dilation, **_):
    channel = norm(mlp(mean_hw(x), w, 'channel.0'), w, 'channel.1')
    spatial = relu(conv_norm(x, w, 'spatial.0'))
    spatial = relu(conv_norm(spatial, w, 'spatial.1', dilation))
    spatial = relu(conv_norm(spatial, w, 'spatial.2', dilation))
    return x + x * sigmoid(channel + conv_norm(spatial, w, 'spatial.3'))


def concurrent_squeeze_excitation(x, w):
    by_channel = x * sigmoid(mlp(mean_hw(x), w, 'channel'))
    return by_channel + x * sigmoid(linear(x, w['spatial.weight']))


def triplet_attention(x, w):
    branches = [spatial_gate(x, w, 'channels')]
    for axis, name in ((2, 'rows'), (3, 'columns')):
        branches.append(spatial_gate(x.swapaxes(1, axis), w, name).swapaxes(1, axis))
    return np.mean(branches, axis=0)


def coordinate_attention(x, w):
    rows = np.concatenate([x.mean(3), x.mean(2)], axis=2)[..., None]  # first H, then W of them
    f = conv_norm(rows, w, 'shared')
    f = f * np.clip(f + 3, 0, 6) / 6
    height = x.shape[2]
    by_row = sigmoid(linear(f[:, :, :height], w['rows.weight'], w['rows.bias']))
    by_column = sigmoid(linear(f[:, :, height:], w['columns.weight'], w['columns.bias']))
    return x * by_row * by_column.swapaxes(2, 3)


def simple_parameter_free_attention(x, w):
    mean, variance = mean_hw(x), x.var((2, 3), keepdims=True)
    energy = 4 * (variance + 1e-4) / ((x - mean) ** 2 + 2 * variance + 2 * 1e-4)
    return x * sigmoid(1 / energy)


def strip_pooling(x, w):
    rows = conv_norm(x.mean(3, keepdims=True), w, 'rows')
    columns = conv_norm(x.mean(2, keepdims=True), w, 'columns')
    context = linear(relu(rows + columns), w['fusion.weight'], w['fusion.bias'])
    return x * sigmoid(context)


def self_calibrated_convolution(x, w):
    first, second = np.split(x, 2, axis=1)
    height, width = first.shape[2:]
    coarse = np.array(
        [
            [
                first[:, :, top : top + 4, left : left + 4].mean((2, 3))
                for left in range(0, width, 4)
            ]
            for top in range(0, height, 4)
        ]
    ).transpose(2, 3, 0, 1)
    around = resize(conv_norm(coarse, w, 'k2'), (height, width))
    calibrated = conv_norm(first, w, 'k3') * sigmoid(first + around)
    results = conv_norm(calibrated, w, 'k4'), conv_norm(second, w, 'k1')
    return relu(np.concatenate(results, axis=1))


def position_self_attention(x, w, **_):
    query, key, value = (
        linear(x, w[f'{name}.weight'], w[f'{name}.bias']).reshape(len(x), -1, x[0, 0].size)
        for name in ('query', 'key', 'value')
    )
    attention = softmax(np.einsum('bci,bcj->bij', query, key), axis=2)
    return x + w['gamma'] * np.einsum('bij,bcj->bci', attention, value).reshape(x.shape)


def channel_self_attention(x, w):
    flat = x.reshape(*x.shape[:2], -1)
    attention = softmax(np.einsum('bip,bjp->bij', flat, flat), axis=2)
    return x + w['gamma'] * np.einsum('bij,bjp->bip', attention, flat).reshape(x.shape)


def node_weights(nodes, w):
    """Weights ``(B, N)`` of nodes ``(B, F, N)``."""
    nodes = nodes[..., None]
    theta, phi, psi = (relu(conv_norm(nodes, w, name))[..., 0] for name in ('theta', 'phi', 'own'))
    relations = np.einsum('bfi,bfj->bij', theta, phi)  # r_ij
    stacked = np.concatenate([relations.swapaxes(1, 2), relations], axis=1)  # [r_:i..., r_i:]
    joint = [
        psi.mean(1, keepdims=True),
        relu(conv_norm(stacked[..., None], w, 'relations'))[..., 0],
    ]
    hidden = relu(conv_norm(np.concatenate(joint, axis=1)[..., None], w, 'weights.0'))
    return sigmoid(conv_norm(hidden, w, 'weights.1'))[:, 0, :, 0]


def relation_aware_spatial_attention(x, w, **_):
    weights = node_weights(x.reshape(*x.shape[:2], -1), w)
    return x * weights.reshape(len(x), 1, *x.shape[2:])


def relation_aware_channel_attention(x, w, **_):
    weights = node_weights(x.reshape(*x.shape[:2], -1).swapaxes(1, 2), w)
    return x * weights[..., None, None]


def residual_unit(x, w, name):
    out = x
    for i in (1, 2, 3):
        weight = w[f'{name}.conv{i}.weight']
        out = conv(out, weight) if i == 2 else linear(out, weight)
        out = norm(out, w, f'{name}.bn{i}')
        out = relu(out) if i < 3 else relu(out + x)
    return out


def residual_attention(x, w):
    half = residual_unit(max_pool(x), w, 'down.0')
    quarter = residual_unit(max_pool(half), w, 'down.1')
    up = residual_unit(resize(quarter, half.shape[2:]) + half, w, 'up.0')
    hidden = relu(conv_norm(resize(up, x.shape[2:]), w, 'mask.0'))
    return (1 + sigmoid(linear(hidden, w['mask.1.weight'], w['mask.1.bias']))) * x


def spatial_transformer(x, w):
    features = relu(conv_norm(x, w, 'conv'))
    rows, columns = (
        [slice(i * size // 4, -(-(i + 1) * size // 4)) for i in range(4)]
        for size in features.shape[2:]
    )
    bins = [features[:, :, row, column].mean((2, 3)) for row in rows for column in columns]
    pooled = np.stack(bins, axis=2).reshape(len(x), -1)
    hidden = relu(pooled @ w['hidden.weight'].T + w['hidden.bias'])
    matrices = (hidden @ w['affine.weight'].T + w['affine.bias']).reshape(-1, 2, 3)
    return np.array([warp(image, matrix) for image, matrix in zip(x, matrices, strict=True)])


def warp(image, matrix):
    """Sample ``(C, H, W)`` at ``matrix [p, 1]``, by scipy: bilinear, zero outside."""
    height, width = image.shape[1:]
    to_unit = np.array([[2 / width, 0, 1 / width - 1], [0, 2 / height, 1 / height - 1], [0, 0, 1]])
    pixels = np.linalg.inv(to_unit) @ np.vstack([matrix, [0, 0, 1]]) @ to_unit  # x, y
    swap = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]])
    rows_columns = swap @ pixels @ swap
    return np.array(
        [affine_transform(each, rows_columns, order=1, mode='grid-constant') for each in image]
    )
