"""A plain vision transformer of one resolution, for images of any size."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks import DropPath
from mmdet.models.layers import SinePositionalEncoding
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn

from .position_embedding import resize_positions
from .pretrained import load_weights, pretrained_cfg, read_weights
from .vit_weights import as_plain_vit, is_classifier


@MODELS.register_module()
class PlainViT(BaseModule):
    """Vision transformer that keeps one stride and gives its last tokens as a feature map.

    Dosovitskiy et al., An Image is Worth 16x16 Words, 2021; as a detection backbone Li et al.,
    Exploring Plain Vision Transformer Backbones for Object Detection, 2022, whose simple feature
    pyramid (:class:`SimpleFeaturePyramid`) makes several strides of it. Normalisation comes before
    attention and before the MLP. Images are padded to whole patches, to the right and below.

    ``init_cfg=dict(type='Pretrained', checkpoint=...)`` also takes the files of torchvision and timm
    (MAE, DeiT and DINO use timm's names): position embeddings are resized, classifiers left out.

    Args:
        embed_dims: Channels of a token.
        depth: Number of blocks.
        num_heads: Attention heads, a divisor of ``embed_dims``.
        mlp_ratio: Hidden channels of the MLPs, in ``embed_dims``.
        patch_size: Side of a patch in pixels, which is the stride.
        in_channels: Channels of the image.
        patch_embedding: ``'conv'`` or ``'linear'`` (reshape, then a matrix): the same function.
        position_embedding: ``'learned'``, interpolated (bicubic) to the size of the image, or
            ``'sincos'``, fixed.
        pretrain_size: Side in pixels of the images that the learned embedding is made for.
        qkv_bias: Whether queries, keys and values have a bias.
        drop_path_rate: Probability that the last block is skipped in training; rises linearly.
        window_size: Side in patches of the windows that attention stays in; 0: no windows. Patches
            that only fill up windows at the border take no part.
        global_attention_indices: Blocks that attend everywhere in spite of windows.
        class_token: Let a class token take part in attention, as in a classifier; not an output.
        final_norm: Normalise the output.
        norm_eps: Epsilon of the normalisations.
        init_cfg: As for any mmengine module.

    Raises:
        ValueError: For options that contradict each other, for an image smaller than a patch and, on
            loading, for weights of another network.
        FileNotFoundError: On loading, if there is no such file.
    """

    def __init__(
        self,
        embed_dims: int = 768,
        depth: int = 12,
        num_heads: int = 12,
        mlp_ratio: float = 4,
        patch_size: int = 16,
        in_channels: int = 3,
        patch_embedding: str = 'conv',
        position_embedding: str = 'learned',
        pretrain_size: int = 224,
        qkv_bias: bool = True,
        drop_path_rate: float = 0.0,
        window_size: int = 0,
        global_attention_indices: Sequence[int] = (),
        class_token: bool = False,
        final_norm: bool = True,
        norm_eps: float = 1e-6,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg or dict(type='TruncNormal', layer='Linear', std=0.02))
        windows = (window_size, global_attention_indices)
        _check_options(embed_dims, depth, num_heads, position_embedding, windows, class_token)
        self.patch_size = patch_size
        self.patch_embed = PatchEmbedding(in_channels, embed_dims, patch_size, patch_embedding)
        if position_embedding == 'learned':
            grid = pretrain_size // patch_size
            self.pos_embed = nn.Parameter(torch.zeros(1, grid * grid, embed_dims))
            nn.init.trunc_normal_(self.pos_embed, std=0.02)
        else:
            self.pos_embed = None
            self.sine = SinePositionalEncoding(embed_dims // 2)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dims)) if class_token else None
        self.blocks = nn.ModuleList(
            Block(
                embed_dims,
                num_heads,
                mlp_ratio,
                qkv_bias,
                drop_path_rate * index / max(depth - 1, 1),
                0 if index in global_attention_indices else window_size,
                norm_eps,
            )
            for index in range(depth)
        )
        self.norm = nn.LayerNorm(embed_dims, norm_eps) if final_norm else nn.Identity()

    def init_weights(self) -> None:
        """Initialise, or load the weights that were asked for."""
        pretrained = pretrained_cfg(self)
        if pretrained is None:
            super().init_weights()
            return
        source = pretrained['checkpoint']
        weights = as_plain_vit(read_weights(source, pretrained.get('prefix')), self)
        load_weights(self, weights, source, 'PlainViT', is_classifier)
        self._is_init = True

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Compute the feature map.

        Args:
            x: Images, ``(B, in_channels, H, W)``.

        Returns:
            One map, ``(B, embed_dims, ceil(H / patch_size), ceil(W / patch_size))``.
        """
        x = self.patch_embed(x)
        height, width = x.shape[1:3]
        x = (x + self._positions(height, width)).flatten(1, 2)
        if self.cls_token is not None:
            x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], dim=1)
        for block in self.blocks:
            x = block(x, (height, width))
        x = self.norm(x)[:, -height * width :]
        return (x.transpose(1, 2).unflatten(2, (height, width)),)

    def _positions(self, height: int, width: int) -> Tensor:
        """Position embeddings, ``(1, height, width, C)``."""
        if self.pos_embed is not None:
            return resize_positions(self.pos_embed, height, width)
        mask = self.patch_embed.proj.weight.new_zeros(1, height, width)
        return self.sine(mask).permute(0, 2, 3, 1).to(mask)


