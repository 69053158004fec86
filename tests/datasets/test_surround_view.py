"""Sets of scenes on disk: reproducible, whole or absent, gone on with, never mixed."""

import contextlib
import errno
import hashlib
import json
import multiprocessing
import os
import runpy
import signal
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmdet_ext.datasets.formats.parking_slot_coco import (
    LABEL_KINDS,
    ParkingImage,
    read_parking_slot_coco,
)
from mmdet_ext.datasets.surround_view import (
    dataset,
    ensure_dataset,
    make_dataset,
    making,
    render_scene,
    sheet,
)
from mmdet_ext.datasets.surround_view.presets import PRESETS

SPLITS = {'train': 5, 'val': 2}
OPTIONS = dict(preset='plain', size=128, seed=3, num_workers=1)


def small_scene(rng, config, pause=0.0):
    """A stand-in for the renderer: noise and one slot, both drawn from ``rng``."""
    time.sleep(pause)
    width, height = 128, 96
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    x = rng.uniform(10, 60)
    corners = np.array([[[x, 80], [x + 30, 80], [x + 30, 20], [x, -20.0]]])
    record = ParkingImage(
        '',
        width,
        height,
        points=corners[0, :2],
        directions=np.array([[0.0, -1.0], [np.nan, np.nan]]),
        shapes=np.array([0, -1]),
        corners=corners,
        slot_types=np.array([0]),
        occupied=np.array([1]),
        slot_points=np.array([[0, 1]]),
        metres_per_pixel=rng.uniform(0.01, 0.02),
        condition='day',
    )
    return image, record


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    for module in (making, sheet):
        monkeypatch.setattr(module, 'render_scene', small_scene)


def contents(folder):
    """Every file below a folder that is not inside a hidden one."""
    paths = [f.relative_to(folder) for f in folder.rglob('*') if f.is_file()]
    return {
        str(path): (folder / path).read_bytes()
        for path in paths
        if not any(part.startswith('.') for part in path.parts)
    }


@pytest.fixture
def made(tmp_path):
    folder = tmp_path / 'made'
    make_dataset(folder, SPLITS, **OPTIONS)
    return folder


def interrupt_at(monkeypatch, wanted, error):
    """Raise when the image with this index is about to be rendered."""
    real = making._make_image

    def render_or_raise(scratch, split, recipe, index):
        if index == wanted:
            raise error
        real(scratch, split, recipe, index)

    monkeypatch.setattr(making, '_make_image', render_or_raise)


@pytest.fixture
def interrupted(tmp_path, monkeypatch):
    """A folder in which Ctrl-C came after three of five images."""
    folder = tmp_path / 'interrupted'
    with monkeypatch.context() as patch:
        interrupt_at(patch, 3, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            make_dataset(folder, SPLITS, **OPTIONS)
    return folder


@pytest.fixture
def rendered(monkeypatch):
    """Indices of the images that are rendered from now on."""
    indices, real = [], making._make_image
    monkeypatch.setattr(
        making,
        '_make_image',
        lambda scratch, split, recipe, index: (
            indices.append(index),
            real(scratch, split, recipe, index),
        ),
    )
    return indices


def test_the_files_are_those_of_the_splits_and_nothing_else(made):
    images = [f'{split}/{i:06d}.jpg' for split, count in SPLITS.items() for i in range(count)]
    assert sorted(contents(made)) == sorted([*images, 'train.json', 'val.json'])
    assert not list(made.glob('.*.making'))


def test_image_and_labels_are_those_of_the_seed_split_and_index(made):
    rng = making.scene_rng(3, 'train', 2)
    image, expected = small_scene(rng, None)
    encoded = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, 92])[1]
    assert (made / 'train/000002.jpg').read_bytes() == encoded.tobytes()
    content = read_parking_slot_coco(made / 'train.json')
    assert content.labels == LABEL_KINDS
    record = content.images[2]
    assert (record.file_name, record.width, record.height) == ('train/000002.jpg', 128, 96)
    np.testing.assert_allclose(record.corners, expected.corners, atol=5.1e-4)
    assert record.corner_visible.tolist() == [[2, 2, 2, 1]]


