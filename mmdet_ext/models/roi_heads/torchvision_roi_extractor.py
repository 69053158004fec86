"""Regions of interest cut out by torchvision's layers."""

from collections.abc import Sequence

import torch
from mmdet.models import SingleRoIExtractor
from mmdet.registry import MODELS
from torch import Tensor, nn
from torch.nn.modules.utils import _pair
from torchvision import ops

from mmdet_ext.utils.errors import did_you_mean

LAYERS = ('RoIAlign', 'RoIPool', 'PSRoIAlign', 'PSRoIPool')


@MODELS.register_module()
class TorchvisionRoIExtractor(SingleRoIExtractor):
    """``SingleRoIExtractor`` with torchvision's layers, which all run on the CPU as well.

    Among others this is RoI pooling, which mmcv has for GPUs only: region and cells are rounded to
    whole places of the feature map, and the largest value of a cell counts. In any two-stage config::

        bbox_roi_extractor=dict(
            type='TorchvisionRoIExtractor', roi_layer=dict(_delete_=True, type='RoIPool', output_size=7))

    Half-precision features are pooled in single precision: bfloat16 would move the corners of a region
    by pixels, and torchvision does not pool it on the CPU.

    Girshick: Fast R-CNN, ICCV 2015, arXiv:1504.08083 (RoI pooling). He et al.: Mask R-CNN, ICCV 2017,
    arXiv:1703.06870 (alignment). Dai et al.: R-FCN, NeurIPS 2016, arXiv:1605.06409 (position-sensitive:
    ``out_channels`` are those of the map over the number of cells).

    Args:
        roi_layer: ``type``, one of :data:`LAYERS`, and the arguments of torchvision's layer but for
            ``spatial_scale``; ``output_size`` is 7 if not given.
        out_channels: Channels of what is cut out.
        featmap_strides: Stride of each feature map.
        finest_scale: A region of less than twice this size in pixels is cut out of the first map, of less
            than four times of the second, and so on.
        init_cfg: As for any mmengine module.

    Raises:
        ValueError: torchvision has no such layer.
    """

    def build_roi_layers(self, layer_cfg: dict, featmap_strides: Sequence[int]) -> nn.ModuleList:
        """Build torchvision's layer for each feature map."""
        options = dict(layer_cfg)
        name = options.pop('type')
        if name not in LAYERS:
            raise ValueError(
                f'TorchvisionRoIExtractor knows no roi_layer {name!r}{did_you_mean(name, LAYERS)}: '
                f'give one of {", ".join(LAYERS)}.'
            )
        options['output_size'] = _pair(options.get('output_size', 7))
        if name == 'RoIAlign':  # as mmcv's, whose layer this one replaces
            options = {'sampling_ratio': 0, 'aligned': True} | options
        layer = getattr(ops, name)
        return nn.ModuleList(
            layer(spatial_scale=1 / stride, **options) for stride in featmap_strides
        )

    def forward(
        self, feats: Sequence[Tensor], rois: Tensor, roi_scale_factor: float | None = None
    ) -> Tensor:
        """Cut regions out, each of the map that fits its size.

        Args:
            feats: Feature maps ``(N, C, H_i, W_i)``.
            rois: Image and ``x1 y1 x2 y2`` in pixels, ``(K, 5)``.
            roi_scale_factor: Enlarge the regions by this factor.

        Returns:
            Shape ``(K, out_channels, rows, columns)``, of the type of the maps.
        """
        dtype = feats[0].dtype
        wide = torch.promote_types(dtype, torch.float32)
        with torch.autocast(rois.device.type, enabled=False):
            cut = super().forward(
                tuple(feature.to(wide) for feature in feats), rois.to(wide), roi_scale_factor
            )
        return cut.to(dtype)