class PatchEmbedding(nn.Module):
    """A linear map of each patch to a token, as a convolution or as a matrix.

    Args:
        in_channels: Channels of the image.
        embed_dims: Channels of a token.
        patch_size: Side of a patch in pixels.
        kind: ``'conv'`` or ``'linear'``; the matrix is the kernel with its last three axes in one.
    """

    def __init__(self, in_channels: int, embed_dims: int, patch_size: int, kind: str) -> None:
        super().__init__()
        if kind not in ('conv', 'linear'):
            raise ValueError(f"`patch_embedding` is {kind!r}, but has to be 'conv' or 'linear'.")
        self.patch_size, self.kind = patch_size, kind
        self.proj = (
            nn.Conv2d(in_channels, embed_dims, patch_size, patch_size)
            if kind == 'conv'
            else nn.Linear(in_channels * patch_size**2, embed_dims)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Embed images.

        Args:
            x: Images, ``(B, in_channels, H, W)``.

        Returns:
            Tokens, ``(B, ceil(H / patch_size), ceil(W / patch_size), embed_dims)``.

        Raises:
            ValueError: If an image is smaller than a patch.
        """
        height, width = x.shape[-2:]
        size = self.patch_size
        if min(height, width) < size:
            raise ValueError(
                f'the image has {height} x {width} pixels, less than one patch of {size} x {size}: give '
                'larger images or a smaller `patch_size`.'
            )
        x = F.pad(x, (0, -width % size, 0, -height % size))
        if self.kind == 'conv':
            return self.proj(x).permute(0, 2, 3, 1)
        x = x.unflatten(3, (-1, size)).unflatten(2, (-1, size))  # B, C, rows, size, columns, size
        return self.proj(x.permute(0, 2, 4, 1, 3, 5).flatten(3))


class Attention(nn.Module):
    """Multi-head self-attention, everywhere or in windows.

    Args:
        embed_dims: Channels of a token.
        num_heads: Number of heads.
        qkv_bias: Whether queries, keys and values have a bias.
        window_size: Side of a window in tokens; 0: everywhere.
    """

    def __init__(self, embed_dims: int, num_heads: int, qkv_bias: bool, window_size: int) -> None:
        super().__init__()
        self.num_heads, self.window_size = num_heads, window_size
        self.qkv = nn.Linear(embed_dims, 3 * embed_dims, bias=qkv_bias)
        self.proj = nn.Linear(embed_dims, embed_dims)

    def forward(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """Attend.

        Args:
            x: Tokens, ``(B, N, C)``; N is rows times columns, and one more with a class token.
            grid: Rows and columns of the map.

        Returns:
            Tokens of the same shape.
        """
        if not self.window_size:
            return self._attend(x)
        rows, columns = grid
        size = self.window_size
        padding = (0, 0, 0, -columns % size, 0, -rows % size)
        windows = partition(F.pad(x.unflatten(1, grid), padding), size)
        inside = None
        if any(padding):
            inside = partition(F.pad(x.new_ones(x.shape[0], rows, columns, 1), padding), size)
            inside = inside.bool().permute(0, 2, 1)[:, None]
        padded = (rows + padding[5], columns + padding[3])
        return merge(self._attend(windows, inside), padded, size)[:, :rows, :columns].flatten(1, 2)

    def _attend(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        query, key, value = self.qkv(x).unflatten(2, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        x = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return self.proj(x.transpose(1, 2).flatten(2))


class MLP(nn.Module):
    """Two linear layers with GELU between.

    Args:
        embed_dims: Channels of a token.
        hidden: Channels between.
    """

    def __init__(self, embed_dims: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(embed_dims, hidden)
        self.fc2 = nn.Linear(hidden, embed_dims)

    def forward(self, x: Tensor) -> Tensor:
        """Transform tokens ``(B, N, C)``, each by itself."""
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    """Attention and MLP, each after a normalisation and added to its input; see :class:`PlainViT`."""

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        mlp_ratio: float,
        qkv_bias: bool,
        drop_path: float,
        window_size: int,
        norm_eps: float,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(embed_dims, norm_eps)
        self.attn = Attention(embed_dims, num_heads, qkv_bias, window_size)
        self.norm2 = nn.LayerNorm(embed_dims, norm_eps)
        self.mlp = MLP(embed_dims, int(embed_dims * mlp_ratio))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """Transform tokens ``(B, N, C)`` of a map of ``grid`` rows and columns."""
        x = x + self.drop_path(self.attn(self.norm1(x), grid))
        return x + self.drop_path(self.mlp(self.norm2(x)))


def partition(x: Tensor, size: int) -> Tensor:
    """Cut maps ``(B, H, W, C)`` into windows ``(B * windows, size * size, C)``."""
    x = x.unflatten(2, (-1, size)).unflatten(1, (-1, size))
    return x.transpose(2, 3).flatten(3, 4).flatten(0, 2)


def merge(windows: Tensor, grid: tuple[int, int], size: int) -> Tensor:
    """Undo :func:`partition`, given the height and width of the maps."""
    rows, columns = grid[0] // size, grid[1] // size
    x = windows.unflatten(1, (size, size)).unflatten(0, (-1, rows, columns))
    return x.transpose(2, 3).flatten(3, 4).flatten(1, 2)


def _check_options(
    embed_dims: int,
    depth: int,
    num_heads: int,
    position_embedding: str,
    windows: tuple[int, Sequence[int]],
    class_token: bool,
) -> None:
    window_size, everywhere = windows
    if embed_dims % num_heads:
        raise ValueError(
            f'`num_heads` is {num_heads}, but has to divide `embed_dims`, which is {embed_dims}.'
        )
    if position_embedding not in ('learned', 'sincos'):
        raise ValueError(
            f"`position_embedding` is {position_embedding!r}, but has to be 'learned' or 'sincos'."
        )
    if position_embedding == 'sincos' and embed_dims % 4:
        raise ValueError(
            f'`embed_dims` is {embed_dims}, but sine and cosine of two axes need a multiple of 4.'
        )
    if class_token and window_size:
        raise ValueError(
            '`class_token` belongs to no window: leave it out, or set `window_size=0`.'
        )
    outside = [index for index in everywhere if not 0 <= index < depth]
    if outside:
        raise ValueError(
            f'`global_attention_indices` has {outside[0]}, but the blocks are 0 to {depth - 1}.'
        )
