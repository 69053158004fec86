"""Images of MMDetection as torchvision wants them, and back."""

import cv2
import numpy as np
import torch
from torch import Tensor

_FULL_SCALE = {'uint8': 1, 'uint16': 65535, 'float32': 255, 'float64': 255}  # divisor of pixels


def to_torchvision(image: np.ndarray) -> Tensor:
    """Turn an image into a tensor of torchvision.

    Args:
        image: Shape ``(H, W)`` or ``(H, W, C)``: BGR where C is 3; uint8, uint16, or floating-point with
            values from 0 to 255, as ``LoadImageFromFile(to_float32=True)`` gives them.

    Returns:
        Shape ``(C, H, W)``, RGB: uint8 for uint8, else floating-point with values from 0 to 1.

    Raises:
        ValueError: The pixels are of another type or range.
    """
    if image.dtype.name not in _FULL_SCALE:
        raise ValueError(
            f'the image has pixels of {image.dtype}, which torchvision cannot take: convert it to one '
            f'of {", ".join(_FULL_SCALE)} when it is loaded.'
        )
    if image.dtype.kind == 'f' and image.size and (image.min() < 0 or image.max() > 255):
        raise ValueError(
            f'the image has floating-point pixels from {image.min():.3g} to {image.max():.3g}; expected '
            '0 to 255: put this transform before Normalize.'
        )
    planes = np.stack(cv2.split(image))
    planes = planes[::-1].copy() if len(planes) == 3 else planes
    if image.dtype == np.uint8:
        return torch.from_numpy(planes)
    real = np.float64 if image.dtype == np.float64 else np.float32
    return torch.from_numpy(planes.astype(real) / real(_FULL_SCALE[image.dtype.name]))


def from_torchvision(tensor: Tensor, like: np.ndarray) -> np.ndarray:
    """Turn a tensor back into an image.

    Args:
        tensor: Shape ``(C, H, W)``, as of :func:`to_torchvision`.
        like: The image that it came from, for the type and the number of axes.

    Returns:
        Shape ``(H, W)`` or ``(H, W, C)``, of the type of ``like``.
    """
    planes = tensor.numpy()
    planes = planes[::-1] if len(planes) == 3 else planes
    image = cv2.merge([np.ascontiguousarray(plane) for plane in planes])
    image = image.reshape(*image.shape[:2], len(planes))  # OpenCV drops a single channel
    if like.dtype != np.uint8:
        image = image * image.dtype.type(_FULL_SCALE[like.dtype.name])
        image = (image.round() if like.dtype.kind == 'u' else image).astype(like.dtype)
    return image[..., 0] if like.ndim == 2 and len(planes) == 1 else image
