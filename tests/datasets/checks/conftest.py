"""Small data sets without a defect, for tests that add one."""

import copy
import json

import pytest

from mmdet_ext.datasets.checks.annotation_file import read_annotation_file
from mmdet_ext.datasets.formats.parking_slot_coco import KEYPOINTS

PLAIN = {
    'images': [
        {'id': 1, 'file_name': 'a.png', 'width': 100, 'height': 80},
        {'id': 2, 'file_name': 'b.png', 'width': 100, 'height': 80},
    ],
    'categories': [{'id': 7, 'name': 'cat'}, {'id': 9, 'name': 'dog'}],
    'annotations': [
        {'id': 1, 'image_id': 1, 'category_id': 7, 'bbox': [10, 10, 30, 20], 'area': 600},
        {'id': 2, 'image_id': 1, 'category_id': 9, 'bbox': [50, 40, 40, 30], 'area': 1200},
        {'id': 3, 'image_id': 2, 'category_id': 7, 'bbox': [5, 5, 90, 70], 'area': 6300},
        {'id': 4, 'image_id': 2, 'category_id': 9, 'bbox': [0, 0, 100, 80], 'area': 8000},
    ],
}


def _slot(number, x):
    """A slot 150 px wide and 250 px deep, entered from below, beside those at x - 150 and x + 150."""
    corners = [[x, 300], [x + 150, 300], [x + 150, 50], [x, 50]]
    return {
        'id': number,
        'image_id': 1,
        'category_id': 1,
        'iscrowd': 0,
        'keypoints': [value for corner in corners for value in (*corner, 2)],
        'bbox': [x, 50, 150, 250],
        'area': 37500,
        'occupied': False,
        'marking_point_ids': [number, number + 1],
    }


def _point(number, x):
    return {'id': number, 'image_id': 1, 'point': [x, 300], 'direction': [0, -1], 'shape': 'T'}


PARKING = {
    'info': {'labels': ['marking_points', 'directions', 'shapes', 'slots', 'occupancy']},
    'images': [
        {'id': 1, 'file_name': 'a.png', 'width': 600, 'height': 600, 'metres_per_pixel': 1 / 60}
    ],
    'categories': [
        {'id': i, 'name': name, 'keypoints': list(KEYPOINTS)}
        for i, name in enumerate(('perpendicular', 'parallel', 'slanted'), 1)
    ],
    'annotations': [_slot(1, 50), _slot(2, 200), _slot(3, 350)],
    'marking_points': [_point(1, 50), _point(2, 200), _point(3, 350), _point(4, 500)],
}


@pytest.fixture
def plain():
    """Two images with two boxes each."""
    return copy.deepcopy(PLAIN)


@pytest.fixture
def parking():
    """One image with a row of three perpendicular slots, 2.5 m wide."""
    return copy.deepcopy(PARKING)


@pytest.fixture
def write(tmp_path):
    """Write content as JSON; returns the path."""

    def write_content(content, name='train.json'):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
        return path

    return write_content


@pytest.fixture
def read(write):
    """Write content as JSON and read it leniently."""
    return lambda content, name='train.json': read_annotation_file(write(content, name))