def test_the_description_names_preset_size_seed_and_config(made):
    info = json.loads((made / 'train.json').read_text())['info']
    key = making.Recipe('plain', dataset.scene_config('plain', size=128), 3).key
    assert info['description'] == (
        f'5 synthetic surround-view parking scenes of preset plain, 128 x 96 px, {key}'
    )
    assert key.startswith('seed 3, config ')


def test_the_number_of_processes_changes_no_byte(made, tmp_path):
    make_dataset(tmp_path / 'two', SPLITS, **OPTIONS | {'num_workers': 2})
    assert contents(tmp_path / 'two') == contents(made)


def test_another_seed_and_another_split_give_other_images(made, tmp_path):
    make_dataset(tmp_path / 'other', {'train': 1}, **OPTIONS | {'seed': 4})
    first = (made / 'train/000000.jpg').read_bytes()
    assert (tmp_path / 'other/train/000000.jpg').read_bytes() != first
    assert (made / 'val/000000.jpg').read_bytes() != first


def test_an_interrupted_run_leaves_nothing_that_looks_complete(interrupted):
    assert contents(interrupted) == {}


def test_the_next_call_goes_on_bit_for_bit(interrupted, made, rendered):
    make_dataset(interrupted, SPLITS, **OPTIONS)
    assert rendered == [3, 4, 0, 1]
    assert contents(interrupted) == contents(made)
    assert not list(interrupted.glob('.*.making'))


def test_ensure_goes_on_too_and_a_smaller_set_has_no_image_too_many(interrupted, made, rendered):
    ensure_dataset(interrupted, {'train': 2}, **OPTIONS)
    assert rendered == []
    images = {name for name in contents(interrupted) if name.endswith('.jpg')}
    assert images == {'train/000000.jpg', 'train/000001.jpg'}
    assert len(read_parking_slot_coco(interrupted / 'train.json').images) == 2


def test_a_half_written_image_is_made_again(interrupted, made):
    (interrupted / '.train.making/train/000003.jpg').write_bytes(b'\xff\xd8 half')
    (interrupted / '.train.making/labels/.000003.pkl.7.part').write_bytes(b'half')
    make_dataset(interrupted, SPLITS, **OPTIONS)
    assert contents(interrupted) == contents(made)


def test_an_unfinished_set_of_another_recipe_is_discarded(interrupted, rendered, capsys):
    make_dataset(interrupted, {'train': 2}, **OPTIONS | {'seed': 9})
    assert rendered == [0, 1]
    assert 'an unfinished set that was begun with other options' in capsys.readouterr().out


def test_overwrite_begins_anew(interrupted, rendered):
    make_dataset(interrupted, {'train': 4}, **OPTIONS, overwrite=True)
    assert rendered == [0, 1, 2, 3]


@pytest.mark.parametrize('stop', [1, 2])
def test_a_run_killed_while_a_split_moves_into_place_is_finished(
    made, tmp_path, monkeypatch, stop, rendered
):
    folder, moves, real = tmp_path / 'killed', [], Path.rename

    def rename(path, target):
        moves.append(path)
        if len(moves) == stop:
            raise KeyboardInterrupt
        return real(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, 'rename', rename)
        with pytest.raises(KeyboardInterrupt):
            make_dataset(folder, SPLITS, **OPTIONS)
    assert not (folder / 'train.json').exists()
    rendered.clear()
    make_dataset(folder, SPLITS, **OPTIONS)
    assert rendered == [0, 1]  # of val only
    assert contents(folder) == contents(made)


def slow_set(folder):
    making.render_scene = lambda rng, config: small_scene(rng, config, 0.05)
    make_dataset(folder, SPLITS, **OPTIONS | {'num_workers': 2})


