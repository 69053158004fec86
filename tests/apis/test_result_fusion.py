"""Weighted box fusion, compared with the paper's algorithm written as loops in float64."""

import json
import pickle

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from mmdet_ext.apis.result_fusion import SCORE_MODES, fuse_boxes, fuse_results


def iou_of(a, b):
    width, height = (min(a[i + 2], b[i + 2]) - max(a[i], b[i]) for i in (0, 1))
    common = max(width, 0) * max(height, 0)
    return common / (sum((c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)) - common)


def fused_score(cluster, weights, mode):
    """Score of boxes (weighted score, box, model) that were fused."""
    scores = np.array([score for score, _, _ in cluster])
    models = [model for _, _, model in cluster]
    if mode == 'max':
        return scores.max() / max(weights)
    if mode == 'avg':
        return min(scores.mean() * min(len(weights), len(cluster)) / sum(weights), 1)
    own = sum(weights[model] for model in models)
    if mode == 'absent_model_aware_avg':
        absent = sum(w for model, w in enumerate(weights) if model not in models)
        return scores.sum() / (own + absent)
    return scores.sum() / own * sum(weights[m] for m in set(models)) / sum(weights)


def reference(boxes, scores, labels, weights, iou_threshold, skip_threshold, mode):
    """Rows of label, score, box."""
    rows = [
        (weights[model] * score, box, model, label)
        for model, found in enumerate(zip(boxes, scores, labels, strict=True))
        for box, score, label in zip(*found, strict=True)
        if score >= skip_threshold and score > 0
    ]
    result = []
    for wanted in {row[3] for row in rows}:
        clusters = []  # each a list of members and the fused box
        for *member, label in sorted(rows, key=lambda row: -row[0]):
            if label != wanted:
                continue
            overlaps = [iou_of(cluster[1], member[1]) for cluster in clusters]
            if overlaps and max(overlaps) > iou_threshold:
                cluster = clusters[int(np.argmax(overlaps))]
                cluster[0].append(member)
                total = sum(m[0] for m in cluster[0])
                cluster[1] = sum(m[0] * np.array(m[1]) for m in cluster[0]) / total
            else:
                clusters.append([[member], np.array(member[1])])
        result += [(wanted, fused_score(c, weights, mode), *box) for c, box in clusters]
    return sorted(result)


def random_models(seed, models=3, truths=4, classes=2):
    """Each model sees most truths, some of them twice, a little displaced, and something else."""
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 300, (truths, 2))
    true = np.hstack([low, low + rng.uniform(20, 120, (truths, 2))])
    kinds = rng.integers(0, classes, truths)
    boxes, scores, labels = [], [], []
    for _ in range(models):
        seen = rng.integers(0, truths, rng.integers(0, 2 * truths))
        found = true[seen] + rng.normal(0, 5, (len(seen), 4))
        found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
        boxes.append(found.tolist())
        scores.append(rng.uniform(0, 1, len(seen)).tolist())
        labels.append(kinds[seen].tolist())
    return boxes, scores, labels


def rows_of(boxes, scores, labels):
    return sorted(zip(labels.tolist(), scores.tolist(), *boxes.T.tolist(), strict=True))


@pytest.mark.parametrize('mode', SCORE_MODES)
@pytest.mark.parametrize('weights', [[1.0, 1.0, 1.0], [3.0, 1.0, 0.5]])
def test_boxes_are_fused_as_the_paper_says(mode, weights):
    for seed in range(150):
        models = random_models(seed)
        options = weights, 0.55, 0.1 * (seed % 3), mode
        got, expected = rows_of(*fuse_boxes(*models, *options)), reference(*models, *options)
        assert len(got) == len(expected)
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-3)


def test_the_order_of_the_models_and_of_their_boxes_does_not_matter():
    for seed in range(100):
        boxes, scores, labels = random_models(seed)
        rng = np.random.default_rng(seed)
        shuffled = [[], [], []]
        order = rng.permutation(3)
        for model in order:
            rows = rng.permutation(len(scores[model]))
            for column, values in zip(shuffled, (boxes, scores, labels), strict=True):
                column.append([values[model][row] for row in rows])
        one = rows_of(*fuse_boxes(boxes, scores, labels, [2.0, 1.0, 0.5]))
        weights = [[2.0, 1.0, 0.5][model] for model in order]
        np.testing.assert_allclose(rows_of(*fuse_boxes(*shuffled, weights)), one, rtol=1e-5)


def test_a_model_fused_with_itself_is_unchanged_where_nothing_overlaps():
    boxes = [[0.0, 0.0, 10.0, 10.0], [20.0, 0.0, 33.0, 10.0], [0.0, 20.0, 10.0, 47.0]]
    found = fuse_boxes([boxes] * 3, [[0.9, 0.5, 0.1]] * 3, [[2, 0, 1]] * 3, [1.0] * 3)
    np.testing.assert_allclose(found[0], boxes, rtol=1e-6)
    np.testing.assert_allclose(found[1], [0.9, 0.5, 0.1], rtol=1e-6)
    assert found[2].tolist() == [2, 0, 1]


