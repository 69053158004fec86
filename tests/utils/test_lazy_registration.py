"""Importing the package costs next to nothing and registers everything."""

import statistics
import subprocess
import sys

import pytest


def run(code):
    """Run code in a fresh interpreter; what it prints."""
    command = [sys.executable, '-W', 'ignore', '-c', code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_importing_adds_less_than_15_percent_to_the_import_of_mmdet():
    code = (
        'import time; start = time.perf_counter(); import mmdet.registry; '
        'middle = time.perf_counter(); import mmdet_ext; end = time.perf_counter(); '
        'print((end - middle) / (middle - start))'
    )
    assert statistics.median(float(run(code)) for _ in range(3)) < 0.15


@pytest.mark.parametrize('before', ['', "MODELS.get('ATSS'); HOOKS.get('EarlyStoppingHook'); "])
def test_components_are_found_whenever_the_package_is_imported(before):
    code = (
        f'from mmdet.registry import HOOKS, MODELS; {before}import mmdet_ext; '
        "print(MODELS.get('PSDHead').__name__, HOOKS.get('ChannelsLastHook').__name__)"
    )
    assert run(code).split()[-2:] == ['PSDHead', 'ChannelsLastHook']
