"""Every defect of an annotation file is found, counted, placed and given a remedy."""

import time

import numpy as np
import pytest

from mmdet_ext.datasets.checks.annotation_file import read_annotation_file
from mmdet_ext.datasets.checks.annotations import check_annotations
from mmdet_ext.datasets.checks.boxes import repeated_rows
from mmdet_ext.datasets.checks.findings import MANY, Finding, by_severity, findings_at

NAN = float('nan')


def found(file):
    return [f for f in check_annotations(file) if f.severity != 'note']


def setting(lists, row, **values):
    """Return a function that changes one entry."""
    return lambda content: content[lists][row].update(values)


def without(lists, row, key):
    return lambda content: content[lists][row].pop(key)


def moving(row, corners):
    flat = [value for corner in corners for value in (*corner, 2)]
    return setting('annotations', row, keypoints=flat, marking_point_ids=[None, None])


def test_a_sound_plain_file_has_no_findings(plain, read):
    assert list(check_annotations(read(plain))) == []


def test_a_sound_parking_file_has_no_findings(parking, read):
    assert list(check_annotations(read(parking))) == []


PLAIN_DEFECTS = {
    'no `file_name`': (without('images', 1, 'file_name'), 'error', 'images[1]'),
    'no positive `width`': (setting('images', 0, width=0), 'error', 'images[0]'),
    'listed a second time': (setting('images', 1, file_name='a.png'), 'warning', 'images[1]'),
    '`images` have no `id`': (without('images', 1, 'id'), 'error', 'images[1]'),
    '`images` have the id of another': (setting('images', 1, id=1), 'error', 'images[1]'),
    '`annotations` have the id of another': (
        setting('annotations', 3, id=2),
        'error',
        'annotations[3] (id 2, b.png)',
    ),
    'have the id 0': (setting('annotations', 1, id=0), 'warning', 'annotations[1] (id 0, a.png)'),
    'no name of their own': (setting('categories', 1, name='cat'), 'error', 'categories[1]'),
    'image that `images` does not have': (
        setting('annotations', 2, image_id=5),
        'warning',
        'annotations[2] (id 3) with image_id 5',
    ),
    'category that `categories` does not have': (
        setting('annotations', 2, category_id='cat'),
        'warning',
        "with category_id 'cat', known are [7, 9]",
    ),
    'no `bbox` of four numbers': (
        setting('annotations', 2, bbox=[1, 2, '3', 4]),
        'error',
        "annotations[2] (id 3, b.png) with bbox [1, 2, '3', 4]",
    ),
    'boxes hold NaN': (setting('annotations', 2, bbox=[1, NAN, 3, 4]), 'error', 'annotations[2]'),
    'no number as `area`': (without('annotations', 2, 'area'), 'error', 'annotations[2]'),
    'less than one pixel': (
        setting('annotations', 2, bbox=[1, 2, 0.5, 4]),
        'error',
        'annotations[2] (id 3, b.png) with bbox [1, 2, 0.5, 4] in an image of 100 x 80',
    ),
    'wholly outside': (setting('annotations', 2, bbox=[100, 2, 9, 9]), 'error', 'annotations[2]'),
    'twice, with the same category': (
        setting('annotations', 3, bbox=[5, 5, 90, 70], category_id=7),
        'error',
        'annotations[3]',
    ),
}


@pytest.mark.parametrize('problem', PLAIN_DEFECTS)
def test_a_defect_of_a_plain_file_is_the_one_finding(problem, plain, read):
    damage, severity, example = PLAIN_DEFECTS[problem]
    damage(plain)
    finding = next(f for f in found(read(plain)) if problem in f.statement)
    assert (finding.severity, finding.count) == (severity, 1)
    assert example in finding.example
    assert finding.remedy
    others = [f for f in found(read(plain)) if f != finding]
    assert all('image that `images`' in other.statement for other in others)


