"""The command line of infer.py, in a process of its own where it has to be."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

ROOT = Path(__file__).parents[2]
SMALL = f"""
_base_ = '{ROOT}/configs/ext/psd_yolo.py'
test_pipeline = _base_.test_pipeline
test_pipeline[2].size = (32, 32)
"""


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """A checkpoint of random weights, with its config in it, in the current folder."""
    monkeypatch.chdir(tmp_path)
    Path('small.py').write_text(SMALL)
    cfg = Config.fromfile('small.py')
    init_default_scope('mmdet')
    state = MODELS.build(cfg.model).state_dict()
    torch.save(dict(state_dict=state, meta=dict(cfg=cfg.pretty_text)), 'small.pth')
    return 'small.pth'


def test_every_option_reaches_the_function(tool, monkeypatch, capsys):
    import mmdet_ext.apis.infer as module  # noqa: PLC0415

    calls = []
    done = module.Inferred('slots', 9, frames=7, found=21, skipped={'a.jpg': 'it is torn.'})
    monkeypatch.setattr(module, 'infer', lambda *a, **k: calls.append((a, k)) or done)
    options = '--config c.py --checkpoint c.pth --out-dir o --device cpu --amp --score-thr 0.5'
    more = '--batch-size 4 --metres-per-pixel 0.02 --fps 12 --max-frames 7 --no-pictures --show --backend torch'
    tool('infer').main(['a.jpg', '0', *options.split(), *more.split()])
    arguments = dict(
        out_dir='o',
        device='cpu',
        amp=True,
        score_thr=0.5,
        batch_size=4,
        metres_per_pixel=0.02,
        fps=12.0,
        max_frames=7,
        pictures=False,
        show=True,
        backend='torch',
    )
    assert calls == [((['a.jpg', '0'], 'c.py', 'c.pth'), arguments)]
    *_, skipped, summary, where = capsys.readouterr().out.splitlines()
    assert skipped == 'skipped: a.jpg: it is torn.'
    assert summary.startswith('images: 7 (1 skipped), slots: 21, ')
    assert where == 'written to o'


def test_mistakes_get_one_sentence(tool, error_of, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main = tool('infer').main
    assert 'nowhere.jpg does not exist' in error_of(main, 'nowhere.jpg')
    Path('a.jpg').touch()
    assert 'is given without a checkpoint' in error_of(main, 'a.jpg', '--config', 'small.py')
    assert 'c.pth does not exist' in error_of(main, 'a.jpg', '--checkpoint', 'c.pth')


def test_a_picture_is_done_with_the_config_in_the_checkpoint(tool, trained, error_of, capsys):
    cv2.imwrite('a.jpg', np.zeros((40, 60, 3), np.uint8))
    tool('infer').main(['a.jpg', '--checkpoint', trained, '--out-dir', 'out', '--device', 'cpu'])
    assert 'images: 1, slots: ' in capsys.readouterr().out
    assert json.loads(Path('out/predictions.json').read_text())['images'] == [
        dict(id=0, file_name='a.jpg', width=60, height=40)
    ]
    assert sorted(os.listdir('out')) == ['pictures', 'predictions.csv', 'predictions.json']
    other = error_of(tool('infer').main, 'a.jpg', '--checkpoint', trained, '--device', 'cuda:9')
    assert 'the device cuda:9 cannot be used' in other


def test_ctrl_c_leaves_a_playable_video_and_valid_json(trained, tmp_path):
    writer = cv2.VideoWriter('clip.mp4', cv2.VideoWriter_fourcc(*'mp4v'), 20, (48, 32))
    for _ in range(2000):
        writer.write(np.full((32, 48, 3), 99, np.uint8))
    writer.release()
    command = [sys.executable, ROOT / 'tools/infer.py', 'clip.mp4', '--checkpoint', trained]
    with subprocess.Popen([*command, '--device', 'cpu'], stdout=subprocess.PIPE, text=True) as run:
        out, deadline = Path('work_dirs/infer'), time.time() + 60
        while not list(out.glob('pictures/.clip.*.mp4')) and time.time() < deadline:
            time.sleep(0.05)
        time.sleep(0.3)
        run.send_signal(signal.SIGINT)
        printed, _ = run.communicate(timeout=30)
    assert run.returncode == 128 + signal.SIGINT
    done = len(json.loads((out / 'predictions.json').read_text())['images'])
    assert 0 < done < 2000
    assert f'stopped by SIGINT after {done} of 2000 images' in printed.splitlines()
    video, frames = cv2.VideoCapture(str(out / 'pictures/clip.mp4')), 0
    assert video.get(cv2.CAP_PROP_FPS) == 20
    while (read := video.read())[0]:
        assert read[1].shape == (32, 48, 3)
        frames += 1
    assert frames == done
    assert [path.name for path in out.rglob('.*')] == []
