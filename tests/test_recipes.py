"""The table of recipes answers what it must and names what there is; faults of any kind are found."""

import pytest
import torch

from mmdet_ext.apis.recipes import (
    Recipe,
    find_faults,
    find_recipes,
    read_actions,
    read_table,
    try_recipe,
    write_tiny_dataset,
)
from mmdet_ext.apis.recipes.faults import GROUPS, registered_names, tool_options
from mmdet_ext.apis.recipes.shrinking import shrink
from mmdet_ext.apis.run import load_config
from mmdet_ext.utils.configs import CONFIGS
from mmdet_ext.utils.shipped_tools import find_tool

EXT = CONFIGS / 'ext'
GOOD = '| rate <!-- G01 --> | [step](recipes/step.py), `StepLR` | nothing |'


def write_table(folder, *rows, group='Schedule'):
    """A table with all groups, rows in one of them."""
    lines = []
    for name in GROUPS:
        lines += [f'## {name}', '']
        if name == group:
            lines += ['| what | how | watch |', '|---|---|---|', *rows, '']
    (folder / 'README.md').write_text('\n'.join(lines))
    (folder / 'recipes').mkdir(exist_ok=True)
    (folder / 'recipes/step.py').write_text('"""Steps."""\n')
    return read_table(folder / 'README.md')


@pytest.fixture
def faults_of(tmp_path):
    def faults_of(*rows, actions=None):
        table = write_table(tmp_path, *rows)
        return find_faults(table, actions or {'G01': 'wire'}, tmp_path)

    return faults_of


def test_the_table_in_the_repository_has_no_fault():
    actions = read_actions(EXT / 'recipes/rows.txt')
    assert find_faults(read_table(EXT / 'README.md'), actions, EXT) == []


def test_the_techniques_to_answer_are_those_of_the_survey():
    actions = read_actions(EXT / 'recipes/rows.txt')
    counts = {action: list(actions.values()).count(action) for action in set(actions.values())}
    assert counts == {'wire': 166, 'build': 81, 'doc': 50, 'wrap': 25}


def test_a_row_is_read_with_its_group_ids_links_code_and_variants(tmp_path):
    row = r'| a \| b <!-- G01 G02 --> | [x](recipes/step.py) `--cfg-options a.b=1 c=2` | `--amp` |'
    (found,) = write_table(tmp_path, row).rows
    assert found.cells[0] == r'a \| b <!-- G01 G02 -->'
    assert (found.group, found.ids, found.declined) == ('Schedule', ('G01', 'G02'), False)
    assert found.links == ['recipes/step.py']
    assert found.code == ['--cfg-options a.b=1 c=2', '--amp']
    assert found.variants == ['a.b=1 c=2']


def test_rows_below_not_here_are_told_from_the_others(tmp_path):
    declined = [
        '',
        '### Not here, and why',
        '',
        '| what | why |',
        '|---|---|',
        '| a <!-- F09 --> | b |',
    ]
    rows = write_table(tmp_path, GOOD, *declined).rows
    assert [(row.ids, row.declined) for row in rows] == [(('G01',), False), (('F09',), True)]


def test_a_good_table_has_no_fault(faults_of):
    assert faults_of(GOOD) == []


def test_an_unanswered_technique_is_a_fault(faults_of):
    (fault,) = faults_of(GOOD, actions={'G01': 'wire', 'G02': 'wire', 'G03': 'build'})
    assert fault.startswith('no row answers G02, G03')


def test_an_answer_that_nothing_asks_for_and_one_given_twice_are_faults(faults_of):
    unknown, twice = faults_of(GOOD, '| again <!-- G77 --> | `StepLR` | |', GOOD)[::-1]
    assert unknown.startswith('G77 is answered, but not asked for')
    assert twice.startswith('G01 is answered by 2 rows')


def test_what_the_stack_has_must_not_be_declined(faults_of):
    head = '### Not here, and why', '', '| what | why |', '|---|---|'
    row = '| steps <!-- G02 --> | too old |'
    assert faults_of(GOOD, '', *head, row, actions={'G01': 'wire', 'G02': 'doc'}) == []
    (fault,) = faults_of(GOOD, '', *head, row, actions={'G01': 'wire', 'G02': 'wire'})
    assert fault.startswith('G02 stands under "Not here"')


