"""Pipeline steps for marking points and slots."""

from .affine import ParkingSlotAffine
from .formatting import PackParkingSlotInputs
from .loading import LoadParkingSlotAnnotations, LoadParkingSlotImage
from .local_contrast import LocalContrast

__all__ = [
    'LoadParkingSlotAnnotations',
    'LoadParkingSlotImage',
    'LocalContrast',
    'PackParkingSlotInputs',
    'ParkingSlotAffine',
]
