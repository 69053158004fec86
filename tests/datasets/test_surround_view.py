"""The default dataset on disk: reproducible, whole or absent, made once."""

import contextlib
import json
import multiprocessing

import cv2
import numpy as np
import pytest

from mmdet_ext.datasets.formats.parking_slot_coco import LABEL_KINDS, read_parking_slot_coco
from mmdet_ext.datasets.surround_view import dataset, ensure_dataset, make_dataset, render_scene
from mmdet_ext.structures.marking_points import SHAPES

SPLITS = {'train': 5, 'val': 2}


def contents(folder):
    """Every visible file below a folder."""
    files = [f for f in folder.rglob('*') if f.is_file() and not f.name.startswith('.')]
    return {str(f.relative_to(folder)): f.read_bytes() for f in files}


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp('scenes')
    make_dataset(folder, SPLITS, size=128, seed=3, num_workers=1)
    return folder


def test_the_files_are_those_of_the_splits_and_nothing_else(made):
    images = [f'{split}/{i:06d}.jpg' for split, count in SPLITS.items() for i in range(count)]
    assert sorted(contents(made)) == sorted([*images, 'train.json', 'val.json'])
    assert not list(made.glob('.*.making-*'))


def test_labels_read_back_complete_and_match_the_images(made):
    content = read_parking_slot_coco(made / 'train.json')
    assert content.labels == LABEL_KINDS
    for record in content.images:
        image = cv2.imread(str(made / record.file_name))
        assert image.shape == (128, 128, 3) == (record.height, record.width, 3)
        assert 10 <= record.metres_per_pixel * 128 <= 13
        assert not np.isnan(record.directions).any()
        assert (record.slot_points >= 0).all()


def test_the_number_of_processes_changes_no_byte(made, tmp_path):
    make_dataset(tmp_path, SPLITS, size=128, seed=3, num_workers=2)
    assert contents(tmp_path) == contents(made)


def test_another_seed_and_another_split_give_other_images(made, tmp_path):
    make_dataset(tmp_path, {'train': 1}, size=128, seed=4, num_workers=1)
    first = (made / 'train/000000.jpg').read_bytes()
    assert (tmp_path / 'train/000000.jpg').read_bytes() != first
    assert (made / 'val/000000.jpg').read_bytes() != first


def test_an_interrupted_run_leaves_no_split_that_looks_complete(tmp_path, monkeypatch):
    def interrupt(folder, split, size, seed, index, real=dataset._make_image):
        if index == 3:
            raise KeyboardInterrupt
        return real(folder, split, size, seed, index)

    with monkeypatch.context() as patch:
        patch.setattr(dataset, '_make_image', interrupt)
        with pytest.raises(KeyboardInterrupt):
            ensure_dataset(tmp_path, SPLITS, size=128, seed=3, num_workers=1)
    assert contents(tmp_path) == {}
    (tmp_path / '.train.making-killed').mkdir()
    ensure_dataset(tmp_path, SPLITS, size=128, seed=3, num_workers=1)
    assert {'train.json', 'val.json'} <= set(contents(tmp_path))
    assert not list(tmp_path.glob('.*.making-*'))


def test_ensure_makes_what_is_missing_says_so_and_then_nothing(made, tmp_path, monkeypatch, capsys):
    make_dataset(tmp_path, {'train': 5}, size=128, seed=3, num_workers=1)
    before = (tmp_path / 'train.json').stat().st_mtime_ns
    capsys.readouterr()
    ensure_dataset(tmp_path, SPLITS, size=128, seed=3, num_workers=1)
    assert 'Making 2 synthetic parking scenes' in capsys.readouterr().out
    assert contents(tmp_path) == contents(made)
    assert (tmp_path / 'train.json').stat().st_mtime_ns == before
    monkeypatch.setattr(dataset, '_make_splits', lambda *_: pytest.fail('made again'))
    ensure_dataset(tmp_path, SPLITS, size=128, seed=3)
    assert capsys.readouterr().out == ''


def test_ensure_warns_of_a_set_made_with_other_options(made, capsys):
    ensure_dataset(made, SPLITS, size=256, seed=3)
    out = capsys.readouterr().out
    assert 'train.json was not made with the options asked for' in out
    assert '256 px' in out


def call_ensure(folder, log):
    with log.open('a') as file, contextlib.redirect_stdout(file):
        ensure_dataset(folder, {'val': 20}, size=128, num_workers=1)


def test_processes_that_call_at_the_same_time_make_the_set_once(tmp_path):
    log = tmp_path / 'log.txt'
    context = multiprocessing.get_context('fork')
    callers = [context.Process(target=call_ensure, args=(tmp_path, log)) for _ in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert [caller.exitcode for caller in callers] == [0, 0, 0]
    assert log.read_text().count('Making 20 synthetic parking scenes') == 1
    assert len(json.loads((tmp_path / 'val.json').read_text())['images']) == 20


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'size': 10}, 'size is 10; expected at least 64'),
        ({'seed': -1}, 'seed is -1; expected at least 0'),
        ({'splits': {'val': 0}}, r"splits\['val'\] is 0; expected at least 1"),
    ],
)
def test_options_out_of_range_are_named(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        make_dataset(tmp_path, **options)


def test_separators_are_brighter_than_the_ground_beside_them_in_the_image():
    contrasts = []
    for i in range(40):
        image, record = render_scene(np.random.default_rng([21, i]), 256)
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(float)
        metre = 1 / record.metres_per_pixel
        for corners, (left, _) in zip(record.corners, record.slot_points, strict=True):
            if SHAPES[record.shapes[left]] == 'U':
                continue  # painted beside the middle line
            into, across = corners[3] - corners[0], corners[1] - corners[0]
            into, across = (v / np.linalg.norm(v) * metre for v in (into, across))
            line = corners[0] + np.linspace(0.0, 0.3, 8)[:, None] * into
            beside = line + 0.6 * across - 0.6 * into * (into @ across) / metre**2
            contrasts.append(sample(grey, line) - sample(grey, beside))
    assert len(contrasts) > 60
    assert np.mean(np.array(contrasts) > 5) > 0.85
    assert np.median(contrasts) > 30


def sample(grey, points):
    x, y = np.clip(np.round(points), 0, len(grey) - 1).astype(int).T
    return grey[y, x].mean()
