"""The package's own checkpoint as a graph and as a file, and scenes to look at."""

import numpy as np
import pytest

from mmdet_ext.apis.fusion import fuse_conv_bn
from mmdet_ext.apis.models import load_model
from mmdet_ext.apis.run import load_config
from mmdet_ext.apis.torch_engine import READY_CONFIG, ready_checkpoint
from mmdet_ext.datasets.surround_view.presets import scene_config
from mmdet_ext.datasets.surround_view.render import render_scene
from mmdet_ext.deploy.onnx_export import write_onnx
from mmdet_ext.deploy.parking_slot_graph import ParkingSlotGraph


@pytest.fixture(scope='session')
def ready():
    """Config, model and data-set meta of the checkpoint that comes with the package."""
    cfg = load_config(READY_CONFIG)
    model, meta = load_model(cfg, ready_checkpoint())
    fuse_conv_bn(model)
    return cfg, model, meta


@pytest.fixture(scope='session')
def graph(ready):
    cfg, model, meta = ready
    return ParkingSlotGraph(model, cfg, meta).eval()


@pytest.fixture(scope='session')
def exported(graph, tmp_path_factory):
    path = tmp_path_factory.mktemp('exported') / 'ready.onnx'
    write_onnx(graph, path)
    return path


@pytest.fixture(scope='session')
def scenes():
    """Scenes as high as wide, wide and high, BGR."""
    images = [
        render_scene(np.random.default_rng(i), scene_config('plain', 512))[0] for i in range(3)
    ]
    return [
        images[0],
        np.ascontiguousarray(images[1][:400]),
        np.ascontiguousarray(images[2][:, :300]),
    ]
