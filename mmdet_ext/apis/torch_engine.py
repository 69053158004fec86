"""What turns batches of images into predictions, here with torch and mmdet."""

import ast
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from torch import nn

from mmdet_ext.apis.fusion import fuse_conv_bn
from mmdet_ext.apis.models import load_model, usable_device
from mmdet_ext.apis.run import load_config
from mmdet_ext.datasets.formats.parking_slot_coco import LABEL_KINDS
from mmdet_ext.datasets.parking_slot_dataset import ParkingSlotDataset
from mmdet_ext.engine.optimizers.bfloat16_optim_wrapper import has_native_bfloat16
from mmdet_ext.structures.predictions import ParkingSlotPredictions
from mmdet_ext.utils.checkpoint import read_checkpoint, require_checkpoint_file
from mmdet_ext.utils.errors import explained_config_errors

READY_CONFIG = 'ext/psd_yolo_ready.py'
_READY_CHECKPOINT = Path(__file__).parents[1] / 'checkpoints/psd_yolo_ready.pth'
_MOST_THREADS = 8  # more fight over Python's interpreter lock
_PLAIN = (
    *(ast.Module, ast.Assign, ast.Name, ast.Load, ast.Store, ast.keyword),
    *(ast.Constant, ast.List, ast.Tuple, ast.Dict, ast.Set, ast.UnaryOp, ast.USub),
)
"""What a config's printed text is made of, calls of ``dict`` aside: nothing of it does anything."""


def ready_checkpoint() -> str:
    """Path of the checkpoint that comes with the package, of the config :data:`READY_CONFIG`.

    It was trained on synthetic scenes alone.

    Raises:
        FileNotFoundError: It is not there.
    """
    if not _READY_CHECKPOINT.is_file():
        raise FileNotFoundError(
            f'the checkpoint that comes with mmdet_ext is not at {_READY_CHECKPOINT}: name another one '
            'with its config, or install the package again.'
        )
    return str(_READY_CHECKPOINT)


def find_model(config: str | None, checkpoint: str | None) -> tuple[Config, str]:
    """Settle which model is meant.

    Args:
        config: A config file, the name of one of the package's, or None: the one that the checkpoint
            was written with.
        checkpoint: A checkpoint trained with it; None with :data:`READY_CONFIG` or no config: the one
            that comes with the package.

    Returns:
        The config and the path of the checkpoint.

    Raises:
        FileNotFoundError: One of the files is missing.
        ValueError: There is a config without a checkpoint, or a checkpoint without a config.
    """
    if checkpoint is None and config not in (None, READY_CONFIG):
        raise ValueError(
            f'the config {config} is given without a checkpoint: name one that was trained with it.'
        )
    if checkpoint is None:
        return load_config(READY_CONFIG), ready_checkpoint()
    if config is not None:
        cfg = load_config(config)
        require_checkpoint_file(checkpoint)
        return cfg, checkpoint
    return config_of_checkpoint(checkpoint), checkpoint


def config_of_checkpoint(path: str) -> Config:
    """Read the config that MMEngine writes into its checkpoints.

    Args:
        path: A checkpoint file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: There is no config in it, or one that could run code of whoever wrote it.
    """
    checkpoint = read_checkpoint(path)
    meta = checkpoint.get('meta', {}) if isinstance(checkpoint, dict) else {}
    text = meta.get('cfg')
    if not isinstance(text, str):
        raise ValueError(
            f'the checkpoint {path} has no config in it: name the one it was trained with.'
        )
    if not _is_plain(text):
        raise ValueError(
            f'the config in the checkpoint {path} is no plain data and could run code: name the config '
            'file that it was trained with.'
        )
    return Config.fromstring(text, '.py')


def _is_plain(text: str) -> bool:
    def plain(node: ast.AST) -> bool:
        if isinstance(node, ast.Call):
            return isinstance(node.func, ast.Name) and node.func.id == 'dict'
        return isinstance(node, _PLAIN)

    try:
        return all(map(plain, ast.walk(ast.parse(text))))
    except SyntaxError:
        return False


