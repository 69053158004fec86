"""Datasets, on-disk formats, transforms and scene synthesis."""

from mmdet_ext.utils.lazy_imports import import_when_asked_for

# The components need mmdet; the formats, which the runtime of exported models reads and writes, do not.
_HOMES = {
    'ColumnarDataset': 'components',
    'ConditionBalancedDataset': 'components',
    'ParkingSlotDataset': 'components',
    'SurroundViewSceneDataset': 'components',
    'UnderSampledDataset': 'components',
}
__all__ = list(_HOMES)
__getattr__ = import_when_asked_for(__name__, _HOMES)
