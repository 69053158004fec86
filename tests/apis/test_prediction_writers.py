"""What is written is what was found, whole, and readable by ours and by stock tools."""

import csv
import json

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from mmdet_ext.apis.frame_sources import Video
from mmdet_ext.apis.prediction_writers import InferredFrame, PredictionOutputs
from mmdet_ext.datasets.formats.parking_slot_coco import read_parking_slot_coco
from mmdet_ext.datasets.parking_slot_dataset import ParkingSlotDataset
from mmdet_ext.structures.predictions import ParkingSlotPredictions

CLASSES = ('perpendicular', 'parallel', 'slanted')
# An entrance of 30 px along y = 60, slots 40 px deep upwards; the second leaves the image on the right.
INSIDE = [[10, 60], [40, 60], [40, 20], [10, 20]]
CUT = [[80, 60], [110, 60], [110, 20], [80, 20]]
OUTSIDE = [[10, 90], [40, 90], [40, 130], [10, 130]]


def found(*corners, **changes):
    count = len(corners)
    arrays = dict(
        corners=np.array(corners, np.float32).reshape(-1, 4, 2),
        labels=np.arange(count) % 3,
        scores=np.linspace(0.9, 0.5, count, dtype=np.float32),
        occupied_scores=np.linspace(0.2, 0.8, count, dtype=np.float32),
        points=np.array([[10, 60], [40, 60.5]], np.float32),
        point_scores=np.array([0.75, 0.5], np.float32),
        directions=np.array([[0, -1], [0.6, -0.8]], np.float32),
        shapes=np.array([0, 1]),
    )
    return ParkingSlotPredictions(**{**arrays, **changes})


def frame(name, predictions, **changes):
    return InferredFrame(name, 100, 80, predictions, **changes)


def picture(value, size=(100, 80)):
    return np.full((size[1], size[0], 3), value, np.uint8)


@pytest.fixture
def written(tmp_path):
    """Two images, one with its resolution; returns the folder and the content of the JSON file."""
    with PredictionOutputs(tmp_path, CLASSES, dict(description='test')) as outputs:
        outputs.add(frame('sub/a.jpg', found(INSIDE, CUT, OUTSIDE), metres_per_pixel=0.05))
        outputs.add(frame('b.jpg', found(INSIDE)))
        outputs.add(frame('empty.jpg', found()))
    return tmp_path, json.loads((tmp_path / 'predictions.json').read_text())


def test_our_own_reader_gives_back_what_was_found(written):
    folder, content = written
    file = read_parking_slot_coco(folder / 'predictions.json')
    assert (file.classes, content['info']['description']) == (CLASSES, 'test')
    assert file.labels == ('marking_points', 'directions', 'shapes', 'slots', 'occupancy')
    first, second, empty = file.images
    assert [image.file_name for image in file.images] == ['sub/a.jpg', 'b.jpg', 'empty.jpg']
    assert first.corners.tolist() == [INSIDE, CUT, OUTSIDE]
    assert first.slot_types.tolist() == [0, 1, 2]
    assert first.occupied.tolist() == [0, 1, 1]  # 0.2, 0.5 and 0.8
    assert first.corner_visible.tolist() == [[2] * 4, [2, 1, 1, 2], [1] * 4]
    assert (first.metres_per_pixel, second.metres_per_pixel) == (0.05, None)
    assert second.points.tolist() == [[10, 60], [40, 60.5]]
    np.testing.assert_allclose(second.directions, [[0, -1], [0.6, -0.8]], atol=1e-5)
    assert second.shapes.tolist() == [0, 1]
    assert (len(empty.corners), len(empty.points)) == (0, 2)


def test_the_dataset_takes_predictions_as_labels(written):
    folder, _ = written
    (folder / 'sub').mkdir()
    for name in ('sub/a.jpg', 'b.jpg', 'empty.jpg'):
        cv2.imwrite(str(folder / name), picture(0))
    dataset = ParkingSlotDataset(
        data_root=str(folder), ann_file='predictions.json', data_prefix=dict(img=''), test_mode=True
    )
    assert [len(dataset.get_data_info(i)['instances']) for i in range(3)] == [3, 1, 0]


