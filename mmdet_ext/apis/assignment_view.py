"""What an assigner does: the priors that it makes positive for each object of an image."""

import colorsys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
import torch
from mmdet.models.dense_heads import PAAHead
from mmdet.models.task_modules.prior_generators import MlvlPointGenerator
from mmdet.structures import DetDataSample
from mmengine.runner import set_random_seed
from torch import Tensor, nn

from mmdet_ext.apis.browse_sources import open_source
from mmdet_ext.apis.models import load_model, usable_device
from mmdet_ext.apis.run import load_config
from mmdet_ext.datasets.selection import select_images
from mmdet_ext.utils.files import write_whole
from mmdet_ext.visualization.boxes import draw_boxes, draw_texts
from mmdet_ext.visualization.canvas import FRACTION, fixed, line_width, text_size
from mmdet_ext.visualization.montage import captioned

_SIDE = 768  # pixels of a picture's shorter side, at least
_DARK = (0, 0, 0)


@dataclass
class Assignment:
    """Objects of an image and their positives, in pixels of the network input.

    Attributes:
        boxes: Of the objects, ``x1 y1 x2 y2``, ``(G, 4)``.
        labels: Of the objects, ``(G,)``.
        centres: Of the positives, ``(P, 2)``.
        sizes: Of the positives, ``(P,)``: the stride of a point, the geometric mean of an anchor's sides.
        objects: Index of each positive's object, ``(P,)``.
        smallest: Smallest size of any prior, positive or not.
        unit: What sizes are: ``stride`` or ``anchor``.
        assigner: Name of the assigner.
        notes: What to know before reading anything into it.
    """

    boxes: np.ndarray
    labels: np.ndarray
    centres: np.ndarray
    sizes: np.ndarray
    objects: np.ndarray
    smallest: float
    unit: str
    assigner: str
    notes: list[str] = field(default_factory=list)

    def counts(self, index: int) -> str:
        """Positives of an object by size, such as ``9 positives (stride 8: 6, 16: 3)``."""
        by_size = Counter(self.sizes[self.objects == index].round().astype(int).tolist())
        parts = ', '.join(f'{size}: {count}' for size, count in sorted(by_size.items()))
        detail = f' ({self.unit} {parts})' if parts else ''
        return f'{by_size.total()} positive{"s" * (by_size.total() != 1)}{detail}'


def view_assignment(
    config: str,
    image: str,
    checkpoint: str | None = None,
    *,
    seed: int = 0,
    device: str | None = None,
    out_dir: str = 'work_dirs/assignment',
    cfg_options: Mapping | None = None,
) -> tuple[Path, list[str]]:
    """Draw what the assigner of a config makes positive for each object of a training image.

    Args:
        config: A config file, or the name of one of the package's.
        image: Index in the training data, or the end of the image's path.
        checkpoint: Weights of the model; assigners that look at predictions depend on them. None: random.
        seed: Of the random weights, of the training pipeline and of assigners that draw.
        device: Such as ``cpu`` or ``cuda:0``; None takes a GPU if there is one.
        out_dir: Folder for the picture.
        cfg_options: Values that override the config's, by dotted key.

    Returns:
        The picture's file, and a line about each object and each note.

    Raises:
        FileNotFoundError: The config, the checkpoint or the data is missing.
        ValueError: There is no such image, it has no objects, or the model has no assigner to ask.
    """
    place = usable_device(device)
    opened = open_source(config, None, 'train', None, cfg_options)
    index = [int(image)] if image.isdecimal() else ()
    [chosen, *_], _ = select_images(opened.dataset, index=index, name=None if index else image)
    set_random_seed(seed)
    item = opened.dataset[chosen]
    sample = item['data_samples']
    if not len(sample.get('gt_instances', ())):
        raise ValueError(
            f'the image {Path(sample.img_path).name} ({chosen}) has no objects: choose another.'
        )
    model, _ = load_model(load_config(config, cfg_options), checkpoint, place)
    found = record_assignment(model, item['inputs'], sample)
    if checkpoint is None:
        found.notes.append('The weights are random; a checkpoint shows it in training.')
    classes = opened.dataset.metainfo.get('classes', ())
    lines = [_describe(found, i, classes) for i in range(len(found.boxes))]
    title = f'{Path(config).stem}: {found.assigner}, {len(found.centres)} positives'
    rgb = item['inputs'].permute(1, 2, 0).numpy()[..., ::-1]
    picture = captioned(draw_assignment(rgb, found), [title, *found.notes])
    path = Path(out_dir) / f'{Path(config).stem}_{Path(sample.img_path).stem}.png'
    write_whole(path, cv2.imencode('.png', picture[..., ::-1])[1].tobytes())
    return path, lines + found.notes


