"""Reading PASCAL VOC folders."""

import json

import numpy as np
import pytest
from mmdet.datasets import CocoDataset, VOCDataset
from PIL import Image

from mmdet_ext.datasets.formats.convert import convert
from mmdet_ext.datasets.formats.pascal_voc import PascalVocReader
from mmdet_ext.datasets.formats.reader import ReadReport

SIZE = '<size><width>100</width><height>80</height><depth>3</depth></size>'


def entry(name='car', box=(11, 21, 41, 61), difficult='<difficult>0</difficult>', more=''):
    edges = zip(('xmin', 'ymin', 'xmax', 'ymax'), box, strict=True)
    bounds = ''.join(f'<{key}>{value}</{key}>' for key, value in edges)
    return f'<object><name>{name}</name>{difficult}{more}<bndbox>{bounds}</bndbox></object>'


@pytest.fixture
def voc(tmp_path):
    def write(stem, objects='', size=SIZE, root=tmp_path, suffix='.jpg', encoding='utf-8'):
        image, label = root / f'JPEGImages/{stem}{suffix}', root / f'Annotations/{stem}.xml'
        for path in (image, label):
            path.parent.mkdir(parents=True, exist_ok=True)
        Image.new('RGB', (100, 80)).save(image)
        text = f'<annotation>\r\n<filename>other.jpg</filename>{size}{objects}</annotation>'
        label.write_bytes(text.encode(encoding))
        return root

    return write


def lists(root, **content):
    folder = root / 'ImageSets/Main'
    folder.mkdir(parents=True, exist_ok=True)
    for name, stems in content.items():
        (folder / f'{name}.txt').write_text('\n'.join(stems) + '\n')


def read(root, **options):
    report = ReadReport()
    return list(PascalVocReader(root, **options).iterate(report)), report


def test_boxes_count_from_one_unless_told_otherwise(voc):
    root = voc('1', entry())
    (record,), report = read(root)
    assert record.file_name == 'JPEGImages/1.jpg'
    assert record.boxes.tolist() == [[10, 20, 40, 60]]
    (record,), _ = read(root, minus_one=False)
    assert record.boxes.tolist() == [[11, 21, 41, 61]]
    assert not report.counts


def test_converted_boxes_are_those_that_mmdets_own_voc_dataset_reads(voc, tmp_path):
    objects = entry('dog', (11.0, 21, 41, 61)) + entry('cat', difficult='<difficult>1</difficult>')
    root = voc('1', objects, root=tmp_path / 'VOC2007')
    lists(root, train=['1'])
    convert('voc', root, tmp_path / 'out', num_workers=1)
    shared = dict(metainfo=dict(classes=('cat', 'dog')), pipeline=[], test_mode=True)
    ours = CocoDataset(
        data_root=f'{tmp_path}/out', ann_file='train.json', data_prefix=dict(img=''), **shared
    )
    theirs = VOCDataset(
        data_root=f'{tmp_path}/',
        ann_file='VOC2007/ImageSets/Main/train.txt',
        data_prefix=dict(sub_data_root='VOC2007/'),
        **shared,
    )
    assert ours.get_data_info(0)['instances'] == theirs.get_data_info(0)['instances']
    assert len(ours.get_data_info(0)['instances']) == 2


def test_difficult_objects_become_crowd(voc):
    flags = ['<difficult>1</difficult>', '<difficult> 0 </difficult>', '', '<difficult/>']
    flags += ['<difficult>Unspecified</difficult>', '<difficult>maybe</difficult>']
    (record,), report = read(voc('1', ''.join(entry(difficult=flag) for flag in flags)))
    assert record.crowd.tolist() == [True, False, False, False, False, False]
    assert report.counts == {'<difficult> other than 0 and 1 (taken as 0)': 1}


def test_parts_of_a_person_are_no_objects(voc):
    part = '<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>'
    (record,), _ = read(voc('1', entry('person', more=part)))
    assert record.names == ['person']
    assert record.boxes.tolist() == [[10, 20, 40, 60]]


def test_decimal_numbers_are_kept(voc):
    (record,), _ = read(voc('1', entry(box=('11.5', '21.0', ' 41.25 ', '61'))))
    assert record.boxes.tolist() == [[10.5, 20, 40.25, 60]]


