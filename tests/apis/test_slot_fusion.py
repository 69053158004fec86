"""Fusion of slots and points of several models, and its metrics."""

import json
import pickle

import numpy as np
import pytest
import torch

from mmdet_ext.apis.slot_fusion import fuse_slot_results

SLOT = np.array([[100.0, 300], [200, 300], [200, 100], [100, 100]])
OTHER = np.add(SLOT, [300, 0])


def prediction(image, slots, points, boxes_only=False):
    """Slots as (corners, score), points as (x, y, score), as tools/test.py --out writes them."""
    corners = torch.tensor(np.array([c for c, _ in slots]).reshape(-1, 4, 2)).float()
    scores = torch.tensor([score for _, score in slots], dtype=torch.float32)
    count, points = len(slots), torch.tensor(points, dtype=torch.float32).reshape(-1, 3)
    instances = dict(
        bboxes=torch.cat([corners.amin(1), corners.amax(1)], 1),
        scores=scores,
        labels=torch.zeros(count, dtype=torch.long),
    )
    if not boxes_only:
        instances |= dict(corners=corners, occupied_scores=torch.full((count,), 0.25))
    marks = dict(points=points[:, :2], scores=points[:, 2])
    return dict(
        img_id=image, ori_shape=(600, 600), pred_instances=instances, pred_marking_points=marks
    )


@pytest.fixture
def truth(tmp_path):
    """Two images; the first has both slots, the second the first."""
    annotations = []
    for image, corners in ((1, SLOT), (1, OTHER), (2, SLOT)):
        (x1, y1), (x2, y2) = corners.min(0), corners.max(0)
        annotations.append(
            dict(
                id=len(annotations) + 1,
                image_id=image,
                category_id=1,
                iscrowd=0,
                bbox=[x1, y1, x2 - x1, y2 - y1],
                area=(x2 - x1) * (y2 - y1),
                segmentation=[corners.flatten().tolist()],
                keypoints=np.hstack([corners, np.full((4, 1), 2)]).flatten().tolist(),
                num_keypoints=4,
                occupied=None,
            )
        )
    names = ['entrance_left', 'entrance_right', 'rear_right', 'rear_left']
    content = dict(
        info=dict(labels=['marking_points', 'slots']),
        images=[dict(id=i, file_name=f'{i}.jpg', width=600, height=600) for i in (1, 2)],
        categories=[dict(id=1, name='perpendicular', keypoints=names, skeleton=[[1, 2]])],
        annotations=annotations,
        marking_points=[
            dict(id=i, image_id=1, point=place, direction=None, shape=None)
            for i, place in enumerate(([100.0, 300], [200.0, 300]), 1)
        ],
    )
    path = tmp_path / 'val.json'
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def write(tmp_path):
    def write(name, *samples):
        (tmp_path / name).write_bytes(pickle.dumps(list(samples)))
        return tmp_path / name

    return write


def fuse(files, truth, **options):
    out = truth.parent / 'fused.pkl'
    report = fuse_slot_results(files, out, truth, **options)
    return report, {sample['img_id']: sample for sample in pickle.loads(out.read_bytes())}


def test_what_both_found_is_averaged_and_what_one_found_loses_its_share(write, truth):
    one = write(
        'a.pkl',
        prediction(1, [(SLOT, 0.9), (OTHER, 0.8)], [(100, 300, 0.9)]),
        prediction(2, [], []),
    )
    other = write(
        'b.pkl', prediction(1, [(SLOT + 4, 0.9)], [(104, 300, 0.9)]), prediction(2, [], [])
    )
    report, fused = fuse([one, other], truth)
    slots = fused[1]['pred_instances']
    assert slots['corners'].tolist() == [(SLOT + 2).tolist(), OTHER.tolist()]
    assert slots['scores'].tolist() == pytest.approx([0.9, 0.4])
    assert slots['bboxes'][0].tolist() == [102, 102, 202, 302]
    assert fused[1]['pred_marking_points']['points'].tolist() == [[102, 300]]
    assert len(fused[2]['pred_instances']['scores']) == 0
    assert [row['slots'] for row in report.rows] == [2, 1, 2]
    assert [row['name'] for row in report.rows] == [str(one), str(other), 'fused']
    assert not report.warnings


def test_models_that_are_right_about_different_slots_are_better_together(write, truth):
    wrong = np.add(SLOT, [0, 60])
    one = write(
        'a.pkl', prediction(1, [(SLOT, 0.9), (wrong, 0.8)], []), prediction(2, [(SLOT, 0.9)], [])
    )
    other = write('b.pkl', prediction(1, [(SLOT, 0.8), (OTHER, 0.9)], []), prediction(2, [], []))
    report, _ = fuse([one, other], truth)
    # Best F1: 2 of 2 predictions and of 3 truths; likewise; all three before the wrong one.
    assert [row['slot/f1'] for row in report.rows] == pytest.approx([0.8, 0.8, 1.0], abs=0.15)
    assert report.rows[2]['slot/ap'] > max(row['slot/ap'] for row in report.rows[:2])
    header = [column.header for column in report.table.columns]
    assert header[:6] == ['name', 'weight', 'images', 'slots', 'points', 'slot/f1']


def test_weights_count(write, truth):
    one = write('a.pkl', prediction(1, [(SLOT, 0.9)], []), prediction(2, [], []))
    other = write('b.pkl', prediction(1, [(SLOT + 4, 0.9)], []), prediction(2, [], []))
    _, fused = fuse([one, other], truth, weights=[3, 1])
    assert fused[1]['pred_instances']['corners'].numpy() == pytest.approx(SLOT[None] + 1)


def test_a_model_has_no_say_on_images_it_has_not_seen_and_that_is_said(write, truth):
    one = write('a.pkl', prediction(1, [(SLOT, 0.9)], []), prediction(2, [(SLOT, 0.8)], []))
    other = write('b.pkl', prediction(1, [(SLOT, 0.9)], []))
    report, fused = fuse([one, other], truth)
    assert fused[2]['pred_instances']['scores'].tolist() == pytest.approx([0.8])
    (warning,) = report.warnings
    assert 'b.pkl has 1 of the 2 images: in the others the other models decide' in warning


def test_mistakes_are_one_sentence(write, truth, tmp_path):
    good = write('a.pkl', prediction(1, [(SLOT, 0.9)], []))
    other = write('b.pkl', prediction(1, [(SLOT, 0.9)], []))
    boxes = write('c.pkl', prediction(1, [(SLOT, 0.9)], [], boxes_only=True))

    def error(files, out='fused.pkl', **options):
        with pytest.raises((ValueError, FileNotFoundError)) as caught:
            fuse_slot_results(files, tmp_path / out, truth, **options)
        assert str(caught.value).count('. ') == 0
        return str(caught.value)

    assert 'needs at least two' in error([good])
    assert 'is given twice' in error([good, good])
    assert '1 weights are given for 2' in error([good, other], weights=[1])
    assert 'end the name in .pkl' in error([good, other], out='fused.json')
    assert 'slot radius is -1' in error([good, other], slot_radius=-1)
    assert 'd.json is no pickle' in error([good, tmp_path / 'd.json'])
    assert 'image 1 has no `pred_instances.corners`' in error([good, boxes])
    assert 'none.pkl does not exist' in error([good, tmp_path / 'none.pkl'])
    stray = write('e.pkl', prediction(7, [(SLOT, 0.9)], []))
    assert 'is of image 7, which' in error([good, stray])
