"""A config against its data: classes, heads, wrappers, what is left after filtering."""

import pytest
from mmdet.datasets import CocoDataset
from mmengine.config import Config

from mmdet_ext.datasets.checks.config import (
    check_config,
    check_use,
    dataset_uses,
    usable_annotations,
)

STOCK = dict(data_prefix=dict(img=''), pipeline=[])


def config(**changes):
    """Train and validate on plain files."""
    values = dict(
        type='CocoDataset',
        data_root='data/',
        ann_file='train.json',
        metainfo=dict(classes=('cat', 'dog')),
    )
    values |= changes
    return Config(dict(train_dataloader=dict(dataset=values)))


def use_of(**changes):
    (use,), _ = dataset_uses(config(**changes), ['train'])
    return use


def findings_of(cfg):
    return list(check_config(cfg, dataset_uses(cfg, ('train', 'val'))[0]))


def test_paths_are_joined_as_mmengine_joins_them(tmp_path):
    use = use_of(data_prefix=dict(img='images/'))
    assert (str(use.path), str(use.folder)) == ('data/train.json', 'data/images')
    assert str(use_of(ann_file=str(tmp_path / 'a.json')).path) == str(tmp_path / 'a.json')
    assert str(use_of(data_root=None, ann_file='b.json').path) == 'b.json'


def test_datasets_are_found_inside_wrappers():
    inner = config().train_dataloader.dataset
    both = dict(type='ConcatDataset', datasets=[inner, dict(inner, ann_file='more.json')])
    cfg = Config(
        dict(train_dataloader=dict(dataset=dict(type='RepeatDataset', times=2, dataset=both)))
    )
    uses, skipped = dataset_uses(cfg, ('train', 'val'))
    assert [use.path.name for use in uses] == ['train.json', 'more.json']
    assert uses[1].key == 'train_dataloader.dataset.dataset.datasets.1'
    assert skipped == []


@pytest.mark.parametrize(
    ('dataset', 'reason'),
    [
        (dict(type='SurroundViewSceneDataset'), 'reads no COCO file'),
        (dict(type='VOCDataset', ann_file='a.txt'), 'reads no COCO file'),
        (dict(type='CocoPanopticDataset', ann_file='a.json'), 'reads no COCO file'),
        (dict(type='NoSuchDataset', ann_file='a.json'), 'NoSuchDataset reads no COCO file'),
        (dict(type='CocoDataset'), 'no `ann_file`'),
        (dict(type='CocoDataset', ann_file='s3://bucket/a.json'), 'not on this machine'),
    ],
)
def test_other_datasets_are_skipped_with_a_line(dataset, reason):
    uses, (line,) = dataset_uses(dict(train_dataloader=dict(dataset=dataset)), ['train'])
    assert uses == []
    assert reason in line
    assert line.startswith('train_dataloader.dataset is not checked')


def test_a_config_that_fits_has_no_findings():
    cfg = config()
    cfg.model = dict(bbox_head=dict(num_classes=2), rpn_head=dict(num_classes=1))
    assert findings_of(cfg) == []


def test_classes_without_a_comma_are_an_error_that_shows_the_comma():
    (finding,) = findings_of(config(metainfo=dict(classes=('cat'))))
    assert finding.severity == 'error'
    assert finding.remedy == "add the comma: `classes=('cat',)`"


def test_classes_may_be_a_file_as_in_mmengine(tmp_path):
    (tmp_path / 'classes.txt').write_text('cat\ndog\n')
    use = use_of(metainfo=dict(classes=str(tmp_path / 'classes.txt')))
    assert use.classes == ('cat', 'dog')


def test_classes_default_to_those_of_the_dataset():
    assert len(use_of(metainfo=None).classes) == 80
    assert use_of(type='ParkingSlotDataset', metainfo={}).classes[0] == 'perpendicular'


def test_classes_in_capital_letters_are_an_error():
    problems = [f.problem for f in findings_of(config(metainfo=dict(CLASSES=('cat',))))]
    assert any('`CLASSES`' in problem for problem in problems)


def test_num_classes_of_every_head_is_compared_with_the_classes():
    cfg = config()
    cfg.model = dict(
        backbone=dict(num_classes=1000),
        rpn_head=dict(num_classes=1),
        roi_head=dict(bbox_head=[dict(num_classes=2), dict(num_classes=80)]),
    )
    (finding,) = findings_of(cfg)
    assert finding.source == 'model.roi_head.bbox_head.1.num_classes'
    assert finding.problem == 'it is 80, but train_dataloader.dataset has 2 classes (cat, dog)'
    assert 'set it to 2' in finding.remedy


def test_num_classes_of_a_text_prompted_detector_is_left_alone():
    cfg = config()
    cfg.model = dict(language_model=dict(), bbox_head=dict(num_classes=256))
    assert findings_of(cfg) == []


def test_different_classes_for_validation_are_an_error():
    cfg = config()
    dataset = dict(cfg.train_dataloader.dataset, ann_file='val.json')
    cfg.val_dataloader = dict(dataset=dict(dataset, metainfo=dict(classes=('dog', 'cat'))))
    (finding,) = findings_of(cfg)
    assert finding.source == 'val_dataloader.dataset'
    assert '(dog, cat) are not those of train_dataloader.dataset, (cat, dog)' in finding.problem


