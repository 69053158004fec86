"""Checkpoints of either stack load, and none of them runs code."""

import os
import pickle
import pickletools
import zipfile

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

from mmdet_ext.utils import compat
from mmdet_ext.utils.checkpoint import TRUST, read_checkpoint


class Intruder:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.fixture(params=['of torch', 'of ours'])
def unpickler(request, monkeypatch):
    """Both ways of loading safely; torch's own takes further classes from 2.6 on."""
    if request.param == 'of torch' and not compat._WEIGHTS_ONLY_TAKES_CLASSES:
        pytest.skip('this torch takes no further classes')
    monkeypatch.setattr(compat, '_WEIGHTS_ONLY_TAKES_CLASSES', request.param == 'of torch')


def training_state():
    """What mmengine puts into a checkpoint besides the weights."""
    history = HistoryBuffer()
    for value in (3.0, 1.0):
        history.update(value)
    return {
        'state_dict': {'weight': torch.arange(6.0).reshape(2, 3), 'half': torch.ones(2).half()},
        'message_hub': {
            'log_scalars': {'train/loss': history},
            'runtime_info': {'best': np.float64(0.5), 'iter': np.int64(7)},
        },
        'meta': {'epoch': 3, 'time': 'now', 'seen': {'a', 'b'}},
    }


def test_a_training_state_comes_back_whole(unpickler, tmp_path):
    torch.save(training_state(), tmp_path / 'a.pth')
    loaded = read_checkpoint(str(tmp_path / 'a.pth'))
    assert loaded['state_dict']['weight'].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert loaded['state_dict']['half'].dtype == torch.half
    history = loaded['message_hub']['log_scalars']['train/loss']
    assert (history.mean(), history.statistics('max')) == (2, 3)
    assert loaded['message_hub']['runtime_info'] == {'best': 0.5, 'iter': 7}
    assert loaded['meta']['seen'] == {'a', 'b'}


def renamed(path, old, new):
    """Rewrite a checkpoint as another NumPy would have written it."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, 'w') as archive:
        for name, content in parts.items():
            archive.writestr(name, content.replace(old, new) if name.endswith('.pkl') else content)
    return any(new in content or old in content for content in parts.values())


@pytest.mark.parametrize('other', [b'cnumpy.core.multiarray', b'cnumpy._core.multiarray'])
def test_the_names_of_another_numpy_are_understood(unpickler, tmp_path, other):
    path = tmp_path / 'a.pth'
    torch.save(training_state(), path)
    ours = b'c' + np.zeros(1).__reduce__()[0].__module__.encode()
    assert renamed(path, ours, other)
    assert read_checkpoint(str(path))['message_hub']['runtime_info']['best'] == 0.5


def test_a_checkpoint_that_would_run_code_is_refused_in_one_sentence(
    unpickler, tmp_path, monkeypatch
):
    monkeypatch.delenv(TRUST, raising=False)
    torch.save({'state_dict': {}, 'x': Intruder(tmp_path / 'was here')}, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=rf'a\.pth needs `posix\.mkdir` to load.*set {TRUST}=1'):
        read_checkpoint(str(tmp_path / 'a.pth'))
    assert not (tmp_path / 'was here').exists()


def test_a_trusted_one_is_loaded(tmp_path, monkeypatch):
    monkeypatch.setenv(TRUST, '1')
    torch.save({'state_dict': {}, 'x': Intruder(tmp_path / 'was here')}, tmp_path / 'a.pth')
    try:
        read_checkpoint(str(tmp_path / 'a.pth'))
    finally:
        assert (tmp_path / 'was here').exists()


def test_getattr_in_a_pickle_reaches_nothing_but_the_statistics_of_logs(unpickler, tmp_path):
    class Reach:
        def __reduce__(self):
            return getattr, (HistoryBuffer, '__init__')

    torch.save({'x': Reach()}, tmp_path / 'a.pth')
    content = pickle.dumps(Reach(), protocol=2)
    assert 'getattr' in {
        arg.split()[-1] for op, arg, _ in pickletools.genops(content) if op.name == 'GLOBAL'
    }
    with pytest.raises(ValueError, match='__init__'):
        read_checkpoint(str(tmp_path / 'a.pth'))
