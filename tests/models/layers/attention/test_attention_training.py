"""A stock RetinaNet learns with each attention layer in its ResNet."""

import pytest
import torch
from attention_cases import LAYERS
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData

# After the third convolution of the last stage: 256 channels, 2 x 2 of the 64 x 64 pixels.
ARGUMENTS = {
    'FrequencyChannelAttention': dict(frequencies=[(0, 0), (0, 1), (1, 0), (1, 1)]),
    'RelationAwareChannelAttention': dict(spatial_size=(2, 2), reduction=4),
    'RelationAwareSpatialAttention': dict(spatial_size=(2, 2), reduction=4),
}


@pytest.fixture(scope='module')
def stock_model():
    """Stock RetinaNet, a fraction as wide."""
    cfg = get_config('mmdet::retinanet/retinanet_r50_fpn_1x_coco.py').model
    cfg.backbone.update(base_channels=8, stem_channels=8)
    # From scratch; residual branches that start at zero would give their plugins no gradient.
    cfg.backbone.update(init_cfg=None, norm_eval=False, zero_init_residual=False)
    cfg.neck.update(in_channels=[32, 64, 128, 256], out_channels=8)
    cfg.bbox_head.update(num_classes=3, in_channels=8, feat_channels=8, stacked_convs=1)
    return cfg


def with_plugin(model, name):
    model = Config(model.to_dict())
    model.backbone.plugins = [
        dict(
            cfg=dict(type=name, **ARGUMENTS.get(name, {})),
            stages=(False, False, False, True),
            position='after_conv3',
        )
    ]
    return model


def samples():
    generator = torch.Generator().manual_seed(0)
    images = [torch.randint(256, (3, 64, 64), generator=generator).float() for _ in range(2)]
    sample = DetDataSample(metainfo=dict(img_shape=(64, 64), pad_shape=(64, 64)))
    sample.gt_instances = InstanceData(
        bboxes=torch.tensor([[8.0, 8, 40, 48]]), labels=torch.tensor([1])
    )
    return dict(inputs=images, data_samples=[sample, sample.clone()])


@pytest.mark.parametrize('name', LAYERS)
def test_retinanet_learns_with_a_layer_as_plugin_of_its_resnet(stock_model, name):
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(with_plugin(stock_model, name))
    model.init_weights()
    model.train()
    plugins = [m for m in model.backbone.layer4.modules() if type(m).__name__ == name]
    assert len(plugins) == 3  # one a block
    before = [[p.clone() for p in plugin.parameters()] for plugin in plugins]

    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(3):
        data = model.data_preprocessor(samples(), training=True)
        loss, _ = model.parse_losses(model(**data, mode='loss'))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    for plugin, old in zip(plugins, before, strict=True):
        new = list(plugin.parameters())
        assert not new or any(not a.equal(b) for a, b in zip(new, old, strict=True))
        assert all(p.isfinite().all() for p in new)
