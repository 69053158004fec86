"""The ablation of synthetic scenes: what it leaves out, and what it trains on."""

import io
import json

import pytest
from rich.console import Console

from mmdet_ext.apis import scene_ablation
from mmdet_ext.apis.scene_ablation import VARIANTS, ablate_scenes, ablation_table
from mmdet_ext.datasets.surround_view.presets import scene_config


def test_each_variant_is_a_config_that_leaves_something_else_out():
    configs = [scene_config('strip_like', **changes) for changes in VARIANTS.values()]
    assert configs[0] == scene_config('strip_like')
    for i, config in enumerate(configs):
        assert config not in configs[:i]
    dark = scene_config('strip_like', **VARIANTS['nothing mirrored by the floor']).light
    assert dark.lamp_strength == dark.distant_lights == (0, 0)


@pytest.fixture
def runs(monkeypatch):
    """Sets made and trainings asked for; AP: 0.6 for everything, else 0.5, and a hundredth per seed."""
    made, trained = [], []

    def metrics_of_training(config, folder, options):
        trained.append((config, folder, options))
        score = 0.6 if 'everything' in str(folder) else 0.5
        score += options['randomness.seed'] / 100
        return {'point/precision': 0.5, 'point/recall': 0.4, 'point/f1': 0.44, 'point/ap': score}

    monkeypatch.setattr(
        scene_ablation, 'ensure_dataset', lambda *args, **options: made.append((args, options))
    )
    monkeypatch.setattr(scene_ablation, 'metrics_of_training', metrics_of_training)
    return made, trained


def test_each_variant_is_trained_on_scenes_of_its_own_with_each_seed(tmp_path, runs):
    made, trained = runs
    results = ablate_scenes(tmp_path, ['everything', 'fresh paint'], [0, 1], images=7, epochs=3)
    scores = dict(precision=[0.5, 0.5], recall=[0.4, 0.4], f1=[0.44, 0.44])
    assert results['everything'] == {**scores, 'ap': [0.6, 0.61]}
    assert results['fresh paint'] == {**scores, 'ap': [0.5, 0.51]}
    assert json.loads((tmp_path / 'results.json').read_text()) == results
    folders = [tmp_path / 'everything', tmp_path / 'fresh_paint'] * 2
    assert [args for args, _ in made] == [(folder / 'data', {'train': 7}) for folder in folders]
    assert [options['overrides'] for _, options in made] == [{}, VARIANTS['fresh paint']] * 2
    for (_, work_dir, options), folder, seed in zip(trained, folders, (0, 0, 1, 1), strict=True):
        assert work_dir == folder / f'seed{seed}'
        assert options['train_dataloader.dataset.data_root'] == f'{folder}/data/'
        assert options['synthetic_data'] is None
        assert options['train_cfg.max_epochs'] == 3
        assert options['randomness.seed'] == seed


def test_the_table_says_what_is_lost_and_what_may_be_chance(tmp_path, runs):
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(ablation_table(ablate_scenes(tmp_path, ['everything', 'fresh paint'], [0, 2])))
    text = console.export_text()
    rows = {line.split('│')[1].strip(): line.split() for line in text.splitlines() if '│' in line}
    assert rows['everything'][3:-1:2] == ['0.500', '0.400', '0.440', '0.610', '-']
    assert rows['fresh paint'][4:-1:2] == ['0.500', '0.400', '0.440', '0.510', '-0.100']
    assert 'by up to 0.0200' in text


def test_an_unknown_variant_is_named_before_anything_is_made(tmp_path, runs):
    with pytest.raises(
        ValueError, match=r"'fresh pain' \(did you mean fresh paint\?\); expected one of"
    ):
        ablate_scenes(tmp_path, ['everything', 'fresh pain'])
    assert runs == ([], [])
