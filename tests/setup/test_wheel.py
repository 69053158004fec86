"""The built wheel carries the configs and works far from the checkout."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PIP = [sys.executable, '-m', 'pip', '--quiet', '--disable-pip-version-check']


@pytest.fixture(scope='module')
def installed(tmp_path_factory):
    """The package installed from its wheel into an empty folder."""
    folder = tmp_path_factory.mktemp('wheel')
    source = folder / 'source'  # building in the checkout would leave a build folder there
    for name in ('mmdet_ext', 'configs', 'tools'):
        shutil.copytree(ROOT / name, source / name, symlinks=True)
    for name in ('pyproject.toml', 'README.md'):
        shutil.copy(ROOT / name, source)
    build = ['wheel', '--no-deps', '--no-build-isolation', '--wheel-dir', str(folder)]
    subprocess.run([*PIP, *build, str(source)], check=True)
    (wheel,) = folder.glob('*.whl')
    subprocess.run([*PIP, 'install', '--no-deps', '--target', folder / 'site', wheel], check=True)
    return folder / 'site'


def test_every_config_and_tool_travels_in_the_wheel(installed):
    inside = installed / 'mmdet_ext/.mim'
    for folder in ('configs', 'tools'):
        ours = {
            path.relative_to(ROOT)
            for path in (ROOT / folder).rglob('*.*')
            if path.suffix in ('.py', '.sh') and 'setup' not in path.parts
        }
        there = {path.relative_to(inside) for path in (inside / folder).rglob('*.*')}
        assert ours <= there
        assert len(ours) > 3


def test_a_config_of_ones_own_repository_builds_from_the_wheel(installed, tmp_path):
    (tmp_path / 'mine.py').write_text(
        "_base_ = __import__('mmdet_ext').config_path('ext/psd_yolo.py')\n"
        'model = dict(bbox_head=dict(feat_channels=8))\n'
    )
    code = (
        'import mmdet_ext; from mmengine.config import Config; from mmdet.registry import MODELS\n'
        "from mmengine.registry import init_default_scope; init_default_scope('mmdet')\n"
        "model = MODELS.build(Config.fromfile('mine.py').model)\n"
        'print(mmdet_ext.__file__, model.bbox_head.point_branch[-1].in_channels)'
    )
    result = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code],
        cwd=tmp_path,
        env={**os.environ, 'PYTHONPATH': str(installed)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.split()[-2:] == [str(installed / 'mmdet_ext/__init__.py'), '8']