def test_groups_that_are_missing_or_out_of_order_are_a_fault(tmp_path):
    table = write_table(tmp_path, GOOD)
    text = (tmp_path / 'README.md').read_text().replace('## Loss', '## Losses')
    (tmp_path / 'README.md').write_text(text)
    (fault,) = find_faults(read_table(tmp_path / 'README.md'), {'G01': 'wire'}, tmp_path)
    assert fault.startswith('the groups are Data, Augmentation, Model, Losses, ')
    assert table.groups == GROUPS


def test_a_picture_that_is_not_there_is_a_fault(faults_of):
    (fault,) = faults_of(GOOD, '', '![A picture](../../docs/missing.png)')
    assert fault.startswith('the link ../../docs/missing.png leads nowhere')


def test_a_config_that_no_row_names_is_a_fault(faults_of, tmp_path):
    (tmp_path / 'recipes').mkdir()
    (tmp_path / 'recipes/lonely.py').write_text('')
    (tmp_path / 'recipes/_base.py').write_text('')
    assert faults_of(GOOD) == ['recipes/lonely.py is in no row: name it in one, or remove it.']


@pytest.mark.parametrize(
    ('cell', 'fault'),
    [
        ('[x](recipes/missing.py)', 'the link recipes/missing.py leads nowhere'),
        ('[x](../../tools/nothing.py)', 'the link ../../tools/nothing.py leads nowhere'),
        ('`tools/trian.py CONFIG`', 'there is no tool trian'),
        ('`python tools/train.py CONFIG --tta`', '--tta is no option of train'),
        ('`python -m mmdet_ext mmdet:train X --ampp`', '--ampp is no option of mmdet:train'),
        ('`tools/dist_train.sh CONFIG 2 --fast`', '--fast is no option of dist_train'),
        ('`--no-such-option`', '--no-such-option is no option of any tool'),
        ("`dict(type='StepLRR')`", 'StepLRR is not registered (did you mean StepLR'),
        ("`dict(ema_type='NoEMA')`", 'NoEMA is not registered'),
        ("`constructor='NoConstructor'`", 'NoConstructor is not registered'),
        ('`EarlyStopingHook`', 'EarlyStopingHook is not registered'),
        ('`EarlyStopingHook(patience=3)`', 'EarlyStopingHook is not registered'),
        ('`torch.optim.Adaam`', 'torch.optim.Adaam cannot be imported'),
        ('`mmengine.runner.Runer`', 'mmengine.runner.Runer cannot be imported'),
        ('', 'a cell is empty'),
        ('`StepLR` | too | many', 'the row has 5 cells, but must have 3'),
        ('`--cfg-options a=1`', '--cfg-options are given, but no config'),
    ],
)
def test_what_a_row_names_must_exist(faults_of, cell, fault):
    (found,) = faults_of(GOOD, f'| x | {cell} | y |')
    assert fault in found
    assert found.startswith('line ')
    assert '(Schedule)' in found


@pytest.mark.parametrize(
    'cell',
    [
        '`python tools/train.py CONFIG --amp --resume`',
        '`tools/dataset/browse.py CONFIG --stages`',
        '`python -m mmdet_ext mmdet:analysis_tools/get_flops CONFIG --num-images 9`',
        '`python -m mmdet_ext configs`',
        '`tools/dist_train.sh CONFIG 2`',
        '`--tta`',
        "`nms=dict(type='diou_nms')`",
        "`clip_grad=dict(type='value', clip_value=1)`",
        "`dict(type='EMAHook', ema_type='ExpMomentumEMA')`",
        '`torch.nn.functional.interpolate`',
        '`None`',
        '[paper](https://arxiv.org/abs/1706.02677)',
    ],
)
def test_what_exists_is_no_fault(faults_of, cell):
    assert faults_of(GOOD, f'| x | {cell} | y |') == []