def test_scores_of_zero_and_scores_above_one_which_stock_fusion_gives_are_mended():
    box = [0.0, 0.0, 10.0, 10.0]
    boxes, scores, labels = fuse_boxes([[box, box], []], [[0.0, 0.0], []], [[0, 0], []], [1, 1])
    assert (boxes.shape, scores.shape, labels.shape) == ((0, 4), (0,), (0,))
    assert fuse_boxes([[box] * 2, []], [[0.9, 0.9], []], [[0, 0], []], [9, 1])[1].tolist() == [1]


def entry(image, x, score, category=1, width=20.0):
    return {
        'image_id': image,
        'category_id': category,
        'bbox': [x, 10.0, width, 30.0],
        'score': score,
    }


@pytest.fixture
def write(tmp_path):
    def to_file(name, content):
        path = tmp_path / name
        if path.suffix == '.pkl':
            path.write_bytes(pickle.dumps(content))
        else:
            path.write_text(json.dumps(content))
        return path

    return to_file


@pytest.fixture
def truth(write):
    images = [{'id': i, 'width': 100, 'height': 80} for i in range(4)]
    annotations = [
        {'id': 7 + i, 'image_id': i, 'category_id': 5, 'bbox': [20.0, 10.0, 20.0, 30.0]}
        for i in range(3)
    ]
    categories = [{'id': 3, 'name': 'car'}, {'id': 5, 'name': 'slot'}]
    content = {'images': images, 'annotations': annotations, 'categories': categories}
    return write('val.json', content)


def fuse(files, tmp_path, **options):
    report = fuse_results(files, tmp_path / 'fused.json', num_workers=1, **options)
    return report, json.loads((tmp_path / 'fused.json').read_text())


def test_files_are_fused_image_by_image_and_category_by_category(write, tmp_path):
    one = write('a.json', [entry(4, 20, 0.8), entry(2, 50, 0.6), entry(4, 20, 0.3, category=9)])
    other = write('b.json', [entry(2, 50, 0.2, category=9), entry(4, 24, 0.4), entry(2, 50, 0.4)])
    report, fused = fuse([one, other], tmp_path)
    assert report.warnings == []
    got = {(e['image_id'], e['category_id']): (*e['bbox'], e['score']) for e in fused}
    assert len(got) == len(fused) == 4
    x = (0.8 * 20 + 0.4 * 24) / 1.2
    assert got[4, 1] == pytest.approx((x, 10, 20, 30, 0.6), abs=1e-3)
    assert got[2, 1] == pytest.approx((50, 10, 20, 30, 0.5), abs=1e-3)
    assert got[4, 9] == pytest.approx((20, 10, 20, 30, 0.15), abs=1e-3)
    assert got[2, 9] == pytest.approx((50, 10, 20, 30, 0.1), abs=1e-3)
    assert [(row['images'], row['detections']) for row in report.rows] == [(2, 3), (2, 3), (2, 4)]


def test_worker_processes_give_the_same(write, tmp_path):
    rng = np.random.default_rng(0)
    files = [
        write(f'{k}.json', [entry(i % 60, rng.uniform(0, 60), rng.uniform()) for i in range(300)])
        for k in range(3)
    ]
    alone = fuse(files, tmp_path)[1]
    fuse_results(files, tmp_path / 'fused.json', num_workers=2)
    assert json.loads((tmp_path / 'fused.json').read_text()) == alone
    assert len(alone) > 100


def test_the_average_precision_of_each_file_stands_beside_that_of_the_fusion(
    write, truth, tmp_path
):
    # Each is right about one image only; both together about two of three.
    one = write('a.json', [entry(0, 20, 0.9, 5), entry(1, 60, 0.5, 5), entry(2, 60, 0.4, 5)])
    other = write('b.json', [entry(0, 60, 0.5, 5), entry(1, 20, 0.9, 5), entry(2, 60, 0.4, 5)])
    report, _ = fuse([one, other], tmp_path, annotations=truth)
    third, two = 34 / 101, 67 / 101  # of COCO's 101 recalls those up to 1/3, up to 2/3
    assert [row['mAP'] for row in report.rows] == pytest.approx([third, third, two], abs=1e-6)
    assert [row['mAP_50'] for row in report.rows] == pytest.approx([third, third, two], abs=1e-6)
    columns = [column.header for column in report.table.columns]
    assert columns == ['name', 'weight', 'images', 'detections', 'mAP', 'mAP_50', 'mAP_75']
    assert list(report.table.columns[4].cells) == ['0.3366', '0.3366', '0.6634']


def pickled(image, boxes, scores, labels):
    return {
        'img_id': image,
        'pred_instances': dict(
            InstanceData(
                bboxes=torch.tensor(boxes).reshape(-1, 4),
                scores=torch.tensor(scores),
                labels=torch.tensor(labels, dtype=torch.long),
            ).items()
        ),
    }


