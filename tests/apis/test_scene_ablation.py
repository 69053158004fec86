"""The ablation of synthetic scenes: what it leaves out, and what it trains on."""

from types import SimpleNamespace

import pytest

from mmdet_ext.apis import scene_ablation
from mmdet_ext.apis.scene_ablation import VARIANTS, ablate_scenes
from mmdet_ext.datasets.surround_view.presets import scene_config


def test_each_variant_is_a_config_that_leaves_something_else_out():
    configs = [scene_config('strip_like', **changes) for changes in VARIANTS.values()]
    assert configs[0] == scene_config('strip_like')
    for i, config in enumerate(configs):
        assert config not in configs[:i]
    dark = scene_config('strip_like', **VARIANTS['nothing mirrored by the floor']).light
    assert dark.lamp_strength == dark.distant_lights == (0, 0)


def test_each_variant_is_trained_on_scenes_of_its_own_and_scored_on_points(tmp_path, monkeypatch):
    made, trained = [], []

    def train(config, work_dir, cfg_options):
        trained.append((config, work_dir, cfg_options))
        scores = dict(precision=0.5, recall=0.4, f1=0.44, ap=0.3)
        hub = SimpleNamespace(
            get_scalar=lambda name: SimpleNamespace(current=lambda: scores[name.split('/')[-1]])
        )
        return SimpleNamespace(message_hub=hub)

    monkeypatch.setattr(
        scene_ablation, 'ensure_dataset', lambda *args, **options: made.append((args, options))
    )
    monkeypatch.setattr(scene_ablation, 'train', train)
    results = ablate_scenes(tmp_path, ['everything', 'fresh paint'], images=7, epochs=3)
    assert list(results) == ['everything', 'fresh paint']
    assert results['everything'] == dict(precision=0.5, recall=0.4, f1=0.44, ap=0.3)
    folders = [tmp_path / 'everything', tmp_path / 'fresh_paint']
    assert [args for args, _ in made] == [(folder / 'data', {'train': 7}) for folder in folders]
    assert [options['overrides'] for _, options in made] == [{}, VARIANTS['fresh paint']]
    for (_, work_dir, options), folder in zip(trained, folders, strict=True):
        assert work_dir == str(folder)
        assert options['train_dataloader.dataset.data_root'] == f'{folder}/data/'
        assert options['synthetic_data'] is None
        assert options['train_cfg.max_epochs'] == 3


def test_an_unknown_variant_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"Unknown variant 'no cars'; expected one of everything,"):
        ablate_scenes(tmp_path, ['no cars'])
