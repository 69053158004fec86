"""mmdet's registry as the current one."""

import pytest
from mmdet.utils import register_all_modules
from mmengine.registry import DefaultScope

import mmdet_ext.models.losses  # noqa: F401 (registers the losses)


@pytest.fixture(autouse=True)
def mmdet_scope():
    register_all_modules(init_default_scope=False)
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield
