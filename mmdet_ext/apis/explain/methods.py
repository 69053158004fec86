"""Class activation maps of single predictions, cell by cell at the layers that were tapped."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn

from .layers import Activation, ablate, replace_tensors
from .predictions import Prediction, scores_again
from .projection import principal_components
from .subject import Subject, predict

GRADIENT_METHODS = {'gradcam': 'GradCAM', 'gradcam++': 'GradCAMPlusPlus', 'layercam': 'LayerCAM'}
"""Methods that follow the gradient of a score, and what the grad-cam package calls them."""

METHODS = (*GRADIENT_METHODS, 'eigencam', 'ablationcam')

Maps = list[list[Tensor]]
"""Maps ``(h, w)`` of an activation, for each activation."""


def gradient_maps(
    method: str, model: nn.Module, activations: Sequence[Activation], score: Tensor
) -> Maps:
    """Grad-CAM, Grad-CAM++ and LayerCAM of a score, by the formulas of the grad-cam package.

    Its own collecting of gradients is not used: with several layers it takes the gradient of one for
    that of another as soon as a prediction does not depend on all of them, as is the rule with
    feature pyramids.

    What is differentiated is the logit of the score: the same map as that of the score, but for
    scores close to 1, whose gradients would vanish.

    Args:
        method: One of :data:`GRADIENT_METHODS`.
        model: The detector.
        activations: From a pass with gradients.
        score: Of that pass, in [0, 1].

    Returns:
        Maps, not negative; 0 where the score does not depend on an activation, or its gradient is not
        finite.

    Raises:
        ImportError: The grad-cam package is missing.
    """
    try:
        import pytorch_grad_cam  # noqa: PLC0415 (an extra)
    except ImportError as error:
        raise ImportError(
            f"{method} needs the grad-cam package: pip install 'mmdet_ext[explain]'; eigencam and "
            'ablationcam do without.'
        ) from error
    formula = getattr(pytorch_grad_cam, GRADIENT_METHODS[method])(model, target_layers=[])
    slopes = _slopes(torch.logit(score, eps=1e-7), [a.tensor for a in activations])
    return [
        [
            _by_formula(formula, *pair)
            for pair in zip(activation.maps(), activation.maps(slope), strict=True)
        ]
        for activation, slope in zip(activations, slopes, strict=True)
    ]


def _slopes(target: Tensor, tensors: Sequence[Tensor]) -> list[Tensor]:
    """Gradients of a scalar, 0 for tensors that it does not depend on and where they are not finite."""
    used = [tensor for tensor in tensors if tensor.requires_grad]
    found = torch.autograd.grad(target, used, retain_graph=True, allow_unused=True)
    known = {id(tensor): slope for tensor, slope in zip(used, found, strict=True)}
    slopes = [known.get(id(tensor)) for tensor in tensors]
    return [
        torch.zeros_like(tensor) if slope is None or not slope.isfinite().all() else slope
        for tensor, slope in zip(tensors, slopes, strict=True)
    ]


def _by_formula(formula: object, values: Tensor, slopes: Tensor) -> Tensor:
    arrays = [tensor.detach().cpu().float().numpy() for tensor in (values, slopes)]
    [found] = formula.get_cam_image(None, None, None, *arrays, False)
    # As if all maps were of one size: a coarse cell gathers the gradient of all the fine ones in it.
    return torch.from_numpy(np.maximum(found, 0)) * found.size


def eigen_maps(activations: Sequence[Activation]) -> Maps:
    """EigenCAM (Muhammad and Yeasin, Eigen-CAM: Class Activation Map using Principal Components, 2020).

    Args:
        activations: From any pass.

    Returns:
        First principal component of the feature vectors, in [0, 1]; the same for every prediction.
    """
    return [
        [
            scaled(principal_components(values[0], 1)[0].clamp(min=0).cpu())
            for values in activation.maps()
        ]
        for activation in activations
    ]


def ablation_maps(
    model: nn.Module,
    subject: Subject,
    layers: Mapping[str, nn.Module],
    activations: Sequence[Activation],
    predictions: Sequence[Prediction],
    batch_size: int = 8,
) -> list[Maps]:
    """Ablation-CAM (Desai and Ramaswamy, Ablation-CAM: Visual Explanations via Gradient-free Localization, 2020).

    The weight of a channel is by how much of itself the score falls when the channel is set to zero. The
    grad-cam package would run the model once more for each prediction, and sets channels with negative
    values to -1e7, which is far outside of what any layer has seen.

    Args:
        model: The detector.
        subject: The image.
        layers: Layers by name.
        activations: Their outputs, from a pass without gradients.
        predictions: What the model reported.
        batch_size: Channels that are ablated at once.

    Returns:
        Maps of each prediction, not negative.
    """
    before = torch.tensor([prediction.score for prediction in predictions])
    jobs = [
        (activation, channels)
        for activation in activations
        for channels in torch.arange(activation.channels).split(batch_size)
    ]
    after: dict[int, list[Tensor]] = {id(activation): [] for activation in activations}
    with _remembered_backbone(model, layers):
        for activation, channels in track(jobs, 'ablating', console=Console(stderr=True)):
            with ablate(layers[activation.layer], activation, channels.tolist()):
                samples = predict(model, subject, len(channels))
            after[id(activation)] += [scores_again(model, s, predictions) for s in samples]
    maps: list[Maps] = [[] for _ in predictions]
    for activation in activations:
        weights = 1 - torch.stack(after[id(activation)]).T / before[:, None]  # (P, C)
        for found, weight in zip(maps, weights, strict=True):
            found.append(
                [
                    torch.einsum('c,chw->hw', weight, values[0].cpu().float()).clamp(min=0)
                    for values in activation.maps()
                ]
            )
    return maps


@contextmanager
def _remembered_backbone(model: nn.Module, layers: Mapping[str, nn.Module]) -> Iterator[None]:
    """Run the backbone only once, unless one of its own layers is what changes."""
    backbone = getattr(model, 'backbone', None)
    if backbone is None or any(name.partition('.')[0] == 'backbone' for name in layers):
        yield
        return
    known = []

    def forward(inputs: Tensor) -> Any:
        if not known:
            known.append(type(backbone).forward(backbone, inputs[:1]))

        def repeated(level: Tensor) -> Tensor:
            return level.repeat(len(inputs), *[1] * (level.dim() - 1))

        return replace_tensors(known[0], repeated)

    with mock.patch.object(backbone, 'forward', forward):
        yield


def scaled(values: Tensor) -> Tensor:
    """Values that are not negative, scaled to a maximum of 1 unless all are 0."""
    return values / values.max() if values.max() > 0 else values
