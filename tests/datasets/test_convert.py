"""Conversion of whole data sets: what is written where, breaks, and what goes wrong."""

import json
from dataclasses import dataclass, fields

import numpy as np
import pytest
from PIL import Image

from mmdet_ext.datasets.formats import convert as convert_module
from mmdet_ext.datasets.formats.convert import READERS, build_reader, convert, reader_class
from mmdet_ext.datasets.formats.parking_slot_coco import (
    LABEL_KINDS,
    ParkingImage,
    read_parking_slot_coco,
    write_parking_slot_coco,
)
from mmdet_ext.datasets.formats.reader import LeftOut, ParkingReader, files_by_stem


@dataclass
class NumberReader(ParkingReader):
    """``numbers.txt`` holds one number per image: where its only marking point is."""

    scale: float = 1.0

    labels = ('marking_points', 'directions')
    derived = ('directions',)

    def find(self, report):
        return list(enumerate((self.root / 'numbers.txt').read_text().split()))

    def read(self, item, report):
        index, text = item
        if text == 'stop' and not (self.root / 'mended').exists():
            raise KeyboardInterrupt
        try:
            x = float(text) if text != 'stop' else 0.0
        except ValueError as error:
            raise LeftOut('no number', text) from error
        with (self.root / 'reads').open('a') as log:
            log.write(f'{index}\n')
        return ParkingImage(
            f'{index}.jpg',
            100,
            100,
            points=np.array([[x, x]]) * self.scale,
            directions=np.array([[1.0, 0.0]]),
            shapes=np.array([-1]),
            split='test' if x >= 50 else None,
        )


@pytest.fixture
def numbers(tmp_path, monkeypatch):
    monkeypatch.setitem(READERS, 'numbers', 'numbers.NumberReader')
    monkeypatch.setattr(
        convert_module, 'reader_class', lambda name: NumberReader if name == 'numbers' else None
    )
    monkeypatch.setattr(convert_module, '_CHUNK', 4)

    def write(text):
        (tmp_path / 'numbers.txt').write_text(text)
        return tmp_path

    return write


def test_options_of_the_reader_are_its_fields(numbers, tmp_path):
    convert('numbers', numbers('1 2 3 4 5'), tmp_path / 'out', options={'scale': 3})
    train, val = (read_parking_slot_coco(tmp_path / f'out/{n}.json') for n in ('train', 'val'))
    points = [image.points[0, 0] for image in (*train.images, *val.images)]
    assert sorted(points) == [3, 6, 9, 12, 15]
    assert len(val.images) == 1
    with pytest.raises(ValueError, match=r"no option 'scales' \(did you mean scale\?\)|scale"):
        build_reader('numbers', tmp_path, {'scales': 3})


def test_images_are_found_from_a_target_that_is_a_link_to_elsewhere(numbers, tmp_path):
    (tmp_path / 'large/disk/data').mkdir(parents=True)
    (tmp_path / 'data').symlink_to('large/disk/data')
    for i in range(3):
        (tmp_path / f'{i}.jpg').touch()
    convert('numbers', numbers('1 2 3'), tmp_path / 'data/out')
    names = [
        image.file_name
        for part in ('train', 'val')
        for image in read_parking_slot_coco(tmp_path / f'data/out/{part}.json').images
    ]
    assert len(names) == 3
    assert all((tmp_path / 'data/out' / name).is_file() for name in names)


def test_a_split_of_the_data_set_is_kept(numbers, tmp_path):
    convert('numbers', numbers('1 50 2 60'), tmp_path / 'out')
    assert len(read_parking_slot_coco(tmp_path / 'out/test.json').images) == 2
    assert len(read_parking_slot_coco(tmp_path / 'out/no_split.json').images) == 2
    assert not (tmp_path / 'out/train.json').exists()


