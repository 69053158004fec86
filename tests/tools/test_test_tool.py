"""tools/test.py: mmdet's flags do what they do in mmdet, mistakes end with one sentence."""

import pickle
from pathlib import Path

import pytest
from mmengine.config import Config

from mmdet_ext.apis import evaluate, run, train


@pytest.fixture
def test_main(tool):
    return tool('test').main


@pytest.fixture
def checkpoint(config):
    train(config(), work_dir='trained')
    return 'trained/epoch_1.pth'


def test_flags_are_parsed_as_mmdets(tool):
    args = tool('test').parse_args(
        [
            'c.py',
            'k.pth',
            '--work-dir',
            'w',
            '--out',
            'o.pkl',
            '--show',
            '--show-dir',
            's',
            '--wait-time',
            '0.5',
            '--tta',
        ]
    )
    assert (args.config, args.checkpoint, args.work_dir) == ('c.py', 'k.pth', 'w')
    assert (args.out, args.show, args.show_dir) == ('o.pkl', True, 's')
    assert (args.wait_time, args.tta, args.launcher) == (0.5, True, 'none')


def test_metrics_of_the_test_data_are_returned(config, checkpoint):
    assert evaluate(config(), checkpoint) == {'samples': 4}


def test_out_writes_one_prediction_per_image(test_main, config, checkpoint):
    test_main([config(), checkpoint, '--out', 'predictions.pkl'])
    predictions = pickle.loads(Path('predictions.pkl').read_bytes())
    assert [prediction['x'].item() for prediction in predictions] == [0, 1, 2, 3]


def test_out_must_be_a_pickle_file(test_main, config, checkpoint, error_of):
    assert '.pkl' in error_of(test_main, config(), checkpoint, '--out', 'predictions.json')


def test_a_missing_checkpoint_is_answered_with_the_ones_there(
    test_main, config, checkpoint, error_of
):
    sentence = error_of(test_main, config(), 'trained/epoch_7.pth')
    assert 'epoch_7.pth does not exist: the folder has epoch_1.pth' in sentence


def test_a_checkpoint_of_another_architecture_is_refused(test_main, config, checkpoint, error_of):
    sentence = error_of(test_main, config(), checkpoint, '--cfg-options', 'model.width=3')
    assert "0 of the model's 2 parameters match" in sentence


def test_tta_without_its_config_says_what_to_add(test_main, config, checkpoint, error_of):
    sentence = error_of(test_main, config('tta_model = dict()\n'), checkpoint, '--tta')
    assert 'toy.py has no `tta_pipeline`' in sentence


def test_tta_wraps_the_model_and_replaces_the_innermost_pipeline():
    inner = dict(type='CocoDataset', pipeline=['plain'])
    cfg = Config(
        dict(
            tta_model=dict(type='DetTTAModel'),
            tta_pipeline=['augmented'],
            test_dataloader=dict(dataset=dict(type='RepeatDataset', times=1, dataset=inner)),
        )
    )
    run._use_tta(cfg, 'c.py')
    assert cfg.test_dataloader.dataset.dataset.pipeline == ['augmented']
    assert cfg.custom_hooks == [dict(type='PrepareTTAHook', tta_cfg=dict(type='DetTTAModel'))]


@pytest.mark.parametrize('flag', [['--show'], ['--show-dir', 'images']])
def test_drawing_without_a_visualization_hook_says_what_to_add(
    test_main, config, checkpoint, error_of, flag
):
    assert 'DetVisualizationHook' in error_of(test_main, config(), checkpoint, *flag)


def test_show_dir_reaches_the_visualization_hook():
    cfg = Config(dict(default_hooks=dict(visualization=dict(type='DetVisualizationHook'))))
    run._draw_predictions(cfg, 'c.py', show=False, show_dir='images', wait_time=2)
    assert cfg.default_hooks.visualization == dict(
        type='DetVisualizationHook', draw=True, test_out_dir='images'
    )
