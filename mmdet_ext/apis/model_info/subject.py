"""The model of a config, and noise in the shape of its images."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from torch import Tensor, nn

from mmdet_ext.apis.models import device_problem, devices_here, load_model
from mmdet_ext.apis.run import load_config
from mmdet_ext.utils.errors import sentence_of

SIZE_KEYS = ('scale', 'size', 'img_scale', 'crop_size')


@dataclass
class Subject:
    """A model in evaluation mode and what it is run on.

    Attributes:
        model: A detector, or any module that takes images ``(N, 3, H, W)``.
        shape: Height and width of an image before the model pads it.
    """

    model: nn.Module
    shape: tuple[int, int]

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters(), torch.empty(0)).device

    @property
    def is_detector(self) -> bool:
        """Whether the model prepares its own images and predicts data samples."""
        return hasattr(self.model, 'test_step') and hasattr(self.model, 'data_preprocessor')

    def batch(self, size: int) -> Any:
        """Noise as the data loader would give it."""
        generator = torch.Generator().manual_seed(0)
        images = torch.randint(
            0, 256, (size, 3, *self.shape), generator=generator, dtype=torch.uint8
        )
        if not self.is_detector:
            return ((images.float() - 127.5) / 64).to(self.device)
        meta = dict(
            img_id=0,
            img_path='noise',
            ori_shape=self.shape,
            img_shape=self.shape,
            scale_factor=(1.0, 1.0),
            homography_matrix=np.eye(3, dtype=np.float32),
            flip=False,
            flip_direction=None,
        )
        return dict(
            inputs=list(images), data_samples=[DetDataSample(metainfo=meta) for _ in images]
        )

    def prepared(self, size: int) -> tuple[Tensor, dict[str, Any]]:
        """Noise after the model's preprocessing, and the other arguments of ``forward``.

        Returns:
            Images ``(size, 3, H, W)``, padded as the model pads them, and keyword arguments that make
            ``model(images, **arguments)`` return raw outputs.
        """
        batch = self.batch(size)
        if not self.is_detector:
            return batch, {}
        data = self.model.data_preprocessor(batch, False)
        return data['inputs'], dict(data_samples=data['data_samples'], mode='tensor')

    @torch.no_grad()
    def predict(self, batch: Any) -> Any:
        """All that inference does: preprocessing, network and post-processing."""
        return self.model.test_step(batch) if self.is_detector else self.model(batch)


def load_subject(
    config: str,
    checkpoint: str | None = None,
    shape: tuple[int, int] | None = None,
    device: str = 'cpu',
    cfg_options: Mapping | None = None,
) -> Subject:
    """Build a config's model and run it once.

    Args:
        config: A config file.
        checkpoint: A checkpoint that was trained with it; without one the weights are random.
        shape: Height and width of the images; by default what the config's test pipeline makes.
        device: Such as ``cpu`` or ``cuda:0``.
        cfg_options: Values that override the config's.

    Returns:
        The model in evaluation mode on the device, and the shape.

    Raises:
        FileNotFoundError: The config or the checkpoint is missing.
        KeyError: The config names a type that is not registered.
        ValueError: There is no such device, the checkpoint does not fit, or the model does not take
            images of this shape.
    """
    cfg = load_config(config, cfg_options)
    if 'model' not in cfg:
        raise ValueError(f'{config} has no `model`: name a config to train or test with.')
    if device_problem(device):
        raise ValueError(f'there is no device {device} here: choose {" or ".join(devices_here())}.')
    shape = shape or pipeline_shape(cfg, config)
    model, _ = load_model(cfg, checkpoint, device)
    subject = Subject(model, shape)
    _try(subject, config)
    return subject


def pipeline_shape(cfg: Config, name: str) -> tuple[int, int]:
    """Height and width that a config's test pipeline resizes to.

    Args:
        cfg: The config.
        name: Its name, for the error.

    Returns:
        The largest shape that the last step with a size makes; one that keeps the aspect ratio makes
        smaller ones, too.

    Raises:
        ValueError: The config has no test pipeline, or it has no step with a size.
    """
    dataset = cfg.get('test_dataloader', {}).get('dataset', {})
    while 'dataset' in dataset:  # a wrapper such as RepeatDataset
        dataset = dataset['dataset']
    steps = dataset.get('pipeline') or cfg.get('test_pipeline') or []
    for step in reversed(steps):
        size = next((step[key] for key in SIZE_KEYS if step.get(key)), None)
        if isinstance(size, int):
            return size, size
        if isinstance(size, list | tuple) and all(isinstance(side, int) for side in size):
            return size[1], size[0]  # (width, height), as all of mmcv's transforms
    raise ValueError(
        f'the test pipeline of {name} has no step with a size ({", ".join(SIZE_KEYS)}): give the '
        'shape of the images as --shape H W.'
    )


@torch.no_grad()
def _try(subject: Subject, config: str) -> None:
    height, width = subject.shape
    if min(subject.shape) < 1:
        raise ValueError(f'the shape is {height} x {width}: height and width must be 1 or more.')
    try:
        inputs, arguments = subject.prepared(1)
        subject.model(inputs, **arguments)
    except Exception as error:  # models refuse an input in as many ways as they have layers
        reason = sentence_of(error).splitlines() or ['']
        raise ValueError(
            f'the model of {config} does not take an image of {height} x {width} '
            f'({type(error).__name__}: {reason[0].rstrip(".")}): choose another with --shape H W.'
        ) from error
