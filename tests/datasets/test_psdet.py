"""Reading the PSDet strips, splitting them and converting them to parking-slot COCO."""

import numpy as np
import pytest
from PIL import Image

from mmdet_ext.datasets.formats.convert import convert, split_by_blocks, split_by_sequences
from mmdet_ext.datasets.formats.parking_slot_coco import ParkingImage, read_parking_slot_coco
from mmdet_ext.datasets.formats.psdet import ReadReport, read_psdet


def point(x, y, name='01_key_point', deleted=0):
    return (
        f'<object><name>{name}</name><deleted>{deleted}</deleted>'
        f'<polygon><pt><x>{x}</x><y>{y}</y></pt></polygon></object>'
    )


def write_pair(image, label, objects='', jpg_size=(96, 300), label_size=(192, 600)):
    for path in (image, label):
        path.parent.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', jpg_size).save(image)
    size = f'<imagesize><nrows>{label_size[1]}</nrows><ncols>{label_size[0]}</ncols></imagesize>'
    label.write_text(f'<annotation>{objects}{size}</annotation>')


@pytest.mark.parametrize(
    ('images', 'labels', 'group'),
    [
        ('Curve/seq_L', 'Curve/seq_L_xml', 'seq_L'),
        ('Curve/seq_L', 'Curve/seq_L', 'seq_L'),
        ('Curve/day/seq_L_images', 'Curve/day/seq_L_xml', 'seq_L'),
        ('Curve/garage_img', 'Curve/garage_xml_ori', 'garage'),
    ],
)
def test_every_folder_layout_is_read(tmp_path, images, labels, group):
    write_pair(tmp_path / images / '000007.jpg', tmp_path / labels / '000007.xml', point(50, 60))
    (record,) = read_psdet(tmp_path)
    assert record.file_name == f'{images}/000007.jpg'
    assert (record.group, record.condition) == (group, 'Curve')
    assert len(record.points) == 1


def test_labels_are_carried_from_the_frame_of_the_xml_to_the_pixels_of_the_jpg(tmp_path):
    write_pair(tmp_path / 'a/1.jpg', tmp_path / 'a/1.xml', point(0, 0) + point(191, 599))
    (record,) = read_psdet(tmp_path)
    # The area of label pixel 0 is the upper left quarter of jpg pixel 0, whose centre is (0, 0).
    np.testing.assert_allclose(record.points, [[-0.25, -0.25], [95.25, 299.25]])
    assert (record.width, record.height) == (96, 300)
    assert np.isnan(record.directions).all()
    assert record.shapes.tolist() == [-1, -1]


def test_names_with_space_and_underscore_are_key_points(tmp_path):
    objects = (
        point(1, 1, '01 key_point') + point(2, 2, '06_key_point') + point(3, 3, '04_key_point0')
    )
    write_pair(tmp_path / 'a/1.jpg', tmp_path / 'a/1.xml', objects)
    (record,) = read_psdet(tmp_path)
    assert len(record.points) == 3


def test_what_is_left_out_is_counted_with_its_first_example(tmp_path):
    objects = point(1, 1) + point(1, 1, deleted=1) + point(1, 1, 'car') + point(193, 1)
    write_pair(tmp_path / 'Open/a/1.jpg', tmp_path / 'Open/a/1.xml', objects)
    write_pair(tmp_path / 'Open/a/2.jpg', tmp_path / 'Open/a/2.xml')
    write_pair(tmp_path / 'Open/a/3.jpg', tmp_path / 'Open/a/3.xml')
    (tmp_path / 'Open/a/3.xml').unlink()
    write_pair(tmp_path / 'Open/a/4.jpg', tmp_path / 'Open/a/4.xml')
    (tmp_path / 'Open/a/4.jpg').unlink()
    write_pair(tmp_path / 'Open/a/5.jpg', tmp_path / 'Open/a/5.xml', '<object>')
    write_pair(tmp_path / 'Open/a/6.jpg', tmp_path / 'Open/a/6.xml')
    (tmp_path / 'Open/a/6.jpg').write_bytes(b'no image')
    write_pair(tmp_path / 'Open/a/7.jpg', tmp_path / 'Open/a/7.xml', label_size=(0, 600))
    write_pair(tmp_path / 'Open/a/8.jpg', tmp_path / 'Open/a/8.xml', point('x', 1))
    report = ReadReport()
    records = list(read_psdet(tmp_path, report))
    assert [len(record.points) for record in records] == [1, 0]
    assert report.counts == {
        'deleted object left out': 1,
        'object of another name left out': 1,
        'point outside the image left out': 1,
        'image without points (kept)': 1,
        'image without xml left out': 1,
        'xml without image left out': 1,
        'broken pair left out': 4,
    }
    assert report.by_condition['Open', 'broken pair left out'] == 4
    assert 'Open/a/5.jpg' in report.examples['broken pair left out']
    assert '2 key_point' not in str(report.lines())
    assert "1 object of another name left out, first a/1.xml ('car')" in report.lines()


