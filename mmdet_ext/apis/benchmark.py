"""Speed of the parts of a run, measured side by side."""

import copy
import statistics
import time
from collections.abc import Callable

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner


def median_seconds(call: Callable[[], object], repeats: int) -> float:
    """Median duration of a call after two warm-up calls.

    Args:
        call: What to time; it must wait for the device itself.
        repeats: Timed calls.

    Returns:
        Seconds.
    """
    durations = []
    for i in range(repeats + 2):
        start = time.perf_counter()
        call()
        if i >= 2:
            durations.append(time.perf_counter() - start)
    return statistics.median(durations)


def benchmark_training(cfg: Config, repeats: int = 9) -> dict[str, float]:
    """Compare the loader with the training step, each alone on all cores.

    Args:
        cfg: A config with ``train_dataloader``, ``model`` and ``optim_wrapper``.
        repeats: Timed training steps; the loader runs through one epoch.

    Returns:
        ``loader`` and ``train_step`` in images/s and ``ratio``, the former over the latter.
    """
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    loader = Runner.build_dataloader(copy.deepcopy(cfg.train_dataloader), seed=0)
    batches = [batch for batch, _ in zip(loader, range(4), strict=False)]  # also starts the workers
    start, images = time.perf_counter(), 0
    for batch in loader:
        images += len(batch['inputs'])
    loader_rate = images / (time.perf_counter() - start)
    model = _build(cfg).train()
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper)
    size = len(batches[0]['inputs'])
    step = median_seconds(lambda: model.train_step(copy.deepcopy(batches[0]), optimizer), repeats)
    return {
        'loader': loader_rate,
        'train_step': size / step,
        'ratio': loader_rate * step / size,
    }


@torch.no_grad()
def benchmark_inference(
    cfg: Config, batch_size: int = 16, size: tuple[int, int] = (512, 512), repeats: int = 9
) -> dict[str, float]:
    """Compare decoding (suppression and slot assembly included) with the forward pass.

    Args:
        cfg: A config with ``model``.
        batch_size: Images per call.
        size: Width and height of the network input.
        repeats: Timed calls of each.

    Returns:
        ``forward`` and ``decode`` in milliseconds per batch and ``ratio``, the latter over the
        former.
    """
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    model = _build(cfg).eval()
    images = torch.randn(batch_size, 3, size[1], size[0])
    maps = model(images, mode='tensor')
    meta = dict(img_shape=size[::-1], ori_shape=size[::-1], homography_matrix=torch.eye(3).numpy())
    head = model.bbox_head
    forward = median_seconds(lambda: model(images, mode='tensor'), repeats)
    decode = median_seconds(
        lambda: head.predict_by_feat(*maps, batch_img_metas=[meta] * batch_size), repeats
    )
    return {'forward': forward * 1e3, 'decode': decode * 1e3, 'ratio': decode / forward}


def _build(cfg: Config) -> torch.nn.Module:
    model = MODELS.build(cfg.model)
    model.init_weights()
    return model.to(memory_format=torch.channels_last)
