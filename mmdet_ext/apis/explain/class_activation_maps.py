"""Where a detector looked: class activation maps of its boxes, slots and marking points."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn

from .alignment import align
from .layers import find_layers, tap
from .methods import (
    GRADIENT_METHODS,
    METHODS,
    Maps,
    ablation_maps,
    eigen_maps,
    gradient_maps,
    scaled,
)
from .pictures import draw_heat, write_picture
from .predictions import Prediction, instances_of, score_tensor, select_predictions
from .subject import Subject, predict, predict_with_gradients


@dataclass
class Explanation:
    """What :func:`explain` found.

    Attributes:
        method: One of :data:`METHODS`.
        layers: Names of the layers.
        predictions: What was explained.
        maps: One per prediction in [0, 1], float32, ``(P, H, W)`` in pixels of the original image; a
            single one where it is the same for all (EigenCAM).
        notes: What the reader should know about them, a sentence each.
    """

    method: str
    layers: list[str]
    predictions: list[Prediction]
    maps: np.ndarray
    notes: list[str] = field(default_factory=list)


def explain(
    model: nn.Module,
    subject: Subject,
    method: str = 'layercam',
    layers: Sequence[str] = (),
    **selection: object,
) -> Explanation:
    """Class activation maps of single predictions of a detector.

    Those of several feature maps (layers, levels of a pyramid) are added up, each by its influence on
    the score.

    Args:
        model: A detector of mmdet, or ours.
        subject: The image.
        method: ``layercam`` weighs each place of a feature map, so that its map is about one prediction.
            ``gradcam``, ``gradcam++`` and ``ablationcam`` weigh whole channels: other places that the
            model treats alike light up, too. ``eigencam`` knows nothing of predictions.
        layers: Names of the layers, such as ``backbone.stage4``; by default the neck's outputs.
        **selection: See :func:`~.predictions.select_predictions`.

    Returns:
        The maps.

    Raises:
        ValueError: The method is unknown or does not fit the model; a layer is not there or returns no
            feature map; nothing can be selected.
        ImportError: The method needs the grad-cam package, which is missing.
    """
    if method not in METHODS:
        raise ValueError(f'method is {method!r}; expected one of {METHODS}.')
    chosen = find_layers(model, layers)
    with tap(chosen, subject.input_size) as activations:
        if method in GRADIENT_METHODS:
            sample = predict_with_gradients(model, subject)
        else:
            [sample] = predict(model, subject)
    found = instances_of(model, sample)
    predictions = select_predictions(found, **selection)
    if method == 'eigencam':
        maps = [eigen_maps(activations)]
    elif method == 'ablationcam':
        maps = ablation_maps(model, subject, chosen, activations, predictions)
    else:
        scores = [score_tensor(found, prediction) for prediction in predictions]
        maps = [gradient_maps(method, model, activations, score) for score in scores]
    explanation = Explanation(
        method, list(chosen), predictions, np.stack([_merged(each, subject) for each in maps])
    )
    explanation.notes = _notes(explanation)
    return explanation


def _merged(maps: Maps, subject: Subject) -> np.ndarray:
    """Sum of maps in pixels of the original image, scaled to a maximum of 1."""
    total = torch.zeros(subject.image.shape[:2])
    for single in (single for each in maps for single in each):
        total += align(single[None], subject.input_size, subject.sample.metainfo)[0]
    return scaled(total).numpy()


def _notes(explanation: Explanation) -> list[str]:
    if explanation.method == 'eigencam':
        return ['EigenCAM looks at the features alone: the map is the same for every prediction.']
    return [
        f'The map of {prediction.name} is empty: nothing at {", ".join(explanation.layers)} makes its '
        f'score ({prediction.score:.3f}) rise, or it is too close to 1 to have a gradient; choose other '
        'layers, or another method.'
        for prediction, heat in zip(explanation.predictions, explanation.maps, strict=True)
        if not heat.any()
    ]


def draw_explanation(subject: Subject, found: Explanation) -> dict[str, np.ndarray]:
    """Pictures of the maps of single predictions and of all together (the largest value of each place).

    Args:
        subject: The image.
        found: Its explanation.

    Returns:
        RGB pictures, by ``all`` and names such as ``slot2``.
    """

    def named(prediction: Prediction) -> str:
        label = prediction.label
        known = label is not None and label < len(subject.classes)
        kind = '' if label is None else subject.classes[label] if known else f'class {label}'
        return ' '.join(filter(None, (prediction.name, kind, f'{prediction.score:.2f}')))

    where = f'{found.method} at {", ".join(found.layers)}'
    lines = [where, ', '.join(map(named, found.predictions))]
    pictures = {'all': draw_heat(subject.image, found.maps.max(0), found.predictions, lines)}
    if found.method != 'eigencam':
        for prediction, heat in zip(found.predictions, found.maps, strict=True):
            picture = draw_heat(subject.image, heat, [prediction], [where, named(prediction)])
            pictures[prediction.name.replace(' ', '')] = picture
    return pictures


def write_class_activation_maps(
    subject: Subject, found: Explanation, out_dir: str = 'work_dirs/cam'
) -> list[Path]:
    """Write the pictures of :func:`draw_explanation` as ``IMAGE_METHOD_NAME.png``.

    Args:
        subject: The image.
        found: Its explanation.
        out_dir: Folder to write to.

    Returns:
        The files.
    """
    return [
        write_picture(picture, Path(out_dir) / f'{subject.name}_{found.method}_{name}.png')
        for name, picture in draw_explanation(subject, found).items()
    ]
