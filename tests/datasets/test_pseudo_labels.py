"""Pseudo-labels: what predictions become labels, and which images must not."""

import importlib.util
import json
import pickle
from pathlib import Path

import pytest
import torch
from mmdet.datasets import CocoDataset
from mmdet.evaluation import DumpDetResults
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mmdet_ext.datasets.formats.detection_coco import DetectionImage, write_detection_coco
from mmdet_ext.datasets.pseudo_labels import export_pseudo_labels

CLASSES = ['bus', 'car', 'dog']
ROWS = [  # image, box, score, label
    (0, [10, 20, 40, 60], 0.9, 1),
    (0, [0, 0, 20, 20], 0.7, 1),
    (0, [50, 50, 90, 70], 0.6, 0),
    (1, [5, 5, 25, 25], 0.3, 2),
]


@pytest.fixture
def images(tmp_path):
    """Writes a COCO file of two images; returns its path."""

    def write(name='unlabelled.json', boxes=(), folder='in', classes=CLASSES):
        records = [
            DetectionImage(f'{folder}/{i}.jpg', 100, 80, boxes, ['car'] * len(boxes), group=f'g{i}')
            for i in range(2)
        ]
        write_detection_coco(tmp_path / name, records, '', classes)
        return tmp_path / name

    return write


@pytest.fixture
def predictions(tmp_path):
    """Writes predictions as tools/test.py --out does; returns the path."""

    def write(rows=ROWS, image_ids=(0, 1), size=(80, 100)):
        samples = []
        for image_id in image_ids:
            mine = [row for row in rows if row[0] == image_id]
            sample = DetDataSample(
                metainfo=dict(img_id=image_id, img_path=f'x/in/{image_id}.jpg', ori_shape=size)
            )
            sample.pred_instances = InstanceData(
                bboxes=torch.tensor([row[1] for row in mine], dtype=torch.float32).reshape(-1, 4),
                scores=torch.tensor([row[2] for row in mine]),
                labels=torch.tensor([row[3] for row in mine], dtype=torch.int64),
            )
            samples.append(sample.to_dict())
        metric = DumpDetResults(out_file_path=str(tmp_path / 'predictions.pkl'))
        metric.process({}, samples)
        metric.compute_metrics(metric.results)
        return tmp_path / 'predictions.pkl'

    return write


def cells(table):
    return [list(row) for row in zip(*(column.cells for column in table.columns), strict=True)]


def test_boxes_at_or_above_the_score_become_labels(images, predictions, tmp_path):
    rows = [*ROWS, (1, [0, 0, 9, 9], 0.5, 0)]  # 0.5 is exact in float32
    table = export_pseudo_labels(predictions(rows), images(), tmp_path / 'out.json', 0.5)
    content = json.loads((tmp_path / 'out.json').read_text())
    found = [(a['id'], a['image_id'], a['category_id'], a['bbox']) for a in content['annotations']]
    assert found == [
        (1, 0, 2, [10, 20, 30, 40]),
        (2, 0, 2, [0, 0, 20, 20]),
        (3, 0, 1, [50, 50, 40, 20]),
        (4, 1, 1, [0, 0, 9, 9]),
    ]
    assert cells(table) == [
        ['bus', '0.5', '2', '0'],
        ['car', '0.5', '2', '0'],
        ['dog', '0.5', '0', '1'],
        ['all', '', '4', '1'],
    ]


def test_classes_may_have_scores_of_their_own(images, predictions, tmp_path):
    scores = {'car': 0.8, 'dog': 0.2}
    table = export_pseudo_labels(
        predictions(), images(), tmp_path / 'out.json', 0.65, class_scores=scores
    )
    assert cells(table) == [
        ['bus', '0.65', '0', '1'],
        ['car', '0.8', '1', '1'],
        ['dog', '0.2', '1', '0'],
        ['all', '', '2', '2'],
    ]


def test_images_and_categories_are_those_of_the_file_predicted_on(images, predictions, tmp_path):
    source = images()
    table = export_pseudo_labels(predictions(), source, tmp_path / 'out.json', 0.5)
    before, after = (json.loads(p.read_text()) for p in (source, tmp_path / 'out.json'))
    assert after['images'] == before['images']
    assert after['categories'] == before['categories']
    assert '1 image without pseudo-label (kept), first in/1.jpg' in table.caption


