"""BFloat16OptimWrapper: when it computes in bfloat16."""

import pytest
import torch
from torch import nn

from mmdet_ext.engine.optimizers import BFloat16OptimWrapper
from mmdet_ext.engine.optimizers import bfloat16_optim_wrapper as module


@pytest.mark.parametrize(
    ('flags', 'expected'),
    [
        ('flags : fpu sse avx512f avx512_bf16', True),
        ('flags : fpu amx_bf16 amx_tile', True),
        ('Features : fp asimd bf16', True),
        ('flags : fpu sse avx512f avx512_fp16', False),
    ],
)
def test_native_bfloat16_is_read_off_the_cpu_flags(tmp_path, flags, expected):
    (tmp_path / 'cpuinfo').write_text(flags)
    assert module.has_native_bfloat16('cpu', tmp_path / 'cpuinfo') is expected


def test_without_a_description_of_the_cpu_the_answer_is_no(tmp_path):
    assert not module.has_native_bfloat16('cpu', tmp_path / 'none')


@pytest.mark.parametrize(
    ('native', 'native_only', 'expected'),
    [
        (True, True, torch.bfloat16),
        (False, True, torch.float32),
        (False, False, torch.bfloat16),
    ],
)
def test_the_forward_pass_is_bfloat16_unless_only_emulated(
    monkeypatch, native, native_only, expected
):
    monkeypatch.setattr(module, 'has_native_bfloat16', lambda device: native)
    monkeypatch.setattr(module, 'get_device', lambda: 'cpu')
    model = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    wrapper = BFloat16OptimWrapper(native_only=native_only, optimizer=optimizer)
    with wrapper.optim_context(model):
        assert model(torch.ones(1, 2)).dtype == expected
    assert model.weight.dtype == torch.float32