def test_boxes_over_the_border_are_worth_a_note_alone(plain, read):
    plain['annotations'][0]['bbox'] = [-5, 0, 20, 20]
    (note,) = check_annotations(read(plain))
    assert (note.severity, note.count, note.total) == ('note', 1, 4)
    assert 'over the border' in note.problem


def test_boxes_given_by_two_corners_are_recognised(plain, read):
    for entry in plain['annotations']:
        x, y, width, height = entry['bbox']
        entry['bbox'] = [x, y, x + width, y + height]
    (finding,) = found(read(plain))
    assert 'seem to be [x1, y1, x2, y2]' in finding.problem
    assert (finding.severity, finding.count) == (
        'error',
        1,
    )  # [50, 40, 90, 70] alone: 50 + 90 > 100


def test_boxes_given_as_shares_of_the_image_are_recognised(plain, read):
    for entry in plain['annotations']:
        entry['bbox'] = [value / 100 for value in entry['bbox']]
    (finding,) = found(read(plain))
    assert 'shares of the image' in finding.problem


PARKING_DEFECTS = {
    'run clockwise': (
        moving(2, [[500, 300], [350, 300], [350, 50], [500, 50]]),
        'annotations[2] (id 3, a.png) with corners [[500.0, 300.0], [350.0',
    ),
    'sides that cross': (
        moving(2, [[350, 300], [500, 300], [350, 50], [500, 50]]),
        'annotations[2]',
    ),
    'dented': (moving(2, [[350, 300], [500, 300], [370, 280], [350, 50]]), 'annotations[2]'),
    'two corners in one place': (
        moving(2, [[350, 300], [500, 300], [500, 300], [350, 50]]),
        'annotations[2]',
    ),
    'wholly outside': (moving(1, [[700, 300], [850, 300], [850, 50], [700, 50]]), 'annotations[1]'),
    'implausible width': (
        moving(0, [[0, 590], [590, 590], [590, 350], [0, 350]]),
        'annotations[0] (id 1, a.png): 9.83 m, expected 1.5 to 5 m',
    ),
    'no four corners': (
        setting('annotations', 1, keypoints=[1, 2, 2]),
        'annotations[1] (id 2, a.png) with keypoints [1, 2, 2]',
    ),
    'slots hold NaN': (
        setting('annotations', 1, keypoints=[NAN] * 12, marking_point_ids=[None, None]),
        'annotations[1]',
    ),
    'slots are in the file twice': (
        moving(2, [[350, 50], [200, 50], [200, 300], [350, 300]]),
        'annotations[2]',
    ),
    'points are not two finite': (
        setting('marking_points', 3, point=[1, NAN]),
        'marking_points[3]',
    ),
    'points lie outside': (
        setting('marking_points', 3, point=[700, 300]),
        'marking_points[3] (id 4, a.png) with point [700, 300]',
    ),
    'points are in the file twice': (
        setting('marking_points', 3, point=[350, 300]),
        'marking_points[3]',
    ),
    'no unit vector': (setting('marking_points', 3, direction=[0, -2]), 'with [0, -2]'),
    'unknown shape': (setting('marking_points', 3, shape='Y'), "with shape 'Y'"),
    'marking_points are of an image': (
        setting('marking_points', 3, image_id=2),
        'marking_points[3] (id 4) with image_id 2',
    ),
    'not there or belongs to another image': (
        setting('annotations', 2, marking_point_ids=[3, 40]),
        'annotations[2] (id 3, a.png) with [3, 40]',
    ),
    'in the wrong order': (
        setting('annotations', 2, marking_point_ids=[4, 3]),
        'with [4, 3] at [[500.0, 300.0], [350.0, 300.0]]',
    ),
    'far from the marking point': (
        setting('annotations', 2, marking_point_ids=[1, 4]),
        'annotations[2] (id 3, a.png) with [1, 4]',
    ),
    'no `direction`': (setting('marking_points', 3, direction=None), 'marking_points[3]'),
    'no `shape`': (setting('marking_points', 3, shape=None), 'marking_points[3]'),
    'no `occupied`': (setting('annotations', 2, occupied=None), 'annotations[2]'),
    'not true, false or null': (setting('annotations', 2, occupied=1), 'annotations[2]'),
}


