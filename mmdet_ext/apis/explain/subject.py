"""One image as a model sees it, and what the model says about it, with or without gradients."""

import copy
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmdet.utils import get_test_pipeline_cfg
from mmengine.config import Config
from mmengine.dataset import Compose
from torch import Tensor, nn

from mmdet_ext.apis.models import load_model, usable_device
from mmdet_ext.apis.run import load_config
from mmdet_ext.utils.errors import explained_config_errors

from .predictions import instances_of

GRADIENT_FREE = 'eigencam or ablationcam, which need no gradients'


@dataclass
class Subject:
    """An image that is to be explained.

    Attributes:
        name: Of its file, without the suffix.
        image: RGB, uint8, ``(H, W, 3)``, as it was before the pipeline.
        inputs: What the model gets, ``(1, 3, h, w)``.
        sample: What the pipeline says about it, without predictions.
        classes: Names of the model's classes, as far as they are known.
    """

    name: str
    image: np.ndarray
    inputs: Tensor
    sample: DetDataSample
    classes: Sequence[str] = ()

    @property
    def input_size(self) -> tuple[int, int]:
        """Rows and columns of the network input, padding included."""
        return tuple(self.inputs.shape[-2:])


def open_subject(
    image: str,
    config: str,
    checkpoint: str,
    device: str | None = None,
    cfg_options: Mapping | None = None,
) -> tuple[nn.Module, Subject]:
    """Build a detector with the weights of a checkpoint and read an image for it.

    Args:
        image: An image file.
        config: A config file, or the name of one of the package's.
        checkpoint: A checkpoint that was trained with it.
        device: Such as ``cpu`` or ``cuda:0``; None takes a GPU if there is one.
        cfg_options: Values that override the config's, by dotted key.

    Returns:
        The detector and the image.

    Raises:
        FileNotFoundError: One of the files is missing.
        ValueError: One of them is unreadable, the checkpoint does not fit the model, or the device cannot
            be used.
    """
    place = usable_device(device)
    cfg = load_config(config, cfg_options)
    model, meta = load_model(cfg, checkpoint, place)
    subject = load_subject(model, cfg, image)
    subject.classes = meta.get('classes', ())
    return model, subject


def load_subject(model: nn.Module, cfg: Config, path: str) -> Subject:
    """Read an image and send it through a config's test pipeline, but for its labels.

    Args:
        model: A detector of mmdet, or ours.
        cfg: Its config.
        path: An image file.

    Returns:
        The image, ready for the model.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no image.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'the image {path} does not exist: correct the path.')
    steps = [step for step in get_test_pipeline_cfg(cfg) if 'Annotations' not in step['type']]
    with explained_config_errors(cfg):
        load, *rest = Compose(steps).transforms
    try:
        results = load(dict(img_path=str(path), img_id=0))
    except (AssertionError, AttributeError) as error:  # what mmcv raises for what is no image
        raise ValueError(f'{path} cannot be read as an image: name another file.') from error
    image = np.clip(results['img'][..., ::-1], 0, 255).astype(np.uint8)
    for step in rest:
        results = step(results)
    batch = dict(inputs=[results['inputs']], data_samples=[results['data_samples']])
    batch = model.data_preprocessor(batch, False)
    return Subject(Path(path).stem, image, batch['inputs'], batch['data_samples'][0])


def predict(model: nn.Module, subject: Subject, copies: int = 1) -> list[DetDataSample]:
    """Predict without gradients.

    Args:
        model: A detector of mmdet, or ours.
        subject: The image.
        copies: Size of the batch, all of whose images are this one.

    Returns:
        One sample per copy.
    """
    inputs = subject.inputs.expand(copies, -1, -1, -1)
    with torch.no_grad():
        return model.predict(inputs, [copy.deepcopy(subject.sample) for _ in range(copies)])


def predict_with_gradients(model: nn.Module, subject: Subject) -> DetDataSample:
    """Predict such that each reported score knows how it was computed.

    The scores are picked from the head's output by index, all the way through decoding and suppression,
    so that they can be differentiated themselves: no search for the logit that a prediction came
    from.

    Args:
        model: A detector of mmdet, or ours.
        subject: The image.

    Returns:
        The sample.

    Raises:
        ValueError: The model's post-processing cannot be differentiated.
    """
    inputs = subject.inputs.detach().requires_grad_()
    try:
        with torch.enable_grad(), _scores_left_attached(model):
            [sample] = model.predict(inputs, [copy.deepcopy(subject.sample)])
    except RuntimeError as error:
        raise ValueError(
            f'{type(model).__name__} does not run with gradients '
            f'({str(error).splitlines()[0]}): take {GRADIENT_FREE}.'
        ) from error
    for found in instances_of(model, sample).values():
        if len(found) and not found.scores.requires_grad:
            raise ValueError(
                f'{type(model).__name__} reports scores that are cut off from their gradients: '
                f'take {GRADIENT_FREE}.'
            )
        _mend_roots(found.scores)
    return sample


def _mend_roots(scores: Tensor) -> None:
    """Keep out what scores do not depend on where a root of 0 is taken: its infinite slope, times 0, is NaN."""

    def mend(slopes: tuple, outer: tuple) -> tuple:
        return tuple(
            slope if slope is None else torch.where(outer[0] == 0, 0.0, slope) for slope in slopes
        )

    nodes, seen = [scores.grad_fn], set()
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node.name() in ('SqrtBackward0', 'PowBackward0'):
            node.register_hook(mend)
        nodes += [following for following, _ in node.next_functions]


@contextmanager
def _scores_left_attached(model: nn.Module) -> Iterator[None]:
    """Let mmdet's dense heads pick the output of one image without detaching it."""
    modules = {
        sys.modules[kind.__module__] for kind in type(getattr(model, 'bbox_head', 0)).__mro__
    }
    with ExitStack() as stack:
        for module in modules:
            if hasattr(module, 'select_single_mlvl'):
                stack.enter_context(mock.patch.object(module, 'select_single_mlvl', _select))
        yield


def _select(levels: list[Tensor], image: int, detach: bool = True) -> list[Tensor]:
    return [level[image] for level in levels]
