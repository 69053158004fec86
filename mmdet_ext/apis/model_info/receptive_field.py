"""How much of the image a unit of a feature map sees: in theory, and in effect."""

from collections.abc import Callable, Container
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from mmdet_ext.utils.tensors import tensors_in

from .calls import wrapped_methods
from .dependence import DependenceRecorder

IN_EFFECT = 1 - 0.9545
"""Least gradient, relative to the strongest, of a pixel that counts (Luo et al., 2016)."""


@dataclass
class ReceptiveField:
    """What the central unit of a feature map sees.

    Attributes:
        stage: The part of the model and the number of its output map.
        map_size: Height and width of the map.
        stride: Pixels of the input per unit, along height and width.
        theoretical: Height and width of the input that can reach it, in pixels, padding included;
            None where that is all of the image, whatever its size.
        effective: Side of a square of as many pixels as reach it noticeably; None if not measured.
        unknown: Operators on the way whose positions cannot be told apart: they count as seeing all.
    """

    stage: str
    map_size: tuple[int, int]
    stride: tuple[float, float]
    theoretical: tuple[int | None, int | None]
    effective: float | None = None
    unknown: list[str] = field(default_factory=list)


@torch.no_grad()
def theoretical_receptive_fields(
    model: nn.Module, inputs: Tensor, **arguments: Any
) -> list[ReceptiveField]:
    """Compute receptive fields from the operators of one forward pass.

    Kernels, strides, dilations, interpolations, slices and products are followed from the unit back to
    the image; the statistics of normalisation are left out.

    Args:
        model: In evaluation mode.
        inputs: One image ``(1, 3, H, W)``.
        arguments: Further arguments of the model's ``forward``.

    Returns:
        One per feature map that a child of the model returns; heads, whose maps see the same, once
        per stride.
    """
    found: dict[tuple, ReceptiveField] = {}
    recorder = DependenceRecorder(inputs)
    maps: list[tuple[str, tuple[int, ...], int | None]] = []

    def keep(part: str, index: int, output: Tensor) -> None:
        maps.append((f'{part}[{index}]', tuple(output.shape), recorder.number_of(output)))

    with ExitStack() as stack:
        _watch_maps(stack, model, keep)
        stack.enter_context(recorder)
        model(inputs, **arguments)
    for stage, shape, number in maps:
        box = None
        if number is not None:
            centre = tuple((size // 2, size // 2) for size in shape[2:])
            box = recorder.box_of(number, ((0, 0), None, *centre))
        if box is None:
            continue
        result = ReceptiveField(
            stage=stage,
            map_size=shape[2:],
            stride=tuple(n / m for n, m in zip(inputs.shape[2:], shape[2:], strict=True)),
            theoretical=tuple(r and r[1] - r[0] + 1 for r in box[2:]),
            unknown=list(recorder.unknown),
        )
        part = stage.rpartition('[')[0]
        found.setdefault((part, result.map_size, result.theoretical), result)
    return list(found.values())


def effective_receptive_fields(
    model: nn.Module, inputs: Tensor, stages: Container[str], **arguments: Any
) -> dict[str, float]:
    """Measure receptive fields by the gradient of central units with respect to the image.

    After Luo, Li, Urtasun and Zemel, "Understanding the effective receptive field in deep
    convolutional neural networks", 2016: a pixel counts if the sum of its channels' absolute
    gradients, averaged over the images, is more than 4.55 % of the strongest. It depends on the
    weights and, weakly, on the images.

    Args:
        model: In evaluation mode.
        inputs: Images ``(N, 3, H, W)``, one forward pass each.
        stages: Names of the feature maps, as from :func:`theoretical_receptive_fields`.
        arguments: Further arguments of the model's ``forward``, for one image.

    Returns:
        Square root of the number of pixels that count, by stage; only of stages with a gradient.
    """
    gradients: dict[str, Tensor] = {}
    for image in inputs.split(1):
        image = image.clone().requires_grad_()  # noqa: PLW2901 (the image, as something to differentiate by)
        units = _central_units(model, image, arguments)
        for stage, unit in units.items():
            if stage not in stages:
                continue
            (gradient,) = torch.autograd.grad(unit, image, retain_graph=True, allow_unused=True)
            if gradient is not None:
                seen = gradient[0].abs().sum(0)
                gradients[stage] = gradients.get(stage, 0) + seen
    return {
        stage: float((seen > IN_EFFECT * seen.max()).sum()) ** 0.5
        for stage, seen in gradients.items()
    }


@torch.enable_grad()
def _central_units(model: nn.Module, image: Tensor, arguments: dict) -> dict[str, Tensor]:
    units: dict[str, Tensor] = {}

    def keep(part: str, index: int, output: Tensor) -> None:
        height, width = output.shape[2:]
        if output.requires_grad:
            # Summed here, before a later operator overwrites the map.
            units[f'{part}[{index}]'] = output[..., height // 2, width // 2].sum()

    with ExitStack() as stack:
        _watch_maps(stack, model, keep)
        model(image, **arguments)
    return units


def _watch_maps(
    stack: ExitStack, model: nn.Module, keep: Callable[[str, int, Tensor], None]
) -> None:
    """Call ``keep`` with the name, number and tensor of each feature map that a child returns."""

    def wrap(method: Callable, module: nn.Module, part: str) -> Callable:
        def watched(*args: Any, **kwargs: Any) -> Any:
            result = method(*args, **kwargs)
            for index, output in enumerate(filter(_is_map, tensors_in(result))):
                keep(part, index, output)
            return result

        return watched

    def _is_map(tensor: Tensor) -> bool:
        return tensor.dim() == 4 and len(tensor) == 1 and max(tensor.shape[2:]) > 1

    for name, child in model.named_children():
        # What a second stage returns is of boxes, not of the image.
        if name != 'data_preprocessor' and 'roi' not in name:
            methods = [(child, 'forward')]
            stack.enter_context(wrapped_methods(methods, partial(wrap, part=name)))