def test_options_of_a_tool_are_those_that_it_takes_itself():
    assert {'--tta', '--cfg-options', '--help'} <= tool_options(find_tool('test'))
    assert '--resume' not in tool_options(find_tool('test'))


def test_names_of_all_packages_of_the_family_are_known():
    names = {'CosineAnnealingLR', 'ConvModule', 'RetinaNet', 'PSDHead', 'SGD', 'LoadImageFromFile'}
    assert names <= registered_names()


def test_recipes_are_the_files_and_the_variants_of_the_rows(tmp_path):
    variant = '| v | [step](recipes/step.py) `--cfg-options optim_wrapper.optimizer.lr=1` | |'
    table = write_table(tmp_path, GOOD, variant)
    names = [recipe.name for recipe in find_recipes(table, tmp_path)]
    assert names == ['recipes/step.py', 'recipes/step.py optim_wrapper.optimizer.lr=1']
    assert [recipe.name for recipe in find_recipes(table, tmp_path, ['=1'])] == names[1:]
    with pytest.raises(ValueError, match='no recipe is called nothing'):
        find_recipes(table, tmp_path, ['nothing'])


@pytest.mark.parametrize(('text', 'needs'), [('Fast; needs a GPU.', True), ('Fast.', False)])
def test_a_docstring_says_what_needs_a_gpu(tmp_path, text, needs):
    (tmp_path / 'x.py').write_text(f'"""{text}\n\nNobody needs a GPU here.\n"""\n')
    assert Recipe('x', tmp_path / 'x.py').needs_gpu is needs


def test_large_images_shrink_alike_and_small_ones_stay(tmp_path):
    (tmp_path / 'x.py').write_text("_base_ = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'")
    cfg = load_config(str(tmp_path / 'x.py'))
    shrink(cfg, tmp_path)
    assert cfg.train_dataloader.dataset.pipeline[2].scale == (320, 192)  # of (1333, 800)
    assert cfg.model.backbone.init_cfg is None  # torchvision://resnet50
    assert cfg.train_dataloader.dataset.data_root == str(tmp_path)
    assert (cfg.train_cfg.max_epochs, cfg.train_cfg.val_interval) == (1, 1)
    cfg = load_config(str(EXT / 'psd_yolo.py'))
    shrink(cfg, tmp_path)
    assert cfg.train_dataloader.dataset.pipeline[2].size == (256, 256)
    assert cfg.train_dataloader.batch_size == 2
    kept = [hook.type for hook in cfg.custom_hooks]
    assert 'ScheduleCheckHook' in kept
    assert 'TensorboardGraphHook' not in kept


@pytest.fixture(scope='module')
def tiny_dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp('scenes')
    write_tiny_dataset(folder)
    return folder


def tried(tmp_path, tiny_dataset, text, options=''):
    (tmp_path / 'x.py').write_text(
        f'"""A recipe."""\n_base_ = {str(EXT / "psd_yolo_tiny.py")!r}\n{text}'
    )
    return try_recipe(Recipe('x', tmp_path / 'x.py', options), tiny_dataset)


def test_a_recipe_that_trains_and_validates_has_no_fault(tmp_path, tiny_dataset):
    trial = tried(tmp_path, tiny_dataset, 'randomness = dict(seed=1, deterministic=True)')
    assert trial.fault is None
    assert trial.seconds > 0
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize(
    ('text', 'options', 'fault'),
    [
        ("custom_hooks = [dict(type='NoSuchHook')]", '', 'the type `NoSuchHook` at'),
        ('model = dict(bbox_head=dict(no_option=1))', '', 'unexpected keyword'),
        ('', 'optim_wrapper.optimizer.momentums=1', 'an option in the config is wrong'),
        ('train_cfg = dict(val_begin=', '', 'was never closed'),
        ('train_dataloader = dict(drop_last=True, dataset=dict(indices=3))', '', '1 iterations'),
    ],
)
def test_a_recipe_that_fails_says_why(tmp_path, tiny_dataset, text, options, fault):
    trial = tried(tmp_path, tiny_dataset, text, options)
    assert fault in trial.fault
