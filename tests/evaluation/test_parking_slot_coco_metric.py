"""ParkingSlotCocoMetric on hand-made slots and against pycocotools itself."""

import json
import warnings

import numpy as np
import pytest
import torch
from mmdet.registry import METRICS
from pycocotools import mask as masks
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmdet_ext.datasets.formats.parking_slot_coco import ParkingImage, write_parking_slot_coco
from mmdet_ext.evaluation.functional.coco import OKS_SIGMAS, corner_masks
from mmdet_ext.evaluation.metrics import ParkingSlotCocoMetric, parking_slot_coco_metric

SLOT = np.array([[100.0, 400.0], [200.0, 400.0], [200.0, 200.0], [100.0, 200.0]])


def moved(corners, dx, dy=0):
    return corners + np.array([dx, dy], dtype=float)


def image(name='1.jpg', corners=(SLOT,), types=None):
    corners = np.array(corners, dtype=float).reshape(-1, 4, 2)
    count = len(corners)
    return ParkingImage(
        name,
        600,
        500,
        corners=corners,
        slot_types=np.zeros(count, dtype=int) if types is None else np.array(types),
        occupied=np.full(count, -1),
        slot_points=np.full((count, 2), -1),
    )


def sample(corners=(), img_id=0, scores=None, labels=None):
    corners = np.array(corners, dtype=float).reshape(-1, 4, 2)
    count = len(corners)
    return {
        'img_id': img_id,
        'ori_shape': (500, 600),
        'pred_instances': {
            'corners': torch.tensor(corners),
            'scores': torch.tensor(np.full(count, 0.9) if scores is None else np.array(scores)),
            'labels': torch.tensor(np.zeros(count) if labels is None else np.array(labels)).long(),
        },
    }


@pytest.fixture
def evaluate(tmp_path):
    def run(truths, samples, labels=('slots',), **options):
        write_parking_slot_coco(tmp_path / 'gt.json', truths, labels)
        metric = ParkingSlotCocoMetric(
            str(tmp_path / 'gt.json'), **{'backend': 'pycocotools'} | options
        )
        with warnings.catch_warnings():
            warnings.simplefilter('error', RuntimeWarning)
            metric.process(None, samples)
            return metric.evaluate(len(samples))

    return run


def random_scenes(seed=0):
    """Labels and predictions of twelve images with three classes."""
    rng = np.random.default_rng(seed)
    truths, samples = [], []
    for i in range(12):
        count = int(rng.integers(0, 5))
        corners = moved(SLOT, 0) + rng.uniform(-150, 350, (count, 1, 2)) * [1, 0.3]
        types = rng.integers(0, 3, count)
        truths.append(image(f'{i}.jpg', corners, types))
        found = np.repeat(corners, 2, 0) + rng.normal(size=(2 * count, 4, 2)) * 6
        found = np.concatenate([found, moved(SLOT, *rng.uniform(-50, 50, 2))[None]])
        labels = np.append(np.repeat(types, 2), 1)
        samples.append(sample(found, i, rng.uniform(size=len(found)), labels))
    return truths, samples


def test_perfect_predictions_are_perfect(evaluate):
    got = evaluate([image()], [sample([SLOT])])
    assert got['coco/segm_mAP'] == got['coco/keypoints_mAP'] == pytest.approx(1)


@pytest.mark.parametrize(('shift', 'reached'), [(0, 10), (20, 4), (40, 0)])
def test_masks_are_compared_by_their_overlap(evaluate, shift, reached):
    overlap = (100 - shift) / (100 + shift)  # of slots 100 px wide: 0.67 and 0.43
    assert sum(overlap >= limit for limit in np.arange(10, 20) / 20) == reached
    got = evaluate([image()], [sample([moved(SLOT, shift)])])
    assert got['coco/segm_mAP'] == pytest.approx(reached / 10)


