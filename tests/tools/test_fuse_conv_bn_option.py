"""tools/test.py --fuse-conv-bn."""

import pickle
from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.model import BaseModel
from torch import nn

from mmdet_ext.apis import train


class ToolsToyBatchNormModel(BaseModel):
    """Fits y = 2 x with a convolution of one cell and a batch norm."""

    def __init__(self, data_preprocessor=None):
        super().__init__(data_preprocessor)
        self.layers = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))

    def forward(self, inputs, data_samples=None, mode='tensor'):
        x = torch.stack(list(inputs))
        y = self.layers(x[:, :, None, None])[:, :, 0, 0]
        if mode == 'loss':
            return {'loss': (y - 2 * x).square().mean()}
        return [{'y': value, 'layers': str(self.layers)} for value in y]


def test_predictions_are_the_same_without_batch_norms_and_the_log_says_how_many(
    tool, config, capfd
):
    MODELS.register_module(module=ToolsToyBatchNormModel, force=True)
    name = config("model = dict(type='ToolsToyBatchNormModel')\n")
    train(name, work_dir='trained')
    arguments = [name, 'trained/epoch_1.pth', '--out']
    tool('test').main([*arguments, 'plain.pkl'])
    assert 'batch norms fused' not in ''.join(capfd.readouterr())
    tool('test').main([*arguments, 'fused.pkl', '--fuse-conv-bn'])
    assert '1 of 1 batch norms fused into convolutions' in ''.join(capfd.readouterr())
    plain, fused = (pickle.loads(Path(file).read_bytes()) for file in ('plain.pkl', 'fused.pkl'))
    assert 'BatchNorm2d' in plain[0]['layers']
    assert 'BatchNorm2d' not in fused[0]['layers']
    for before, after in zip(plain, fused, strict=True):
        assert after['y'].item() == pytest.approx(before['y'].item(), rel=1e-4)
