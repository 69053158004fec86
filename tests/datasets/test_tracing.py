"""Pipelines step by step: every stage is seen, what was drawn is told, nothing is changed by looking."""

import numpy as np
import pytest
import torch
from mmcv.transforms import BaseTransform, Compose, RandomApply, RandomChoice
from mmcv.transforms.utils import cache_randomness
from mmdet.datasets import ConcatDataset, MultiImageMixDataset
from mmdet.datasets.transforms import Mosaic, MultiBranch, PackDetInputs, RandomFlip, Resize
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.dataset import BaseDataset, ClassBalancedDataset, RepeatDataset
from mmengine.runner import set_random_seed

from mmdet_ext.datasets.tracing import (
    describe_map,
    describe_whole_map,
    nested_transforms,
    pipeline_of,
    step_name,
    trace,
)
from mmdet_ext.datasets.transforms import PackParkingSlotInputs, ParkingSlotAffine


class Draws(BaseTransform):
    """Adds a random number to ``x``."""

    @cache_randomness
    def _get_random_number(self):
        return np.random.randint(100)  # noqa: NPY002

    def transform(self, results):
        return results | dict(x=results.get('x', 0) + self._get_random_number())


class Drops(BaseTransform):
    def transform(self, results):
        return None


class Fails(BaseTransform):
    def transform(self, results):
        raise IndexError('no third point')


class Numbers(BaseDataset):
    """Images 0 and 1, with what was made of them."""

    METAINFO = dict(classes=('a',))

    def load_data_list(self):
        return [dict(index=i) for i in range(2)]

    def get_cat_ids(self, idx):
        return [0]


def picture():
    return dict(img=np.zeros((40, 60, 3), np.uint8), img_shape=(40, 60), ori_shape=(40, 60))


def numbers(*steps):
    dataset = Numbers(pipeline=[])
    dataset.pipeline.transforms = list(steps)
    return dataset


def test_there_is_one_stage_per_transform_and_the_last_is_what_the_pipeline_gives():
    steps = [Draws(), Draws(), Draws()]
    set_random_seed(1)
    stages = list(trace(steps, {}))
    set_random_seed(1)
    assert len(stages) == 3
    assert stages[-1].results == Compose(steps)({})
    drawn = [int(stage.drawn[0].removeprefix('number: ')) for stage in stages]
    assert sum(drawn) == stages[-1].results['x']
    assert {stage.name for stage in stages} == {'Draws'}


def test_looking_leaves_the_transforms_as_they_were():
    inner = Draws()
    step = RandomApply([inner], prob=1.0)
    before = vars(inner).copy(), vars(step).copy()
    list(trace([step, Fails()], {}))
    assert (vars(inner), vars(step)) == before


@pytest.mark.parametrize('last', [Drops(), Fails()])
def test_a_dropped_picture_or_an_error_ends_the_trace_and_is_told(last):
    stages = list(trace([Draws(), last, Draws()], {}))
    assert [stage.results is None for stage in stages] == [False, True]
    if isinstance(last, Fails):
        assert str(stages[-1].error) == 'no third point'
    else:
        assert stages[-1].error is None


def test_a_choice_tells_which_and_what_that_drew():
    choice = RandomChoice([[Draws()], [Draws(), Draws()]], prob=[0.0, 1.0])
    [stage] = trace([choice], {})
    assert stage.drawn[0] == 'pipeline index: 1'
    assert [stage.drawn[1], stage.drawn[3]] == ['Draws', 'Draws']
    assert sum(int(line.split()[-1]) for line in stage.drawn[2::2]) == stage.results['x']


@pytest.mark.parametrize('applied', [True, False])
def test_a_random_application_tells_whether(applied):
    [stage] = trace([RandomApply([Draws()], prob=float(applied))], {})
    assert stage.drawn[0] == f'apply: {applied}'
    assert ('Draws' in stage.drawn) is applied


def test_branches_give_their_pictures_under_their_names():
    branch = MultiBranch(['sup', 'teacher'], teacher=[PackDetInputs(meta_keys=())])
    [stage] = trace([branch], picture())
    assert stage.results['inputs']['teacher'].shape == (3, 40, 60)
    assert stage.results['inputs']['sup'] is None