def record_assignment(model: nn.Module, inputs: Tensor, sample: DetDataSample) -> Assignment:
    """Ask a detector's assigner about an image.

    Args:
        model: A detector of mmdet, or ours, in evaluation mode.
        inputs: Image as the pipeline packs it, ``(3, H, W)``.
        sample: With ``gt_instances``, at least one object.

    Returns:
        What the first head with an ``assigner`` was answered first.

    Raises:
        ValueError: No head has one, it is not asked, or what it is asked about are no priors.
    """
    heads = [each for each in model.modules() if hasattr(getattr(each, 'assigner', None), 'assign')]
    if not heads:
        head = type(getattr(model, 'bbox_head', model)).__name__
        raise ValueError(
            f'{head} has no assigner, it assigns within its loss: name a config with one, such as '
            'ext/assignment/ota.py.'
        )
    head, recorder = heads[0], _Recorder(heads[0].assigner)
    batch = model.data_preprocessor(dict(inputs=[inputs], data_samples=[sample]), False)
    with torch.no_grad(), mock.patch.object(head, 'assigner', recorder):
        model.loss(batch['inputs'], batch['data_samples'])
    kind, name = type(head).__name__, type(recorder.assigner).__name__
    if recorder.priors is None:
        raise ValueError(
            f'{kind} does not ask its {name} about priors: name a config of a dense head that does, such '
            'as ext/assignment/ota.py.'
        )
    points = isinstance(getattr(head, 'prior_generator', None), MlvlPointGenerator)
    centres, sizes = _places(recorder.priors, points)
    positive = recorder.result.gt_inds > 0
    notes = []
    if isinstance(head, PAAHead):
        notes.append('These are candidates: PAAHead chooses among them by their losses.')
    return Assignment(
        boxes=batch['data_samples'][0].gt_instances.bboxes.cpu().numpy(),
        labels=batch['data_samples'][0].gt_instances.labels.cpu().numpy(),
        centres=centres[positive].cpu().numpy(),
        sizes=sizes[positive].cpu().numpy(),
        objects=(recorder.result.gt_inds[positive] - 1).cpu().numpy(),
        smallest=float(sizes.min()),
        unit='stride' if points else 'anchor',
        assigner=type(getattr(recorder.assigner, 'assigner', recorder.assigner)).__name__,
        notes=notes,
    )


class _Recorder:
    """An assigner that remembers the first answer."""

    def __init__(self, assigner: Any) -> None:
        self.assigner = assigner
        self.priors = self.result = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.assigner, name)

    def assign(self, *args, **kwargs) -> Any:
        result = self.assigner.assign(*args, **kwargs)
        asked = kwargs['pred_instances'] if 'pred_instances' in kwargs else args[0]
        if self.result is None and 'priors' in asked:
            self.priors, self.result = asked.priors.float(), result
        return result


def _places(priors: Tensor, points: bool) -> tuple[Tensor, Tensor]:
    """Centres and sizes of points ``x y stride ...`` or of anchors ``x1 y1 x2 y2``."""
    if points:
        return priors[:, :2], priors[:, 2]
    low, high = priors[:, :2], priors[:, 2:4]
    return (low + high) / 2, (high - low).prod(1).sqrt()


def _describe(found: Assignment, index: int, classes: Sequence[str]) -> str:
    label = found.labels[index]
    name = classes[label] if label < len(classes) else f'class {label}'
    width, height = (found.boxes[index, 2:] - found.boxes[index, :2]).round().astype(int)
    return f'{index} {name}, {width} x {height} px: {found.counts(index)}'


def draw_assignment(image: np.ndarray, found: Assignment) -> np.ndarray:
    """Draw objects and their positives, a colour each.

    Args:
        image: The network input before normalisation, RGB, ``(H, W, 3)``.
        found: Objects and positives.

    Returns:
        RGB, uint8, small images enlarged. Discs are positives, the larger the coarser their level.
    """
    factor = max(1, round(_SIDE / min(image.shape[:2])))
    image = np.clip(image, 0, 255).astype(np.uint8)
    size = image.shape[1] * factor, image.shape[0] * factor
    canvas = (
        cv2.resize(image, size, interpolation=cv2.INTER_CUBIC) // 2 + 64
    )  # pale, to be drawn on
    colours = object_colours(len(found.boxes))
    boxes = (found.boxes + 0.5) * factor - 0.5
    draw_boxes(canvas, boxes, colours)
    unit = line_width(canvas)
    radii = unit * (2 + 1.5 * np.log2(np.maximum(found.sizes / found.smallest, 1)))
    centres = fixed((found.centres + 0.5) * factor - 0.5)
    for i in np.argsort(-radii, kind='stable'):  # the large ones below
        for radius, colour in ((radii[i] + unit, _DARK), (radii[i], colours[found.objects[i]])):
            around = int(radius * 2**FRACTION)
            cv2.circle(canvas, centres[i].tolist(), around, colour, -1, cv2.LINE_AA, FRACTION)
    names = [str(i) for i in range(len(boxes))]
    return draw_texts(canvas, names, boxes[:, :2], colours, text_size(canvas))


def object_colours(count: int) -> list[tuple[int, int, int]]:
    """Bright colours, RGB, neighbours in the list far apart."""
    golden = (5**0.5 - 1) / 2
    hues = [colorsys.hsv_to_rgb(i * golden % 1, 0.85, 1.0) for i in range(count)]
    return [tuple(round(255 * value) for value in hue) for hue in hues]
