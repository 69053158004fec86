"""The tool that fuses result files."""

import json
from pathlib import Path

import pytest

from mmdet_ext.apis import slot_fusion
from mmdet_ext.apis.result_fusion import FusionReport


@pytest.fixture
def main(tool):
    return tool('fuse_results').main


def write(path, *rows):
    entries = [
        {'image_id': 1, 'category_id': 2, 'bbox': [x, 10, 20, 30], 'score': score}
        for x, score in rows
    ]
    path.write_text(json.dumps(entries))
    return str(path)


def test_it_writes_coco_results_and_prints_the_average_precision_of_each_and_of_the_fusion(
    main, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('COLUMNS', '120')
    one = write(Path('a.bbox.json'), (12, 0.9))
    other = write(Path('b.bbox.json'), (8, 0.9), (60, 0.5))
    truth = {
        'images': [{'id': 1}],
        'annotations': [{'id': 1, 'image_id': 1, 'category_id': 2, 'bbox': [10, 10, 20, 30]}],
        'categories': [{'id': 2, 'name': 'slot'}],
    }
    (tmp_path / 'val.json').write_text(json.dumps(truth))
    options = ['--annotations', 'val.json', '--weights', '1', '1', '--skip-threshold', '0.6']
    main([one, other, '--out', 'fused.bbox.json', *options, '--workers', '1'])
    (fused,) = json.loads((tmp_path / 'fused.bbox.json').read_text())
    assert fused['bbox'] == [10.0, 10.0, 20.0, 30.0]
    out = capsys.readouterr().out
    rows = [line.split('│') for line in out.splitlines() if '│ ' in line]
    # 18/22 = 0.82 of IoU: right at 7 of 10 thresholds, the fusion at all.
    assert [float(row[5]) for row in rows] == pytest.approx([0.7, 0.7, 1])
    assert out.splitlines()[-1] == 'written to fused.bbox.json'


def test_warnings_and_mistakes_go_to_the_error_stream(main, tmp_path, capsys, error_of):
    one = write(tmp_path / 'a.json', (12, 0.9), (12, 0.9))
    other = write(tmp_path / 'b.json', (12, 0.9))
    main([one, other, '--out', str(tmp_path / 'c.json'), '--workers', '1'])
    assert 'warning: ' in capsys.readouterr().err
    message = error_of(main, one, other, '--out', str(tmp_path / 'c.json'), '--score-mode', 'mean')
    assert message.startswith("error: There is no score mode 'mean'")


def test_slots_go_to_their_own_fusion_and_need_annotations(main, monkeypatch, capsys):
    calls = []

    def fuse(*args, **options):
        calls.append((args, options))
        return FusionReport([{'name': 'fused', 'slot/f1': 0.9375}], ['half is missing'])

    monkeypatch.setattr(slot_fusion, 'fuse_slot_results', fuse)
    files = ['a.pkl', 'b.pkl', '--slots', '--out', 'c.pkl']
    with pytest.raises(SystemExit):
        main(files)
    assert '--slots needs --annotations' in capsys.readouterr().err
    main([*files, '--annotations', 'val.json', '--weights', '2', '1', '--slot-radius', '20'])
    args, options = calls[0]
    assert args == (['a.pkl', 'b.pkl'], 'c.pkl', 'val.json')
    assert options == dict(weights=[2.0, 1.0], point_radius=10.0, slot_radius=20.0)
    printed = capsys.readouterr()
    assert '0.9375' in printed.out
    assert 'warning: half is missing' in printed.err
