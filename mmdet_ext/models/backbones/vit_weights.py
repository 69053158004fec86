"""Weights of other libraries' vision transformers under the names of :class:`PlainViT`."""

import math
import re

from torch import Tensor, nn

from .position_embedding import resize_positions

StateDict = dict[str, Tensor]

_TORCHVISION_NAMES = (
    (r'^class_token$', 'cls_token'),
    (r'^conv_proj\.', 'patch_embed.proj.'),
    (r'^encoder\.pos_embedding$', 'pos_embed'),
    (r'^encoder\.ln\.', 'norm.'),
    (r'^encoder\.layers\.encoder_layer_(\d+)\.', r'blocks.\1.'),
    (r'\.ln_([12])\.', r'.norm\1.'),
    (r'\.self_attention\.in_proj_', '.attn.qkv.'),
    (r'\.self_attention\.out_proj\.', '.attn.proj.'),
    (r'\.mlp\.(?:0|linear_1)\.', '.mlp.fc1.'),
    (r'\.mlp\.(?:3|linear_2)\.', '.mlp.fc2.'),
)


def as_plain_vit(weights: StateDict, model: nn.Module) -> StateDict:
    """Rename and reshape weights for a model.

    Args:
        weights: Of torchvision, of timm (or with its names, as MAE, DeiT and DINO have), or our own.
        model: A :class:`PlainViT`.

    Returns:
        The weights by the names of the model; what has no counterpart keeps its name.
    """
    if 'conv_proj.weight' in weights:
        weights = {_renamed(key): value for key, value in weights.items()}
    weights = dict(weights)
    wanted = model.state_dict()
    if 'pos_embed' in weights:
        _split_class_position(weights)
    if 'cls_token' not in wanted:
        weights.pop('cls_token', None)
    if 'pos_embed' not in wanted:
        weights.pop('pos_embed', None)
    elif 'pos_embed' in weights:
        side = math.isqrt(wanted['pos_embed'].shape[1])
        weights['pos_embed'] = resize_positions(weights['pos_embed'], side, side).flatten(1, 2)
    kernel = weights.get('patch_embed.proj.weight')
    wanted_kernel = wanted['patch_embed.proj.weight']
    if kernel is not None and kernel.numel() == wanted_kernel.numel():
        weights['patch_embed.proj.weight'] = kernel.reshape(wanted_kernel.shape)
    return weights


def is_classifier(key: str) -> bool:
    """Tell whether weights of this name come after the blocks."""
    return key.startswith(('norm.', 'fc_norm.', 'pre_logits.', 'head.', 'head_dist.', 'heads.'))


def _renamed(key: str) -> str:
    for pattern, name in _TORCHVISION_NAMES:
        key = re.sub(pattern, name, key)
    return key


def _split_class_position(weights: StateDict) -> None:
    """Move the class token's own position, the first one, into the token: it is the same wherever."""
    positions = weights['pos_embed']
    if 'cls_token' in weights and math.isqrt(positions.shape[1]) ** 2 != positions.shape[1]:
        weights['cls_token'] = weights['cls_token'] + positions[:, :1]
        weights['pos_embed'] = positions[:, 1:]
