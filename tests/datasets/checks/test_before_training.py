"""The quick check before training: errors stop it, warnings are logged, the rest is left alone."""

import logging
import time

import pytest
from mmengine.config import Config
from mmengine.logging import MMLogger

from mmdet_ext.datasets.checks import check_before_training


@pytest.fixture
def logged(monkeypatch):
    """Collect what is logged, as (level, line)."""
    lines = []
    logger = MMLogger('checks')
    monkeypatch.setattr(MMLogger, 'get_current_instance', classmethod(lambda cls: logger))
    handler = logging.Handler(logging.INFO)
    handler.emit = lambda record: lines.append((record.levelname, record.getMessage()))
    logger.addHandler(handler)
    return lines


@pytest.fixture
def config(plain, write, tmp_path):
    """A config that trains and validates on two sound files with images."""

    def make(train=None, val=None):
        for name in 'abcd':
            (tmp_path / f'{name}.png').touch()
        other = [
            {**image, 'file_name': name}
            for image, name in zip(plain['images'], ('c.png', 'd.png'), strict=True)
        ]
        loaders = {}
        for part, content in (
            ('train', train or plain),
            ('val', val or {**plain, 'images': other}),
        ):
            dataset = dict(
                type='CocoDataset',
                ann_file=str(write(content, f'{part}.json')),
                data_root=str(tmp_path),
                metainfo=dict(classes=('cat', 'dog')),
            )
            loaders[f'{part}_dataloader'] = dict(dataset=dataset)
        return Config(loaders)

    return make


def test_sound_data_pass_without_a_word(config, logged):
    check_before_training(config())
    assert logged == []


def test_errors_are_raised_the_first_three_with_the_way_out(config, plain, logged):
    plain['annotations'][0]['bbox'] = None
    plain['annotations'][1].pop('area')
    plain['annotations'][3]['id'] = 1
    plain['images'][1]['width'] = None
    with pytest.raises(ValueError, match='no positive `width`') as caught:
        check_before_training(config(train=plain))
    *sentences, ending = str(caught.value).splitlines()
    assert len(sentences) == 3
    assert all('train.json: 1 of' in sentence for sentence in sentences)
    assert 'more errors)' in sentences[-1]
    assert 'check_before_training=False' in ending


def test_the_check_can_be_turned_off(config, plain):
    plain['annotations'][0]['bbox'] = None
    cfg = config(train=plain)
    cfg.check_before_training = False
    check_before_training(cfg)


def test_warnings_are_logged_one_line_each(config, plain, logged):
    plain['annotations'][0]['id'] = 0
    check_before_training(config(train=plain))
    levels, lines = zip(*logged, strict=True)
    assert set(levels) == {'WARNING'}
    assert any('have the id 0' in line for line in lines)
    assert not any('\n' in line for line in lines)


def test_missing_images_and_files_stop_training(config, tmp_path):
    cfg = config()
    (tmp_path / 'a.png').unlink()
    with pytest.raises(ValueError, match=r'1 of 2 images looked for are not there .*a\.png'):
        check_before_training(cfg)
    (tmp_path / 'train.json').unlink()
    with pytest.raises(ValueError, match='there is no such annotation file'):
        check_before_training(cfg)


def test_a_leak_spoils_the_validation_alone_and_is_a_warning(config, plain, logged):
    check_before_training(config(val=plain))
    ((level, line),) = logged
    assert level == 'WARNING'
    assert 'images are in' in line


def test_other_datasets_are_passed_over_with_a_line(logged):
    loader = dict(dataset=dict(type='SurroundViewSceneDataset', preset='plain'))
    check_before_training(Config(dict(train_dataloader=loader)))
    ((level, line),) = logged
    assert level == 'INFO'
    assert 'SurroundViewSceneDataset reads no COCO file' in line


def test_configs_without_data_loaders_are_fine(logged):
    check_before_training(Config(dict(model=dict(type='RetinaNet'), val_dataloader=None)))
    assert logged == []


def test_twenty_thousand_boxes_take_a_fraction_of_a_second(config, plain, tmp_path):
    boxes = plain['annotations']
    plain['annotations'] = [
        {**boxes[i % 4], 'id': i + 1, 'bbox': [i % 50, i % 40, 10 + i / 2000, 10], 'area': 100}
        for i in range(20_000)
    ]
    cfg = config(train=plain)
    start = time.process_time()
    check_before_training(cfg)
    assert time.process_time() - start < 2