def test_a_folder_without_strips_is_one_clear_sentence(tmp_path):
    with pytest.raises(FileNotFoundError, match='no folder with jpg files'):
        list(read_psdet(tmp_path))


def frames(group, numbers):
    return [ParkingImage(f'{group}/{n}.jpg', 10, 10, group=group) for n in numbers]


def numbers(records):
    return [int(record.file_name.split('/')[1][:-4]) for record in records]


def test_each_sequence_is_cut_into_train_gap_and_val_in_the_order_of_frame_numbers():
    shuffled = np.random.default_rng(0).permutation(200)
    train, val, gap = split_by_blocks(frames('a', shuffled), val_fraction=0.2)
    assert numbers(train) == list(range(135))
    assert numbers(gap) == list(range(135, 160))
    assert numbers(val) == list(range(160, 200))


def test_the_gap_grows_with_the_sequence_and_every_sequence_has_its_own():
    train, val, gap = split_by_blocks(frames('a', range(2000)) + frames('b', range(100)))
    assert sum(r.group == 'a' for r in gap) == 40
    assert sum(r.group == 'b' for r in gap) == 25
    assert len(train) + len(val) + len(gap) == 2100
    assert sum(r.group == 'b' for r in val) == 20


def test_held_out_sequences_are_never_trained_on():
    train, val = split_by_sequences(frames('a', range(3)) + frames('b', range(2)), ['b'])
    assert {r.group for r in train} == {'a'}
    assert {r.group for r in val} == {'b'}
    with pytest.raises(ValueError, match=r"No sequence is called \['c'\].*\['a', 'b'\]"):
        split_by_sequences(frames('a', [1]) + frames('b', [1]), ['c'])


def test_splits_refuse_what_would_leak_or_make_no_sense():
    with pytest.raises(ValueError, match=r'x\.jpg has no `group`'):
        split_by_blocks([ParkingImage('x.jpg', 10, 10)])
    with pytest.raises(ValueError, match=r'val_fraction is 1\.5'):
        split_by_blocks(frames('a', range(3)), val_fraction=1.5)


def test_convert_writes_both_files_and_a_table(tmp_path):
    for i in range(60):
        folder = tmp_path / 'in/Grass/seq'
        write_pair(folder / f'{i:06}.jpg', folder / f'{i:06}.xml', point(i, 2 * i))
    table = convert('psdet', tmp_path / 'in', tmp_path / 'out')
    train, val = (read_parking_slot_coco(tmp_path / f'out/{n}.json') for n in ('train', 'val'))
    assert train.labels == val.labels == ('marking_points',)
    assert (len(train.images), len(val.images)) == (23, 12)
    assert (tmp_path / 'out' / val.images[0].file_name).resolve() == (
        tmp_path / 'in/Grass/seq/000048.jpg'
    )
    np.testing.assert_allclose(val.images[0].points, [[23.75, 47.75]])
    assert [next(iter(column.cells)) for column in table.columns] == [
        'Grass',
        '23',
        '12',
        '25',
        '35',
        '0',
        '0',
    ]


def test_an_unknown_format_names_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match=r"Unknown format 'kitti'.*psdet"):
        convert('kitti', tmp_path, tmp_path)