def test_a_killed_run_leaves_the_lock_free_and_its_images_to_the_next(made, tmp_path):
    folder = tmp_path / 'killed'
    process = multiprocessing.get_context('fork').Process(target=slow_set, args=(folder,))
    process.start()
    deadline = time.monotonic() + 20
    while not list(folder.glob('.train.making/labels/*.pkl')) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert contents(folder) == {}
    make_dataset(folder, SPLITS, **OPTIONS)
    assert contents(folder) == contents(made)


@pytest.mark.parametrize('workers', [1, 2])
@pytest.mark.parametrize('make', [make_dataset, ensure_dataset])
def test_a_full_disk_is_one_sentence_and_the_next_call_goes_on(
    made, tmp_path, monkeypatch, make, workers
):
    folder, real = tmp_path / 'full', Path.write_bytes

    def write(path, data):
        if '000003.pkl' in path.name:
            real(path, data[:10])
            raise OSError(errno.ENOSPC, 'No space left on device')
        return real(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(Path, 'write_bytes', write)
        with pytest.raises(OSError, match=r'^the disk is full while scenes are made in .*/full: '):
            make(folder, SPLITS, **OPTIONS | {'num_workers': workers})
    assert contents(folder) == {}
    make_dataset(folder, SPLITS, **OPTIONS)
    assert contents(folder) == contents(made)


@pytest.mark.parametrize('change', [{'seed': 4}, {'size': 256}, {'preset': 'garage'}])
@pytest.mark.parametrize('splits', [{'train': 5}, {'test': 2}])
def test_a_folder_with_another_set_is_refused_in_one_sentence(made, change, splits):
    before = contents(made)
    with pytest.raises(ValueError, match=r'already holds another set \(5 synthetic .* seed 3') as e:
        make_dataset(made, splits, **OPTIONS | change)
    assert '\n' not in str(e.value)
    assert contents(made) == before


def test_overwrite_replaces_another_set(made, tmp_path):
    make_dataset(made, SPLITS, **OPTIONS | {'seed': 4}, overwrite=True)
    make_dataset(tmp_path / 'fresh', SPLITS, **OPTIONS | {'seed': 4})
    assert contents(made) == contents(tmp_path / 'fresh')


def test_labels_that_were_not_made_here_are_refused(tmp_path):
    (tmp_path / 'train.json').write_text('{"images":[]}')
    with pytest.raises(
        ValueError, match=r'train\.json already holds another set \(labels of other origin'
    ):
        make_dataset(tmp_path, SPLITS, **OPTIONS)


@pytest.mark.parametrize('make', [make_dataset, ensure_dataset])
def test_images_that_were_not_made_here_are_refused(tmp_path, make):
    (tmp_path / 'train').mkdir()
    (tmp_path / 'train/holiday.jpg').write_bytes(b'x')
    with pytest.raises(ValueError, match=r'train holds files, but there is no train\.json'):
        make(tmp_path, SPLITS, **OPTIONS)
    assert (tmp_path / 'train/holiday.jpg').exists()


def test_the_same_recipe_makes_its_set_again_at_another_length(made, tmp_path):
    make_dataset(made, {'train': 3}, **OPTIONS)
    make_dataset(tmp_path / 'fresh', {'train': 3, 'val': 2}, **OPTIONS)
    assert contents(made) == contents(tmp_path / 'fresh')


def test_ensure_makes_what_is_missing_says_so_and_then_nothing(made, tmp_path, rendered, capsys):
    folder = tmp_path / 'part'
    make_dataset(folder, {'train': 5}, **OPTIONS)
    before = (folder / 'train.json').stat().st_mtime_ns
    capsys.readouterr()
    ensure_dataset(folder, SPLITS, **OPTIONS)
    assert 'Making 2 synthetic parking scenes' in capsys.readouterr().out
    assert contents(folder) == contents(made)
    assert (folder / 'train.json').stat().st_mtime_ns == before
    rendered.clear()
    ensure_dataset(folder, SPLITS, **OPTIONS)
    assert rendered == []
    assert capsys.readouterr().out == ''


@pytest.mark.parametrize('change', [{'size': 256}, {'seed': 1}, {'splits': {'train': 4}}])
def test_ensure_only_warns_of_a_set_made_with_other_options(made, change, capsys):
    before = contents(made)
    ensure_dataset(made, **{'splits': SPLITS, **OPTIONS} | change)
    assert 'train.json was not made with the options asked for' in capsys.readouterr().out
    assert contents(made) == before


def call_ensure(folder, log):
    with log.open('a') as file, contextlib.redirect_stdout(file):
        ensure_dataset(folder, {'val': 20}, **OPTIONS)


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
        ({'num_workers': 0}, 'num_workers is 0; expected at least 1'),
        ({'splits': {'val': 0}}, r"splits\['val'\] is 0; expected at least 1"),
        ({'preset': 'moon'}, '.*plain'),
    ],
)
def test_options_out_of_range_are_named(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        make_dataset(tmp_path / 'out', **options)
    assert not (tmp_path / 'out').exists()


def test_the_sheet_shows_the_first_training_images_in_rows():
    picture = sheet.contact_sheet('plain', count=3, columns=2, seed=5)
    assert picture.shape == (2 * 96 + 3 * 4, 2 * 128 + 3 * 4, 3)
    third, _ = small_scene(making.scene_rng(5, 'train', 2), None)
    np.testing.assert_array_equal(picture[104 : 104 + 96, 4 : 4 + 128], third)
    assert (picture[104:, 136:] == picture[0, 0]).all()


def test_labels_on_the_sheet_mark_points_and_hidden_corners():
    _, record = small_scene(making.scene_rng(0, 'train', 0), None)
    record.corners[0, 3, 1] = 20
    record.corner_visible[:] = [[2, 2, 2, 1]]
    picture = sheet.draw_labels(np.zeros((96, 128, 3), np.uint8), record)
    places = record.corners[0].round().astype(int)
    magenta = [tuple(picture[y, x]) == sheet.HIDDEN_COLOUR[::-1] for x, y in places]
    assert magenta == [False, False, False, True]


def tool(*args):
    script = Path(__file__).parents[2] / 'tools/dataset/make_scenes.py'
    runpy.run_path(str(script))['main']([str(arg) for arg in args])


def test_the_tool_makes_what_the_function_makes(made, tmp_path):
    options = ['--train', 5, '--val', 2, '--size', 128, '--seed', 3, '--workers', 1]
    tool('--preset', 'plain', '--out', tmp_path / 'tool', *options)
    assert contents(tmp_path / 'tool') == contents(made)


def test_the_tool_refuses_another_set_in_one_line(made, capsys):
    with pytest.raises(SystemExit) as stop:
        tool('--out', made, '--size', 128, '--seed', 4)
    assert stop.value.code == 1
    error = capsys.readouterr().err
    assert error.count('\n') == 1
    assert '--overwrite' in error


def test_the_tool_writes_a_sheet(tmp_path, capsys):
    tool('--sheet', tmp_path / 'new/sheet.png', '--count', 2, '--columns', 2, '--labels')
    assert cv2.imread(str(tmp_path / 'new/sheet.png')).shape == (104, 268, 3)
    with pytest.raises(SystemExit):
        tool('--sheet', tmp_path / 'sheet.gif')
    assert 'expected a file name in .png or .jpg' in capsys.readouterr().err


@pytest.mark.parametrize('preset', PRESETS)
def test_every_preset_gives_the_same_bytes_twice_and_labels_that_read_back(
    tmp_path, preset, monkeypatch
):
    monkeypatch.setattr(making, 'render_scene', render_scene)  # the real one
    digests = []
    for folder in (tmp_path / 'a', tmp_path / 'b'):
        make_dataset(folder, {'val': 2}, preset, seed=1, num_workers=1)
        digests.append(hashlib.sha256(repr(contents(folder)).encode()).hexdigest())
    assert digests[0] == digests[1]
    for record in read_parking_slot_coco(tmp_path / 'a/val.json').images:
        image = cv2.imread(str(tmp_path / 'a' / record.file_name))
        assert image.shape == (record.height, record.width, 3)
        assert record.metres_per_pixel > 0
        assert not np.isnan(record.directions).any()
