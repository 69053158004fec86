"""Reading slots and marking points from CVAT for images 1.1."""

import numpy as np
import pytest
from PIL import Image

from mmdet_ext.datasets.formats.cvat import CvatReader
from mmdet_ext.datasets.formats.parking_slot_coco import SLOT_TYPES
from mmdet_ext.datasets.formats.reader import ReadReport

POINTS = '50.00,200.00;100.00,200.00;100.00,80.00;50.00,80.00'
CORNERS = [[50, 200], [100, 200], [100, 80], [50, 80]]


def polygon(label='slot', points=POINTS, kind='polygon', **attributes):
    inner = ''.join(f'<attribute name="{k}">{v}</attribute>' for k, v in attributes.items())
    return (
        f'<{kind} label="{label}" source="manual" occluded="0" points="{points}" z_order="0">'
        f'{inner}</{kind}>'
    )


def image(name, shapes='', size=(200, 400), more=''):
    return (
        f'<image id="0" name="{name}" width="{size[0]}" height="{size[1]}"{more}>{shapes}</image>'
    )


def write(
    root, images, meta='<task><id>1</id><subset>Train</subset></task>', name='annotations.xml'
):
    root.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(
        f'<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>'
        f'<meta>{meta}</meta>{images}</annotations>'
    )


def picture(path, size=(200, 400)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', size).save(path)


def read(root, **options):
    report = ReadReport()
    return list(CvatReader(root, **options).iterate(report)), dict(report.counts)


def test_polygons_are_slots_and_points_are_marking_points(tmp_path):
    shapes = polygon(type='slanted', occupied='true') + polygon(
        'mark', '52.00,198.00;150.00,300.00', 'points', shape='T'
    )
    write(tmp_path, image('1.jpg', shapes))
    picture(tmp_path / 'images/1.jpg')
    (record,), counts = read(tmp_path)
    assert (record.file_name, record.split) == ('images/1.jpg', 'train')
    assert record.corners.tolist() == [CORNERS]
    assert record.slot_types.tolist() == [SLOT_TYPES.index('slanted')]
    assert record.occupied.tolist() == [1]
    assert record.points.tolist() == [[52, 198], [150, 300]]
    assert record.shapes.tolist() == [0, 0]
    assert record.slot_points.tolist() == [[0, -1]]
    assert counts == {}


def test_labels_are_carried_to_the_pixels_of_the_image_file(tmp_path):
    write(tmp_path, image('1.jpg', polygon('parallel', occupied='no')))
    picture(tmp_path / '1.jpg', (100, 200))
    (record,), _ = read(tmp_path)
    np.testing.assert_allclose(record.corners, [np.array(CORNERS) / 2 - 0.25])
    assert record.slot_types.tolist() == [SLOT_TYPES.index('parallel')]
    assert record.occupied.tolist() == [0]


def test_subsets_of_the_tasks_of_a_project_are_splits(tmp_path):
    tasks = ''.join(
        f'<task><id>{i}</id><subset>{subset}</subset></task>'
        for i, subset in enumerate(['Train', 'Validation', 'default', 'night'])
    )
    images = ''.join(image(f'{i}.jpg', more=f' task_id="{i}"') for i in range(4))
    images += image('4.jpg', more=' subset="Test" task_id="0"') + image('5.jpg')
    write(tmp_path, images, f'<project><tasks>{tasks}</tasks></project>')
    for i, folder in enumerate(('Train', 'Validation', 'default', 'night', 'Test', '')):
        picture(tmp_path / 'images' / folder / f'{i}.jpg')
    records, counts = read(tmp_path)
    assert [r.split for r in records] == ['train', 'val', None, 'night', 'test', None]
    assert records[4].file_name == 'images/Test/4.jpg'
    assert counts == {}


def test_images_can_lie_anywhere(tmp_path):
    write(tmp_path / 'labels', image('sub/1.jpg'), '<job><id>3</id><subset>Test</subset></job>')
    picture(tmp_path / 'pictures/sub/1.jpg')
    (record,), _ = read(tmp_path / 'labels', image_folder=tmp_path / 'pictures')
    assert (record.file_name, record.split) == ('../pictures/sub/1.jpg', 'test')


def test_names_and_entrance_are_options(tmp_path):
    write(tmp_path, image('1.jpg', polygon('A', '50,80;50,200;100,200;100,80')))
    picture(tmp_path / '1.jpg')
    (record,), _ = read(tmp_path, names='A:parallel_vacant', entrance=2)
    assert record.corners.tolist() == [CORNERS]
    assert record.slot_types.tolist() == [SLOT_TYPES.index('parallel')]
    assert record.occupied.tolist() == [0]


def test_what_is_wrong_is_counted_and_loses_nothing_else(tmp_path):
    shapes = (
        polygon('parallel')
        + polygon('car')
        + polygon(points='1,1;2,2')
        + polygon('parallel', POINTS.replace('50.00,', 'x,', 1))
        + polygon('parallel', POINTS.replace(',', ' ', 1))
        + polygon('mark', '', 'points')
        + polygon('mark', '300,300', 'points')
        + '<box label="slot" xtl="1" ytl="1" xbr="9" ybr="9"/>'
    )
    write(tmp_path, image('1.jpg', shapes) + image('gone.jpg') + image('2.jpg'))
    picture(tmp_path / '1.jpg')
    (tmp_path / '2.jpg').write_bytes(b'no image')
    (tmp_path / 'broken.xml').write_text('<annotations>')
    write(tmp_path, '<track id="0" label="slot"/>', name='video.xml')
    (record,), counts = read(tmp_path)
    assert record.corners.tolist() == [CORNERS]
    assert counts == {
        'polygon whose label names no slot (see `names`) left out': 1,
        'polygon without four points left out': 1,
        'slot with a coordinate that is no finite number left out': 2,
        'point outside the image left out': 1,
        'shape other than polygon and point left out': 1,
        'label without image (image left out)': 1,
        'unreadable image (left out)': 1,
        'broken xml (its images left out)': 1,
        'xml without images left out (export as "CVAT for images 1.1")': 1,
    }


def test_a_folder_without_xml_is_one_clear_sentence(tmp_path):
    with pytest.raises(FileNotFoundError, match='expected an export as "CVAT for images'):
        read(tmp_path)