def test_an_evaluator_with_another_file_and_validation_on_training_data_are_warnings():
    cfg = config()
    cfg.val_dataloader = cfg.train_dataloader
    cfg.val_evaluator = dict(type='CocoMetric', ann_file='data/old.json')
    evaluator, same = findings_of(cfg)
    assert (evaluator.severity, same.severity) == ('warning', 'warning')
    assert 'data/old.json is not that of val_dataloader' in evaluator.problem
    assert 'which train_dataloader.dataset trains on' in same.problem


def test_a_file_that_fits_has_no_findings(plain, read):
    assert list(check_use(use_of(), read(plain))) == []


@pytest.mark.parametrize(
    ('classes', 'severity', 'problem'),
    [
        (('cat', 'dgo'), 'warning', "no category 'dgo' (did you mean dog?)"),
        (('cow', 'cat', 'dog'), 'error', 'later classes get the wrong names'),
        (('dog', 'cat'), 'error', 'in the order (cat, dog), the classes of'),
        (('person', 'car'), 'error', 'none of its categories (cat, dog) is a class'),
        (('dog',), 'warning', 'no class of train_dataloader.dataset: (cat)'),
    ],
)
def test_names_and_order_of_the_categories_are_compared(plain, read, classes, severity, problem):
    findings = list(check_use(use_of(metainfo=dict(classes=classes)), read(plain)))
    (finding,) = (f for f in findings if problem in f.problem)
    assert finding.severity == severity


def test_a_shifted_class_really_gets_the_wrong_name_in_mmdet(plain, write):
    """The reason why an absent category before a present one is an error."""
    path = write(plain)
    classes = ('cow', 'cat', 'dog')
    dataset = CocoDataset(ann_file=str(path), metainfo=dict(classes=classes), **STOCK)
    first = dataset.get_data_info(0)['instances'][0]  # a cat
    assert classes[first['bbox_label']] == 'cow'


def test_parking_slots_want_the_very_same_categories(parking, read):
    use = use_of(type='ParkingSlotDataset', metainfo={})
    assert [f.severity for f in check_use(use, read(parking))] == [
        'warning'
    ]  # types without a slot
    parking['categories'].reverse()
    (finding,) = check_use(use, read(parking))
    assert finding.severity == 'error'
    assert '(slanted, parallel, perpendicular)' in finding.problem


def test_usable_annotations_are_those_that_coco_dataset_trains_on(plain, write, read):
    plain['categories'].append({'id': 1, 'name': 'cow'})
    more = (
        dict(bbox=[90, 70, 50, 50], area=9),
        dict(bbox=[100, 0, 5, 5], area=9),
        dict(bbox=[5, 5, 0.5, 9], area=9),
        dict(bbox=[5, 6, 9, 9], area=9, category_id=1),
        dict(bbox=[5, 7, 9, 9], area=9, iscrowd=1),
        dict(bbox=[5, 8, 9, 9], area=9, ignore=1),
        dict(bbox=[-9, 0, 9, 9], area=9),
        dict(bbox=[5, 8, 9, 9], area=0),
    )
    common = dict(image_id=1, category_id=9)
    plain['annotations'] += [{'id': 10 + i, **common, **entry} for i, entry in enumerate(more)]
    dataset = CocoDataset(
        ann_file=str(write(plain)), metainfo=dict(classes=('cat', 'dog')), **STOCK
    )
    trained = [
        tuple(instance['bbox'])
        for i in range(len(dataset))
        for instance in dataset.get_data_info(i)['instances']
        if not instance['ignore_flag']
    ]
    file = read(plain)
    usable = file.boxes[usable_annotations(use_of(), file)]
    usable[:, 2:] += usable[:, :2]
    assert sorted(map(tuple, usable.tolist())) == sorted(trained)
    assert len(trained) == 5


def test_nothing_left_after_filtering_is_an_error(plain, read):
    filtering = use_of(filter_cfg=dict(filter_empty_gt=True, min_size=32))
    assert list(check_use(filtering, read(plain))) == []
    plain['images'][0]['height'] = 20
    (note,) = check_use(filtering, read(plain))
    assert (note.severity, note.count, note.total) == ('note', 1, 2)
    plain['annotations'] = []
    (finding,) = check_use(filtering, read(plain))
    assert (finding.severity, finding.count) == ('error', 2)
    assert 'min_size' in finding.problem
    assert list(check_use(use_of(filter_cfg=dict(min_size=32), test_mode=True), read(plain))) != []


def test_training_on_no_label_at_all_is_an_error_but_not_as_a_part(plain, read):
    plain['annotations'] = []
    (finding,) = check_use(use_of(), read(plain))
    assert finding.severity == 'error'
    inner = config().train_dataloader.dataset
    cfg = dict(train_dataloader=dict(dataset=dict(type='ConcatDataset', datasets=[inner])))
    (use,), _ = dataset_uses(cfg, ['train'])
    (finding,) = check_use(use, read(plain))
    assert finding.severity == 'warning'


def test_points_alone_are_labels_of_parking_slots(parking, read):
    parking['annotations'] = []
    use = use_of(type='ParkingSlotDataset', metainfo={}, filter_cfg=dict(filter_empty_gt=True))
    assert list(check_use(use, read(parking))) == []


def test_classes_without_an_object_are_a_warning(plain, read):
    plain['annotations'] = [a for a in plain['annotations'] if a['category_id'] == 7]
    (finding,) = check_use(use_of(), read(plain))
    assert finding.severity == 'warning'
    assert 'no object at all in train_dataloader.dataset: (dog)' in finding.problem
