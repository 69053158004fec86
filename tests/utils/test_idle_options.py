"""Options that would change only a variable of a config are refused, with the keys to change instead."""

import pytest

from mmdet_ext.apis.run import load_config
from mmdet_ext.utils.configs import refuse_idle_options

CONFIG = dict(
    root='data/a/',
    size=(64, 32),
    rate=2,
    unused=7,
    train_dataloader=dict(batch_size=2, dataset=dict(ann_file='data/a/train.json')),
    custom_hooks=[dict(type='H', size=(64, 32)), dict(type='G', other_size=(32, 64))],
    optim_wrapper=dict(rate=2),
)


@pytest.mark.parametrize(
    ('key', 'places'),
    [
        ('root', 'train_dataloader.dataset.ann_file;'),  # a text that starts with it
        ('size', 'custom_hooks.0.size;'),
        ('rate', 'optim_wrapper.rate;'),  # not batch_size, which is 2 by chance
    ],
)
def test_a_variable_is_refused_with_the_places_that_its_value_was_copied_to(key, places):
    with pytest.raises(
        ValueError, match=f'option {key}=new would change nothing.* copied to {places}'
    ):
        refuse_idle_options(CONFIG, {key: 'new'})


@pytest.mark.parametrize('key', ['unused', 'optim_wrapper', 'optim_wrapper.rate', 'not_there'])
def test_whatever_has_an_effect_or_no_copy_is_let_through(key):
    refuse_idle_options(CONFIG, {key: 'new'})


def test_the_data_root_of_the_default_config_cannot_be_changed_in_vain():
    with pytest.raises(ValueError, match=r'train_dataloader\.dataset\.data_root, val_dataloader'):
        load_config('ext/psd_yolo.py', {'data_root': 'mine/'})
