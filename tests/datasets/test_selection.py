"""Which images: by index, name, condition or class, or drawn at random."""

import pytest

from mmdet_ext.datasets.selection import conditions_of, select_images


class Stub:
    """Twelve images: every second one in a garage, every third with a van, the last wet."""

    metainfo = dict(classes=('car', 'van'))

    def __len__(self):
        return 12

    def get_data_info(self, i):
        return dict(
            img_path=f'/data/{"garage" if i % 2 else "street"}/{i:02d}.jpg',
            parking=dict(
                condition='garage' if i % 2 else 'street', tags=dict(wet='wet') if i == 11 else {}
            ),
            instances=[dict(bbox_label=int(i % 3 == 0))],
        )


class Endless(Stub):
    def get_data_info(self, i):
        return super().get_data_info(i) | dict(img=None)


def test_all_images_are_taken_without_a_condition():
    assert select_images(Stub()) == (list(range(12)), 12)


@pytest.mark.parametrize(
    ('wanted', 'expected'),
    [
        (dict(conditions=['garage']), [1, 3, 5, 7, 9, 11]),
        (dict(conditions=['wet']), [11]),
        (dict(classes=['van']), [0, 3, 6, 9]),
        (dict(classes=['car', 'van']), list(range(12))),
        (dict(name='garage/0*.jpg'), [1, 3, 5, 7, 9]),
        (dict(conditions=['garage'], classes=['van']), [3, 9]),
        (dict(index=[7, 2]), [7, 2]),
    ],
)
def test_conditions_narrow_the_choice_together(wanted, expected):
    assert select_images(Stub(), **wanted) == (expected, len(expected))


def test_a_number_is_drawn_from_what_matches_the_same_for_the_same_seed():
    drawn, matching = select_images(Stub(), conditions=['garage'], number=3, seed=4)
    assert matching == 6
    assert len(set(drawn)) == 3
    assert drawn == sorted(drawn)
    assert all(i % 2 for i in drawn)
    assert select_images(Stub(), conditions=['garage'], number=3, seed=4)[0] == drawn
    others = {tuple(select_images(Stub(), number=3, seed=seed)[0]) for seed in range(9)}
    assert len(others) > 1


def test_a_number_beyond_what_matches_takes_all():
    assert select_images(Stub(), classes=['van'], number=99) == ([0, 3, 6, 9], 4)


@pytest.mark.parametrize(
    ('wanted', 'message'),
    [
        (dict(index=[3, 12]), 'no image with index 12: the dataset has 12, choose from 0 to 11'),
        (dict(index=[-1]), 'no image with index -1'),
        (dict(index=[1], name='*'), 'at once'),
        (dict(classes=['bus']), r"no class 'bus'; choose from \('car', 'van'\)"),
        (
            dict(conditions=['roof'], classes=['van']),
            r'none of the 12 images matches roof and van; .* street \(6\), garage \(6\), wet \(1\)',
        ),
    ],
)
def test_what_cannot_be_met_is_told_with_what_there_is(wanted, message):
    with pytest.raises(ValueError, match=message):
        select_images(Stub(), **wanted)


def test_images_made_on_demand_cannot_be_looked_for():
    with pytest.raises(ValueError, match='Endless makes other images each time'):
        select_images(Endless(), conditions=['wet'])
    assert select_images(Endless(), number=2)[1] == 12


def test_each_condition_is_named_once_and_stock_images_have_none():
    twice = dict(parking=dict(condition='night', tags=dict(light='night', ground='wet')))
    assert conditions_of(twice) == ['night', 'wet']
    assert conditions_of(dict(img_path='x.jpg')) == []
