"""tools/analysis/model_info.py: arguments reach the function, mistakes end with one sentence."""

import json

import pytest

from mmdet_ext.apis import model_info as package
from mmdet_ext.apis.model_info import ModelInfo
from mmdet_ext.apis.model_info.complexity import Complexity, Parameters
from mmdet_ext.apis.model_info.memory import Memory
from mmdet_ext.apis.model_info.speed import Speed

INFO = ModelInfo(
    config='c.py',
    checkpoint=None,
    model='Toy',
    image_shape=(8, 8),
    input_shape=(1, 3, 8, 8),
    machine='a machine',
    parameters=Parameters(1234, 1000, 234, {'backbone': 1234}),
    complexity=Complexity(
        5_000_000, {}, {'backbone': 5_000_000}, {'conv': 5_000_000}, {'aten::sin': 2}
    ),
    memory=Memory(4936, 0, 768, 2**20, 'by hand'),
    speed=Speed({1: 0.5, 4: 1.0}, {'backbone': 0.5}, {}, 3),
    receptive_fields=[],
    layers=[],
    notes=['a note'],
)


@pytest.fixture
def main(tool):
    return tool('analysis/model_info').main


@pytest.fixture
def calls(monkeypatch):
    made = []
    monkeypatch.setattr(
        package, 'model_info', lambda *args, **options: made.append((args, options)) or INFO
    )
    return made


def test_arguments_reach_the_function(main, calls):
    main(
        [
            *('c.py', 'w.pth', '--shape', '300', '96', '--batch-size', '4', '--depth', '3'),
            *('--device', 'cuda:0', '--repeats', '7', '--samples', '0', '--cfg-options', 'a.b=1'),
        ]
    )
    options = dict(shape=(300, 96), batch_size=4, depth=3, device='cuda:0', repeats=7, samples=0)
    assert calls == [(('c.py', 'w.pth'), options | dict(cfg_options={'a.b': 1}))]


def test_the_facts_are_printed(main, calls, capsys):
    main(['c.py'])
    assert calls[0][1]['shape'] is None
    text = capsys.readouterr().out
    for part in (
        *('Toy of c.py, random weights', '1,234: 1,000 trainable, 234 frozen', '5.000 M'),
        *('10.000 M, two per', 'sin x2', 'activations 1.0 MiB', 'by hand', 'a note'),
        *('500.0 ms, 2 images/s', '1000.0 ms, 4 images/s'),
    ):
        assert part in text


def test_the_facts_are_written_exactly(main, calls, tmp_path):
    main(['c.py', '--json', str(tmp_path / 'new/facts.json')])
    facts = json.loads((tmp_path / 'new/facts.json').read_text())
    assert facts == json.loads(json.dumps(INFO.as_dict()))
    assert facts['complexity']['uncounted'] == {'aten::sin': 2}


def test_a_mistake_ends_with_one_sentence(main, error_of, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert error_of(main, 'nowhere.py') == (
        'error: the config nowhere.py does not exist: correct the path.'
    )
