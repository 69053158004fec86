"""Attention on the feature maps of any detector."""

from collections.abc import Sequence

from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn


@MODELS.register_module()
class FeatureAttention(BaseModule):
    """Apply an attention layer to some of the feature maps that pass through.

    For backbones without a slot for plugins (ResNet-18 and 34, CSPDarknet) and for maps of a neck.
    mmdet takes a list of necks and runs them in turn, so this stands before another or after it::

        neck = [
            dict(type='FPN', in_channels=[256, 512, 1024, 2048], out_channels=256, num_outs=5),
            dict(
                type='FeatureAttention',
                in_channels=[256] * 5,
                attention=dict(type='CoordinateAttention'),
                levels=[0, 1],
            ),
        ]

    Args:
        in_channels: Channels of each map that comes in.
        attention: Config of any registered layer that takes ``in_channels`` and keeps the shape of
            ``(B, C, H, W)``; each level gets its own.
        levels: Indices of the maps it is applied to. Defaults to all.
        init_cfg: As for any mmengine module.

    Raises:
        ValueError: A level that there is not.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        attention: dict,
        levels: Sequence[int] | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        chosen = range(len(in_channels)) if levels is None else levels
        unknown = [level for level in chosen if level not in range(len(in_channels))]
        if unknown:
            raise ValueError(
                f'FeatureAttention: levels has {unknown[0]}, but in_channels has {len(in_channels)} '
                f'entries: choose levels from 0 to {len(in_channels) - 1}.'
            )
        self.layers = nn.ModuleList(
            MODELS.build(dict(attention, in_channels=channels)) if i in chosen else nn.Identity()
            for i, channels in enumerate(in_channels)
        )

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Apply the layers.

        Args:
            inputs: Maps ``(B, C_i, H_i, W_i)``.

        Returns:
            Maps of the same shapes.

        Raises:
            ValueError: Another number of maps than configured, or other channels.
        """
        if len(inputs) != len(self.layers):
            raise ValueError(
                f'FeatureAttention has in_channels of {len(self.layers)} maps, but got {len(inputs)}: '
                'give in_channels one entry for each map of the backbone or neck before it.'
            )
        return tuple(layer(x) for layer, x in zip(self.layers, inputs, strict=True))
