"""The fused optimizer takes the very steps of torch's AdamW."""

import pytest
import torch
from mmdet.registry import OPTIMIZERS

import mmdet_ext.engine  # noqa: F401 (registers)


def minimise(make):
    parameter = torch.nn.Parameter(torch.linspace(-1, 1, 7))
    optimizer = make([parameter], lr=0.1, weight_decay=0.05)
    for _ in range(5):
        optimizer.zero_grad()
        (parameter - 3).pow(2).sum().backward()
        optimizer.step()
    return parameter.detach()


def test_five_steps_end_where_adamws_do():
    torch.testing.assert_close(minimise(OPTIMIZERS.get('FusedAdamW')), minimise(torch.optim.AdamW))


def test_where_torch_has_no_kernel_the_plain_one_works(monkeypatch):
    plain = torch.optim.AdamW.__init__

    def refuse(self, params, fused=None, **kwargs):
        if fused:
            raise RuntimeError('`fused=True` requires all the params to be CUDA')
        plain(self, params, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, '__init__', refuse)
    assert minimise(OPTIMIZERS.get('FusedAdamW'))[0] > -1


def test_a_wrong_option_is_not_swallowed():
    with pytest.raises(ValueError, match='learning rate'):
        OPTIMIZERS.get('FusedAdamW')([torch.nn.Parameter(torch.zeros(1))], lr=-1)
