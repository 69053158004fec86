"""Pipeline steps: for marking points and slots, and for the boxes, masks and keypoints of MMDetection."""

from .affine import ParkingSlotAffine
from .color_jitter import DetColorJitter
from .crops import DetCenterCrop, DetRandomResizedCrop
from .cut_out import DetCutOut
from .formatting import PackParkingSlotInputs
from .grid_mask import DetGridMask
from .loading import LoadParkingSlotAnnotations, LoadParkingSlotImage
from .local_contrast import LocalContrast
from .parking_slot_mixup import ParkingSlotMixUp
from .parking_slot_mosaic import ParkingSlotMosaic
from .random_erasing import DetRandomErasing
from .small_object_copy_paste import SmallObjectCopyPaste
from .torchvision_transform import TorchvisionTransform

__all__ = [
    'DetCenterCrop',
    'DetColorJitter',
    'DetCutOut',
    'DetGridMask',
    'DetRandomErasing',
    'DetRandomResizedCrop',
    'LoadParkingSlotAnnotations',
    'LoadParkingSlotImage',
    'LocalContrast',
    'PackParkingSlotInputs',
    'ParkingSlotAffine',
    'ParkingSlotMixUp',
    'ParkingSlotMosaic',
    'SmallObjectCopyPaste',
    'TorchvisionTransform',
]
