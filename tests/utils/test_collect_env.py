"""The environment report: versions, ops, and what is missing."""

import importlib
import sys

import mmcv
import mmdet
import pytest
import torch

import mmdet_ext
from mmdet_ext.utils import collect_env


def test_versions_are_those_of_the_imported_packages():
    info = collect_env.collect_env()
    assert (info['MMCV'], info['MMDetection'], info['mmdet_ext'], info['PyTorch']) == (
        mmcv.__version__,
        mmdet.__version__,
        mmdet_ext.__version__,
        torch.__version__,
    )
    assert info['MMCV ops'].startswith('there')


@pytest.mark.parametrize(('package', 'title'), [('mmdet', 'MMDetection'), ('mmcv', 'MMCV')])
def test_a_missing_package_is_reported_not_raised(monkeypatch, package, title):
    real_import = importlib.import_module

    def without(name, *args):
        if name.split('.')[0] == package:
            raise ModuleNotFoundError(f'No module named {package!r}', name=package)
        return real_import(name, *args)

    monkeypatch.setattr(collect_env, 'import_module', without)
    assert collect_env.collect_env()[title] == 'not installed'


def test_missing_ops_come_with_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, 'mmcv._ext', None)  # import raises ImportError
    sentence = collect_env.describe_ops()
    assert sentence.startswith('not there')
    assert 'make setup' in sentence