@pytest.mark.parametrize('problem', PARKING_DEFECTS)
def test_a_defect_of_a_parking_file_is_found_once_with_its_place(problem, parking, read):
    damage, example = PARKING_DEFECTS[problem]
    damage(parking)
    (finding,) = (f for f in found(read(parking)) if problem in f.statement)
    assert (finding.severity, finding.count) == ('error', 1)  # one of three or four is many
    assert example in finding.example
    assert finding.remedy


def exchange_entrance_and_rear(slot):
    slot['keypoints'] = slot['keypoints'][6:] + slot['keypoints'][:6]


def test_exchanged_entrance_and_rear_is_told_by_the_slots_own_points(parking, read):
    exchange_entrance_and_rear(parking['annotations'][1])
    (finding,) = found(read(parking))
    assert 'entrance and rear are exchanged' in finding.problem
    assert finding.count == 1
    assert 'annotations[1]' in finding.example


def test_exchanged_entrance_and_rear_is_told_by_neighbours_and_points_nearby(parking, read):
    for slot in parking['annotations']:
        slot.pop('marking_point_ids')
    exchange_entrance_and_rear(parking['annotations'][1])
    by_neighbours, by_points = found(read(parking))
    assert 'open to the other side' in by_neighbours.problem
    assert by_neighbours.count == 3  # the slot and the two beside it
    assert 'none at the entrance' in by_points.problem
    assert by_points.count == 1
    assert 'annotations[1]' in by_points.example


def test_a_slot_alone_with_its_points_at_both_ends_is_sound(parking, read):
    parking['annotations'] = parking['annotations'][:1]
    parking['annotations'][0].pop('marking_point_ids')
    parking['marking_points'] += [
        {'id': 9 + k, 'image_id': 1, 'point': [x, 50], 'direction': [0, 1], 'shape': 'L'}
        for k, x in enumerate((50, 200))
    ]
    assert found(read(parking)) == []


def test_slots_of_rows_back_to_back_do_not_contradict_each_other(parking, read):
    parking['annotations'][2].update(
        keypoints=[200, -200, 1, 50, -200, 1, 50, 50, 2, 200, 50, 2],
        marking_point_ids=[None, None],
        bbox=[50, 0, 150, 50],
    )
    assert found(read(parking)) == []


def test_without_a_known_resolution_widths_are_compared_within_the_type(parking, read):
    parking['images'][0].pop('metres_per_pixel')
    parking['annotations'][2].update(
        keypoints=[10, 580, 2, 590, 580, 2, 590, 350, 2, 10, 350, 2], marking_point_ids=[None, None]
    )
    (finding,) = found(read(parking))
    assert 'more than three times as wide' in finding.problem
    assert '580 px, the median is 150 px' in finding.example


def test_unknown_kinds_of_label_and_empty_claims_are_found(parking, read):
    parking['info']['labels'] = ['slots', 'corners']
    parking['annotations'] = []
    statements = [f.statement for f in found(read(parking))]
    assert any("unknown kinds of label ['corners']" in s for s in statements)
    assert any('there are no slots, although' in s for s in statements)


def test_nothing_stops_at_the_first_defect(parking, read):
    parking['annotations'].append('no object')
    parking['annotations'][0]['keypoints'] = None
    parking['annotations'][1]['bbox'] = {}
    parking['annotations'][2]['image_id'] = [1]
    parking['marking_points'][0]['point'] = 'left'
    parking['images'].append({'id': 2})
    parking['categories'][0]['id'] = None
    statements = ' '.join(f.statement for f in found(read(parking)))
    for problem in (
        'entries of `annotations` are no objects',
        'slots have no four corners',
        'no `bbox` of four numbers',
        'annotations are of an image that',
        'points are not two finite',
        'images have no `file_name`',
        'entries of `categories` have no `id`',
        'annotations are of a category that',
    ):
        assert problem in statements


