"""Why a detector says what it says: class activation maps and feature maps, at any layer."""

from .class_activation_maps import Explanation, explain, write_class_activation_maps
from .feature_maps import feature_maps, write_feature_maps
from .layers import list_layers
from .subject import Subject, load_subject, open_subject

__all__ = [
    'Explanation',
    'Subject',
    'explain',
    'feature_maps',
    'list_layers',
    'load_subject',
    'open_subject',
    'write_class_activation_maps',
    'write_feature_maps',
]
