"""The package's configs can be inherited from anywhere."""

import pytest
from mmengine.config import Config

from mmdet_ext import config_path, list_configs


def test_a_config_elsewhere_inherits_by_one_line(tmp_path):
    (tmp_path / 'mine.py').write_text(
        "_base_ = __import__('mmdet_ext').config_path('ext/psd_yolo.py')\nmodel = dict(bbox_head=dict(num_classes=5))\n"
    )
    cfg = Config.fromfile(tmp_path / 'mine.py')
    assert (cfg.model.bbox_head.type, cfg.model.bbox_head.num_classes) == ('PSDHead', 5)
    assert cfg.model.get('_scope_') is None  # nothing of ours lives in a scope of its own


def test_a_wrong_name_is_answered_with_the_right_ones():
    with pytest.raises(FileNotFoundError, match=r'no config ext/psd\.py.*ext/psd_yolo\.py'):
        config_path('ext/psd.py')


def test_every_listed_config_is_there_and_bases_are_not_listed():
    names = list_configs()
    assert 'ext/psd_yolo.py' in names
    assert not [name for name in names if name.startswith('_base_')]
    for name in names:
        assert Config.fromfile(config_path(name)).model.type
