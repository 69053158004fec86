"""Statistics, the verdict on a whole data set, and the report of it."""

import re

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mmdet_ext.datasets.checks import diagnose
from mmdet_ext.datasets.checks.diagnosis import overview, preprocessor_line, verdict
from mmdet_ext.datasets.checks.report import draw_statistics, write_report
from mmdet_ext.datasets.checks.statistics import label_statistics


def test_statistics_of_boxes_are_counts_sizes_and_centres(plain, read):
    plain['categories'].append({'id': 1, 'name': 'cow'})
    statistics = label_statistics(read(plain))
    assert statistics.class_counts == {'cat': 2, 'dog': 2, 'cow': 0}
    assert statistics.labels_per_image.tolist() == [2, 2]
    np.testing.assert_allclose(statistics.box_sizes**2, [600, 1200, 6300, 8000])
    np.testing.assert_allclose(statistics.positions[0], [25 / 100, 20 / 80])
    assert len(statistics.depths) == 0


def test_statistics_of_slots_are_in_metres_where_the_resolution_is_known(parking, read):
    statistics = label_statistics(read(parking))
    assert statistics.unit == 'm'
    np.testing.assert_allclose(statistics.entrance_widths, 150 / 60)
    np.testing.assert_allclose(statistics.depths, 250 / 60)
    np.testing.assert_allclose(statistics.angles, 90)
    np.testing.assert_allclose(statistics.positions[:, 0], np.array([50, 200, 350, 500]) / 600)


def test_statistics_of_slots_are_in_pixels_of_600_otherwise(parking, read):
    parking['images'][0].update(metres_per_pixel=None, height=300)
    statistics = label_statistics(read(parking))
    assert statistics.unit == 'px of 600'
    np.testing.assert_allclose(statistics.entrance_widths, 300)


def test_labels_with_holes_are_left_out_of_the_statistics(parking, read):
    parking['annotations'][0]['keypoints'] = None
    parking['annotations'][1]['bbox'] = [float('nan')] * 4
    statistics = label_statistics(read(parking))
    assert (len(statistics.depths), len(statistics.box_sizes)) == (2, 2)


@pytest.fixture
def data_set(plain, write):
    """Two splits with their images, one of them with an annotation of no category."""
    rng = np.random.default_rng(0)
    paths = []
    for part in ('train', 'val'):
        if part == 'val':
            plain['annotations'][2]['category_id'] = 5
        paths.append(write(plain, f'{part}/[b]{part} & more.json'))
        for name in 'ab':
            noise = rng.integers(0, 256, (8, 10, 3), np.uint8)
            cv2.imwrite(str(paths[-1].parent / f'{name}.png'), cv2.resize(noise, (100, 80)))
    return paths


def test_a_data_set_without_errors_is_trainable(data_set):
    diagnosis = diagnose(data_set, num_workers=1)
    assert [row[1:] for row in overview(diagnosis)] == [('2', '4', '0')] * 2
    assert diagnosis.trainable
    assert verdict(diagnosis) == 'Training makes sense: 0 errors, 1 warning.'


def test_colours_are_given_as_the_config_takes_them(data_set):
    pixels = [
        np.asarray(Image.open(path)).reshape(-1, 3)
        for folder in {path.parent for path in data_set}
        for path in folder.glob('*.png')
    ]
    mean = np.concatenate(pixels).mean(0).round(2).tolist()
    line = preprocessor_line(diagnose(data_set, num_workers=1))
    assert line.startswith(f'mean={mean}, std=[')
    assert line.endswith('bgr_to_rgb=True')
    assert preprocessor_line(diagnose(data_set, images='none')) is None


def test_an_error_makes_training_senseless(data_set):
    data_set[0].write_text('[]')
    diagnosis = diagnose(data_set, images='none')
    assert not diagnosis.trainable
    assert verdict(diagnosis) == 'Training makes no sense yet: 1 error, 1 warning.'
    assert len(diagnosis.splits) == 1


def test_a_config_gives_files_image_folders_and_classes(data_set):
    folder = data_set[0].parent
    dataset = dict(
        type='CocoDataset',
        data_root=str(folder),
        ann_file=data_set[0].name,
        metainfo=dict(classes=('cat', 'dog', 'cow')),
    )
    cfg = Config(dict(train_dataloader=dict(dataset=dataset)))
    diagnosis = diagnose(cfg=cfg, num_workers=1)
    assert [split.file.path for split in diagnosis.splits] == [data_set[0]]
    assert any("no category 'cow'" in f.problem for f in diagnosis.findings)
    other = diagnose(
        [data_set[1]], cfg, num_workers=1
    )  # not in the config: its classes all the same
    assert any("no category 'cow'" in f.problem for f in other.findings)


def test_nothing_to_check_and_a_wrong_folder_are_refused(data_set):
    with pytest.raises(ValueError, match='there is no annotation file to check'):
        diagnose()
    with pytest.raises(ValueError, match='image folder nowhere does not exist'):
        diagnose(data_set, images='nowhere')


def test_the_html_report_is_one_file_with_every_finding_escaped(data_set, tmp_path):
    diagnosis = diagnose(data_set, num_workers=1)
    write_report(tmp_path / 'out/report.html', diagnosis)
    page = (tmp_path / 'out/report.html').read_text()
    assert 'category that `categories` does not have' in page
    assert '[b]val &amp; more.json' in page
    assert 'val & more' not in page
    assert re.findall(r'(?:src|href)="(?!data:image/png;base64,)', page) == []
    assert verdict(diagnosis) in page


def test_the_png_report_is_a_picture(data_set, tmp_path):
    write_report(tmp_path / 'report.png', diagnose(data_set, images='none'))
    assert min(cv2.imread(str(tmp_path / 'report.png')).shape[:2]) > 200


def test_a_report_of_another_kind_is_refused(data_set, tmp_path):
    with pytest.raises(ValueError, match=r'ending in \.html or \.png'):
        write_report(tmp_path / 'report.pdf', diagnose(data_set, images='none'))


def test_panels_show_what_there_is(parking, plain, write):
    def titles(content, name):
        figure = draw_statistics(diagnose([write(content, name)], images='none'))
        return [axes.get_title() for axes in figure.axes if axes.get_title()]

    assert titles(plain, 'plain.json') == [
        'Objects per class',
        'Labels per image',
        'Size of boxes',
        'Where boxes have their centre',
    ]
    assert titles(parking, 'parking.json') == [
        'Objects per class',
        'Labels per image',
        'Size of boxes',
        'Width of entrances',
        'Depth of slots',
        'Angle of slots',
        'Where marking points lie',
    ]


def test_the_heat_map_has_x_to_the_right_and_y_down(parking, write):
    parking['marking_points'] = [{**p, 'point': [590, 10]} for p in parking['marking_points']]
    figure = draw_statistics(diagnose([write(parking)], images='none'))
    (axes,) = (axes for axes in figure.axes if axes.get_title().startswith('Where'))
    (image,) = axes.get_images()
    row, column = np.unravel_index(image.get_array().argmax(), image.get_array().shape)
    assert row < 3
    assert column > image.get_array().shape[1] - 3
    assert axes.yaxis_inverted()