def test_pycocotools_reads_boxes_areas_and_scores_of_the_visible_part(written, capsys):
    folder, content = written
    coco = COCO(str(folder / 'predictions.json'))
    inside, cut, outside = coco.loadAnns(coco.getAnnIds(imgIds=[0]))
    assert (inside['bbox'], inside['area']) == ([10, 20, 30, 40], 1200)
    assert (cut['bbox'], cut['area']) == ([80, 20, 20, 40], 800)
    assert (outside['bbox'], outside['area'], outside['segmentation']) == ([0] * 4, 0, [])
    xs, ys = np.array(cut['segmentation'][0]).reshape(-1, 2).T
    assert (xs.min(), xs.max(), ys.min(), ys.max()) == (80, 100, 20, 60)
    assert [a['score'] for a in (inside, cut, outside)] == pytest.approx([0.9, 0.7, 0.5])
    assert [a['id'] for a in content['annotations']] == [1, 2, 3, 4]  # 0 is no match to pycocotools
    results = coco.loadRes([a for a in content['annotations'] if a['image_id'] == 1])
    assert results.getImgIds() == coco.getImgIds()
    assert results.loadAnns(1)[0]['score'] == pytest.approx(0.9)


def test_metres_are_there_where_the_resolution_is_known_and_nowhere_else(written):
    _, content = written
    first, *_, last = content['annotations']
    assert first['corners_metres'] == [[0.5, 3], [2, 3], [2, 1], [0.5, 1]]
    assert (first['entrance_width_metres'], first['depth_metres']) == (1.5, 2)
    assert content['marking_points'][1]['point_metres'] == [2, 3.025]
    assert not [key for key in (*last, *content['marking_points'][-1]) if 'metres' in key]


def test_the_table_has_a_row_per_slot_in_pixels_and_metres(written):
    folder, _ = written
    rows = list(csv.DictReader((folder / 'predictions.csv').open()))
    assert [(row['image'], row['slot'], row['type']) for row in rows] == [
        ('sub/a.jpg', '0', 'perpendicular'),
        ('sub/a.jpg', '1', 'parallel'),
        ('sub/a.jpg', '2', 'slanted'),
        ('b.jpg', '0', 'perpendicular'),
    ]
    first, *_, last = rows
    assert (first['occupied'], first['occupied_score'], first['score']) == ('no', '0.2', '0.9')
    assert (first['entrance_left_x_px'], first['rear_right_y_px']) == ('10.0', '20.0')
    assert (first['entrance_left_x_m'], first['rear_right_y_m']) == ('0.5', '1.0')
    assert (first['entrance_width_px'], first['depth_px']) == ('30.0', '40.0')
    assert (first['entrance_width_m'], first['depth_m']) == ('1.5', '2.0')
    assert (last['entrance_width_m'], last['depth_m'], last['frame']) == ('', '', '')


def test_what_the_network_never_learnt_is_not_in_the_file(tmp_path):
    with PredictionOutputs(tmp_path, CLASSES) as outputs:
        outputs.add(frame('a.jpg', found(INSIDE, directions=None, shapes=None)))
    file = read_parking_slot_coco(tmp_path / 'predictions.json')
    assert file.labels == ('marking_points', 'slots', 'occupancy')
    assert np.isnan(file.images[0].directions).all()
    assert file.images[0].shapes.tolist() == [-1, -1]


def test_pictures_keep_folder_name_and_kind_so_that_none_replaces_another(tmp_path):
    with PredictionOutputs(tmp_path, CLASSES) as outputs:
        for i, name in enumerate(('a.jpg', 'a.png', 'sub/a.jpg', 'a.gif', 'array_000000', 'c.TIF')):
            outputs.write_picture(frame(name, found(), picture=picture((10 * i, 20, 200))))
    written = {str(p.relative_to(tmp_path / 'pictures')): p for p in tmp_path.rglob('*.*')}
    expected = ['a.jpg', 'a.png', 'sub/a.jpg', 'a.gif.jpg', 'array_000000.jpg', 'c.TIF']
    assert sorted(written) == sorted(expected)  # no JSON, as nothing was added
    for i, name in enumerate(expected):
        assert np.abs(cv2.imread(str(written[name]))[5, 5] - np.array([200, 20, 10 * i])).max() < 4


def play(path):
    video, frames = cv2.VideoCapture(str(path)), []
    while (read := video.read())[0]:
        frames.append(read[1])
    return video, frames


