"""Plain COCO for detection: what is written, clipped and left out, and what others make of it."""

import contextlib
import io
import json
from dataclasses import dataclass

import cv2
import numpy as np
import pytest
from mmdet.datasets import CocoDataset
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmdet_ext.datasets.formats.detection_coco import (
    DetectionImage,
    class_names,
    fit_to_image,
    write_detection_coco,
)
from mmdet_ext.datasets.formats.detection_reader import DetectionReader, LabelledObject
from mmdet_ext.datasets.formats.label_files import text_lines
from mmdet_ext.datasets.formats.reader import LeftOut, ReadReport, image_size

TRIANGLE = np.array([[-10.0, 0], [30, 0], [30, 40]])


def image(boxes, names=None, **rest):
    names = ['car'] * len(boxes) if names is None else names
    return DetectionImage('1.jpg', 100, 80, boxes=boxes, names=names, **rest)


def bbox_ap(path, detections):
    """AP of ``(image_id, category_id, bbox xywh, score)`` rows against a file."""
    rows = [
        dict(image_id=i, category_id=c, bbox=list(box), score=score)
        for i, c, box, score in detections
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(path))
        evaluation = COCOeval(truth, truth.loadRes(rows), 'bbox')
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats[0]


def test_a_perfect_prediction_scores_one(tmp_path):
    path = tmp_path / 'a.json'
    write_detection_coco(path, [image([[10.5, 20, 40.25, 60]])], 'one', ['car'])
    perfect = [(0, 1, [10.5, 20, 29.75, 40], 0.9)]
    assert bbox_ap(path, perfect) == pytest.approx(1)
    # The trap that ids from 1 avoid: pycocotools takes a match with annotation 0 for none.
    content = json.loads(path.read_text())
    content['annotations'][0]['id'] = 0
    path.write_text(json.dumps(content))
    assert bbox_ap(path, perfect) == 0.0


def test_crowd_boxes_are_neither_missed_nor_false_alarms(tmp_path):
    path, boxes = tmp_path / 'a.json', [[0, 0, 20, 20], [50, 50, 90, 70]]
    found, on_crowd = (0, 1, [0, 0, 20, 20], 0.5), (0, 1, [50, 50, 40, 20], 0.9)
    write_detection_coco(path, [image(boxes, crowd=[False, True])], '', ['car'])
    assert bbox_ap(path, [found]) == pytest.approx(1)
    assert bbox_ap(path, [found, on_crowd]) == pytest.approx(1)
    write_detection_coco(
        path, [image(boxes)], '', ['car']
    )  # the same boxes, both of them to be found
    assert bbox_ap(path, [found]) == pytest.approx(51 / 101)


def test_stock_coco_dataset_loads_what_is_written(tmp_path):
    records = [
        image([[10, 20, 40, 60], [0, 0, 1, 1]], ['dog', 'cat'], crowd=[False, True]),
        DetectionImage('sub/2.jpg', 64, 48, group='g', condition='indoor'),
    ]
    write_detection_coco(tmp_path / 'a.json', records, '', ['cat', 'dog'])
    dataset = CocoDataset(
        ann_file=str(tmp_path / 'a.json'),
        data_prefix=dict(img=str(tmp_path)),
        metainfo=dict(classes=('cat', 'dog')),
        pipeline=[],
        test_mode=True,
    )
    first, second = dataset.get_data_info(0), dataset.get_data_info(1)
    assert first['instances'] == [
        dict(bbox=[10, 20, 40, 60], bbox_label=1, ignore_flag=0),
        dict(bbox=[0, 0, 1, 1], bbox_label=0, ignore_flag=1),
    ]
    assert (first['width'], first['height']) == (100, 80)
    assert second['img_path'] == f'{tmp_path}/sub/2.jpg'
    assert second['instances'] == []


def test_the_file_has_all_that_coco_tools_look_for(tmp_path):
    record = image([[1, 2, 4, 8]], group='site', condition='night')
    written = write_detection_coco(tmp_path / 'a.json', [record], 'mine', ['bus', 'car'])
    assert json.loads((tmp_path / 'a.json').read_text()) == written
    assert written == {
        'info': {'description': 'mine'},
        'licenses': [],
        'images': [
            dict(id=0, file_name='1.jpg', width=100, height=80, group='site', condition='night')
        ],
        'categories': [
            dict(id=1, name='bus', supercategory='none'),
            dict(id=2, name='car', supercategory='none'),
        ],
        'annotations': [
            dict(id=1, image_id=0, category_id=2, bbox=[1, 2, 3, 6], area=18, iscrowd=0)
        ],
    }