def test_the_split_is_the_list_that_names_the_image(voc):
    for stem in 'abcdef':
        root = voc(stem, entry())
    lists(root, train=['a', 'f.jpg'], val=['b'], trainval=['a', 'b', 'c'], hard=['d'])
    lists(root, car_train=['a  1', 'f -1'], car_val=['b -1'])
    records, report = read(root)
    splits = ['train', 'val', 'trainval', 'hard', None, 'train']
    assert [record.split for record in records] == splits
    assert not report.counts


def test_a_name_in_two_lists_is_counted_and_stays_in_the_first(voc):
    root = voc('a', entry())
    lists(root, train=['a'], test=['a', 'gone'])
    (record,), report = read(root)
    assert record.split == 'train'
    assert report.lines() == [
        '1 name in two lists (the first one taken), first ImageSets/Main/test.txt (a: train and test)',
        '1 listed name without image and xml left out, first gone',
    ]


def test_several_voc_folders_are_read_with_their_name_as_condition(voc, tmp_path):
    for year in ('VOC2007', 'VOC2012'):
        lists(voc('1', entry(), root=tmp_path / year), train=['1'])
    records, _ = read(tmp_path)
    assert [(r.file_name, r.condition, r.split) for r in records] == [
        ('VOC2007/JPEGImages/1.jpg', 'VOC2007', 'train'),
        ('VOC2012/JPEGImages/1.jpg', 'VOC2012', 'train'),
    ]


def test_images_of_any_kind_in_a_folder_of_any_name_are_found(voc, tmp_path):
    root = voc('sub/1', entry(), suffix='.PNG')
    (root / 'JPEGImages').rename(root / 'images')
    (record,), _ = read(root, image_folder='images')
    assert record.file_name == 'images/sub/1.PNG'


def test_faults_are_counted_and_lose_nothing_else(voc):
    good = entry('good')
    bad = '<object><name>a</name></object>' + entry('') + entry(box=('x', 1, 9, 9))
    root = voc('1', good + bad + entry(box=(41, 61, 11, 21)) + entry(box=(0, 5, 50, 50)))
    voc('2', good, size='')
    voc('3', '<object>')
    voc('4', good)
    (root / 'JPEGImages/4.jpg').write_bytes(b'no image')
    voc('5', good)
    (root / 'JPEGImages/5.jpg').unlink()
    voc('6', good)
    (root / 'Annotations/6.xml').unlink()
    voc('7')
    records, report = read(root)
    assert [record.names for record in records] == [['good', 'car', 'car'], ['good'], []]
    np.testing.assert_array_equal(
        records[0].boxes, [[10, 20, 40, 60], [10, 20, 40, 60], [0, 4, 49, 49]]
    )
    swapped = 'box with min and max swapped (put right)'
    from_zero = 'box that begins at 0, where pixels should count from 1 (minus_one=False meant?)'
    assert report.counts == {
        'image without xml left out': 1,
        'xml without image left out': 1,
        'object without bndbox left out': 1,
        'object without name left out': 1,
        'box with a number that is not finite left out': 1,
        swapped: 1,
        from_zero: 1,
        'box clipped to the image': 1,
        "no image size in the label file (the image's taken)": 1,
        'broken xml (image left out)': 1,
        'unreadable image (left out)': 1,
        'image without boxes (kept)': 1,
    }


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'latin-1'])
def test_xml_is_read_in_the_encodings_that_tools_leave(voc, encoding):
    (record,), report = read(voc('1', entry('Fußgänger'), encoding=encoding))
    assert record.names == ['Fußgänger']
    assert not report.counts


def test_xml_of_an_unknown_encoding_is_left_out(voc):
    root = voc('1', entry())
    path = root / 'Annotations/1.xml'
    path.write_text(f'<?xml version="1.0" encoding="klingon"?>{path.read_text()[:-5]}')
    records, report = read(root)
    assert not records
    assert report.counts == {'broken xml (image left out)': 1}


def test_train_and_val_get_the_same_categories(voc, tmp_path):
    root = voc('1', entry('dog'))
    voc('2', entry('cat'))
    lists(root, train=['1'], val=['2'])
    convert('voc', root, tmp_path / 'out', num_workers=1)
    for split in ('train', 'val'):
        content = json.loads((tmp_path / f'out/{split}.json').read_text())
        assert [c['name'] for c in content['categories']] == ['cat', 'dog']


def test_a_folder_of_another_kind_is_one_clear_sentence(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r'no Annotations/\*.xml found; expected a VOC folder'
    ):
        list(PascalVocReader(tmp_path))
