"""Relation-aware global attention (RGA) over positions and over channels."""

import torch
from mmcv.cnn import ConvModule
from mmdet.registry import MODELS
from torch import Tensor, nn

from .base import AttentionLayer


class _RelationAwareAttention(AttentionLayer):
    """Attention of nodes by their features and by their relations to all nodes; see subclasses.

    Args:
        in_channels: Channels of the maps.
        spatial_size: Their height and width.
        features: Features of a node.
        nodes: Number of nodes.
        reduction: Divides both, and again the hidden units of the weights.
        norm_cfg: Normalisation.
        init_cfg: As for any mmengine module.
    """

    def __init__(
        self,
        in_channels: int,
        spatial_size: tuple[int, int],
        features: int,
        nodes: int,
        reduction: int,
        norm_cfg: dict,
        init_cfg: dict | None,
    ) -> None:
        super().__init__(in_channels, init_cfg)
        self.spatial_size = tuple(spatial_size)
        self.reduce(reduction, min(features, nodes))

        def embedding(inputs: int, outputs: int, act: bool = True) -> ConvModule:
            act_cfg = dict(type='ReLU') if act else None
            return ConvModule(inputs, outputs, 1, norm_cfg=norm_cfg, act_cfg=act_cfg)

        self.theta = embedding(features, features // reduction)
        self.phi = embedding(features, features // reduction)
        self.own = embedding(features, features // reduction)
        self.relations = embedding(2 * nodes, nodes // reduction)
        joint = 1 + nodes // reduction
        hidden = max(joint // reduction, 1)
        self.weights = nn.Sequential(embedding(joint, hidden), embedding(hidden, 1, act=False))

    def check(self, x: Tensor) -> None:
        """See :meth:`AttentionLayer.check`."""
        super().check(x)
        if tuple(x.shape[2:]) != self.spatial_size:
            height, width = self.spatial_size
            raise ValueError(
                f'{self.name} was built for maps of {height} x {width} (height x width), but got '
                f'{x.shape[2]} x {x.shape[3]}: set its spatial_size to the size of its input.'
            )

    def node_weights(self, nodes: Tensor) -> Tensor:
        """Weights ``(B, 1, N, 1)`` of nodes ``(B, F, N, 1)``."""
        theta, phi = self.theta(nodes).squeeze(3), self.phi(nodes).squeeze(3)
        affinity = theta.transpose(1, 2) @ phi  # (B, N, N)
        relations = torch.cat([affinity.transpose(1, 2), affinity], dim=1).unsqueeze(3)
        own = self.own(nodes).mean(1, keepdim=True)
        return self.weights(torch.cat([own, self.relations(relations)], dim=1)).sigmoid()


@MODELS.register_module()
class RelationAwareSpatialAttention(_RelationAwareAttention):
    """Relation-aware global attention over positions (RGA-S), for maps of one size only.

    Zhang, Lan, Zeng, Jin and Chen: Relation-Aware Global Attention for Person Re-identification, CVPR
    2020, arXiv:1904.02998.

    ``r_ij = theta(x_i)^T phi(x_j)``, ``y_i = x_i * sigmoid(W2 relu(W1 [mean(psi(x_i)), rho(r_i)]))``:
    ``r_i`` are the relations of position i to and from all N positions, theta, phi, psi and rho are
    linear with normalisation and ReLU. Memory grows with ``(H * W)^2``.

    Args:
        in_channels: Channels C of the maps.
        spatial_size: Their height and width.
        reduction: Divides C and N in the embeddings and again the hidden units of the weights.
        norm_cfg: Normalisation.
        init_cfg: As for any mmengine module.

    Raises:
        ValueError: A reduction above C or N; in the forward pass another spatial size.
    """

    def __init__(
        self,
        in_channels: int,
        spatial_size: tuple[int, int],
        reduction: int = 8,
        norm_cfg: dict = dict(type='BN'),
        init_cfg: dict | None = None,
    ) -> None:
        nodes = spatial_size[0] * spatial_size[1]
        super().__init__(
            in_channels, spatial_size, in_channels, nodes, reduction, norm_cfg, init_cfg
        )

    def attend(self, x: Tensor) -> Tensor:
        """See :meth:`AttentionLayer.forward`."""
        weights = self.node_weights(x.flatten(2).unsqueeze(3))
        return x * weights.reshape(x.shape[0], 1, *self.spatial_size)


@MODELS.register_module()
class RelationAwareChannelAttention(_RelationAwareAttention):
    """Relation-aware global attention over channels (RGA-C), for maps of one size only.

    Zhang, Lan, Zeng, Jin and Chen: Relation-Aware Global Attention for Person Re-identification, CVPR
    2020, arXiv:1904.02998.

    As :class:`RelationAwareSpatialAttention`, but the C channels are the nodes and their values at
    all positions the features.

    Args:
        in_channels: Channels C of the maps.
        spatial_size: Their height and width.
        reduction: Divides C and N in the embeddings and again the hidden units of the weights.
        norm_cfg: Normalisation.
        init_cfg: As for any mmengine module.

    Raises:
        ValueError: A reduction above C or N; in the forward pass another spatial size.
    """

    def __init__(
        self,
        in_channels: int,
        spatial_size: tuple[int, int],
        reduction: int = 8,
        norm_cfg: dict = dict(type='BN'),
        init_cfg: dict | None = None,
    ) -> None:
        features = spatial_size[0] * spatial_size[1]
        super().__init__(
            in_channels, spatial_size, features, in_channels, reduction, norm_cfg, init_cfg
        )

    def attend(self, x: Tensor) -> Tensor:
        """See :meth:`AttentionLayer.forward`."""
        weights = self.node_weights(x.flatten(2).transpose(1, 2).unsqueeze(3))
        return x * weights.transpose(1, 2)