def test_derived_labels_are_marked(numbers, tmp_path):
    convert('numbers', numbers('1 2 3'), tmp_path / 'out')
    info = json.loads((tmp_path / 'out/train.json').read_text())['info']
    assert info['labels'] == ['marking_points', 'directions']
    assert info['derived'] == ['directions']


def test_a_broken_image_loses_no_other_and_is_counted(numbers, tmp_path):
    table = convert('numbers', numbers('1 x 2 y 3'), tmp_path / 'out')
    assert '2 no number (image left out), first 1 (x)' in table.caption
    parts = [read_parking_slot_coco(tmp_path / f'out/{n}.json') for n in ('train', 'val')]
    assert sum(len(part.images) for part in parts) == 3


def test_nothing_readable_is_one_sentence_with_the_reasons(numbers, tmp_path):
    with pytest.raises(ValueError, match=r'no image of format numbers.*2 no number'):
        convert('numbers', numbers('x y'), tmp_path / 'out')
    assert not (tmp_path / 'out/train.json').exists()


def test_an_interrupted_conversion_is_gone_on_with(numbers, tmp_path):
    source = numbers(' '.join(str(i) for i in range(10)) + ' stop 11')
    with pytest.raises(KeyboardInterrupt):
        convert('numbers', source, tmp_path / 'out', num_workers=1)
    assert not (tmp_path / 'out/train.json').exists()
    (source / 'mended').touch()
    (source / 'reads').unlink()
    convert('numbers', source, tmp_path / 'out', num_workers=1)
    again = (source / 'reads').read_text().split()
    assert again == ['8', '9', '10', '11']  # the two chunks before were finished
    parts = [read_parking_slot_coco(tmp_path / f'out/{n}.json') for n in ('train', 'val')]
    assert sum(len(part.images) for part in parts) == 12
    assert not (tmp_path / 'out/.converting').exists()


def test_chunks_of_other_options_are_not_taken(numbers, tmp_path):
    source = numbers('1 2 3 4 stop')
    with pytest.raises(KeyboardInterrupt):
        convert('numbers', source, tmp_path / 'out', num_workers=1)
    (source / 'mended').touch()
    convert('numbers', source, tmp_path / 'out', num_workers=1, options={'scale': 10})
    parts = [read_parking_slot_coco(tmp_path / f'out/{n}.json') for n in ('train', 'val')]
    assert {i.points[0, 0] for part in parts for i in part.images} == {0, 10, 20, 30, 40}


def test_workers_give_the_same_files(numbers, tmp_path):
    source = numbers(' '.join(str(i) for i in range(30)))
    for workers in (1, 2):
        convert('numbers', source, tmp_path / f'out/{workers}', num_workers=workers)
    one, two = ((tmp_path / f'out/{n}/train.json').read_text() for n in (1, 2))
    assert one == two


def write_strip(path, x, y):
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(int(x)).integers(0, 255, (20, 6), np.uint8)
    Image.fromarray(coarse).convert('RGB').resize((96, 300)).save(path)
    path.with_suffix('.xml').write_text(
        '<annotation><object><name>01_key_point</name><deleted>0</deleted><polygon>'
        f'<pt><x>{x}</x><y>{y}</y></pt></polygon></object>'
        '<imagesize><nrows>600</nrows><ncols>192</ncols></imagesize></annotation>'
    )


def test_convert_writes_both_files_and_a_table(tmp_path):
    for i in range(60):
        folder = tmp_path / 'in/Grass/seq'
        write_strip(folder / f'{i:06}.jpg', i, 2 * i)
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


def test_an_image_that_looks_like_one_for_training_is_not_validated_on(tmp_path):
    folder = tmp_path / 'in/Grass/seq'
    for i in range(60):
        write_strip(folder / f'{i:06}.jpg', i, 2 * i)
    copy = (folder / '000050.jpg', folder / '000051.jpg')
    copy[0].write_bytes((folder / '000003.jpg').read_bytes())
    Image.open(folder / '000004.jpg').resize((192, 600)).save(copy[1], quality=60)
    table = convert('psdet', tmp_path / 'in', tmp_path / 'out')
    names = [r.file_name for r in read_parking_slot_coco(tmp_path / 'out/val.json').images]
    assert [name[-10:-4] for name in names] == [f'{i:06}' for i in (48, 49, *range(52, 60))]
    assert '2 image that looks like one for training (not validated on)' in table.caption


