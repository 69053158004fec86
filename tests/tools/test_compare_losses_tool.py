"""tools/analysis/compare_losses.py: its options reach the comparison, the table the terminal."""

import pytest

from mmdet_ext.apis import loss_comparison
from mmdet_ext.apis.loss_comparison import LossResult


@pytest.fixture
def main(tool):
    return tool('analysis/compare_losses').main


def test_options_go_in_and_a_table_comes_out(main, monkeypatch, capsys):
    calls = []

    def compare(*args):
        calls.append(args)
        return {'BCE': LossResult({}, {'AP': [0.5], 'AP50': [0.75], 'AR': [0.625]})}

    monkeypatch.setattr(loss_comparison, 'compare_losses', compare)
    main(['my.py', '--slot', 'loss_cls', '--variants', 'BCE', '--out', 'x', '--seeds', '1', '2'])
    assert calls == [('x', 'loss_cls', ['BCE'], [1, 2], 8, None, 'my.py')]
    text = capsys.readouterr().out
    assert '0.500' in text
    assert '0.625' in text
    assert 'x/results.json' in text


def test_an_unknown_loss_is_one_sentence(main, error_of, tmp_path):
    sentence = error_of(main, '--variants', 'CIuO', '--out', str(tmp_path))
    assert sentence.startswith("error: Unknown loss 'CIuO' (did you mean")
