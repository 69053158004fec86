"""Reading GPSD."""

import json

import numpy as np
import pytest
from PIL import Image

from mmdet_ext.datasets.formats.gpsd import GpsdReader
from mmdet_ext.datasets.formats.parking_slot_coco import HIDDEN, SLOT_TYPES, VISIBLE
from mmdet_ext.datasets.formats.reader import ReadReport

# A slot at the right of the car: who drives in looks to the right and has the upper corner at his left.
XS, YS = [100, 104, 250, 246], [40, 190, 186, 36]


def content(**changes):
    return {
        'isOccupied': [1],
        'points_x': [XS],
        'points_y': [YS],
        'cmPerPixel': 1.67,
        'subimgType': 'right',
        'datasetName': 'seoul',
        'resolution': [864, 288],
        'imgName': '1',
    } | changes


def write(root, name, label=None, size=(288, 864), place='seoul/train'):
    image, path = root / place / 'image' / f'{name}.jpg', root / place / 'label' / f'{name}.json'
    for folder in (image.parent, path.parent):
        folder.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', size).save(image)
    path.write_text(json.dumps(content() if label is None else label, indent=4))


def read(root):
    report = ReadReport()
    return list(GpsdReader(root).iterate(report)), dict(report.counts)


def test_a_label_is_read(tmp_path):
    write(tmp_path, '1')
    (record,), counts = read(tmp_path)
    assert record.file_name == 'seoul/train/image/1.jpg'
    assert (record.split, record.condition, record.tags) == ('train', 'seoul', {'side': 'right'})
    assert record.metres_per_pixel == pytest.approx(0.0167)
    assert record.corners.tolist() == [[[100, 40], [104, 190], [250, 186], [246, 36]]]
    assert record.occupied.tolist() == [1]
    assert counts == {'slot type guessed from the shape': 1}
    # 150 pixels of 1.67 cm are an entrance of 2.5 m.
    assert record.slot_types.tolist() == [SLOT_TYPES.index('perpendicular')]


def test_labels_are_carried_from_their_frame_to_the_pixels_of_the_image(tmp_path):
    write(tmp_path, '1', size=(144, 432))
    (record,), _ = read(tmp_path)
    np.testing.assert_allclose(record.corners[0, 0], [49.75, 19.75])
    assert record.metres_per_pixel == pytest.approx(0.0334)
    assert record.slot_types.tolist() == [SLOT_TYPES.index('perpendicular')]


def test_a_single_slot_may_come_as_flat_lists(tmp_path):
    write(tmp_path, '1', content(isOccupied=0, points_x=XS, points_y=YS))
    (record,), _ = read(tmp_path)
    assert record.corners.tolist() == [[[100, 40], [104, 190], [250, 186], [246, 36]]]
    assert record.occupied.tolist() == [0]


def test_corners_on_the_border_are_flagged_hidden(tmp_path):
    write(tmp_path, '1', content(points_x=[[100, 104, 287, 287]]))
    (record,), _ = read(tmp_path)
    assert record.corner_visible.tolist() == [[VISIBLE, VISIBLE, HIDDEN, HIDDEN]]


def test_the_list_of_stems_chooses_the_images(tmp_path):
    for name in ('1', '2.a', '3'):
        write(tmp_path, name)
    # Its makers write stems up to the first full stop, and append to the list each time they run.
    (tmp_path / 'seoul/train/img_list.txt').write_text('1\n2\r\n1\n2')
    records, counts = read(tmp_path)
    assert [record.file_name[18:] for record in records] == ['1.jpg', '2.a.jpg']
    assert counts['image that img_list.txt does not name left out'] == 1


def test_an_image_without_slots_is_kept(tmp_path):
    write(tmp_path, '1', content(isOccupied=[], points_x=[], points_y=[]), place='tongji/test')
    (record,), counts = read(tmp_path)
    assert (len(record.corners), record.split) == (0, 'test')
    assert counts == {}


def test_what_is_wrong_is_counted_and_loses_nothing_else(tmp_path):
    three = content(isOccupied=[1, 2, 0], points_x=[XS, XS, XS[:3]], points_y=[YS, YS, YS])
    write(tmp_path, '1', three)
    write(tmp_path, '2', content(isOccupied=[1, 0]))
    write(tmp_path, '3', [])
    write(tmp_path, '4', content(resolution='864x288'))
    write(tmp_path, '5')
    (tmp_path / 'seoul/train/label/5.json').write_text('{')
    write(tmp_path, '6')
    (tmp_path / 'seoul/train/label/6.json').unlink()
    write(tmp_path, '7')
    (tmp_path / 'seoul/train/image/7.jpg').unlink()
    write(tmp_path, '8', content(points_x=3))
    write(tmp_path, '9', content(resolution=None, cmPerPixel=None, datasetName=None))
    (first, last), counts = read(tmp_path)
    assert first.occupied.tolist() == [1, -1]
    assert (last.metres_per_pixel, last.condition) == (None, None)
    assert counts == {
        'slot type guessed from the shape': 3,
        'slot without four x and y left out': 1,
        'slot with an occupancy other than 0 and 1 (kept as unknown)': 1,
        'json whose isOccupied, points_x and points_y differ in length (image left out)': 1,
        'json that is no GPSD label (image left out)': 1,
        'json with a resolution other than [height, width] (image left out)': 1,
        'broken json (image left out)': 1,
        'image without json left out': 1,
        'json without image left out': 1,
        'json whose points are no list (image left out)': 1,
    }


def test_a_folder_without_the_layout_is_one_clear_sentence(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'expected GPSD, e\.g\. seoul/train/image'):
        read(tmp_path)
