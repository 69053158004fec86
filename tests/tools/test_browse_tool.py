"""tools/dataset/browse.py: arguments reach the function, mistakes end with one sentence."""

import cv2
import pytest

from mmdet_ext.apis import browse as browse_module
from mmdet_ext.apis.browse import Browsed
from mmdet_ext.datasets.formats.parking_slot_coco import ParkingImage, write_parking_slot_coco


@pytest.fixture
def browse_main(tool):
    return tool('dataset/browse').main


@pytest.fixture
def calls(monkeypatch):
    made = []

    def record(source, mode, **options):
        made.append((source, mode, options))
        return Browsed(files=['sheet.png'], shown=3, matching=3, total=3)

    monkeypatch.setattr(browse_module, 'browse', record)
    return made


@pytest.mark.parametrize(
    ('argv', 'mode', 'expected'),
    [
        ([], 'annotations', dict(split='train', number=None, seed=0, out='work_dirs/browse')),
        (['--stages', '--split', 'val'], 'stages', dict(split='val')),
        (['--repeat', '4', '--index', '2', '5'], 'repeat', dict(repeat=4, index=[2, 5])),
        (['--select', 'a*', '--number', '0'], 'annotations', dict(name='a*', number=0)),
        (
            ['--condition', 'night', 'wet', '--class', 'van'],
            'annotations',
            dict(conditions=['night', 'wet'], classes=['van']),
        ),
        (
            ['--images', 'd', '--scale', '1.5', '--columns', '2', '--rows', '3', '--show'],
            'annotations',
            dict(images='d', scale=1.5, columns=2, rows=3, show=True),
        ),
        (
            ['--pipeline', 'tta_pipeline', '--cfg-options', 'a.b=1'],
            'annotations',
            dict(pipeline='tta_pipeline', cfg_options={'a.b': 1}),
        ),
    ],
)
def test_arguments_reach_the_function(browse_main, calls, argv, mode, expected):
    browse_main(['c.py', *argv])
    [(source, called, options)] = calls
    assert (source, called) == ('c.py', mode)
    assert {key: options[key] for key in expected} == expected


def test_sheets_counts_and_failures_are_printed(browse_main, monkeypatch, capsys):
    report = Browsed(['a.png', 'b.png'], 4, 10, 99, {'x.jpg': ValueError('not\nan image')})
    monkeypatch.setattr(browse_module, 'browse', lambda *args, **options: report)
    browse_main(['c.py'])
    assert capsys.readouterr().out.splitlines() == [
        'failed: x.jpg: ValueError: not an image',
        '4 of 10 images that match, of 99, 1 of them failed, on 2 sheets:',
        'a.png',
        'b.png',
    ]


def test_a_sheet_of_an_annotation_file_is_written(browse_main, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_parking_slot_coco('ann.json', [ParkingImage('a.png', 30, 20)], ['marking_points'])
    cv2.imwrite('a.png', cv2.UMat(20, 30, cv2.CV_8UC3).get())
    browse_main(['ann.json', '--out', 'sheet.png'])
    assert capsys.readouterr().out.splitlines() == ['1 of 1 images, on 1 sheet:', 'sheet.png']
    assert cv2.imread('sheet.png').shape[1] > 400


def test_a_mistake_ends_with_one_sentence(browse_main, error_of, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert 'none.json does not exist' in error_of(browse_main, 'none.json')


def test_stages_and_repeat_exclude_each_other(browse_main, capsys):
    with pytest.raises(SystemExit):
        browse_main(['c.py', '--stages', '--repeat', '2'])
    assert 'not allowed with' in capsys.readouterr().err
