"""tools/train_kfold.py: options reach the training, a broken fold is told by text and exit code."""

import pytest

from mmdet_ext.apis import kfold


@pytest.fixture
def trained(monkeypatch):
    """Replace the training; returns what it was called with."""
    calls = []

    def train_folds(**options):
        calls.append(options)
        return kfold.KFoldReport({'fold_0': {'coco/bbox_mAP': 0.25}}, {'fold_1': 'it fell over'})

    monkeypatch.setattr(kfold, 'train_folds', train_folds)
    return calls


def test_all_options_are_passed_on(tool, trained):
    line = 'c.py --folds 3 --stratify class light --group site --seed 4 --work-dir w --amp'
    with pytest.raises(SystemExit):
        tool('train_kfold').main([*line.split(), '--cfg-options', 'train_cfg.max_epochs=2'])
    assert trained == [
        dict(
            config='c.py',
            folds=3,
            fold_dir=None,
            ann_file=None,
            stratify=['class', 'light'],
            group='site',
            seed=4,
            work_dir='w',
            amp=True,
            auto_scale_lr=False,
            cfg_options={'train_cfg.max_epochs': 2},
        )
    ]


def test_the_metrics_are_printed_and_a_broken_fold_exits_with_1(tool, trained, capsys):
    with pytest.raises(SystemExit) as stop:
        tool('train_kfold').main(['c.py'])
    assert stop.value.code == 1
    out, err = capsys.readouterr()
    assert 'coco/bbox_mAP' in out
    assert '0.2500' in out
    assert 'error: fold_1 is broken: it fell over' in err
