"""The report: figures on files written here, what is in the folder, what is said about bad input."""

import csv
import json
import pickle
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmdet_ext.apis.report import make_report, making
from mmdet_ext.datasets.formats.parking_slot_coco import ParkingImage, write_parking_slot_coco

PLOTS = {'precision_recall', 'thresholds', 'roc', 'confusion', 'errors', 'localisation'}
PLOTS |= {'calibration', 'breakdown'}


def annotation(key, image, category, box, **more):
    return dict(id=key, image_id=image, category_id=category, bbox=box, area=box[2] * box[3]) | more


COCO = {
    'images': [
        dict(id=7, file_name='a.jpg', width=100, height=80, condition='day'),
        dict(id=8, file_name='b.jpg', width=100, height=80, condition='night'),
    ],
    'categories': [dict(id=3, name='car'), dict(id=5, name='van')],
    'annotations': [
        annotation(1, 7, 3, [10, 10, 20, 20], distance=4.0),
        annotation(2, 7, 5, [60, 10, 40, 40], distance=9.0),
        annotation(3, 8, 3, [0, 0, 10, 10], distance=20.0),
        annotation(4, 8, 3, [50, 0, 50, 50], iscrowd=1),
    ],
}
RIGHT, WRONG_CLASS, FALSE, IN_CROWD = (
    ([10, 10, 30, 30], 0.9, 0),
    ([60, 10, 100, 50], 0.8, 0),
    ([0, 60, 10, 70], 0.3, 1),
    ([55, 5, 95, 45], 0.7, 0),
)


def sample(image, *rows):
    boxes, scores, labels = zip(*rows, strict=True) if rows else ([], [], [])
    instances = dict(
        bboxes=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.array(scores, np.float32),
        labels=np.array(labels, np.int64),
    )
    return dict(img_id=image, pred_instances=instances)


@pytest.fixture
def plots():
    """Name this fixture to have the plots drawn, which takes seconds."""


@pytest.fixture(autouse=True)
def quickly(request, monkeypatch):
    if 'plots' not in request.fixturenames:
        monkeypatch.setattr(making, 'report_plots', lambda inputs, figures: {})


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path('ann.json').write_text(json.dumps(COCO))
    for name, grey in (('a', 90), ('b', 200)):
        cv2.imwrite(f'{name}.jpg', np.full((80, 100, 3), grey, np.uint8))
    return tmp_path


def written(results, **options):
    make_report(results, 'ann.json', 'out', **options)
    return json.loads(Path('out/results.json').read_text())


def test_figures_of_a_hand_made_case(folder):
    found = written([sample(7, RIGHT, WRONG_CLASS, FALSE), sample(8, IN_CROWD)])
    overall = found['overall']
    assert (overall['images'], overall['truths'], overall['predictions']) == (2, 3, 3)
    assert found['score_threshold'] == pytest.approx(0.9)  # 1 of 3 truths, no false alarm
    assert (overall['precision'], overall['recall']) == (1, pytest.approx(1 / 3))
    assert overall['f1'] == pytest.approx(1 / 2)
    assert overall['mean_iou'] == pytest.approx(1)
    car, van = found['classes']
    assert (car['name'], car['truths'], car['ap']) == ('car', 2, pytest.approx(51 / 101))
    assert (van['name'], van['truths'], van['ap']) == ('van', 1, 0)
    assert overall['ap'] == pytest.approx(51 / 202)
    assert found['confusion_matrix']['rows_are_truths'] == [[1, 0, 1], [0, 0, 1], [0, 0, 0]]
    assert found['errors']['counts']['missed'] == 2
    assert found['errors']['ap_gains']['background'] == 0


def test_a_given_threshold_is_kept(folder):
    found = written(
        [sample(7, RIGHT, WRONG_CLASS, FALSE), sample(8, IN_CROWD)], score_threshold=0.2
    )
    assert (found['overall']['precision'], found['overall']['threshold']) == (1 / 3, 0.2)
    assert found['confusion_matrix']['rows_are_truths'] == [[1, 0, 1], [1, 0, 0], [0, 1, 0]]
    assert found['errors']['counts'] == dict(
        classification=1, localisation=0, both=0, duplicate=0, background=1, missed=1
    )


def test_groups_are_sizes_conditions_and_distances(folder):
    groups = written([sample(7, RIGHT), sample(8)])['groups']
    assert {row['name']: row['truths'] for row in groups['size']} == dict(
        small=2, medium=1, large=0
    )
    assert {row['name']: row['recall'] for row in groups['condition']} == dict(day=0.5, night=0)
    distances = {row['name']: (row['truths'], row['recall']) for row in groups['distance']}
    assert sum(truths for truths, _ in distances.values()) == 3
    assert distances['4 to 6.5 m'] == (1, 1)


def test_the_order_of_results_and_of_predictions_never_matters(folder):
    samples = [sample(7, RIGHT, WRONG_CLASS, FALSE), sample(8, IN_CROWD)]
    first = written(samples)
    assert written([sample(8, IN_CROWD), sample(7, FALSE, WRONG_CLASS, RIGHT)]) == first