def test_boxes_are_clipped_to_the_image_and_counted(tmp_path):
    report = ReadReport()
    boxes = [[-10, 70, 20, 90], [5, 5, 100.05, 20]]  # the second hangs over by rounding only
    written = write_detection_coco(tmp_path / 'a.json', [image(boxes)], '', ['car'], report)
    assert [a['bbox'] for a in written['annotations']] == [[0, 70, 20, 10], [5, 5, 95, 15]]
    assert [a['area'] for a in written['annotations']] == [200, 1425]
    assert report.lines() == [
        '1 box clipped to the image, first 1.jpg (car, [-10.0, 70.0, 20.0, 90.0])'
    ]


@pytest.mark.parametrize(
    ('box', 'reason'),
    [
        ([0, 0, np.nan, 5], 'box with a number that is not finite left out'),
        ([0, 0, np.inf, 5], 'box with a number that is not finite left out'),
        ([5, 5, 5.9, 50], 'box less than 1 pixel wide or high left out'),
        ([50, 5, 10, 50], 'box less than 1 pixel wide or high left out'),
        ([200, 5, 300, 50], 'box with less than 1 pixel in the image left out'),
        ([99.5, 5, 120, 50], 'box with less than 1 pixel in the image left out'),
    ],
)
def test_a_box_that_is_none_is_left_out_and_counted(box, reason):
    report = ReadReport()
    fitted = fit_to_image(image([box, [1, 1, 3, 3]], ['bad', 'good']), report)
    assert fitted.names == ['good']
    assert report.counts == {reason: 1}


def test_outlines_are_clipped_with_their_boxes():
    report = ReadReport()
    record = image([[-10, 0, 30, 40]], polygons=[[TRIANGLE]])
    fitted = fit_to_image(record, report)
    # The hypotenuse y = x + 10 meets the left border at y = 10; 40 * 40 / 2 less 10 * 10 / 2 is left.
    assert {tuple(point) for point in fitted.polygons[0][0]} == {(0, 0), (30, 0), (30, 40), (0, 10)}
    assert fitted.boxes.tolist() == [[0, 0, 30, 40]]
    assert fitted.areas.tolist() == [750]
    assert report.counts == {'box clipped to the image': 1}
    again = ReadReport()
    np.testing.assert_array_equal(fit_to_image(fitted, again).boxes, fitted.boxes)
    assert not again.counts


def test_the_box_of_a_clipped_outline_encloses_what_is_left_of_it():
    slanted = np.array([[-40.0, 0], [10, 50], [10, 60], [-40, 10]])
    fitted = fit_to_image(image([[-40, 0, 10, 60]], polygons=[[slanted]]), ReadReport())
    assert fitted.boxes.tolist() == [[0, 40, 10, 60]]  # clipping the box alone gives 0 0 10 60


def test_an_outline_that_crosses_itself_has_the_area_of_both_parts():
    bow_tie = np.array([[0.0, 0], [10, 10], [10, 0], [0, 10]])  # its signed area is 0
    assert image([[0, 0, 10, 10]], polygons=[[bow_tie]]).areas.tolist() == [50]


def test_an_outline_without_area_is_left_out():
    report, line = ReadReport(), np.array([[0.0, 0], [30, 30], [60, 60]])
    assert not len(fit_to_image(image([[0, 0, 60, 60]], polygons=[[line]]), report).boxes)
    assert report.counts == {'outline with an area of less than 1 pixel left out': 1}


def test_segmentations_are_written_where_there_are_outlines(tmp_path):
    record = image([[0, 0, 30, 40], [5, 5, 10, 10]], polygons=[[np.abs(TRIANGLE)], []])
    outlined, plain = write_detection_coco(tmp_path / 'a', [record], '', ['car'])['annotations']
    assert outlined['segmentation'] == [[10, 0, 30, 0, 30, 40]]
    assert 'segmentation' not in plain
    assert (outlined['area'], plain['area']) == (400, 25)


def test_a_class_that_is_not_listed_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"a.json: 1.jpg has the class 'car', .*\['bus'\]"):
        write_detection_coco(tmp_path / 'a.json', [image([[0, 0, 9, 9]])], '', ['bus'])
    assert not (tmp_path / 'a.json').exists()


def test_a_record_whose_parts_do_not_match_is_refused():
    with pytest.raises(ValueError, match=r'1.jpg: 1 boxes, 2 names, 1 crowd flags'):
        image([[0, 0, 9, 9]], ['a', 'b'])


def test_class_names_are_sorted_numbers_by_value():
    names = ['dog', '10', '9', 'cat', 'dog']
    assert class_names([image([[0, 0, 9, 9]] * 5, names)]) == ['9', '10', 'cat', 'dog']


@dataclass
class RowReader(DetectionReader):
    """Each line of ``rows.txt`` is one image with one object: split, class, size in the label."""

    def find(self, report):
        return list(enumerate(text_lines(self.root / 'rows.txt')))

    def read(self, item, report):
        split, name, width, height = item[1].split()
        path, size = self.root / 'a.jpg', image_size(self.root / 'a.jpg')
        labelled = (float(width), float(height))
        scale = self.label_scale(item, path, size, labelled, report)
        objects = [LabelledObject(name, (2, 4, 10, 20))]
        return self.make_record(item, path, size, objects, report, scale=scale, split=split)