@pytest.mark.parametrize('sigma', [0.02, 0.05])
def test_keypoints_are_compared_by_their_distance_over_the_size_of_the_slot(evaluate, sigma):
    for shift in (3, 8, 15):
        similarity = np.exp(-(shift**2) / (2 * 100 * 200 * (2 * sigma) ** 2))
        reached = sum(similarity >= limit for limit in np.arange(10, 20) / 20)
        got = evaluate([image()], [sample([moved(SLOT, shift)])], oks_sigmas=[sigma] * 4)
        assert got['coco/keypoints_mAP'] == pytest.approx(reached / 10)


def test_each_corner_has_its_own_sigma(evaluate):
    wrong_rear = SLOT + np.array([[0, 0], [0, 0], [0, 60], [0, 60]])
    got = evaluate([image()], [sample([wrong_rear])], oks_sigmas=(0.02, 0.02, 0.5, 0.5))
    assert got['coco/keypoints_mAP'] == pytest.approx(1)
    got = evaluate([image()], [sample([wrong_rear])], oks_sigmas=(0.02,) * 4)
    assert got['coco/keypoints_mAP'] == pytest.approx(0.1)  # two of four corners: exactly 0.5


def test_the_figures_are_those_that_pycocotools_sums_up(evaluate, tmp_path):
    truths, samples = random_scenes()
    got = evaluate(truths, samples)
    names = {
        'segm': ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l'),
        'keypoints': ('mAP', 'mAP_50', 'mAP_75', 'mAP_m', 'mAP_l'),
    }
    for iou_type, keys in names.items():
        truth = COCO(str(tmp_path / 'gt.json'))
        rows = [
            {
                'image_id': found['img_id'],
                'category_id': int(label) + 1,
                'score': float(score),
                'segmentation': corner_masks(corners[None], np.array([[600, 500]]))[0],
                'keypoints': np.append(corners, np.full((4, 1), 2), 1).ravel().tolist(),
            }
            for found in samples
            for corners, score, label in zip(
                *(found['pred_instances'][k].numpy() for k in ('corners', 'scores', 'labels')),
                strict=True,
            )
        ]
        unused = {'segm': 'keypoints', 'keypoints': 'segmentation'}[iou_type]
        rows = [{k: v for k, v in row.items() if k != unused} for row in rows]
        evaluator = COCOeval(truth, truth.loadRes(rows), iou_type)
        evaluator.params.kpt_oks_sigmas = np.array(OKS_SIGMAS)
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
        mine = [got[f'coco/{iou_type}_{key}'] for key in keys]
        np.testing.assert_allclose(mine, evaluator.stats[: len(keys)], atol=1e-12)
        assert 0.1 < mine[0] < 0.9


def test_faster_coco_eval_gives_the_same_figures(evaluate):
    pytest.importorskip('faster_coco_eval')
    for seed in range(3):
        truths, samples = random_scenes(seed)
        slow, fast, default = (
            evaluate(truths, samples, backend=name)
            for name in ('pycocotools', 'faster_coco_eval', None)
        )
        assert fast == pytest.approx(slow, abs=1e-12)
        assert default == fast
    for truth, found in ((image(), sample()), (image(corners=()), sample([SLOT]))):
        slow, fast = (
            evaluate([truth], [found], backend=name) for name in ('pycocotools', 'faster_coco_eval')
        )
        assert fast == slow


def test_a_mask_is_the_area_of_the_slot_inside_the_image():
    cut = moved(SLOT, -150)  # half of it is left of the image
    bow_tie = SLOT[[0, 1, 3, 2]]
    found = corner_masks(np.stack([SLOT, cut, bow_tie]), np.full((3, 2), 600))
    assert masks.area(found) == pytest.approx([20000, 10000, 10000], rel=0.02)


