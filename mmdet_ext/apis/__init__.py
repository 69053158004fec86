"""The Python face: what the commands in ``tools/`` do, as functions."""

from mmdet_ext.utils.lazy_imports import import_when_asked_for

# Inference from an exported model needs neither torch nor mmdet.
_HOMES = {
    'ParkingSlotInferencer': 'inferencer',
    'evaluate': 'run',
    'load_config': 'run',
    'ready_checkpoint': 'torch_engine',
    'train': 'run',
}
__all__ = list(_HOMES)
__getattr__ = import_when_asked_for(__name__, _HOMES)
