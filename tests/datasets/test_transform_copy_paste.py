"""Copies of small objects: at free places, pixel for pixel, with all their labels."""

import numpy as np
import pytest
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmengine.runner import set_random_seed
from transform_scenes import build, empty_results, slot_results

SIZE = 100
BOXES = np.array([[10.25, 12.5, 20.75, 22], [40, 40, 90, 90], [60, 5, 66, 12]], np.float32)


def scene(masks='bitmaps'):
    """Two small objects and a large one on noise; masks are diamonds in the boxes."""
    noise = np.random.default_rng(0).integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8)
    middles = (BOXES[:, :2] + BOXES[:, 2:]) / 2
    x1, y1, x2, y2 = BOXES.T
    diamonds = np.stack(
        [middles[:, 0], y1, x2, middles[:, 1], middles[:, 0], y2, x1, middles[:, 1]], 1
    )
    made = PolygonMasks([[ring] for ring in diamonds], SIZE, SIZE)
    return {
        'img': noise,
        'img_shape': (SIZE, SIZE),
        'gt_bboxes': HorizontalBoxes(BOXES.copy()),
        'gt_bboxes_labels': np.array([3, 4, 5]),
        'gt_ignore_flags': np.zeros(3, bool),
        'gt_masks': made.to_bitmap() if masks == 'bitmaps' else made,
        'gt_keypoints': np.concatenate([middles, np.full((3, 1), 2)], 1)[:, None],
    }


def copied(results, seed=0, **options):
    set_random_seed(seed)
    return build(dict(type='SmallObjectCopyPaste', prob=1.0, **options))(results)


def overlaps(boxes):
    low = np.maximum(boxes[:, None, :2], boxes[:, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[:, 2:])
    return (high > low).all(-1) & ~np.eye(len(boxes), dtype=bool)


@pytest.mark.parametrize('seed', range(5))
def test_copies_lie_at_free_places_inside_the_image(seed):
    boxes = copied(scene(), seed, copies=4)['gt_bboxes'].tensor.numpy()
    assert len(boxes) > 8
    np.testing.assert_array_equal(boxes[:3], BOXES)
    assert boxes.min() >= 0
    assert boxes.max() <= SIZE
    assert not overlaps(boxes).any()


def test_only_small_objects_are_copied_with_all_their_labels():
    results = copied(scene(), copies=2)
    labels = results['gt_bboxes_labels']
    assert sorted(labels.tolist()) == [3, 3, 3, 4, 5, 5, 5]
    originals = {3: 0, 5: 2}
    for row in range(3, 7):
        original = originals[labels[row]]
        shift = results['gt_bboxes'].tensor.numpy()[row] - BOXES[original]
        assert (shift == shift.round()).all()
        dx, dy = shift[:2].astype(int)
        np.testing.assert_array_equal(shift, [dx, dy, dx, dy])
        moved = results['gt_keypoints'][row] - results['gt_keypoints'][original]
        np.testing.assert_array_equal(moved, [[dx, dy, 0]])
        mask = results['gt_masks'].masks
        np.testing.assert_array_equal(mask[row], np.roll(mask[original], (dy, dx), (0, 1)))
    assert len(results['gt_ignore_flags']) == 7


@pytest.mark.parametrize('by_mask', [True, False])
def test_the_pixels_of_the_object_and_no_others_are_copied(by_mask):
    before, results = scene(), copied(scene(), copies=2, by_mask=by_mask)
    expected = before['img'].copy()
    for row in range(3, 7):
        original = {3: 0, 5: 2}[results['gt_bboxes_labels'][row]]
        dx, dy = (results['gt_bboxes'].tensor.numpy()[row] - BOXES[original])[:2].astype(int)
        for y in range(int(BOXES[original, 1]), int(np.ceil(BOXES[original, 3]))):
            for x in range(int(BOXES[original, 0]), int(np.ceil(BOXES[original, 2]))):
                if not by_mask or before['gt_masks'].masks[original, y, x]:
                    expected[y + dy, x + dx] = before['img'][y, x]
    np.testing.assert_array_equal(results['img'], expected)


def test_polygons_move_with_their_boxes():
    results = copied(scene('polygons'), copies=1)
    for row in range(3, 5):
        ring = results['gt_masks'].masks[row][0].reshape(-1, 2)
        box = results['gt_bboxes'].tensor.numpy()[row]
        np.testing.assert_allclose([*ring.min(0), *ring.max(0)], box, atol=1e-5)


def test_boxes_without_masks_are_enough():
    results = scene()
    del results['gt_masks']
    assert len(copied(results, copies=1)['gt_bboxes']) == 5


def test_ignored_objects_are_not_copied():
    results = scene()
    results['gt_ignore_flags'][0] = True
    assert sorted(copied(results, copies=1)['gt_bboxes_labels']) == [3, 4, 5, 5]


def test_nothing_is_pasted_where_there_is_no_room():
    results = scene()
    results['gt_bboxes'].tensor[1] = HorizontalBoxes([[0, 0, 100, 100]]).tensor[0]
    assert len(copied(results)['gt_bboxes']) == 3


def test_empty_pictures_pass():
    assert len(copied(empty_results())['gt_bboxes']) == 0


def test_an_object_as_large_as_the_image_finds_no_place():
    results = {
        'img': np.zeros((10, 10, 3), np.uint8),
        'gt_bboxes': HorizontalBoxes([[0.0, 0, 10, 10]]),
        'gt_bboxes_labels': np.zeros(1, int),
        'gt_masks': BitmapMasks(np.ones((1, 10, 10), np.uint8), 10, 10),
    }
    assert len(copied(results)['gt_bboxes']) == 1


def test_parking_slots_are_refused():
    with pytest.raises(ValueError, match='SmallObjectCopyPaste needs `gt_bboxes`'):
        copied(slot_results())
