"""Freed memory is kept, where glibc can be told so and nobody else has."""

import resource
import sys
from types import SimpleNamespace

import pytest
import torch

from mmdet_ext.engine.hooks import keep_freed_memory_hook
from mmdet_ext.engine.hooks.keep_freed_memory_hook import KeepFreedMemoryHook, keep_freed_memory

SETTINGS = keep_freed_memory_hook._SETTINGS


def page_faults_of_a_step():
    """Faults while 96 MiB are filled and freed."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    tensors = [torch.ones(4 << 20) for _ in range(6)]
    del tensors
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(sys.platform != 'linux', reason='glibc only')
def test_a_step_takes_the_memory_of_those_before():
    assert keep_freed_memory()
    pages = 6 * (16 << 20) // resource.getpagesize()
    faults = [page_faults_of_a_step() for _ in range(6)]
    assert faults[-1] < pages / 20


@pytest.fixture
def calls(monkeypatch):
    told = []
    monkeypatch.setattr(keep_freed_memory_hook, 'keep_freed_memory', lambda: told.append(1))
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    return told


def test_the_hook_tells_the_allocator_once(calls):
    KeepFreedMemoryHook().before_run(SimpleNamespace())
    assert len(calls) == 1


@pytest.mark.parametrize('name', SETTINGS)
def test_the_environment_has_precedence(calls, monkeypatch, name):
    monkeypatch.setenv(name, '1')
    KeepFreedMemoryHook().before_run(SimpleNamespace())
    assert not calls


def test_nothing_happens_on_a_gpu(calls, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    KeepFreedMemoryHook().before_run(SimpleNamespace())
    assert not calls


def test_a_c_library_without_the_function_is_left_alone(monkeypatch):
    monkeypatch.setattr(keep_freed_memory_hook.ctypes, 'CDLL', lambda name: SimpleNamespace())
    assert not keep_freed_memory()