def test_each_video_keeps_rate_size_and_order(tmp_path):
    first, second = Video('sub/one.mp4', 12.5), Video('two.avi', None)
    with PredictionOutputs(tmp_path, CLASSES) as outputs:
        for video, count in ((first, 9), (second, 4)):
            for i in range(count):
                drawn = picture((20 * i, 0, 0), (200, 160))  # drawings may be enlarged
                shown = frame(
                    f'{video.name}/{i:06d}', found(INSIDE), video=video, index=i, picture=drawn
                )
                outputs.write_picture(shown)
                outputs.add_to_video(shown)
                outputs.add(shown)
    one, frames = play(tmp_path / 'pictures/sub/one.mp4')
    assert (one.get(cv2.CAP_PROP_FPS), len(frames), frames[0].shape) == (12.5, 9, (80, 100, 3))
    assert [round(image[..., 2].mean() / 20) for image in frames] == list(range(9))
    two, frames = play(tmp_path / 'pictures/two.avi.mp4')
    assert (two.get(cv2.CAP_PROP_FPS), len(frames)) == (25, 4)
    assert len(list((tmp_path / 'pictures').rglob('*.*'))) == 2
    content = json.loads((tmp_path / 'predictions.json').read_text())
    assert [(v['id'], v['name'], v['fps']) for v in content['videos']] == [
        (0, 'sub/one.mp4', 12.5),
        (1, 'two.avi', None),
    ]
    assert [(i['video_id'], i['frame_id']) for i in content['images']] == [
        *((0, i) for i in range(9)),
        *((1, i) for i in range(4)),
    ]
    rows = list(csv.DictReader((tmp_path / 'predictions.csv').open()))
    assert [int(row['frame']) for row in rows] == [*range(9), *range(4)]


def test_a_rate_that_is_asked_for_counts(tmp_path):
    with PredictionOutputs(tmp_path, CLASSES, fps=7.0) as outputs:
        shown = frame('x', found(), video=Video('x.mp4', 30.0), picture=picture(1))
        outputs.add_to_video(shown)
    assert cv2.VideoCapture(str(tmp_path / 'pictures/x.mp4')).get(cv2.CAP_PROP_FPS) == 7


def test_files_are_whole_when_an_error_ends_the_run(tmp_path):
    video = Video('x.mp4', 10.0)

    def run():
        with PredictionOutputs(tmp_path, CLASSES) as outputs:
            for i in range(3):
                shown = frame(f'x/{i}', found(INSIDE), video=video, index=i, picture=picture(i))
                outputs.add_to_video(shown)
                outputs.add(shown)
            raise RuntimeError('the roof fell in')

    with pytest.raises(RuntimeError, match='the roof fell in'):
        run()
    assert len(play(tmp_path / 'pictures/x.mp4')[1]) == 3
    assert len(read_parking_slot_coco(tmp_path / 'predictions.json').images) == 3
    assert len((tmp_path / 'predictions.csv').read_text().splitlines()) == 1 + 3


def test_a_video_that_lost_frames_on_the_way_is_no_result(tmp_path, monkeypatch):
    real = cv2.VideoWriter

    class FullDisk:  # no subclass: OpenCV's classes do not bear that
        def __init__(self, *options):
            self.writer = real(*options)
            self.isOpened, self.release = self.writer.isOpened, self.writer.release

        def write(self, image):
            pass  # OpenCV says nothing either

    monkeypatch.setattr(cv2, 'VideoWriter', FullDisk)
    outputs = PredictionOutputs(tmp_path, CLASSES)
    shown = frame('x/0', found(), video=Video('x.mp4', 10.0), picture=picture(1))
    outputs.add_to_video(shown)
    outputs.add(shown)
    with pytest.raises(OSError, match=r'x.mp4 could not be written: is the disk full\?'):
        outputs.close()
    assert not list(tmp_path.rglob('*.mp4'))
    assert len(read_parking_slot_coco(tmp_path / 'predictions.json').images) == 1


def test_a_folder_that_cannot_be_written_to_gets_a_sentence_before_anything_is_done(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(OSError, match=r'file/out cannot be written to \(Not a directory\): name'):
        PredictionOutputs(tmp_path / 'file/out', CLASSES)
