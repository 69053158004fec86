"""Where an object's good predictions come from, as a distribution over the points of all levels."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmdet.registry import MODELS
from mmdet.structures.bbox import bbox2roi
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.distributions import Normal

from mmdet_ext.models.task_modules.assigners.matching import inside_boxes

DIMENSIONS = 3  # x, y, level


class QualityDistributionEncoder(BaseModule):
    """Estimate each object's quality distribution from its region of the feature maps.

    A mixture of Gaussians over the coordinates of :func:`object_coordinates`, with a diagonal
    covariance: each component has a mean and a deviation for x, y and the level.

    Args:
        in_channels: Of the feature maps.
        strides: Of the feature maps, in pixels.
        num_components: Gaussians of a mixture.
        roi_size: Side of the regions that RoIAlign makes, in cells.
        hidden_channels: Of the fully connected layer.
    """

    def __init__(
        self,
        in_channels: int,
        strides: Sequence[int],
        num_components: int = 4,
        roi_size: int = 7,
        hidden_channels: int = 128,
    ) -> None:
        super().__init__()
        self.num_components = num_components
        self.regions = MODELS.build(
            dict(
                type='SingleRoIExtractor',
                roi_layer=dict(type='RoIAlign', output_size=roi_size, sampling_ratio=2),
                out_channels=in_channels,
                featmap_strides=list(strides),
                finest_scale=14 * strides[0],  # 56 at stride 4, as in FPN
            )
        )
        self.layers = nn.Sequential(
            ConvModule(in_channels, in_channels, 3, padding=1),
            nn.Flatten(),
            nn.Linear(in_channels * roi_size**2, hidden_channels),
            nn.ReLU(),
            nn.Linear(hidden_channels, num_components * (1 + 2 * DIMENSIONS)),
        )
        nn.init.normal_(self.layers[-1].weight, std=0.01)
        nn.init.normal_(self.layers[-1].bias, std=0.3)  # components start at different places

    def forward(self, features: Sequence[Tensor], boxes: Sequence[Tensor]) -> list[Tensor]:
        """Encode the objects of a batch.

        Args:
            features: Of each level, ``(B, C, H, W)``.
            boxes: Objects of each image in pixels, ``(G, 4)``.

        Returns:
            For each image what :func:`mixture_log_density` takes, ``(G, K, 7)``, in float32.
        """
        with torch.autocast(features[0].device.type, enabled=False):  # no RoIAlign in bfloat16
            regions = self.regions([level.float() for level in features], bbox2roi(list(boxes)))
            encoded = self.layers(regions)
        return list(encoded.unflatten(1, (self.num_components, -1)).split([len(b) for b in boxes]))


def mixture_log_density(encoded: Tensor, coordinates: Tensor) -> Tensor:
    """Evaluate the mixtures that the encoder's output stands for.

    Args:
        encoded: Weight, means and deviations of each component before their activations,
            ``(G, K, 7)``. Means in x and y then lie in the box, deviations between 0.05 and 2.
        coordinates: See :func:`object_coordinates`, ``(N, G, 3)``.

    Returns:
        Shape ``(N, G)``.
    """
    weights, places, levels, deviations = encoded.split([1, 2, 1, DIMENSIONS], -1)
    components = Normal(
        torch.cat([places.tanh(), levels], -1),
        0.05 + 1.95 * (deviations - 1).sigmoid(),
        validate_args=False,
    )
    densities = components.log_prob(coordinates[:, :, None]).sum(-1)
    return torch.logsumexp(weights.squeeze(-1).log_softmax(-1) + densities, -1)


def object_coordinates(priors: Tensor, boxes: Tensor) -> Tensor:
    """Where points are as seen from objects.

    Args:
        priors: ``x y stride_x stride_y`` in pixels, ``(N, 4)``.
        boxes: ``x1 y1 x2 y2`` in pixels, ``(G, 4)``.

    Returns:
        Shape ``(N, G, 3)``: offsets from the centre in half widths and heights, -1 to 1 inside the box,
        and the level: octaves by which eight strides exceed the geometric mean of the box's sides.
    """
    size = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    offsets = (priors[:, None, :2] - centres) / (size / 2)
    scales = size.log2().mean(-1)
    levels = (8 * priors[:, 2]).log2()[:, None] - scales
    return torch.cat([offsets, levels[..., None]], -1)


def point_log_probabilities(encoded: Tensor, priors: Tensor, boxes: Tensor) -> Tensor:
    """Distribute each object's quality over the points that may become positive.

    These are the points inside its box, on any level; failing that, the one nearest to its centre.

    Args:
        encoded: See :func:`mixture_log_density`, ``(G, K, 7)``.
        priors: ``x y stride_x stride_y`` in pixels, ``(N, 4)``.
        boxes: ``x1 y1 x2 y2`` in pixels, ``(G, 4)``.

    Returns:
        Shape ``(N, G)``; exponentials of a column sum to 1, -inf is elsewhere.
    """
    possible = inside_boxes(priors[:, :2], boxes)
    distances = torch.cdist(priors[:, :2], (boxes[:, :2] + boxes[:, 2:]) / 2)
    nearest = torch.zeros_like(possible).scatter(0, distances.argmin(0, keepdim=True), True)
    possible = torch.where(possible.any(0), possible, nearest)
    density = mixture_log_density(encoded, object_coordinates(priors, boxes))
    return density.masked_fill(~possible, -torch.inf).log_softmax(0)


def quality_divergence(
    log_probabilities: Tensor, overlaps: Tensor, sharpness: float = 4.0
) -> Tensor:
    """How far estimated distributions are from the observed quality.

    Args:
        log_probabilities: See :func:`point_log_probabilities`, ``(N, G)``.
        overlaps: IoU of predictions with objects, ``(N, G)``, 0-1; detached.
        sharpness: Observed quality is ``IoU ** sharpness``, scaled to the sum of 1 over the points that
            may become positive; higher values favour the best points more.

    Returns:
        Kullback-Leibler divergence of each object's estimate from what was observed, ``(G,)``.
    """
    possible = log_probabilities.isfinite()
    quality = overlaps.clamp(min=1e-3) ** sharpness * possible
    observed = quality / quality.sum(0)
    estimated = log_probabilities.masked_fill(~possible, 0)
    return F.kl_div(estimated, observed, reduction='none').sum(0)
