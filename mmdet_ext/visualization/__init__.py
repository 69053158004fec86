"""Visualizers and the drawing functions under them."""

from mmdet_ext.utils.lazy_imports import import_when_asked_for

# The components need mmdet; the drawing functions, which the runtime of exported models uses, do not.
_HOMES = {
    'ParkingSlotVisualizer': 'components',
    'VisdomVisBackend': 'components',
}
__all__ = list(_HOMES)
__getattr__ = import_when_asked_for(__name__, _HOMES)
