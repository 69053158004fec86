"""What speeds of training are compared with: the device's peak, decoders, starts of an epoch."""

import statistics
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import cache, partial
from pathlib import Path
from typing import Any

import cv2
import mmcv
import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.optim import OptimWrapper
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.io import ImageReadMode, decode_image

from mmdet_ext.apis.finders.subject import build_loader


def training_flops(model: nn.Module, wrapper: OptimWrapper, batch: Any) -> int:
    """Floating-point operations of a training step, forwards and backwards.

    Args:
        model: A detector; it is trained by the step.
        wrapper: Its optimizer's.
        batch: A batch of its loader.

    Returns:
        Operations of convolutions and matrix products, a multiplication and an addition being two.
    """
    with FlopCounterMode(display=False) as counter:
        model.train_step(batch, wrapper)
    return counter.get_total_flops()


@cache
def matrix_peak(dtype: torch.dtype, repeats: int = 5) -> float:
    """Largest rate of a product of square matrices on the device that models are trained on.

    Args:
        dtype: Of the matrices. Those of float32 may be rounded to TF32 if convolutions are.
        repeats: Timed products; the fastest counts.

    Returns:
        Floating-point operations per second.
    """
    device = get_device()
    side = 8192 if device == 'cuda' else 2048
    matrix = torch.ones(side, side, dtype=dtype, device=device)
    allowed = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32
    try:
        return 2 * side**3 / min(_seconds(lambda: matrix @ matrix) for _ in range(repeats + 1))
    finally:
        torch.backends.cuda.matmul.allow_tf32 = allowed


def epoch_start_seconds(cfg: Config) -> tuple[float, float]:
    """Time until the first batch of any epoch but the first.

    Args:
        cfg: A config whose ``train_dataloader`` has workers.

    Returns:
        With workers that persist, and with new ones each epoch.
    """
    seconds = []
    for persistent in (True, False):
        cfg = deepcopy(cfg)
        cfg.train_dataloader.persistent_workers = persistent
        loader = build_loader(cfg)
        for _ in loader:
            pass
        seconds.append(_seconds(lambda loader=loader: next(iter(loader))))
    return seconds[0], seconds[1]


def decoding_milliseconds(files: Sequence[str | Path]) -> dict[str, float | None]:
    """Time to decode an image in memory with each decoder that there is.

    Args:
        files: Images, JPEG for TurboJPEG.

    Returns:
        Medians by decoder; None for one that is not installed or that cannot read these files.
    """
    contents = [Path(file).read_bytes() for file in files]
    decoders: dict[str, Callable[[bytes], Any]] = {
        'OpenCV': partial(mmcv.imfrombytes, backend='cv2'),
        'TurboJPEG': lambda content: _turbojpeg().decode(content),
        'Pillow': partial(mmcv.imfrombytes, backend='pillow'),
        'torchvision': _decode_with_torchvision,
        'OpenCV, half the size': _decode_to_half,
    }
    usable = {name: decode for name, decode in decoders.items() if _works(decode, contents[0])}
    times: dict[str, list[float]] = {name: [] for name in usable}
    for content in contents:
        for name, decode in usable.items():
            times[name].append(_seconds(partial(decode, content)))
    return {
        name: statistics.median(times[name]) * 1e3 if name in times else None for name in decoders
    }


def _works(decode: Callable[[bytes], Any], content: bytes) -> bool:
    try:
        decode(content)
    except (ImportError, OSError):
        return False
    return True


@cache
def _turbojpeg() -> Any:
    from turbojpeg import TurboJPEG  # noqa: PLC0415 (rarely installed)

    return TurboJPEG()


def _decode_with_torchvision(content: bytes) -> torch.Tensor:
    data = torch.frombuffer(bytearray(content), dtype=torch.uint8)
    return decode_image(data, ImageReadMode.RGB)


def _decode_to_half(content: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_REDUCED_COLOR_2)


def _seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start