class TorchEngine:
    """Runs a parking-slot detector on batches of images.

    An engine of another runtime has the same methods and attributes.

    Args:
        model: A :class:`~mmdet_ext.models.detectors.ParkingSlotDetector` with its weights.
        cfg: Its config, whose ``test_pipeline`` is applied without its loading steps.
        dataset_meta: ``classes`` and ``palette`` as a checkpoint holds them, and ``label_kinds``, what
            the model was trained on; for what is missing :class:`ParkingSlotDataset` stands in.
        device: Where to run it; the CPU by default.
        amp: Use mixed precision: float16 on a GPU without bfloat16, bfloat16 elsewhere, nothing on a
            CPU that would only emulate it.

    Attributes:
        classes: Names of the slot types.
        palette: Their colours, RGB.
    """

    def __init__(
        self,
        model: nn.Module,
        cfg: Config,
        dataset_meta: dict | None = None,
        device: torch.device | None = None,
        amp: bool = False,
    ) -> None:
        device = device or torch.device('cpu')
        meta = {**ParkingSlotDataset.METAINFO, 'label_kinds': LABEL_KINDS, **(dataset_meta or {})}
        self.classes, self.palette = tuple(meta['classes']), list(meta['palette'])
        self._label_kinds = meta['label_kinds']
        fuse_conv_bn(model)
        self._model = model.to(device, memory_format=torch.channels_last)
        self._device, self._half = device, _half_precision(device) if amp else None
        steps = cfg.get('test_pipeline') or cfg.test_dataloader.dataset.pipeline
        steps = [step for step in steps if not step['type'].startswith('Load')]
        with explained_config_errors(cfg):
            self._pipeline = Compose(steps)
        self._one_at_a_time = nullcontext() if device.type == 'cpu' else threading.Lock()

    @classmethod
    def load(
        cls, cfg: Config, checkpoint: str, device: str | None = None, amp: bool = False
    ) -> 'TorchEngine':
        """Build a config's model with the weights of a checkpoint.

        Args:
            cfg: The config.
            checkpoint: A checkpoint that was trained with it.
            device: See :func:`usable_device`.
            amp: See the class.

        Raises:
            FileNotFoundError: There is no such checkpoint.
            ValueError: The checkpoint does not fit, or the device cannot be used.
        """
        place = usable_device(device)
        model, meta = load_model(cfg, checkpoint, place)
        return cls(model, cfg, meta, place, amp)

    def prepare(self, image: np.ndarray) -> dict[str, Any]:
        """Make the network's input of an image; any thread may.

        Args:
            image: BGR, ``(H, W, 3)``, uint8.

        Returns:
            An item of a batch.
        """
        size = image.shape[:2]
        return self._pipeline(
            dict(img=image, img_path='', img_id=0, img_shape=size, ori_shape=size)
        )

    def predict(self, batch: Sequence[dict[str, Any]]) -> list[ParkingSlotPredictions]:
        """Run the network; any thread may.

        Args:
            batch: Of :meth:`prepare`.

        Returns:
            Slots and marking points of each image, in its pixels.
        """
        half = torch.autocast(self._device.type, self._half, enabled=self._half is not None)
        with self._one_at_a_time, torch.inference_mode(), half:
            return [self._arrays(sample) for sample in self._model.test_step(pseudo_collate(batch))]

    def _arrays(self, sample: DetDataSample) -> ParkingSlotPredictions:
        slots, points = sample.pred_instances, sample.pred_marking_points
        slots = slots[slots.corners.flatten(1).isfinite().all(1)]  # half precision may overflow
        arrays = {
            'corners': slots.corners,
            'labels': slots.labels,
            'scores': slots.scores,
            'occupied_scores': slots.occupied_scores,
            'points': points.points,
            'point_scores': points.scores,
            'directions': points.directions if 'directions' in self._label_kinds else None,
            'shapes': points.shapes if 'shapes' in self._label_kinds else None,
        }
        return ParkingSlotPredictions(
            **{key: None if each is None else each.cpu().numpy() for key, each in arrays.items()}
        )

    @contextmanager
    def shared_threads(self) -> Iterator[int]:
        """Share the cores out to threads that each do a whole batch, as long as the context is open.

        Batches side by side, each on one core, use a CPU better than the parallel loops inside one.

        Yields:
            How many such threads to start.
        """
        cores, opencv = torch.get_num_threads(), cv2.getNumThreads()
        workers = min(cores, _MOST_THREADS)
        if self._device.type == 'cpu':
            torch.set_num_threads(cores // workers)
        cv2.setNumThreads(1)
        try:
            yield workers
        finally:
            torch.set_num_threads(cores)
            cv2.setNumThreads(opencv)


def _half_precision(device: torch.device) -> torch.dtype | None:
    if device.type == 'cpu' and not has_native_bfloat16('cpu'):
        warnings.warn('this CPU has no bfloat16 of its own: it goes on in float32.', stacklevel=3)
        return None
    fast = device.type != 'cuda' or has_native_bfloat16('cuda')
    return torch.bfloat16 if fast else torch.float16