def test_stock_coco_dataset_trains_on_it(images, predictions, tmp_path):
    export_pseudo_labels(predictions(), images(), tmp_path / 'out.json', 0.5)
    dataset = CocoDataset(
        data_root=str(tmp_path),
        ann_file='out.json',
        data_prefix=dict(img=''),
        metainfo=dict(classes=CLASSES),
        filter_cfg=dict(filter_empty_gt=True),
        pipeline=[],
    )
    (info,) = [dataset.get_data_info(i) for i in range(len(dataset))]
    assert [x['bbox_label'] for x in info['instances']] == [1, 1, 0]
    assert info['instances'][0]['bbox'] == [10, 20, 40, 60]


def test_a_model_of_some_classes_is_numbered_as_coco_dataset_does(images, predictions, tmp_path):
    rows = [(0, [10, 20, 40, 60], 0.9, 1)]
    classes = ['dog', 'bus']  # CocoDataset takes the order of the file: 0 is bus, 1 is dog
    export_pseudo_labels(predictions(rows), images(), tmp_path / 'out.json', 0.5, classes=classes)
    content = json.loads((tmp_path / 'out.json').read_text())
    assert [a['category_id'] for a in content['annotations']] == [3]
    assert [c['name'] for c in content['categories']] == CLASSES


def test_boxes_over_the_border_and_without_size_are_counted(images, predictions, tmp_path):
    rows = [(0, [-5, 0, 20, 20], 0.9, 0), (0, [3, 3, 3, 3], 0.9, 0), (0, [1, 1, 9, 9], 0.9, 0)]
    table = export_pseudo_labels(predictions(rows), images(), tmp_path / 'out.json', 0.5)
    assert cells(table)[0] == ['bus', '0.5', '2', '0']
    assert '1 box clipped to the image' in table.caption
    assert '1 box less than 1 pixel wide or high left out' in table.caption


def test_the_size_that_was_predicted_on_counts(images, predictions, tmp_path):
    table = export_pseudo_labels(predictions(size=(160, 200)), images(), tmp_path / 'o.json', 0.5)
    content = json.loads((tmp_path / 'o.json').read_text())
    assert {(i['width'], i['height']) for i in content['images']} == {(200, 160)}
    assert '2 image of another size than in the COCO file' in table.caption


def test_images_without_prediction_are_left_out_and_said(images, predictions, tmp_path):
    table = export_pseudo_labels(predictions(image_ids=[0]), images(), tmp_path / 'out.json', 0.5)
    assert len(json.loads((tmp_path / 'out.json').read_text())['images']) == 1
    assert 'more images than predictions (those left out), first 2 instead of 1' in table.caption


def test_a_labelled_set_is_refused_unless_allowed(images, predictions, tmp_path):
    labelled, out = images('val.json', boxes=[[0, 0, 9, 9]]), tmp_path / 'out.json'
    with pytest.raises(ValueError, match=r'val.json has 2 labels of its own.*predict on other'):
        export_pseudo_labels(predictions(), labelled, out, 0.5)
    assert not out.exists()
    export_pseudo_labels(predictions(), labelled, out, 0.5, evaluation_set_allowed=True)
    assert len(json.loads(out.read_text())['annotations']) == 3


@pytest.mark.parametrize('how', ['coco', 'config', 'config with wrappers'])
def test_images_that_are_evaluated_on_are_refused(images, predictions, tmp_path, how):
    unlabelled, val = images(), images('val.json', boxes=[[0, 0, 9, 9]])
    dataset = f"dict(type='CocoDataset', data_root='{tmp_path}', ann_file='val.json')"
    if how == 'config with wrappers':
        dataset = f"dict(type='ConcatDataset', datasets=[{dataset}])"
    config = tmp_path / 'config.py'
    config.write_text(f'val_dataloader = dict(dataset={dataset})\n')
    evaluated_on = [val if how == 'coco' else config]
    arguments = (predictions(), unlabelled, tmp_path / 'out.json', 0.5)
    with pytest.raises(
        ValueError, match=r'2 of its 2 images, such as .*in/0.jpg, are in .*val.json'
    ):
        export_pseudo_labels(*arguments, evaluated_on=evaluated_on)
    export_pseudo_labels(*arguments, evaluated_on=evaluated_on, evaluation_set_allowed=True)


def test_other_images_of_the_same_names_are_not_refused(images, predictions, tmp_path):
    val = images('val.json', boxes=[[0, 0, 9, 9]], folder='elsewhere')
    arguments = (predictions(), images(), tmp_path / 'out.json', 0.5)
    export_pseudo_labels(*arguments, evaluated_on=[val])
    assert (tmp_path / 'out.json').exists()