def test_the_folder_holds_plots_tables_and_one_page_that_needs_nothing_else(folder, plots):
    written([sample(7, RIGHT, WRONG_CLASS, FALSE), sample(8, IN_CROWD)])
    drawn = {path.stem for path in Path('out').glob('*.png')}
    assert drawn == PLOTS | {'classes'}
    assert all(cv2.imread(f'out/{name}.png').std() > 5 for name in drawn)
    rows = list(csv.DictReader(Path('out/results.csv').read_text().splitlines()))
    assert [row['name'] for row in rows][:3] == ['all', 'car', 'van']
    assert float(rows[1]['ap']) == pytest.approx(51 / 101)
    text = Path('out/report.html').read_text()
    sources = re.findall(r'src="([^"]*)"', text)
    assert len(sources) == len(drawn) + 2 + 1  # two images have errors, one has a match
    assert all(source.startswith('data:image/') for source in sources)
    assert 'href' not in text
    assert _unclosed(text) == []


def _unclosed(text):
    """Tags that are opened and not closed, or closed without being open."""
    found = []

    class Balance(HTMLParser):
        def handle_starttag(self, tag, attrs):
            if tag not in ('meta', 'img', 'br'):
                found.append(tag)

        def handle_endtag(self, tag):
            found.pop() if found[-1] == tag else found.append(f'/{tag}')

    Balance().feed(text.replace('<!doctype html>', ''))
    return found


def test_the_gallery_shows_worst_and_best_images_with_their_errors(folder):
    written([sample(7, RIGHT, WRONG_CLASS, FALSE), sample(8)], score_threshold=0.2)
    text = Path('out/report.html').read_text()
    worst, best = text.split('Worst images')[1].split('Best images')
    assert re.findall(r'<b>(.*?)</b>', worst) == ['a.jpg', 'b.jpg']
    assert '1 right, 2 false, 1 missed, mean IoU 1.00' in worst
    assert '0 right, 0 false, 1 missed' in worst
    assert re.findall(r'<b>(.*?)</b>', best) == ['a.jpg']


def test_names_from_the_files_cannot_break_the_page(folder):
    content = json.loads(Path('ann.json').read_text())
    content['categories'][0]['name'] = '<script>alert(1)</script>'
    Path('ann.json').write_text(json.dumps(content))
    written([sample(7, RIGHT)])
    assert '<script' not in Path('out/report.html').read_text()


def test_images_that_cannot_be_read_are_counted_and_the_remedy_named(folder):
    make_report([sample(7, FALSE), sample(8)], 'ann.json', 'out', images='elsewhere')
    assert (
        '2 images to be shown could not be read; give their folder'
        in Path('out/report.html').read_text()
    )


def test_no_predictions_at_all_give_a_report(folder, plots):
    found = written([sample(7), sample(8)])
    assert found['overall']['ap'] == 0
    assert found['overall']['recall'] == 0
    assert found['overall']['precision'] is None
    assert found['score_threshold'] is None
    assert found['errors']['counts']['missed'] == 3


def test_no_truths_at_all_give_a_report(folder, plots):
    Path('ann.json').write_text(json.dumps(COCO | {'annotations': []}))
    found = written([sample(7, RIGHT), sample(8)])
    assert found['overall']['ap'] is None
    assert found['overall']['precision'] == 0
    assert found['overall']['recall'] is None


def test_predictions_with_a_score_of_nan_are_left_out_and_counted(folder):
    bad = ([10, 10, 30, 30], np.nan, 0)
    found = written([sample(7, RIGHT, bad)])
    assert found['overall']['predictions'] == 1
    assert '1 predictions have a score that is not a finite number' in found['notes'][0]
    assert '1 of the 2 images' in found['notes'][1]


def test_scores_that_are_no_probabilities_have_no_calibration(folder, plots):
    found = written([sample(7, ([10, 10, 30, 30], 5.0, 0))])
    assert found['overall']['calibration_error'] is None
    assert not Path('out/calibration.png').exists()


def test_a_model_of_fewer_classes_than_the_file(folder):
    found = written([sample(7, ([60, 10, 100, 50], 0.9, 0))], classes=['van'])
    assert [(row['name'], row['ap']) for row in found['classes']] == [('van', 1)]


def test_a_file_of_one_class_needs_no_comparison_of_classes(folder, plots):
    content = COCO | {'categories': COCO['categories'][:1]}
    content['annotations'] = [a for a in COCO['annotations'] if a['category_id'] == 3]
    Path('ann.json').write_text(json.dumps(content))
    written([sample(7, RIGHT)])
    assert {path.stem for path in Path('out').glob('*.png')} == PLOTS


