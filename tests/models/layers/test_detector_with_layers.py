"""A stock detector that trains with each norm, and with the other layers as plugins, from a config."""

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.testing import demo_mm_inputs
from mmdet.utils import register_all_modules
from mmengine.optim import OptimWrapper
from mmengine.registry import DefaultScope

import mmdet_ext.models  # noqa: F401 (registers the layers)

PLUGINS = {
    'ClampedDropBlock': dict(block_size=3),
    'Dropout2d': {},
    'GaussianDropout': {},
    'UniformDropout': {},
    'StochasticPool2d': dict(kernel_size=3, stride=1, padding=1),
    'DepthwiseSeparableBlock': {},
    'HybridDilatedBlock': {},
}


@pytest.fixture(autouse=True)
def mmdet_scope():
    register_all_modules(init_default_scope=False)
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


def losses_of_training(norm='BN', **backbone):
    """Losses of a RetinaNet in four iterations, with gradients accumulated over two."""
    torch.manual_seed(0)
    norm_cfg = dict(type=norm)
    head = dict(
        type='RetinaHead',
        num_classes=3,
        in_channels=16,
        feat_channels=16,
        stacked_convs=1,
        norm_cfg=norm_cfg,
        anchor_generator=dict(type='AnchorGenerator', ratios=[1.0], scales=[4], strides=[16, 32]),
        bbox_coder=dict(type='DeltaXYWHBBoxCoder'),
    )
    model = MODELS.build(
        dict(
            type='RetinaNet',
            data_preprocessor=dict(type='DetDataPreprocessor', pad_size_divisor=32),
            backbone=dict(
                type='ResNet',
                depth=50,
                base_channels=16,
                stem_channels=16,
                out_indices=(2, 3),
                norm_cfg=norm_cfg,
                norm_eval=False,
                **backbone,
            ),
            neck=dict(
                type='FPN',
                in_channels=[256, 512],
                out_channels=16,
                num_outs=2,
                norm_cfg=norm_cfg,
            ),
            bbox_head=head,
            train_cfg=dict(
                assigner=dict(type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.4),
                sampler=dict(type='PseudoSampler'),
                allowed_border=-1,
                pos_weight=-1,
            ),
        )
    )
    model.init_weights()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    wrapper = OptimWrapper(optimiser, accumulative_counts=2)
    wrapper.initialize_count_status(model, 0, 4)
    batch = demo_mm_inputs(2, [[3, 64, 64]] * 2, num_classes=3)
    return [model.train_step(batch, wrapper)['loss'].item() for _ in range(4)]


def assert_it_learns(losses):
    assert torch.tensor(losses).isfinite().all()
    assert losses[-1] < losses[0]


@pytest.mark.parametrize('norm', ['GroupNorm16', 'CBN', 'CmBN'])
def test_it_trains_with_each_norm_in_all_its_parts(norm):
    assert_it_learns(losses_of_training(norm))


@pytest.mark.parametrize('name', PLUGINS)
def test_it_trains_with_each_layer_as_a_plugin_of_its_backbone(name):
    cfg = dict(type=name, **PLUGINS[name])
    assert_it_learns(losses_of_training(plugins=[dict(cfg=cfg, position='after_conv2')]))
