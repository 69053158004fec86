"""DMPR-PS, as it was published, to compare the time of a detector with."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from mmdet_ext.apis.fusion import fuse_conv_bn
from mmdet_ext.deploy.benchmark import Candidate
from mmdet_ext.deploy.benchmark_engines import TorchRun
from mmdet_ext.deploy.file_format import ExportedModel
from mmdet_ext.deploy.onnx_export import write_onnx
from mmdet_ext.deploy.runtime import open_session
from mmdet_ext.models.backbones import DMPRDarknet

NAME = 'DMPR-PS'
_SIDE = 512


class DMPRPSGraph(nn.Module):
    """The network of DMPR-PS with random weights, from a uint8 image to its map of marking points.

    Huang et al., DMPR-PS: A Novel Approach for Parking-Slot Detection Using Directional Marking-Point
    Regression, 2019: 512 x 512 px in, 30.3 M parameters, 23.1 G multiply-accumulates, 16 x 16 cells of six values
    out (confidence, shape, offset x and y by a sigmoid, cosine and sine by tanh). Pixels are scaled to 0..1.
    What comes after, in Python in the published code, is not part of it.
    """

    kind = 'raw'
    any_size = False
    input_size = network_size = (_SIDE, _SIDE)
    input_names = ('images',)
    output_names = ('point_maps',)

    def __init__(self) -> None:
        super().__init__()
        self.backbone = DMPRDarknet(out_indices=(4,), last_bottlenecks=3)
        self.predict = nn.Conv2d(1024, 6, 1, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Predict the map ``(B, 6, 16, 16)`` of images ``(B, 512, 512, 3)``, BGR, uint8."""
        x = images.permute(0, 3, 1, 2).float() / 255
        maps = self.predict(self.backbone(x)[0])
        return torch.cat([maps[:, :4].sigmoid(), maps[:, 4:].tanh()], 1)

    def describe(self, exporter: str) -> ExportedModel:
        """What the file will say of itself."""
        return ExportedModel(
            self.kind, (), [], self.input_size, self.network_size, 0.0, exporter=exporter
        )


@dataclass
class _Resized:
    pixels: np.ndarray


class _ReferenceEngine:
    def prepare(self, image: np.ndarray) -> _Resized:
        return _Resized(cv2.resize(image, (_SIDE, _SIDE)))

    def finish(self, outputs: list[np.ndarray], prepared: _Resized) -> None:
        """Nothing: its assembly of slots is left out, which is in its favour."""


class _OnnxReference(_ReferenceEngine):
    def __init__(self, path: str | Path, threads: int) -> None:
        self._session = open_session(path, threads)

    def run(self, images: np.ndarray) -> list[np.ndarray]:
        return self._session.run(None, {'images': images})


class _TorchReference(_ReferenceEngine):
    def __init__(self, graph: nn.Module, threads: int) -> None:
        self.run = TorchRun(graph, threads)


def reference_candidates(folder: str | Path) -> list[Candidate]:
    """Prepare DMPR-PS in float32, through onnxruntime and through torch.

    Args:
        folder: Where its file, of 121 MB, is put.

    Raises:
        ImportError: A package is missing.
        OSError: The file cannot be written.
    """
    torch.manual_seed(0)
    graph, path = DMPRPSGraph().eval(), Path(folder) / 'dmpr_ps.onnx'
    fuse_conv_bn(graph)
    write_onnx(graph, path)
    return [
        Candidate(NAME, 'onnxruntime', 'fp32', lambda threads: _OnnxReference(path, threads), True),
        Candidate(NAME, 'torch', 'fp32', lambda threads: _TorchReference(graph, threads), True),
    ]