@pytest.mark.parametrize(
    ('results', 'options', 'sentence'),
    [
        ([], {}, r'the results: no predictions; expected one result per image'),
        ([sample(9)], {}, r'result 0 is of image 9, which ann.json does not have'),
        ([{'img_id': 7}], {}, r'result 0 has no `img_id` and `pred_instances`'),
        ([[1, 2]], {}, r'result 0 has no .* \(found list\)'),
        ([dict(img_id=7, pred_instances={'masks': []})], {}, r'image 7 have no `bboxes`'),
        (
            [sample(7, ([0, 0, 9, 9], 0.5, 2))],
            {},
            r'labels range from 2 to 2, but there are 2 classes',
        ),
        ([sample(7)], {'classes': ['bus']}, r"ann.json has no classes \['bus'\]"),
        ([sample(7)], {'iou_threshold': 0.1}, r'IoU threshold is 0.1; expected above 0.1'),
    ],
)
def test_what_does_not_fit_is_answered_with_a_sentence(folder, results, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        make_report(results, 'ann.json', 'out', **options)
    assert not Path('out').exists()


def test_boxes_that_are_not_upright_are_refused(folder):
    rotated = sample(7, RIGHT)
    rotated['pred_instances']['bboxes'] = np.zeros((1, 5))
    with pytest.raises(ValueError, match=r'image 7 have shape \(1, 5\); expected \(1, 4\)'):
        make_report([rotated], 'ann.json', 'out')


def test_a_file_that_is_no_pickle_of_results_is_refused(folder):
    Path('text.pkl').write_text('hello')
    Path('dict.pkl').write_bytes(pickle.dumps({}))
    with pytest.raises(ValueError, match=r'text\.pkl cannot be read as a pickle'):
        make_report('text.pkl', 'ann.json', 'out')
    with pytest.raises(ValueError, match=r'dict\.pkl holds a dict; expected a list'):
        make_report('dict.pkl', 'ann.json', 'out')
    with pytest.raises(FileNotFoundError, match=r'none\.pkl does not exist; write it with'):
        make_report('none.pkl', 'ann.json', 'out')


SQUARE = np.array([[10.0, 10], [10, 40], [60, 40], [60, 10]])


@pytest.fixture
def parking(tmp_path, monkeypatch):
    """Two images of 100 x 100 with a slot each, predicted 2 px off and not at all."""
    monkeypatch.chdir(tmp_path)
    record = dict(
        width=100, height=100, metres_per_pixel=0.1, points=SQUARE[:2], corners=SQUARE[None],
        directions=np.array([[1.0, 0], [1, 0]]), shapes=np.array([0, 0]),
        slot_types=np.array([0]), occupied=np.array([1]), slot_points=np.array([[0, 1]]),
    )  # fmt: skip
    labels = ['marking_points', 'directions', 'shapes', 'slots', 'occupancy']
    records = [ParkingImage(file_name=name, **record) for name in ('a.jpg', 'b.jpg')]
    write_parking_slot_coco('ann.json', records, labels)
    for name in ('a.jpg', 'b.jpg'):
        cv2.imwrite(name, np.full((100, 100, 3), 120, np.uint8))
    return [_parking_sample(0, 1), _parking_sample(1, 0)]


def _parking_sample(image, count):
    return dict(
        img_id=image,
        ori_shape=(100, 100),
        pred_instances=dict(
            corners=(SQUARE + np.array([0, 2]))[None][:count],
            bboxes=np.array([[10.0, 12, 60, 42]])[:count],
            scores=np.array([0.9])[:count],
            labels=np.array([0])[:count],
            occupied_scores=np.array([0.8])[:count],
        ),
        pred_marking_points=dict(
            points=SQUARE[:count] + np.array([0.5, 0]), scores=np.array([0.7])[:count],
            directions=np.array([[1.0, 0]])[:count], shapes=np.array([0])[:count],
        ),
    )  # fmt: skip


def test_parking_slots_are_judged_by_quadrilaterals_and_by_distance(parking, plots):
    # 2 px of 100 are 12 px of 600: too far for the entrance, while the quadrilaterals overlap well.
    found = written(parking)
    assert found['overall']['mean_iou'] == pytest.approx(28 / 32)
    assert found['overall']['recall'] == 1 / 2
    assert found['parking_slot_metric']['slot/recall'] == 0
    assert found['parking_slot_metric']['point/recall'] == 1 / 4
    assert found['parking_slot_metric']['point/error_px'] == pytest.approx(3)
    assert {row['truths'] for row in found['groups']['distance']} == {2}
    text = Path('out/report.html').read_text()
    assert 'quadrilaterals overlap' in text
    assert 'Marking points within 10 px of a 600-pixel-high image, at score ≥ 0.700' in text
    assert text.count('data:image/jpeg') == 2  # one is the worst, the other the best


def test_boxes_on_parking_slot_data_without_corners_are_judged_as_boxes(parking):
    for each in parking:
        each['pred_instances'].pop('corners')
    found = written(parking)
    assert found['parking_slot_metric'] == {}
    assert found['overall']['recall'] == 1 / 2
