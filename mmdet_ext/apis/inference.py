"""Detection on image files: the Python face."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import init_default_scope
from mmengine.runner.checkpoint import load_checkpoint
from torch import nn

from mmdet_ext.apis.run import load_config
from mmdet_ext.utils.checkpoint import check_checkpoint, require_checkpoint_file

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp')


def load_model(config: str, checkpoint: str, device: str = 'cpu') -> tuple[nn.Module, Config]:
    """Build a config's model with the weights of a checkpoint, ready to predict.

    Args:
        config: A config file.
        checkpoint: A checkpoint that was trained with it.
        device: Such as ``cpu`` or ``cuda:0``.

    Returns:
        The model and its config.

    Raises:
        FileNotFoundError: One of the files is missing.
        ValueError: The checkpoint does not fit the model.
    """
    cfg = load_config(config)
    require_checkpoint_file(checkpoint)
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    model = MODELS.build(cfg.model)
    check_checkpoint(model, checkpoint)
    load_checkpoint(model, checkpoint, map_location='cpu', logger='silent')
    return model.to(device, memory_format=torch.channels_last).eval(), cfg


def find_images(source: str | Path) -> list[Path]:
    """Image files of a folder (its sub-folders included), or the one file.

    Args:
        source: A folder or an image file.

    Returns:
        Paths in order.

    Raises:
        FileNotFoundError: There is no such file or folder, or no image in it.
    """
    source = Path(source)
    if source.is_file():
        return [source]
    images = sorted(p for p in source.rglob('*') if p.suffix.lower() in IMAGE_SUFFIXES)
    if not images:
        state = 'has no image in it' if source.is_dir() else 'does not exist'
        raise FileNotFoundError(f'{source} {state}: name an image or a folder of {IMAGE_SUFFIXES}.')
    return images


@torch.no_grad()
def predict(
    model: nn.Module, cfg: Config, images: Iterable[str | Path], batch_size: int = 8
) -> Iterator[DetDataSample]:
    """Predict slots and marking points.

    Args:
        model: From :func:`load_model`.
        cfg: Its config, whose ``test_pipeline`` is applied without its labels.
        images: Image files.
        batch_size: Images per forward pass.

    Yields:
        One sample per image with ``pred_instances`` and ``pred_marking_points`` in pixels of the
        original image.

    Raises:
        FileNotFoundError: An image is missing.
        ValueError: An image is unreadable or truncated.
    """
    steps = [step for step in cfg.test_pipeline if step['type'] != 'LoadParkingSlotAnnotations']
    pipeline = Compose(steps)
    batch = []
    for i, path in enumerate(images):
        batch.append(pipeline(dict(img_path=str(path), img_id=i)))
        if len(batch) == batch_size:
            yield from model.test_step(pseudo_collate(batch))
            batch = []
    if batch:
        yield from model.test_step(pseudo_collate(batch))
