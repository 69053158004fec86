"""Reading slots from COCO keypoints of other tools."""

import json
import pickle

import numpy as np
import pytest
from PIL import Image

from mmdet_ext.datasets.formats.coco_keypoints import CocoKeypointsReader
from mmdet_ext.datasets.formats.convert import convert
from mmdet_ext.datasets.formats.parking_slot_coco import (
    HIDDEN,
    KEYPOINTS,
    SLOT_TYPES,
    VISIBLE,
    read_parking_slot_coco,
)
from mmdet_ext.datasets.formats.reader import ReadReport

CORNERS = [[50, 200], [100, 200], [100, 80], [50, 80]]


def keypoints(order=(0, 1, 2, 3), flags=(2, 2, 2, 2)):
    return [value for i in order for value in (*CORNERS[i], flags[i])]


def slot(points=None, **more):
    return {
        'id': 1,
        'image_id': 7,
        'category_id': 1,
        'iscrowd': 0,
        'keypoints': keypoints() if points is None else points,
        'num_keypoints': 4,
    } | more


def write(root, annotations, names=KEYPOINTS, category='parallel', size=(200, 400), name='labels'):
    root.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', size).save(root / '1.jpg')
    content = {
        'images': [{'id': 7, 'file_name': '1.jpg', 'width': 200, 'height': 400}],
        'categories': [{'id': 1, 'name': category, 'keypoints': list(names)}],
        'annotations': annotations,
    }
    (root / f'{name}.json').write_text(json.dumps(content))


def read(root, **options):
    report = ReadReport()
    return list(CocoKeypointsReader(root, **options).iterate(report)), dict(report.counts)


def test_an_object_with_four_keypoints_is_a_slot(tmp_path):
    write(tmp_path, [slot(keypoints(flags=(2, 2, 1, 2)), attributes={'occupied': True})])
    (record,), counts = read(tmp_path)
    assert record.file_name == '1.jpg'
    assert record.corners.tolist() == [CORNERS]
    assert record.slot_types.tolist() == [SLOT_TYPES.index('parallel')]
    assert record.occupied.tolist() == [1]
    assert record.corner_visible.tolist() == [[VISIBLE, VISIBLE, HIDDEN, VISIBLE]]
    assert counts == {}


@pytest.mark.parametrize('names', [KEYPOINTS, ('p1', 'p2', 'p3', 'p4'), ('0', '1', '2', '3')])
@pytest.mark.parametrize('order', [(0, 1, 2, 3), (3, 2, 1, 0), (1, 3, 0, 2)])
def test_keypoints_in_another_order_are_put_in_ours_by_their_names(tmp_path, names, order):
    flags = (2, 1, 2, 1)
    write(tmp_path, [slot(keypoints(order, flags))], [names[i] for i in order])
    (record,), counts = read(tmp_path)
    assert record.corners.tolist() == [CORNERS]
    assert record.corner_visible.tolist() == [list(flags)]
    assert counts == {}


def test_keypoints_of_other_names_are_taken_as_they_stand_and_counted(tmp_path):
    write(tmp_path, [slot(keypoints((1, 2, 3, 0)))], ('tl', 'tr', 'br', 'bl'))
    (record,), counts = read(tmp_path, entrance=4)
    assert record.corners.tolist() == [CORNERS]
    assert counts == {'category whose keypoints do not name the corners (taken as p1 p2 p3 p4)': 1}


def test_categories_are_mapped_to_types_or_the_type_is_guessed(tmp_path):
    write(tmp_path, [slot()], category='Stellplatz')
    assert read(tmp_path)[1] == {'slot type guessed from the shape': 1}
    (record,), counts = read(tmp_path, names=['stellplatz:slanted_vacant'])
    assert record.slot_types.tolist() == [SLOT_TYPES.index('slanted')]
    assert record.occupied.tolist() == [0]
    assert counts == {}


def test_labels_are_carried_to_the_pixels_of_the_image_file(tmp_path):
    write(tmp_path, [slot()], size=(400, 800))
    (record,), _ = read(tmp_path)
    np.testing.assert_allclose(record.corners, [2 * np.array(CORNERS) + 0.5])


@pytest.mark.parametrize(
    'image', ['annotations/1.jpg', 'images/1.jpg', 'train/1.jpg', 'images/train/1.jpg']
)
def test_images_are_found_in_the_usual_places(tmp_path, image):
    write(tmp_path / 'annotations', [], name='instances_train')
    (tmp_path / image).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / 'annotations/1.jpg').rename(tmp_path / image)
    (record,), _ = read(tmp_path)
    assert (record.file_name, record.split) == (image, 'train')


def test_images_can_lie_anywhere(tmp_path):
    write(tmp_path / 'labels', [])
    (tmp_path / 'labels/1.jpg').rename(tmp_path / '1.jpg')
    (record,), _ = read(tmp_path / 'labels/labels.json', image_folder=str(tmp_path))
    assert record.file_name == '../1.jpg'


def test_our_own_file_reads_as_the_same_slots(tmp_path):
    write(tmp_path / 'in', [slot(occupied=False)], name='train')
    convert('coco-keypoints', tmp_path / 'in', tmp_path / 'out', num_workers=1)
    written = read_parking_slot_coco(tmp_path / 'out/train.json')
    assert written.labels == ('slots', 'occupancy')
    (record,), counts = read(tmp_path / 'out/train.json')
    assert record.corners.tolist() == written.images[0].corners.tolist() == [CORNERS]
    assert record.occupied.tolist() == [0]
    assert counts == {}


def test_what_is_wrong_is_counted_and_loses_nothing_else(tmp_path):
    annotations = [
        slot(),
        slot(iscrowd=1),
        slot(keypoints(flags=(2, 2, 0, 2))),
        slot(keypoints(flags=(2, 2, 0, 0))),
        slot(keypoints()[:9]),
        slot(None, keypoints=None),
        slot(image_id=8),
        slot(category_id=2),
        slot(keypoints((1, 0, 3, 2))),
        slot([float('nan'), *keypoints()[1:]]),
        'no annotation',
    ]
    write(tmp_path, annotations)
    (tmp_path / 'other.json').write_text('[]')
    (tmp_path / 'broken.json').write_text('{')
    (record,), counts = read(tmp_path)
    assert record.corners.tolist() == [CORNERS] * 3
    assert counts == {
        'crowd left out': 1,
        'slot with one corner unlabelled completed to a parallelogram': 1,
        'slot with several corners unlabelled left out': 1,
        'annotation without four keypoints x, y, v left out': 2,
        'annotation of an image that is not listed left out': 1,
        'annotation of an unknown category left out': 1,
        'clockwise slot re-ordered': 1,
        'slot with a coordinate that is no finite number left out': 1,
        'json that is no COCO file left out': 1,
        'broken json (its images left out)': 1,
    }


def test_a_missing_image_leaves_only_itself_out(tmp_path):
    write(tmp_path, [slot()])
    (tmp_path / '1.jpg').unlink()
    assert read(tmp_path) == ([], {'label without image (image left out)': 1})


def test_no_coco_file_is_one_clear_sentence(tmp_path):
    (tmp_path / 'a.json').write_text('{}')
    with pytest.raises(FileNotFoundError, match=r'no COCO json with `images`.*first a\.json'):
        read(tmp_path)


def test_reader_and_items_are_picklable(tmp_path):
    write(tmp_path, [slot()])
    reader = CocoKeypointsReader(tmp_path)
    again, items = pickle.loads(pickle.dumps((reader, reader.find(ReadReport()))))
    assert again.read(items[0], ReadReport()).corners.tolist() == [CORNERS]
