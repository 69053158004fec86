"""Reading slots and marking points that were drawn with LabelMe."""

import json

import numpy as np
import pytest
from PIL import Image

from mmdet_ext.datasets.formats.labelme_slots import LabelMeSlotReader
from mmdet_ext.datasets.formats.parking_slot_coco import SLOT_TYPES, read_parking_slot_coco
from mmdet_ext.datasets.formats.reader import ReadReport

CORNERS = [[50.0, 200.0], [100.0, 200.0], [100.0, 80.0], [50.0, 80.0]]


def shape(label, points, kind='polygon', **more):
    return {'label': label, 'points': points, 'group_id': None, 'shape_type': kind} | more


def write(root, shapes, name='1', size=(200, 400), **changes):
    root.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', size).save(root / f'{name}.jpg')
    content = {
        'version': '5.4.1',
        'flags': {},
        'shapes': shapes,
        'imagePath': f'{name}.jpg',
        'imageData': None,
        'imageHeight': 400,
        'imageWidth': 200,
    } | changes
    (root / f'{name}.json').write_text(json.dumps(content))


def read(root, **options):
    report = ReadReport()
    return list(LabelMeSlotReader(root, **options).iterate(report)), dict(report.counts)


def test_polygons_are_slots_and_points_are_marking_points(tmp_path):
    shapes = [
        shape('parallel', CORNERS, flags={'occupied': True}),
        shape('T', [[52.0, 198.0]], 'point'),
        shape('L-shape', [[150.0, 300.0]], 'point'),
    ]
    write(tmp_path / 'train', shapes)
    (record,), counts = read(tmp_path)
    assert (record.file_name, record.split) == ('train/1.jpg', 'train')
    assert record.corners.tolist() == [CORNERS]
    assert record.slot_types.tolist() == [SLOT_TYPES.index('parallel')]
    assert record.occupied.tolist() == [1]
    assert record.points.tolist() == [[52, 198], [150, 300]]
    assert record.shapes.tolist() == [0, 1]
    assert np.isnan(record.directions).all()
    # The first corner is within 10 px of 600, the second is not.
    assert record.slot_points.tolist() == [[0, -1]]
    assert counts == {}


def test_labels_are_carried_to_the_pixels_of_the_image_file(tmp_path):
    write(tmp_path, [shape('slot', CORNERS), shape('T', [[0, 0]], 'point')], size=(400, 800))
    (record,), counts = read(tmp_path)
    np.testing.assert_allclose(record.corners, [2 * np.array(CORNERS) + 0.5])
    np.testing.assert_allclose(record.points, [[0.5, 0.5]])
    assert record.slot_types.tolist() == [SLOT_TYPES.index('perpendicular')]
    assert counts == {'slot type guessed from the shape': 1}


def test_names_give_labels_a_meaning_and_others_are_left_out_and_counted(tmp_path):
    shapes = [
        shape('Stellplatz A', CORNERS, flags={'vacant': True}),
        shape('car', CORNERS),
        shape('Ecke', [[52.0, 198.0]], 'point'),
        shape('cone', [[52.0, 198.0]], 'point'),
    ]
    write(tmp_path, shapes)
    names = {'stellplatz a': 'slanted', 'Ecke': 'U', 'cone': 'ignore'}
    (record,), counts = read(tmp_path, names=names)
    assert record.slot_types.tolist() == [SLOT_TYPES.index('slanted')]
    assert record.occupied.tolist() == [0]
    assert record.shapes.tolist() == [3]
    assert counts == {
        'polygon whose label names no slot (see `names`) left out': 1,
        'point with an ignored label left out': 1,
    }


@pytest.mark.parametrize(('shift', 'entrance'), [(0, 1), (1, 4), (2, 3), (3, 2)])
def test_the_entrance_may_be_any_edge(tmp_path, shift, entrance):
    turned = CORNERS[shift:] + CORNERS[:shift]
    write(tmp_path, [shape('slot', turned)])
    (record,), _ = read(tmp_path, entrance=entrance)
    assert record.corners.tolist() == [CORNERS]


def test_an_unticked_flag_means_no(tmp_path):
    write(tmp_path, [shape('slot', CORNERS, attributes={'occupied': False})])
    (record,), _ = read(tmp_path)
    assert record.occupied.tolist() == [0]


def test_the_image_is_found_by_a_windows_path_or_by_the_name_of_the_json(tmp_path):
    write(tmp_path / 'labels', [], '1', imagePath='..\\pictures\\x.png')
    (tmp_path / 'labels/1.jpg').unlink()
    (tmp_path / 'pictures').mkdir()
    Image.new('RGB', (200, 400)).save(tmp_path / 'pictures/x.png')
    write(tmp_path / 'labels', [], '2', imagePath='gone.jpg')
    records, _ = read(tmp_path)
    assert [r.file_name for r in records] == ['pictures/x.png', 'labels/2.jpg']


def test_what_is_wrong_is_counted_and_loses_nothing_else(tmp_path):
    shapes = [
        shape('slot', CORNERS[::-1]),
        shape('slot', CORNERS[:3]),
        shape('slot', [*CORNERS, CORNERS[0]]),
        shape('slot', CORNERS[:2], 'rectangle'),
        shape('slot', [[50, 200], [float('nan'), 200], [100, 80], [50, 80]]),
        shape('T', [[500, 20]], 'point'),
        shape('slot', [[1, 2, 3]]),
        'no shape',
    ]
    write(tmp_path, shapes, imageHeight=None)
    write(tmp_path, [], '2', imagePath='gone.jpg')
    (tmp_path / '2.jpg').unlink()
    (tmp_path / '3.json').write_text('[1]')
    (tmp_path / '4.json').write_text('{')
    Image.new('RGB', (9, 9)).save(tmp_path / '5.jpg')
    (record,), counts = read(tmp_path)
    assert len(record.corners) == 2
    assert counts == {
        'slot type guessed from the shape': 2,
        'clockwise slot re-ordered': 1,
        'polygon without four points left out': 1,
        'shape other than polygon and point left out': 1,
        'slot with a coordinate that is no finite number left out': 1,
        'point outside the image left out': 1,
        'shape that cannot be read left out': 2,
        'label without image (image left out)': 1,
        'json that is no LabelMe file (image left out)': 1,
        'broken json (image left out)': 1,
        'image without json left out': 1,
    }


def test_files_say_what_was_labelled(tmp_path):
    write(tmp_path, [shape('slot', CORNERS), shape('T', [[52.0, 198.0]], 'point')])
    reader = LabelMeSlotReader(tmp_path, metres_per_pixel=0.02)
    reader.write(tmp_path / 'out.json', reader, 'x')
    content = read_parking_slot_coco(tmp_path / 'out.json')
    assert content.labels == ('marking_points', 'shapes', 'slots')
    assert content.images[0].metres_per_pixel == 0.02
    assert content.images[0].slot_points.tolist() == [[0, -1]]


def test_a_folder_without_json_is_one_clear_sentence(tmp_path):
    with pytest.raises(FileNotFoundError, match='no json found; expected one LabelMe file'):
        read(tmp_path)