def test_geometric_transforms_tell_the_map_instead_of_raw_draws():
    affine = ParkingSlotAffine((30, 20), rotation=(25, 25), flip_prob=1)
    flip, resize = RandomFlip(prob=1.0), Resize((120, 80))
    stages = list(trace([resize, flip, affine, PackParkingSlotInputs()], picture()))
    assert [stage.drawn for stage in stages] == [
        ('x 2',),
        ('mirrored',),
        ('mirrored, turned 25°, x 0.25',),
        (),
    ]
    assert describe_whole_map(stages[-1].results) == 'turned 25°, x 0.5'


def test_a_step_that_draws_no_map_tells_its_values():
    [stage] = trace([RandomFlip(prob=0.0)], picture())
    assert stage.drawn == ('choose direction: None',)


@pytest.mark.parametrize(
    ('linear', 'offset', 'words'),
    [
        ([[1, 0], [0, 1]], (0, 0), ''),
        ([[1, 0], [0, 1]], (-12, 7), 'shifted -12 7 px'),
        ([[0, -1], [1, 0]], (0, 0), 'turned 90°'),
        ([[-1, 0], [0, 1]], (0, 0), 'mirrored'),
        ([[-1, 0], [0, -1]], (0, 0), 'turned 180°'),
        ([[2, 0], [0, 0.5]], (0, 0), 'x 2 across, 0.5 down'),
        ([[1, 0.5], [0, 1]], (0, 0), 'x 1 across, 1.12 down, sheared'),
    ],
)
def test_maps_are_described(linear, offset, words):
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = offset
    assert describe_map(matrix, (1, 1), (1, 1)) == words


def test_a_turn_about_the_middle_is_no_shift():
    matrix = np.array([[0.0, -1, 39], [1, 0, 0], [0, 0, 1]])  # 60 x 40 to 40 x 60
    assert describe_map(matrix, (60, 40), (40, 60)) == 'turned 90°'
    matrix[:2, 2] += (5, -8)
    assert describe_map(matrix, (60, 40), (40, 60)) == 'turned 90°, shifted 5 -8 px'


def test_transforms_within_transforms_are_found_once():
    shared = Draws()
    choice = RandomChoice([[shared], [RandomApply([shared])]])
    assert [type(each) for each in nested_transforms(choice)].count(Draws) == 1
    assert any(isinstance(each, RandomApply) for each in nested_transforms([choice]))


def test_the_pipeline_is_found_behind_wrappers():
    first, second = Draws(), Draws()
    both = ConcatDataset([numbers(first), numbers(second)])
    assert [pipeline_of(both, i) for i in range(4)] == [[first]] * 2 + [[second]] * 2
    assert pipeline_of(RepeatDataset(numbers(first), 3), 5) == [first]
    assert pipeline_of(ClassBalancedDataset(numbers(second), 0.1), 1) == [second]
    with pytest.raises(ValueError, match='dict has no `pipeline`'):
        pipeline_of({}, 0)


def test_mixing_datasets_draw_their_other_images():
    loaded = picture() | dict(
        gt_bboxes=HorizontalBoxes(torch.tensor([[10.0, 10, 40, 30]])),
        gt_bboxes_labels=np.zeros(1, np.int64),
        gt_ignore_flags=np.zeros(1, bool),
    )
    load = type('Load', (BaseTransform,), dict(transform=lambda _, results: results | loaded))()
    mosaic = dict(type='Mosaic', img_scale=(40, 30))
    mixed = MultiImageMixDataset(numbers(load), [mosaic])
    steps = pipeline_of(mixed, 1)
    assert [step_name(step) for step in steps] == ['Load', 'Mosaic']
    assert isinstance(steps[1].transform, Mosaic)
    stages = list(trace(steps, mixed.get_data_info(1)))
    assert stages[1].results['img'].shape == (60, 80, 3)
    assert 'mix_results' not in stages[1].results
    assert stages[1].drawn[0].startswith('indexes: ')
