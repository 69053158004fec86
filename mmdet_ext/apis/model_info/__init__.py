"""Facts about a model: layers, parameters, operations, memory, receptive fields, speed."""

from .facts import Layer, ModelInfo, model_info
from .tables import print_model_info

__all__ = ['Layer', 'ModelInfo', 'model_info', 'print_model_info']