@pytest.mark.parametrize(
    ('text', 'problem'),
    [
        (None, 'there is no such annotation file'),
        ('{"images": [', 'no valid JSON'),
        (b'\xff\xfe\x00', 'no valid JSON'),
        ('[]', 'a JSON list instead of an object'),
    ],
)
def test_a_file_that_cannot_be_read_is_a_finding(text, problem, tmp_path):
    path = tmp_path / 'x.json'
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    finding = read_annotation_file(path)
    assert isinstance(finding, Finding)
    assert finding.severity == 'error'
    assert problem in finding.statement
    assert 'x.json' in finding.source


def test_missing_lists_are_errors_but_plain_images_may_be_unlabelled(read):
    findings = {f.problem: f.severity for f in check_annotations(read({'images': []}))}
    assert findings == {
        'there is no list `annotations`': 'warning',
        'there is no list `categories`': 'error',
    }


def test_keypoints_of_other_objects_are_not_taken_for_slots(plain, read):
    plain['categories'][0]['keypoints'] = ['nose', 'tail']
    plain['annotations'][0]['keypoints'] = [1, 2, 2, 3, 4, 2]
    assert found(read(plain)) == []


def test_label_noise_is_an_error_only_from_a_share_on():
    def severity(faulty, total):
        mask = np.arange(total) < faulty
        (finding,) = findings_at(mask, 'f', 'p', 'r', str)
        return finding.severity

    assert severity(round(MANY * 1000) - 1, 1000) == 'warning'
    assert severity(round(MANY * 1000), 1000) == 'error'
    assert list(findings_at(np.zeros(5, bool), 'f', 'p', 'r', str)) == []


def test_findings_are_one_sentence_and_sorted_by_severity():
    finding = Finding('note', 'a.json', 'boxes are flat', 'remove them', 3, 4000, 'annotations[7]')
    assert (
        finding.sentence
        == 'a.json: 3 of 4,000 boxes are flat (first: annotations[7]); remove them.'
    )
    grades = [Finding(s, 'f', 'p', 'r') for s in ('note', 'error', 'warning')]
    assert [f.severity for f in by_severity(grades)] == ['error', 'warning', 'note']


def test_repeated_rows_are_all_but_the_first_of_equals():
    rows = np.random.default_rng(0).integers(0, 3, (200, 3)).astype(float)
    rows[5] = rows[6] = np.nan
    seen, expected = set(), []
    for row in rows:
        key = tuple(row)
        expected.append(key in seen and not np.isnan(row).any())
        seen.add(key)
    np.testing.assert_array_equal(repeated_rows(rows), expected)


def test_twenty_thousand_slots_are_checked_in_a_few_seconds(parking, read):
    """An exhaustive comparison of neighbours would take minutes."""
    slots, points, count = parking['annotations'], parking['marking_points'], 7000
    image = parking['images'][0]
    parking['images'] = [{**image, 'id': i, 'file_name': f'{i}.png'} for i in range(count)]
    parking['annotations'] = [
        {
            **slot,
            'id': 3 * i + k + 1,
            'image_id': i,
            'marking_point_ids': [4 * i + k, 4 * i + k + 1],
        }
        for i in range(count)
        for k, slot in enumerate(slots)
    ]
    parking['marking_points'] = [
        {**point, 'id': 4 * i + k, 'image_id': i}
        for i in range(count)
        for k, point in enumerate(points)
    ]
    file = read(parking)
    start = time.process_time()
    assert list(check_annotations(file)) == []
    assert time.process_time() - start < 5
