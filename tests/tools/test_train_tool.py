"""tools/train.py: mmdet's flags do what they do in mmdet, mistakes end with one sentence."""

from pathlib import Path

import pytest
import torch

from mmdet_ext.apis import run, train


@pytest.fixture
def train_main(tool):
    return tool('train').main


def test_flags_are_parsed_as_mmdets(tool):
    args = tool('train').parse_args(
        [
            'c.py',
            '--work-dir',
            'w',
            '--amp',
            '--auto-scale-lr',
            '--resume',
            '--launcher',
            'slurm',
            '--cfg-options',
            'a.b=1',
            'c=[2,3]',
        ]
    )
    assert (args.config, args.work_dir, args.amp, args.auto_scale_lr) == ('c.py', 'w', True, True)
    assert (args.resume, args.launcher) == ('auto', 'slurm')
    assert args.cfg_options == {'a.b': 1, 'c': [2, 3]}
    assert tool('train').parse_args(['c.py', '--resume', 'x.pth']).resume == 'x.pth'
    assert tool('train').parse_args(['c.py']).resume is None


def test_a_run_writes_into_work_dirs_under_the_configs_name(train_main, config):
    train_main([config()])
    assert Path('work_dirs/toy/epoch_1.pth').is_file()


def test_work_dir_on_the_command_line_wins_over_the_configs(train_main, config):
    train_main([config("work_dir = 'from_config'\n"), '--work-dir', 'mine'])
    assert Path('mine/epoch_1.pth').is_file()
    assert not Path('from_config').exists()


def test_cfg_options_override_the_config(config):
    runner = train(config(), cfg_options={'train_cfg.max_epochs': 2})
    assert runner.epoch == 2


def test_resume_goes_on_where_the_last_run_stopped(config):
    train(config())
    runner = train(config(), resume='auto', cfg_options={'train_cfg.max_epochs': 3})
    assert (runner.epoch, runner.iter) == (3, 6)
    assert not Path('work_dirs/toy/epoch_4.pth').exists()
    resumed = torch.load('work_dirs/toy/epoch_2.pth', weights_only=False)
    assert resumed['meta']['iter'] == 4


@pytest.mark.skipif(torch.cuda.is_available(), reason='a GPU computes in float16')
def test_amp_on_the_cpu_computes_in_bfloat16_and_keeps_float32_weights(config):
    runner = train(config(), amp=True)
    assert runner.model.computed_in == torch.bfloat16
    assert runner.model.layer.weight.dtype == torch.float32


@pytest.mark.skipif(torch.cuda.is_available(), reason='a GPU computes in float16')
def test_amp_keeps_flooding(config):
    flooding = {'optim_wrapper.type': 'FloodingOptimWrapper', 'optim_wrapper.flood_level': 0.1}
    runner = train(config(), amp=True, cfg_options=flooding)
    assert type(runner.optim_wrapper).__name__ == 'FloodingBFloat16OptimWrapper'
    assert runner.model.computed_in == torch.bfloat16


def test_auto_scale_lr_scales_by_batch_size_over_base_batch_size(config):
    runner = train(config('auto_scale_lr = dict(base_batch_size=8)\n'), auto_scale_lr=True)
    assert runner.optim_wrapper.get_lr()['lr'] == [pytest.approx(0.1 * 2 / 8)]


def test_auto_scale_lr_without_base_batch_size_is_refused(train_main, config, error_of):
    assert 'base_batch_size' in error_of(train_main, config(), '--auto-scale-lr')


def test_a_missing_config_is_answered_with_similar_names(train_main, config, error_of):
    config(name='psd_yolo.py')
    sentence = error_of(train_main, 'psd_yol.py')
    assert 'psd_yol.py does not exist (did you mean psd_yolo.py?)' in sentence


def test_a_config_with_a_syntax_error_is_named_with_the_line(train_main, config, error_of):
    sentence = error_of(train_main, config('model = dict(\n'))
    assert 'toy.py cannot be read' in sentence
    assert 'line 14' in sentence


def test_an_unknown_model_is_named_with_key_and_close_match(train_main, config, error_of):
    sentence = error_of(train_main, config("model = dict(type='RetinaNett')\n"))
    assert '`RetinaNett` at `model.type`' in sentence
    assert 'did you mean RetinaNet' in sentence


def test_an_unknown_dataset_is_found_before_training(train_main, config, error_of):
    option = 'train_dataloader.dataset.type=CocoDatasett'
    sentence = error_of(train_main, config(), '--cfg-options', option)
    assert '`CocoDatasett` at `train_dataloader.dataset.type`' in sentence
    assert not list(Path('work_dirs').rglob('*.pth'))


def test_resuming_from_a_file_that_is_not_there_is_refused(train_main, config, error_of):
    assert 'no.pth does not exist' in error_of(train_main, config(), '--resume', 'no.pth')


def test_resuming_another_architecture_is_refused(train_main, config, error_of):
    train(config(), work_dir='narrow')
    sentence = error_of(
        train_main, config(), '--resume', 'narrow/epoch_1.pth', '--cfg-options', 'model.width=2'
    )
    assert 'another architecture' in sentence
    assert '`layer.weight` (and 1 more) has shape (1, 1) instead of (2, 1)' in sentence


def test_the_synthetic_data_of_a_config_is_made_before_anything_is_built(config, monkeypatch):
    made = []
    monkeypatch.setattr(run, 'ensure_dataset', lambda **recipe: made.append(recipe))
    recipe = dict(out_dir='d', splits=dict(train=2), preset='garage', size=64, seed=1)
    train(config(f'synthetic_data = {recipe}\n'))
    assert made == [recipe]


def test_an_unknown_nms_is_named_before_training(train_main, config, error_of):
    more = "model.update(test_cfg=dict(rcnn=dict(nms=dict(type='clusternms'))))\n"
    sentence = error_of(train_main, config(more))
    assert "The NMS type 'clusternms' is unknown (did you mean cluster_nms" in sentence
    assert not Path('work_dirs/toy/epoch_1.pth').exists()
