"""Pipeline steps for marking points and slots."""

from .affine import ParkingSlotAffine
from .formatting import PackParkingSlotInputs
from .loading import LoadParkingSlotAnnotations, LoadParkingSlotImage

__all__ = [
    'LoadParkingSlotAnnotations',
    'LoadParkingSlotImage',
    'PackParkingSlotInputs',
    'ParkingSlotAffine',
]
