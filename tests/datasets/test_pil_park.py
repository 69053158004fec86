"""Reading PIL-park (SNU)."""

import pickle

import numpy as np
import pytest
from PIL import Image

from mmdet_ext.datasets.formats.convert import convert
from mmdet_ext.datasets.formats.parking_slot_coco import (
    HIDDEN,
    SLOT_TYPES,
    VISIBLE,
    read_parking_slot_coco,
)
from mmdet_ext.datasets.formats.pil_park import PilParkReader
from mmdet_ext.datasets.formats.reader import ReadReport

PARALLEL, PERPENDICULAR, DIAGONAL = (
    SLOT_TYPES.index(name) for name in ('parallel', 'perpendicular', 'slanted')
)
# The example of the authors: a parallel slot at the right of the car, whose nose points up.
SLOT = '1\t106\t259\t128\t541\t235\t531\t211\t251'


def write(root, name, label, size=(256, 768), split='train'):
    image, txt = (root / split / kind / name for kind in ('image', 'label'))
    for path in (image, txt):
        path.parent.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', size).save(image.with_suffix('.jpg'))
    txt.with_suffix('.txt').write_bytes(label if isinstance(label, bytes) else label.encode())


def read(root):
    report = ReadReport()
    return list(PilParkReader(root).iterate(report)), dict(report.counts)


def test_the_example_of_the_authors_is_read(tmp_path):
    write(tmp_path, '1', f'0\n-4\n{SLOT}\n')
    (record,), counts = read(tmp_path)
    assert record.file_name == 'train/image/1.jpg'
    assert (record.width, record.height, record.split) == (256, 768, 'train')
    assert record.metres_per_pixel == 0.01875
    assert record.corners.tolist() == [[[106, 259], [128, 541], [235, 531], [211, 251]]]
    assert record.slot_types.tolist() == [PARALLEL]
    assert record.occupied.tolist() == [1]
    assert counts == {}


def test_the_type_of_the_image_is_that_of_all_its_slots(tmp_path):
    slots = '\n'.join(f'0\t106\t{y}\t106\t{y + 100}\t235\t{y + 100}\t235\t{y}' for y in (9, 200))
    for name, kind in (('a', 0), ('b', 1), ('c', 2)):
        write(tmp_path, name, f'{kind}\n0\n{slots}')
    records, _ = read(tmp_path)
    assert [set(record.slot_types) for record in records] == [
        {PARALLEL},
        {PERPENDICULAR},
        {DIAGONAL},
    ]
    assert all(record.occupied.tolist() == [0, 0] for record in records)


def test_no_parking_space_is_an_image_without_slots(tmp_path):
    write(tmp_path, 'a', '3\n0\n')
    write(tmp_path, 'b', f'3\n0\n{SLOT}\n')
    records, counts = read(tmp_path)
    assert [len(record.corners) for record in records] == [0, 0]
    assert counts == {'slot of an image labelled "not a parking space" left out': 1}


def test_spaces_commas_carriage_returns_and_a_byte_order_mark_do_no_harm(tmp_path):
    commas = SLOT.replace('\t', ', ')
    write(tmp_path, 'a', f'\ufeff1\r\n-90 \r\n\r\n{commas}\r\n{SLOT} \r\n')
    (record,), counts = read(tmp_path)
    assert len(record.corners) == 2
    assert counts == {}


def test_rear_corners_on_the_border_are_kept_and_flagged_hidden(tmp_path):
    write(tmp_path, 'a', '1\n0\n0\t147\t195\t99\t313\t255\t376\t255\t239')
    (record,), _ = read(tmp_path)
    assert record.corners[0, 2:].tolist() == [[255, 376], [255, 239]]
    assert record.corner_visible.tolist() == [[VISIBLE, VISIBLE, HIDDEN, HIDDEN]]


def test_the_resolution_follows_from_the_size_and_is_unknown_otherwise(tmp_path):
    for name, size in (('a_l', (256, 512)), ('b', (300, 512))):
        write(tmp_path, name, f'0\n0\n{SLOT}', size)
    first, second = read(tmp_path)[0]
    assert first.metres_per_pixel == pytest.approx(1 / 60)
    assert second.metres_per_pixel is None


def test_one_part_can_be_read_alone(tmp_path):
    write(tmp_path, 'a', '3\n0\n', split='test')
    (record,), _ = read(tmp_path / 'test')
    assert (record.file_name, record.split) == ('image/a.jpg', 'test')


def test_what_is_wrong_is_counted_and_loses_nothing_else(tmp_path):
    write(
        tmp_path,
        'a',
        f'0\n0\n{SLOT}\n1 2 3\n1 a 2 3 4 5 6 7 8\n{SLOT.replace("1", "7", 1)}\n'
        '0 9 9 9 9 50 50 60 60\n0 nan 259 128 541 235 531 211 251\n'
        '0 900 259 922 541 999 531 980 251\n0 128 541 106 259 211 251 235 531\n',
    )
    write(tmp_path, 'b', '')
    write(tmp_path, 'c', '4\n0\n')
    write(tmp_path, 'd', f'0\n{SLOT}\n')
    write(tmp_path, 'e', '0\n0\n')
    (tmp_path / 'train/image/e.jpg').unlink()
    write(tmp_path, 'f', '0\n0\n')
    (tmp_path / 'train/label/f.txt').unlink()
    write(tmp_path, 'g', '0\n0\n')
    (tmp_path / 'train/image/g.jpg').write_bytes(b'no image')
    (record,), counts = read(tmp_path)
    assert record.occupied.tolist() == [1, -1, 0]
    np.testing.assert_array_equal(record.corners[0], record.corners[2])
    assert counts == {
        'line without nine numbers left out': 2,
        'slot with an occupancy other than 0 and 1 (kept as unknown)': 1,
        'degenerate slot left out': 1,
        'slot with a coordinate that is no finite number left out': 1,
        'slot outside the image left out': 1,
        'clockwise slot re-ordered': 1,
        'txt that does not begin with a parking-space type (0 .. 3) and an angle'
        ' (image left out)': 3,
        'txt without image left out': 1,
        'image without txt left out': 1,
        'unreadable image (left out)': 1,
    }


def test_a_folder_without_the_layout_is_one_clear_sentence(tmp_path):
    with pytest.raises(FileNotFoundError, match='no folder with `image` and `label` in it'):
        read(tmp_path)


def test_the_parts_become_files_with_occupancy(tmp_path):
    write(tmp_path / 'in', 'a', f'0\n0\n{SLOT}')
    write(tmp_path / 'in', 'b', f'1\n0\n{SLOT}', split='test')
    convert('pil-park', tmp_path / 'in', tmp_path / 'out', num_workers=1)
    test = read_parking_slot_coco(tmp_path / 'out/test.json')
    assert test.labels == ('slots', 'occupancy')
    assert test.images[0].slot_types.tolist() == [PERPENDICULAR]
    assert len(read_parking_slot_coco(tmp_path / 'out/train.json').images) == 1


def test_reader_and_items_are_picklable(tmp_path):
    write(tmp_path, 'a', '3\n0\n')
    reader = PilParkReader(tmp_path)
    again, items = pickle.loads(pickle.dumps((reader, reader.find(ReadReport()))))
    assert again.read(items[0], ReadReport()).file_name == 'train/image/a.jpg'