@pytest.fixture
def rows(tmp_path):
    def write(text, orientation=1, **options):
        exif = Image.Exif()
        exif[274] = orientation
        Image.new('RGB', (40, 20)).save(tmp_path / 'a.jpg', exif=exif)
        (tmp_path / 'rows.txt').write_text(text)
        return RowReader(tmp_path, **options)

    return write


def categories(path):
    return [category['name'] for category in json.loads(path.read_text())['categories']]


def test_all_splits_of_one_conversion_have_the_same_categories(rows, tmp_path):
    reader = rows('train dog 40 20\nval cat 40 20\nval bird 40 20')
    records = list(reader)
    reader.prepare_writing(records)
    for split in ('train', 'val'):
        part = [record for record in records if record.split == split]
        reader.write(tmp_path / f'{split}.json', part, split)
        assert categories(tmp_path / f'{split}.json') == ['bird', 'cat', 'dog']


def test_a_fixed_list_of_classes_gives_the_order_and_leaves_others_out(rows, tmp_path):
    reader, report = rows('t dog 40 20\nt cat 40 20', classes=['dog', 'bus']), ReadReport()
    records = list(reader.iterate(report))
    reader.write(tmp_path / 'a.json', records, '')
    assert categories(tmp_path / 'a.json') == ['dog', 'bus']
    assert [record.names for record in records] == [['dog'], []]
    assert report.counts == {
        'object of a class that is not asked for left out': 1,
        'image without boxes (kept)': 1,
    }
    assert reader.count(records[0]) == {'boxes': 1, 'ignored boxes': 0}


def test_classes_come_as_a_list_a_text_or_a_file(rows, tmp_path):
    (tmp_path / 'names.txt').write_bytes(b'\xef\xbb\xbftraffic light\r\ncar\r\n')
    assert rows('', classes=str(tmp_path / 'names.txt')).classes == ['traffic light', 'car']
    assert rows('', classes='traffic light, car').classes == ['traffic light', 'car']
    assert rows('', classes=[0, 1]).classes == ['0', '1']
    assert rows('', classes=3).classes == ['3']
    with pytest.raises(ValueError, match=r"\['a'\] more than once"):
        rows('', classes='a,b,a')


@pytest.mark.parametrize(
    ('size', 'box', 'reason'),
    [
        ('40 20', [2, 4, 10, 20], None),
        ('80 20', [1, 4, 5, 20], 'other image size in the label file (boxes scaled)'),
        ('0 0', [2, 4, 10, 20], "no image size in the label file (the image's taken)"),
        ('nan 20', [2, 4, 10, 20], "no image size in the label file (the image's taken)"),
        ('20 40', [2, 4, 10, 20], 'width and height swapped in the label file (boxes as they are)'),
    ],
)
def test_the_size_in_a_label_file_may_be_wrong(rows, size, box, reason):
    report = ReadReport()
    (record,) = rows(f'train dog {size}').iterate(report)
    assert record.boxes.tolist() == [box]
    assert report.counts == ({reason: 1} if reason else {})


def test_labels_made_without_the_exif_rotation_are_left_out(rows):
    reader, report = rows('t dog 40 20\nt dog 20 40', orientation=6), ReadReport()
    (record,) = reader.iterate(report)
    assert (record.width, record.height) == (20, 40)
    reason = 'labels that leave out the EXIF rotation of the image (image left out)'
    assert report.counts == {reason: 1}


@pytest.mark.parametrize('suffix', ['jpg', 'png'])
@pytest.mark.parametrize('orientation', [1, 3, 6, 8])
def test_the_size_of_an_image_is_that_which_opencv_loads(tmp_path, suffix, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    Image.new('RGB', (40, 20)).save(tmp_path / f'a.{suffix}', exif=exif)
    height, width = cv2.imread(str(tmp_path / f'a.{suffix}')).shape[:2]
    assert image_size(tmp_path / f'a.{suffix}') == (width, height)


def test_an_image_too_large_for_pillow_is_left_out(tmp_path, monkeypatch):
    Image.new('RGB', (40, 20)).save(tmp_path / 'a.png')
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 100)
    with pytest.raises(LeftOut, match='too large for Pillow'):
        image_size(tmp_path / 'a.png')


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16', 'latin-1'])
def test_text_is_read_in_the_encodings_that_editors_leave(tmp_path, encoding):
    (tmp_path / 'a.txt').write_bytes('für 1\r\n\r\n  b\t2 \r\n'.encode(encoding))
    assert text_lines(tmp_path / 'a.txt') == ['für 1', 'b\t2']
