"""Reading LabelMe files."""

import json

import numpy as np
import pytest
from PIL import Image

from mmdet_ext.datasets.formats.labelme import LabelMeReader
from mmdet_ext.datasets.formats.reader import ReadReport


def shape(kind='rectangle', points=((10, 20), (40, 60)), label='car', **more):
    return {
        'label': label,
        'points': [list(point) for point in points],
        'group_id': None,
        'shape_type': kind,
        'flags': {},
    } | more


@pytest.fixture
def labelme(tmp_path):
    def write(name, *shapes, encoding='utf-8', image=None, **more):
        label = tmp_path / f'{name}.json'
        label.parent.mkdir(parents=True, exist_ok=True)
        path = tmp_path / (image or f'{name}.jpg')
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new('RGB', (100, 80)).save(path)
        content = {
            'version': '5.4.1',
            'flags': {},
            'shapes': shapes,
            'imagePath': path.name,
            'imageData': None,
            'imageHeight': 80,
            'imageWidth': 100,
        } | more
        text = json.dumps(content, indent=2, ensure_ascii=False)
        label.write_bytes(text.replace('\n', '\r\n').encode(encoding))
        return tmp_path

    return write


def read(root, **options):
    report = ReadReport()
    return list(LabelMeReader(root, **options).iterate(report)), report


@pytest.mark.parametrize(
    'points',
    [
        [(10, 20), (40, 60)],
        [(40, 60), (10, 20)],
        [(40, 20), (10, 60)],
        [(10, 20), (40, 20), (40, 60), (10, 60)],  # as X-AnyLabeling writes it
    ],
)
def test_a_rectangle_is_drawn_from_any_corner(labelme, points):
    (record,), report = read(labelme('a', shape(points=points)))
    assert record.boxes.tolist() == [[10, 20, 40, 60]]
    assert record.polygons[0][0].tolist() == [[10, 20], [40, 20], [40, 60], [10, 60]]
    assert record.areas.tolist() == [1200]
    assert not report.counts


def test_a_polygon_keeps_its_outline(labelme):
    points = [(10, 20), (40, 20), (10, 60)]
    (record,), _ = read(labelme('a', shape('polygon', points), shape(None, points, 'old')))
    assert record.names == ['car', 'old']  # early versions wrote no type
    assert record.boxes.tolist() == [[10, 20, 40, 60]] * 2
    np.testing.assert_array_equal(record.polygons[0], [points])
    assert record.areas.tolist() == [600, 600]


def test_a_circle_is_its_centre_and_a_point_on_it(labelme):
    (record,), _ = read(labelme('a', shape('circle', [(50, 40), (53, 44)])))
    np.testing.assert_allclose(record.boxes, [[45, 35, 55, 45]])
    distances = np.linalg.norm(record.polygons[0][0] - (50, 40), axis=1)
    np.testing.assert_allclose(distances, 5)
    assert record.areas[0] == pytest.approx(np.pi * 25, rel=0.002)


def test_shapes_of_one_group_and_label_are_one_object(labelme):
    left, right = [(10, 20), (20, 30)], [(30, 20), (40, 60)]
    shapes = [
        shape(points=left, group_id=1, difficult=True),
        shape(points=left, group_id=2),
        shape(points=left, group_id=1, label='dog'),
        shape(points=right, group_id=1),
    ]
    (record,), _ = read(labelme('a', *shapes))
    assert record.names == ['car', 'car', 'dog']
    assert record.boxes.tolist() == [[10, 20, 40, 60], [10, 20, 20, 30], [10, 20, 20, 30]]
    assert [len(outlines) for outlines in record.polygons] == [2, 1, 1]
    assert record.areas.tolist() == [500, 100, 100]
    assert record.crowd.tolist() == [True, False, False]


def test_difficult_shapes_become_crowd(labelme):
    (record,), _ = read(labelme('a', shape(difficult=True), shape(difficult=False), shape()))
    assert record.crowd.tolist() == [True, False, False]


@pytest.mark.parametrize(
    ('image', 'named'),
    [
        ('a.jpg', 'a.jpg'),
        ('images/b.png', 'images\\b.png'),
        ('images/b.png', 'images/b.png'),
        ('a.PNG', 'C:\\Users\\me\\pictures\\a.png'),
        ('a.jpg', None),
    ],
)
def test_the_image_is_where_its_path_says_or_beside(labelme, image, named):
    records, _ = read(labelme('a', shape(), image=image, imagePath=named))
    assert [record.file_name for record in records] == [image]


def test_shapes_are_scaled_to_an_image_that_was_resized(labelme):
    (record,), report = read(labelme('a', shape(), imageWidth=200, imageHeight=40))
    assert record.boxes.tolist() == [[5, 40, 20, 80]]
    assert report.counts == {
        'other image size in the label file (boxes scaled)': 1,
        'box clipped to the image': 1,
    }


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'latin-1'])
def test_json_is_read_in_the_encodings_that_tools_leave(labelme, encoding):
    (record,), _ = read(labelme('a', shape(label='Fußgänger'), encoding=encoding))
    assert record.names == ['Fußgänger']


def test_faults_are_counted_and_lose_nothing_else(labelme):
    root = labelme(
        'a',
        shape(),
        shape('point', [(3, 3)]),
        shape('linestrip', [(3, 3), (9, 9)]),
        shape(label=''),
        shape('polygon', [(1, 1), (9, 9)]),
        shape(points=[(1, 1), (9, None)]),
        shape(points=[(1, 1), (float('nan'), 9)]),
        shape('circle', [(5, 5), (5, 5)]),
        {'label': 'x', 'shape_type': 'polygon', 'points': None},
        'text',
    )
    labelme('b')
    labelme('c', shape(), imageData='abcd')
    (root / 'c.jpg').unlink()
    labelme('d', shape())
    (root / 'd.jpg').write_bytes(b'no image')
    labelme('e', shape())
    (root / 'e.json').write_text('{"shapes": [')
    labelme('f', shapes=None)
    labelme('g', shape())
    (root / 'g.json').unlink()
    records, report = read(root)
    assert [record.names for record in records] == [['car'], []]
    assert report.counts == {
        'image without json left out': 1,
        'shape of type point left out': 1,
        'shape of type linestrip left out': 1,
        'shape without label left out': 2,
        'shape with too few points or none that can be read left out': 4,
        'box less than 1 pixel wide or high left out': 1,
        'image without boxes (kept)': 1,
        'json without image file (image left out)': 1,
        'unreadable image (left out)': 1,
        'json that cannot be read (image left out)': 1,
        'json without `shapes`, so not of LabelMe (image left out)': 1,
    }
    assert (
        'c.jpg is only inside the json'
        in report.examples['json without image file (image left out)']
    )


def test_a_folder_without_json_is_one_clear_sentence(tmp_path):
    with pytest.raises(FileNotFoundError, match='no json found; expected LabelMe files'):
        list(LabelMeReader(tmp_path))