def test_an_unknown_format_names_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match=r"Unknown format 'kitti'.*psdet"):
        convert('kitti', tmp_path, tmp_path)


def test_every_reader_named_exists_and_documents_its_options():
    for name in READERS:
        cls = reader_class(name)
        for option in {field.name for field in fields(cls)} - {'root'}:
            assert f'{option}:' in cls.__doc__, f'{name} does not document {option}'


def test_files_by_stem_prefers_the_suffix_named_first(tmp_path):
    for name in ('a/1.png', 'a/1.JPG', '2.bmp', 'note.txt'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = files_by_stem(tmp_path, ('.jpg', '.png', '.bmp'))
    assert found == {'2': tmp_path / '2.bmp', 'a/1': tmp_path / 'a/1.JPG'}


def write_own(path):
    slot = np.array([[[20.0, 50.0], [60.0, 50.0], [60.0, 10.0], [20.0, 10.0]]])
    image = ParkingImage(
        'pictures/1.jpg',
        100,
        80,
        points=slot[0, :2],
        directions=np.array([[0.0, -1.0]] * 2),
        shapes=np.array([1, 1]),
        corners=slot,
        slot_types=np.array([0]),
        occupied=np.array([1]),
        slot_points=np.array([[0, 1]]),
    )
    write_parking_slot_coco(path, [image], LABEL_KINDS)


def test_our_own_files_are_written_as_yolo_pose_with_names_as_they_are(tmp_path):
    write_own(tmp_path / 'in/train.json')
    convert('parking-slot-coco', tmp_path / 'in', tmp_path / 'out', to='yolo-pose')
    assert (tmp_path / 'out/train.txt').read_text() == './images/pictures/1.jpg\n'
    label = (tmp_path / 'out/labels/pictures/1.txt').read_text().split()
    np.testing.assert_allclose([float(v) for v in label[1:7]], [0.4, 0.375, 0.4, 0.5, 0.2, 0.625])


def test_our_own_files_are_written_as_dmpr_labels(tmp_path):
    write_own(tmp_path / 'in/train.json')
    table = convert('parking-slot-coco', tmp_path / 'in', tmp_path / 'out', to='dmpr')
    label = json.loads((tmp_path / 'out/pictures/1.json').read_text())
    assert [mark[:2] for mark in label['marks']] == [[21, 51], [61, 51]]
    assert label['slots'][0][:2] == [1, 2]
    assert 'occupancy' in table.caption  # DMPR JSON has no place for it


def test_our_own_files_are_split_as_they_are_named_and_keep_all_labels(tmp_path):
    write_own(tmp_path / 'in/val.json')
    convert('parking-slot-coco', tmp_path / 'in', tmp_path / 'out')
    (before,) = read_parking_slot_coco(tmp_path / 'in/val.json').images
    after = read_parking_slot_coco(tmp_path / 'out/val.json')
    assert after.labels == LABEL_KINDS
    np.testing.assert_array_equal(after.images[0].corners, before.corners)
    np.testing.assert_array_equal(after.images[0].directions, before.directions)
    assert after.images[0].file_name == '../in/pictures/1.jpg'


def test_boxes_are_not_written_as_slots_and_unknown_formats_are_named(tmp_path):
    with pytest.raises(ValueError, match='dmpr holds parking slots, but the source has boxes'):
        convert('voc', tmp_path, tmp_path / 'out', to='dmpr')
    with pytest.raises(ValueError, match=r"Unknown format 'kitti' to write.*yolo-pose"):
        convert('psdet', tmp_path, tmp_path / 'out', to='kitti')
