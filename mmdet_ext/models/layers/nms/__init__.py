"""Non-maximum suppression by name: ``nms=dict(type='diou_nms', ...)`` in any head's ``test_cfg``.

Importing this makes the names known to mmdet's heads; see :mod:`.install`.
"""

from .adaptive import adaptive_nms
from .cluster import cluster_nms
from .diou import diou_nms
from .dispatch import VARIANTS, batched_nms, check_nms_cfg
from .install import install
from .matrix import matrix_nms
from .softer import softer_nms
from .weighted import weighted_nms

install()

__all__ = [
    'VARIANTS',
    'adaptive_nms',
    'batched_nms',
    'check_nms_cfg',
    'cluster_nms',
    'diou_nms',
    'install',
    'matrix_nms',
    'softer_nms',
    'weighted_nms',
]