def test_the_unlabelled_test_set_of_a_config_is_no_evaluation_set(images, predictions, tmp_path):
    config, unlabelled = tmp_path / 'config.py', images()
    config.write_text(
        f"test_dataloader = dict(dataset=dict(ann_file='{unlabelled}'))\n"
        "test_evaluator = [dict(type='CocoMetric', ann_file='gone.json')]\n"
    )
    arguments = (predictions(), unlabelled, tmp_path / 'out.json', 0.5)
    table = export_pseudo_labels(*arguments, evaluated_on=[config])
    assert 'evaluation file of a config not found (not checked), first gone.json' in table.caption


@pytest.mark.parametrize(
    ('change', 'sentence'),
    [
        (dict(score=1.5), r'least score \(score\) is 1.5; expected a number from 0 to 1'),
        (dict(class_scores={'cat': 0.5}), r"no class 'cat' \(did you mean car\?\)"),
        (dict(class_scores={'car': -1}), r'least score \(car\) is -1'),
        (dict(classes=['cat']), r"has no category 'cat' \(did you mean car\?\)"),
        (dict(classes=['bus']), r"in/0.jpg: predicted label 1, but there are 1 classes \['bus'\]"),
    ],
)
def test_a_wrong_score_or_class_is_one_clear_sentence(
    images, predictions, tmp_path, change, sentence
):
    arguments = dict(predictions=predictions(), images=images(), out=tmp_path / 'o.json', score=0.5)
    with pytest.raises(ValueError, match=sentence):
        export_pseudo_labels(**arguments | change)
    assert not (tmp_path / 'o.json').exists()


def test_predictions_for_other_images_are_refused(images, predictions, tmp_path):
    out = tmp_path / 'out.json'
    with pytest.raises(ValueError, match=r'no image under the id 7, the predictions have 7.jpg'):
        export_pseudo_labels(predictions(image_ids=[7]), images(), out, 0.5)
    content = json.loads(images().read_text())
    content['images'][0]['file_name'] = 'in/other.jpg'
    (tmp_path / 'other.json').write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r'has in/other.jpg under the id 0, .* have 0.jpg'):
        export_pseudo_labels(predictions(), tmp_path / 'other.json', out, 0.5)


def test_files_that_are_not_what_they_should_be_are_one_clear_sentence(
    images, predictions, tmp_path
):
    out, odd = tmp_path / 'out.json', tmp_path / 'odd.pkl'
    with pytest.raises(FileNotFoundError, match=r'odd.pkl not found; write it with tools/test.py'):
        export_pseudo_labels(odd, images(), out, 0.5)
    for content, sentence in (
        (pickle.dumps([3]), 'no list of `pred_instances`'),
        (pickle.dumps({'a': 1}), 'no list of `pred_instances`'),
        (b'', 'not a whole pickle file'),
        (b'no pickle', 'not a whole pickle file'),
    ):
        odd.write_bytes(content)
        with pytest.raises(ValueError, match=f'odd.pkl: {sentence}'):
            export_pseudo_labels(odd, images(), out, 0.5)
    with pytest.raises(FileNotFoundError, match=r'gone.json not found; expected a COCO file'):
        export_pseudo_labels(predictions(), tmp_path / 'gone.json', out, 0.5)
    (tmp_path / 'odd.json').write_text('[]')
    with pytest.raises(ValueError, match=r'odd.json: no list `images` found'):
        export_pseudo_labels(predictions(), tmp_path / 'odd.json', out, 0.5)


@pytest.fixture
def tool_main():
    path = Path(__file__).parents[2] / 'tools/dataset/pseudo_labels.py'
    spec = importlib.util.spec_from_file_location('tool_pseudo_labels', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


def test_the_tool_writes_the_file_and_prints_the_counts(
    images, predictions, tmp_path, tool_main, capsys
):
    files = [str(path) for path in (predictions(), images(), tmp_path / 'out.json')]
    tool_main([*files, '--score', '0.65', '--class-scores', 'car=0.8', 'dog=0.2'])
    assert len(json.loads((tmp_path / 'out.json').read_text())['annotations']) == 2
    assert 'below the score' in capsys.readouterr().out


def test_the_tool_ends_a_mistake_with_one_sentence(
    images, predictions, tmp_path, tool_main, capsys
):
    labelled = images('val.json', boxes=[[0, 0, 9, 9]])
    arguments = [str(predictions()), str(labelled), str(tmp_path / 'out.json'), '--score', '0.5']
    with pytest.raises(SystemExit) as stop:
        tool_main(arguments)
    assert stop.value.code == 1
    assert capsys.readouterr().err.startswith(f'error: {labelled} has 2 labels of its own')
    tool_main([*arguments, '--allow-evaluation-set'])