def test_a_pickle_and_a_json_of_the_same_detections_are_the_same(write, truth, tmp_path):
    samples = [
        pickled(0, [[20.0, 10, 40, 40], [1, 2, 30, 40]], [0.75, 0.5], [1, 0]),
        pickled(2, [], [], []),
    ]
    dumped = write('a.pkl', samples)
    listed = write(
        'a.json',
        [
            entry(0, 20, 0.75, 5),
            {'image_id': 0, 'category_id': 3, 'bbox': [1.0, 2.0, 29.0, 38.0], 'score': 0.5},
        ],
    )
    report, fused = fuse([dumped, listed], tmp_path, annotations=truth)
    got = sorted((e['category_id'], *e['bbox'], e['score']) for e in fused)
    assert got == [(3, 1.0, 2.0, 29.0, 38.0, 0.5), (5, 20.0, 10.0, 20.0, 30.0, 0.75)]
    # The pickle tells of image 2 that nothing was found; the list cannot.
    assert [row['images'] for row in report.rows] == [2, 1, 1]
    assert len(report.warnings) == 1
    assert 'a.json has no detections for 1 of the 2 images (such as 2)' in report.warnings[0]


def test_what_is_left_out_and_what_only_some_files_know_is_said(write, tmp_path):
    bad = [
        entry(1, float('nan'), 0.5),
        entry(1, 10, float('nan')),
        entry(1, 10, 0.5, width=0.0),
        entry(1, 10, 0.5, width=-3.0),
    ]
    one = write('a.json', [entry(1, 20, 0.8), entry(1, 20, 0.8), *bad])
    other = write('b.json', [entry(1, 20, 0.8), entry(6, 20, 0.8), entry(1, 50, 0.5, category=2)])
    report, fused = fuse([one, other], tmp_path)
    assert len(fused) == 3
    assert fused[0]['score'] == pytest.approx(0.8)
    left_out, twice, images, categories = report.warnings
    assert 'a.json: 4 detections have no finite score or no finite box' in left_out
    assert 'a.json: 1 detections are in it twice' in twice
    assert 'a.json has no detections for 1 of the 2 images (such as 6)' in images
    assert 'a.json has no detections for 1 of the 2 categories (such as 2)' in categories


def test_mistakes_are_one_sentence(write, truth, tmp_path):
    good, other = write('a.json', [entry(1, 20, 0.8, 5)]), write('b.json', [entry(1, 20, 0.8, 5)])

    def error(*files, **options):
        with pytest.raises((ValueError, FileNotFoundError)) as caught:
            fuse_results(files, tmp_path / 'fused.json', num_workers=1, **options)
        assert str(caught.value).count('. ') == 0
        return str(caught.value)

    def content(value):
        return error(good, write('c.json', value))

    assert 'needs at least two' in error(good)
    assert 'is given twice' in error(good, other, good)
    assert '3 weights are given for 2' in error(good, other, weights=[1, 2, 3])
    assert 'positive numbers' in error(good, other, weights=[1, 0])
    assert 'IoU threshold is 1.5' in error(good, other, iou_threshold=1.5)
    assert "no score mode 'maxx' (did you mean max?)" in error(good, other, score_mode='maxx')
    assert 'none.json does not exist' in error(good, tmp_path / 'none.json')
    assert 'c.json: no detections' in content([])
    assert 'holds a dict' in content({'images': []})
    assert 'detections[1] has not all of' in content([entry(1, 2, 0.3), {'image_id': 3}])
    assert "(found ['category_id', 'image_id', 'score', 'segmentation'])" in content(
        [{'image_id': 1, 'category_id': 1, 'segmentation': {}, 'score': 1}]
    )
    assert 'detections[0] has bbox [1, 2, 3]' in content([entry(1, 2, 0.3) | {'bbox': [1, 2, 3]}])
    assert '1 scores are not between 0 and 1, first 3.5 on image 1' in content([entry(1, 2, 3.5)])
    assert 'no images in common with the other files (it has 1, they have 8)' in content(
        [entry(8, 20, 0.8, 5)]
    )
    assert 'no categories in common' in content([entry(1, 20, 0.8, 6)])
    assert 'is a list or an object' in content([entry([1], 20, 0.8, 6)])
    (tmp_path / 'd.json').write_text('[{')
    assert 'not valid JSON' in error(good, tmp_path / 'd.json')
    pickle_file = write('e.pkl', [pickled(1, [], [], [])])
    assert 'give the COCO file of its images with --annotations' in error(good, pickle_file)
    stray = [write(f'{name}.json', [entry(77, 20, 0.8, 5), entry(1, 1, 1, 5)]) for name in 'fg']
    assert 'f.json: 1 image ids are not in' in error(*stray, annotations=truth)
    stray = [write(f'{name}.json', [entry(1, 20, 0.8, 4)]) for name in 'fg']
    assert 'f.json: 1 category ids are not in' in error(*stray, annotations=truth)
    with pytest.raises(ValueError, match='is a file to fuse; write to another'):
        fuse_results([good, other], good)
