"""What a layer computes: its feature maps over the image, without editing the model's forward."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.visualization.utils import convert_overlay_heatmap
from torch import Tensor, nn

from mmdet_ext.visualization.canvas import enlarged
from mmdet_ext.visualization.montage import captioned, tile

from .alignment import align
from .layers import Activation, find_layers, tap
from .pictures import draw_heat, write_picture
from .projection import principal_components
from .subject import Subject, predict

REDUCTIONS = ('grid', 'mean', 'max', 'pca')
_CELL = 200  # pixels of the longer side of a channel in a grid


def feature_maps(
    model: nn.Module, subject: Subject, layers: Sequence[str] = ()
) -> list[Activation]:
    """Feature maps of layers in one forward pass.

    Args:
        model: A detector of mmdet, or ours.
        subject: The image.
        layers: Names of the layers, such as ``backbone.stage4``; by default the neck's outputs.

    Returns:
        The layers' outputs, in the order in which they were computed.

    Raises:
        ValueError: A layer is not there or returns no feature map.
    """
    with tap(find_layers(model, layers), subject.input_size) as activations:
        predict(model, subject)
    return activations


def reduce_channels(features: Tensor, how: str, channels: int = 20) -> tuple[Tensor, list[str]]:
    """Bring feature maps down to what can be looked at.

    Args:
        features: Shape ``(C, h, w)``.
        how: ``mean`` or ``max`` over the channels at each place, ``pca``: the first three principal
            components, or ``grid``: the channels that vary most over the places.
        channels: Of a grid.

    Returns:
        Maps, ``(K, h, w)``, each stretched to [0, 1]; and the name of each.

    Raises:
        ValueError: ``how`` is unknown, or ``channels`` is less than 1.
    """
    if how not in REDUCTIONS:
        raise ValueError(f'reduce is {how!r}; expected one of {REDUCTIONS}.')
    if channels < 1:
        raise ValueError(f'channels is {channels}; expected at least 1.')
    features = features.detach().float()
    if how == 'mean':
        return _stretched(features.mean(0, keepdim=True)), [f'mean of {len(features)} channels']
    if how == 'max':
        return _stretched(features.amax(0, keepdim=True)), [f'max of {len(features)} channels']
    if how == 'pca':
        names = ['first principal component red, second green, third blue', '', '']
        return _stretched(principal_components(features, 3)), names
    spread = features.flatten(1).std(1, correction=0)
    chosen = spread.argsort(descending=True, stable=True)[:channels]
    return _stretched(features[chosen]), [f'channel {i}' for i in chosen.tolist()]


def _stretched(maps: Tensor) -> Tensor:
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    return torch.where(high > low, (maps - low) / (high - low), 0.0)


def draw_feature_maps(
    subject: Subject, features: Tensor, how: str, channels: int, title: str
) -> np.ndarray:
    """Picture of feature maps, over the image or as a grid.

    Args:
        subject: The image.
        features: Shape ``(C, h, w)``.
        how: See :func:`reduce_channels`, as for ``channels``.
        channels: Of a grid.
        title: First line of the caption.

    Returns:
        RGB, uint8.
    """
    maps, names = reduce_channels(features, how, channels)
    maps = align(maps, subject.input_size, subject.sample.metainfo).cpu().numpy()
    if how in ('mean', 'max'):
        return draw_heat(subject.image, maps[0], (), [title, *names])
    if how == 'pca':
        canvas, _ = enlarged(subject.image)
        colours = (255 * maps.transpose(1, 2, 0)).round().astype(np.uint8)
        colours = cv2.resize(colours, canvas.shape[1::-1])
        return captioned(tile([canvas, colours], 2), [title, names[0]])
    height, width = maps.shape[1:]
    size = tuple(round(length * _CELL / max(height, width)) for length in (width, height))
    drawings = [
        captioned(cv2.resize(convert_overlay_heatmap(single), size), [name])
        for single, name in zip(maps, names, strict=True)
    ]
    columns = round((len(drawings) * size[1] / size[0]) ** 0.5) or 1
    return captioned(tile(drawings, columns), [title])


def write_feature_maps(
    subject: Subject,
    activations: Sequence[Activation],
    how: str = 'grid',
    channels: int = 20,
    out_dir: str = 'work_dirs/featmap',
) -> list[Path]:
    """Write a picture of each feature map as ``IMAGE_HOW_LAYER.png``, numbered if a layer has several.

    Args:
        subject: The image.
        activations: From :func:`feature_maps`.
        how: See :func:`reduce_channels`, as for ``channels``.
        channels: Of a grid.
        out_dir: Folder to write to.

    Returns:
        The files.

    Raises:
        ValueError: See :func:`reduce_channels`.
    """
    maps: dict[str, list[Tensor]] = {}
    for activation in activations:
        maps.setdefault(activation.layer, []).extend(each[0] for each in activation.maps())
    files = []
    for layer, several in maps.items():
        for i, features in enumerate(several):
            name = f'{layer}_{i}' if len(several) > 1 else layer
            title = f'{name} ({" x ".join(map(str, features.shape))})'
            picture = draw_feature_maps(subject, features, how, channels, title)
            path = Path(out_dir) / f'{subject.name}_{how}_{name}.png'
            files.append(write_picture(picture, path))
    return files
