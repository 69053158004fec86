"""Reading of configs: what is wrong with one is said in a sentence."""

import pytest

from mmdet_ext.apis.run import load_config


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'mine.py').write_text('work_dir = "w"\nmax_epochs = 3\n')
    (tmp_path / 'broken.py').write_text('model = dict(\n')
    (tmp_path / 'picture.jpg').touch()


def test_the_work_folder_is_the_callers_the_configs_or_named_after_it(tmp_path):
    assert load_config('mine.py', work_dir='there').work_dir == 'there'
    assert load_config('mine.py').work_dir == 'w'
    (tmp_path / 'plain.py').write_text('a = 1\n')
    assert load_config('plain.py').work_dir == 'work_dirs/plain'


@pytest.mark.parametrize(
    ('path', 'kind', 'sentence'),
    [
        (
            'mien.py',
            FileNotFoundError,
            r'config mien\.py does not exist \(did you mean mine\.py',
        ),
        ('picture.jpg', ValueError, r'picture\.jpg is no config: name a \.py file'),
        ('broken.py', ValueError, r'the config broken\.py cannot be read: .*line 1'),
    ],
)
def test_what_is_no_config_is_said_to_be_none(path, kind, sentence):
    with pytest.raises(kind, match=sentence):
        load_config(path)
