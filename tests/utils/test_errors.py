"""A user's mistake ends a command with one sentence; a bug keeps its traceback."""

import subprocess
import sys

import pytest
from mmdet.registry import MODELS
from torch.utils.data import DataLoader

from mmdet_ext.utils.errors import (
    clear_errors,
    did_you_mean,
    explained_config_errors,
    sentence_of,
)

SENTENCE = 'image 7 of a.json has 3 corners, expected 4: mend the file.'


class BrokenDataset(list):
    """A dataset whose only sample cannot be loaded."""

    def __init__(self):
        super().__init__([0])

    def __getitem__(self, index):
        raise ValueError(SENTENCE)


@pytest.mark.parametrize('kind', [ValueError, KeyError, FileNotFoundError])
def test_a_users_error_is_printed_without_traceback_and_exits_with_1(kind, capsys):
    with pytest.raises(SystemExit) as stop, clear_errors():
        raise kind(SENTENCE)
    assert stop.value.code == 1
    assert capsys.readouterr().err == f'error: {SENTENCE}\n'


@pytest.mark.parametrize(
    'error', [KeyError('corners'), RuntimeError(SENTENCE), TypeError(SENTENCE)]
)
def test_what_is_no_users_error_keeps_its_traceback(error):
    with pytest.raises(type(error)), clear_errors():
        raise error


def test_a_missing_extra_is_named_in_the_sentence_of_who_needs_it(capsys):
    sentence = "splits need iterative-stratification: pip install 'mmdet_ext[data]'."
    with pytest.raises(SystemExit), clear_errors():
        raise ImportError(sentence)
    assert capsys.readouterr().err == f'error: {sentence}\n'


def test_a_reader_that_has_seen_enough_is_no_error():
    code = (
        'from mmdet_ext.utils.errors import clear_errors\n'
        'with clear_errors():\n'
        '    while True: print("a line of output")'
    )
    line = f"{sys.executable} -W ignore -c '{code}' | head -n 1"
    done = subprocess.run(line, shell=True, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ('a line of output\n', '')


def test_traceback_option_lets_a_users_error_through():
    with pytest.raises(ValueError, match='3 corners'), clear_errors(show_traceback=True):
        raise ValueError(SENTENCE)


def test_class_names_that_registries_put_in_front_are_taken_off():
    wrapped = KeyError(f'class `Detector` in a/b.py: "class `Head` in a/c.py: \'{SENTENCE}\'"')
    assert sentence_of(wrapped) == SENTENCE


def test_an_error_in_a_data_loader_worker_is_reported_as_it_was_raised():
    with pytest.raises(ValueError, match='Caught') as caught:
        list(DataLoader(BrokenDataset(), num_workers=1))
    assert sentence_of(caught.value) == SENTENCE


def test_an_unknown_type_is_named_with_its_key_and_the_closest_names():
    cfg = dict(model=dict(type='RetinaNet', necks=[dict(type='FPN'), dict(type='PAFPM')]))
    with pytest.raises(KeyError) as caught, explained_config_errors(cfg):
        MODELS.build(cfg['model']['necks'][1])
    sentence = sentence_of(caught.value)
    assert '`PAFPM` at `model.necks.1.type`' in sentence
    assert 'did you mean PAFPN' in sentence
    assert 'custom_imports' in sentence


def test_an_option_that_a_type_does_not_have_is_named():
    wrong = dict(type='ChannelMapper', in_chanels=[1])
    with pytest.raises(ValueError, match='in_chanels'), explained_config_errors({}):
        MODELS.build(wrong)


def test_close_names_ignore_case_and_far_ones_are_not_offered():
    assert did_you_mean('psdhead', ['PSDHead', 'FPN']) == ' (did you mean PSDHead?)'
    assert did_you_mean('Foo', ['PSDHead', 'FPN']) == ''