def test_odd_slots_have_an_empty_mask_and_never_match(evaluate):
    odd = [
        np.full((4, 2), np.nan),
        np.full((4, 2), 150.0),  # no area
        moved(SLOT, 5000),
        SLOT * 1e30,
        np.where(np.arange(8).reshape(4, 2) == 5, np.inf, SLOT),
    ]
    found = corner_masks(np.array(odd[:3]), np.full((3, 2), 600))
    assert masks.area(found).tolist() == [0, 0, 0]
    for backend in ('pycocotools', None):
        got = evaluate([image()], [sample([*odd, SLOT], scores=[0.9] * 5 + [0.8])], backend=backend)
        # The one right prediction comes sixth.
        assert got['coco/segm_mAP'] == got['coco/keypoints_mAP'] == pytest.approx(1 / 6)


def test_no_predictions_give_zero_and_no_truths_minus_one(evaluate):
    nothing_found = evaluate([image()], [sample()])
    assert nothing_found['coco/segm_mAP'] == nothing_found['coco/keypoints_mAP'] == 0
    nothing_there = evaluate([image(corners=())], [sample([SLOT])])
    assert set(nothing_there.values()) == {-1.0}


def test_the_order_of_predictions_and_images_never_matters(evaluate):
    truths, samples = random_scenes()
    rng = np.random.default_rng(1)
    turned = []
    for one in samples[::-1]:
        order = rng.permutation(len(one['pred_instances']['scores']))
        one['pred_instances']['scores'] = torch.full_like(one['pred_instances']['scores'], 0.5)
        fields = {key: value[order] for key, value in one['pred_instances'].items()}
        turned.append(one | {'pred_instances': fields})
    assert evaluate(truths, turned) == evaluate(truths, samples)


def test_repeated_images_count_once_and_a_partial_run_says_so(evaluate, monkeypatch):
    said = []
    monkeypatch.setattr(parking_slot_coco_metric, 'print_log', lambda text, **_: said.append(text))
    twice = [sample([SLOT]), sample([SLOT]), sample([SLOT, SLOT], 1, [0.9, np.nan])]
    got = evaluate([image(), image('2.jpg'), image('3.jpg')], twice)
    assert got['coco/segm_mAP'] == pytest.approx(1)
    assert any('2 of the 3 images' in text for text in said)
    assert any('1 predictions with a score of NaN' in text for text in said)


def test_a_file_whose_first_annotation_has_the_id_0_is_no_trap(evaluate, tmp_path):
    content = write_parking_slot_coco(tmp_path / 'zero.json', [image()], ['slots'])
    content['annotations'][0]['id'] = 0
    (tmp_path / 'zero.json').write_text(json.dumps(content))
    metric = ParkingSlotCocoMetric(str(tmp_path / 'zero.json'), backend='pycocotools')
    metric.process(None, [sample([SLOT])])
    assert metric.evaluate(1)['coco/segm_mAP'] == pytest.approx(1)


def test_a_file_without_slots_has_no_metric(evaluate):
    assert evaluate([image(corners=())], [sample()], labels=['marking_points']) == {}


def test_it_is_registered_and_takes_one_metric(evaluate):
    assert METRICS.get('ParkingSlotCocoMetric') is ParkingSlotCocoMetric
    got = evaluate([image()], [sample([SLOT])], metric='segm')
    assert {key.split('_')[0] for key in got} == {'coco/segm'}


def test_mistakes_are_one_sentence_each(evaluate):
    with pytest.raises(ValueError, match=r"metric has \['bbox'\]; expected 'segm'.*CocoMetric"):
        evaluate([image()], [], metric=['segm', 'bbox'])
    with pytest.raises(ValueError, match=r'oks_sigmas is \(0\.1, 0\.1\); expected four positive'):
        evaluate([image()], [], oks_sigmas=(0.1, 0.1))
    with pytest.raises(ValueError, match="backend is 'coco'; expected None or one of"):
        evaluate([image()], [], backend='coco')
    with pytest.raises(ValueError, match=r"predicts class 3, but .* has only \('perp.*num_classes"):
        evaluate([image()], [sample([SLOT], labels=[3])])
