"""What mmdet's registries know of this package."""

from . import transforms
from .columnar import ColumnarDataset
from .condition_balanced_dataset import ConditionBalancedDataset
from .parking_slot_dataset import ParkingSlotDataset
from .surround_view.scene_dataset import SurroundViewSceneDataset
from .under_sampled_dataset import UnderSampledDataset

__all__ = [
    'ColumnarDataset',
    'ConditionBalancedDataset',
    'ParkingSlotDataset',
    'SurroundViewSceneDataset',
    'UnderSampledDataset',
    'transforms',
]
