"""The Python face: what the commands in ``tools/`` do, as functions."""

from .inferencer import ParkingSlotInferencer
from .run import evaluate, load_config, train
from .torch_engine import ready_checkpoint

__all__ = ['ParkingSlotInferencer', 'evaluate', 'load_config', 'ready_checkpoint', 'train']
