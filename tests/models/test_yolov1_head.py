"""YOLOv1's loss and decoding, compared with the paper's sums written as loops over cells in NumPy."""

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mmdet_ext.models.dense_heads.yolov1_head import YOLOv1Head

TEST_CFG = dict(score_thr=0.05, nms=dict(type='nms', iou_threshold=0.5), max_per_img=100)


def head_of(**options):
    """A head whose forward pass does not matter."""
    return YOLOv1Head(
        **dict(num_classes=3, in_channels=1, grid_size=None, hidden_channels=2, test_cfg=TEST_CFG)
        | options
    )


def image_of(*rows, size=(96, 128)):
    """Rows of label, x1, y1, x2, y2; size is height and width."""
    table = torch.tensor(rows, dtype=torch.float64).reshape(-1, 5)
    return InstanceData(bboxes=table[:, 1:], labels=table[:, 0].long()), {
        'img_shape': size,
        'batch_input_shape': size,
        'scale_factor': (1, 1),
    }


def random_image(rng, count, size, classes):
    low, extent = rng.uniform(0, 60, (count, 2)), rng.uniform(2, 60, (count, 2))
    labels = rng.integers(0, classes, (count, 1))
    return image_of(*np.hstack([labels, low, low + extent]).tolist(), size=size)


def iou_of(a, b):
    width, height = (min(a[i + 2], b[i + 2]) - max(a[i], b[i]) for i in (0, 1))
    common = max(width, 0) * max(height, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return common / (sum(areas) - common) if common else 0.0


def box_at(row, column, rows, columns, values):
    """x1 y1 x2 y2 relative to the image of one prediction x, y, root of w, root of h, confidence."""
    x, y = (column + values[0]) / columns, (row + values[1]) / rows
    w, h = values[2] ** 2, values[3] ** 2
    return x - w / 2, y - h / 2, x + w / 2, y + h / 2


def reference_loss(maps, gts, metas, num_boxes, num_classes, target):
    """The loss of the paper, its five sums kept apart, and the number of objects lost."""
    n, _, rows, columns = maps.shape
    sums, lost = dict.fromkeys(('xy', 'wh', 'obj', 'noobj', 'class'), 0.0), 0
    for i in range(n):
        height, width = metas[i]['batch_input_shape']
        owner = {}
        for box, label in zip(gts[i].bboxes.tolist(), gts[i].labels.tolist(), strict=True):
            x1, y1, x2, y2 = box[0] / width, box[1] / height, box[2] / width, box[3] / height
            x, y = (x1 + x2) / 2 * columns, (y1 + y2) / 2 * rows
            cell = min(int(y), rows - 1), min(int(x), columns - 1)
            area = (x2 - x1) * (y2 - y1)
            lost += cell in owner
            if cell not in owner or area > owner[cell][0]:
                owner[cell] = area, (x1, y1, x2, y2), (x - cell[1], y - cell[0]), label
        for row in range(rows):
            for column in range(columns):
                values = maps[i, :, row, column]
                boxes = values[: 5 * num_boxes].reshape(num_boxes, 5)
                responsible = None
                if (row, column) in owner:
                    _, true, offset, label = owner[row, column]
                    found = [box_at(row, column, rows, columns, box) for box in boxes]
                    ious = [iou_of(true, box) for box in found]
                    true_xywh = np.array(
                        [true[0] + true[2], true[1] + true[3], true[2] - true[0], true[3] - true[1]]
                    ) / [2, 2, 1, 1]
                    far = [
                        sum(
                            (
                                true_xywh
                                - [(b[0] + b[2]) / 2, (b[1] + b[3]) / 2, s[2] ** 2, s[3] ** 2]
                            )
                            ** 2
                        )
                        for b, s in zip(found, boxes, strict=True)
                    ]
                    responsible = int(np.argmax(ious) if max(ious) > 0 else np.argmin(far))
                    best = boxes[responsible]
                    sums['xy'] += 5 * sum((best[:2] - offset) ** 2)
                    sums['wh'] += 5 * sum((best[2:4] - np.sqrt(true_xywh[2:])) ** 2)
                    wanted = ious[responsible] if target == 'iou' else 1
                    sums['obj'] += (best[4] - wanted) ** 2
                    one_hot = np.eye(num_classes)[label]
                    sums['class'] += sum((values[5 * num_boxes :] - one_hot) ** 2)
                for j, box in enumerate(boxes):
                    if j != responsible:
                        sums['noobj'] += 0.5 * box[4] ** 2
    return {f'loss_{name}': value / n for name, value in sums.items()}, lost


@pytest.mark.parametrize(
    ('grid', 'num_boxes', 'num_classes', 'target'),
    [((7, 7), 2, 3, 'iou'), ((3, 5), 2, 20, 'one'), ((6, 4), 1, 1, 'iou'), ((1, 2), 4, 2, 'one')],
)
def test_the_loss_is_the_sum_in_the_paper(grid, num_boxes, num_classes, target):
    head = head_of(num_classes=num_classes, num_boxes=num_boxes, confidence_target=target)
    for seed in range(12):
        rng = np.random.default_rng(seed)
        maps = rng.normal(0.4, 0.4, (3, 5 * num_boxes + num_classes, *grid))
        scene = [random_image(rng, count, (96, 128), num_classes) for count in (0, 3, 9)]
        gts, metas = zip(*scene, strict=True)
        losses = head.loss_by_feat(torch.from_numpy(maps), gts, metas)
        expected, lost = reference_loss(maps, gts, metas, num_boxes, num_classes, target)
        assert losses.keys() == {*expected, 'crowded_out'}
        for name, value in expected.items():
            # mmdet adds 1e-6 to the union of the IoU
            assert losses[name].item() == pytest.approx(value, rel=1e-4), name
        assert losses['crowded_out'].item() == pytest.approx(lost / 12)


def test_weights_scale_their_sums_and_the_targets_yaml_of_ones_is_possible():
    gts, metas = zip(image_of((1, 10, 20, 50, 70)), strict=True)
    maps = torch.rand(1, 13, 3, 4, dtype=torch.float64)
    ones = dict(lambda_coord=1, lambda_noobj=1, lambda_obj=1, lambda_class=1)
    base = head_of(**ones).loss_by_feat(maps, gts, metas)
    weights = dict(lambda_coord=2, lambda_noobj=3, lambda_obj=4, lambda_class=5)
    scaled = head_of(**weights).loss_by_feat(maps, gts, metas)
    ratios = [(scaled[f'loss_{n}'] / base[f'loss_{n}']).item() for n in ('xy', 'wh', 'noobj')]
    assert ratios == pytest.approx([2, 2, 3])
    assert (scaled['loss_obj'] / base['loss_obj']).item() == pytest.approx(4)
    assert (scaled['loss_class'] / base['loss_class']).item() == pytest.approx(5)


def test_the_gradient_is_that_of_finite_differences():
    rng = np.random.default_rng(0)
    gts, metas = zip(*(random_image(rng, 3, (96, 128), 3) for _ in range(2)), strict=True)
    # With 'iou' the target moves with the prediction, but is no part of the gradient.
    head = head_of(confidence_target='one')
    maps = torch.from_numpy(rng.normal(0.5, 0.3, (2, 13, 2, 2))).requires_grad_()

    def total(maps):
        losses = head.loss_by_feat(maps, gts, metas)
        return sum(loss for name, loss in losses.items() if 'loss' in name)

    assert torch.autograd.gradcheck(total, (maps,))


def test_a_head_that_predicts_the_targets_has_no_loss_and_finds_the_objects():
    scenes = [
        image_of((0, 10, 10, 40, 50), (2, 70, 40, 128, 96)),
        image_of((1, 0, 0, 128, 96)),
    ]
    gts, metas = zip(*scenes, strict=True)
    maps = torch.zeros(2, 13, 6, 8, dtype=torch.float64)
    for i, instances in enumerate(gts):
        for box, label in zip(instances.bboxes, instances.labels, strict=True):
            x, y = (box[:2] + box[2:]) / 2 / 16  # cells of 16 x 16
            row, column = int(y), int(x)
            size = ((box[2:] - box[:2]) / box.new_tensor([128, 96])).sqrt()
            maps[i, :5, row, column] = torch.tensor([x - column, y - row, *size, 1])
            maps[i, 10 + label, row, column] = 1
    head = head_of()
    losses = head.loss_by_feat(maps, gts, metas)
    assert sum(losses.values()).item() < 1e-6
    for found, instances in zip(head.predict_by_feat(maps, metas), gts, strict=True):
        order = found.labels.argsort()
        torch.testing.assert_close(found.bboxes[order], instances.bboxes.float())
        assert found.labels[order].tolist() == instances.labels.tolist()
        assert found.scores.tolist() == pytest.approx([1] * len(instances))


def test_boxes_and_scores_per_class_are_decoded_as_in_the_paper():
    rng = np.random.default_rng(1)
    maps = rng.normal(0.4, 0.4, (2, 5 * 3 + 4, 3, 5))
    head = head_of(num_classes=4, num_boxes=3)
    metas = [
        dict(img_shape=(90, 140), batch_input_shape=(96, 160), scale_factor=(0.5, 0.25)),
        dict(img_shape=(96, 160), batch_input_shape=(96, 160), scale_factor=(2, 2)),
    ]
    results = head.predict_by_feat(
        torch.from_numpy(maps),
        metas,
        cfg=dict(score_thr=0.1),
        rescale=True,
        with_nms=False,
    )
    for i, (found, meta) in enumerate(zip(results, metas, strict=True)):
        expected = []
        for row, column, j, label in np.ndindex(3, 5, 3, 4):
            values = maps[i, 5 * j : 5 * j + 5, row, column]
            score = np.clip(values[4], 0, 1) * np.clip(maps[i, 15 + label, row, column], 0, 1)
            box = np.array(box_at(row, column, 3, 5, values)) * [160, 96, 160, 96]
            height, width = meta['img_shape']
            box = np.clip(box, 0, [width, height] * 2) / np.tile(meta['scale_factor'], 2)
            if score > 0.1:
                expected.append((label, score, *box))
        assert (found.scores.diff() <= 0).all()
        got = np.column_stack([found.labels, found.scores, found.bboxes]).tolist()
        assert len(got) == len(expected) > 5
        np.testing.assert_allclose(sorted(got), sorted(expected), rtol=1e-5, atol=1e-4)


def test_overlapping_boxes_of_one_class_are_suppressed_and_of_two_are_not():
    maps = torch.zeros(1, 13, 1, 1)
    maps[0, :10, 0, 0] = torch.tensor([0.5, 0.5, 0.7, 0.7, 1, 0.5, 0.5, 0.72, 0.7, 0.8])
    maps[0, 10:, 0, 0] = torch.tensor([0.5, 0.9, 0])
    found = head_of().predict_by_feat(maps, [dict(img_shape=(64, 64))])[0]
    assert found.labels.tolist() == [1, 0]
    assert found.scores.tolist() == pytest.approx([0.9, 0.5])
    one = head_of(test_cfg=TEST_CFG | dict(max_per_img=1))
    assert one.predict_by_feat(maps, [dict(img_shape=(64, 64))])[0].labels.tolist() == [1]


def test_of_objects_in_one_cell_the_largest_is_learnt_and_the_share_of_the_others_is_logged():
    rows = [(0, 30, 30, 34, 34), (1, 20, 20, 44, 44), (2, 28, 28, 37, 37), (1, 100, 80, 120, 90)]
    maps = torch.rand(1, 13, 3, 4, dtype=torch.float64)
    crowded, alone = (
        head_of().loss_by_feat(maps, *zip(image_of(*chosen), strict=True))
        for chosen in (rows, [rows[1], rows[3]])
    )
    assert crowded.pop('crowded_out').item() == pytest.approx(0.5)
    assert alone.pop('crowded_out').item() == 0
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]):
        losses = head_of().loss_by_feat(
            maps, *zip(image_of(*(rows[k] for k in order)), strict=True)
        )
        for name, value in alone.items():
            assert losses[name].item() == pytest.approx(value.item()), name


def test_where_no_box_overlaps_the_object_the_nearest_is_responsible():
    maps = torch.zeros(1, 13, 1, 1, dtype=torch.float64)
    maps[0, :10, 0, 0] = torch.tensor([0.9, 0.9, 0.1, 0.1, 0, 0.6, 0.6, 0.1, 0.1, 0])
    scene = zip(image_of((0, 10, 10, 20, 20), size=(100, 100)), strict=True)
    losses = head_of().loss_by_feat(maps, *scene)
    assert losses['loss_xy'].item() == pytest.approx(5 * 2 * (0.6 - 0.15) ** 2)


def test_without_objects_only_confidences_are_learnt():
    maps = torch.rand(2, 13, 3, 4, requires_grad=True)
    losses = head_of().loss_by_feat(maps, *zip(image_of(), image_of(), strict=True))
    values = {name: loss.item() for name, loss in losses.items()}
    noobj = 0.5 * maps[:, [4, 9]].square().sum().item() / 2
    assert values.pop('loss_noobj') == pytest.approx(noobj, rel=1e-5)
    assert set(values.values()) == {0.0}
    sum(losses.values()).backward()
    others = [channel for channel in range(13) if channel not in (4, 9)]
    assert maps.grad.isfinite().all()
    assert maps.grad[:, others].abs().max() == 0


def test_objects_at_the_border_belong_to_the_last_cell_and_points_have_a_loss():
    maps = torch.rand(1, 13, 3, 4, requires_grad=True)
    scene = image_of((0, 100, 60, 156, 132), (1, -20, -20, 10, 10), (2, 5, 90, 5, 90))
    losses = head_of().loss_by_feat(maps, *zip(scene, strict=True))
    assert losses['crowded_out'] == 0
    total = sum(losses.values())
    total.backward()
    assert total.isfinite()
    assert maps.grad.isfinite().all()


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_maps_give_the_loss_and_boxes_of_single_precision(dtype):
    rng = np.random.default_rng(2)
    scene = [random_image(rng, 3, (448, 448), 3) for _ in range(2)]
    maps = torch.from_numpy(rng.normal(0.4, 0.3, (2, 13, 7, 7))).to(dtype)
    head = head_of()
    gts, metas = zip(*scene, strict=True)
    half, full = (head.loss_by_feat(x, gts, metas) for x in (maps, maps.float()))
    assert half == full
    half, full = (head.predict_by_feat(x, metas)[0] for x in (maps, maps.float()))
    assert half.bboxes.dtype == torch.float32
    torch.testing.assert_close(half.bboxes, full.bboxes, rtol=0, atol=0)


def test_the_fully_connected_layers_are_those_of_the_paper():
    with torch.device('meta'):  # 212 million parameters
        head = YOLOv1Head(num_classes=20, in_channels=1024)
        (out,) = head((torch.empty(2, 1024, 7, 7),))
    assert out.shape == (2, 30, 7, 7)
    shapes = [tuple(parameter.shape) for parameter in head.parameters()]
    assert shapes == [(4096, 7 * 7 * 1024), (4096,), (7 * 7 * 30, 4096), (7 * 7 * 30,)]
    kinds = [type(layer).__name__ for layer in head.layers]
    assert kinds == ['Flatten', 'Linear', 'LeakyReLU', 'Dropout', 'Linear', 'Unflatten']
    assert (head.layers[2].negative_slope, head.layers[3].p) == (0.1, 0.5)


def test_grid_and_feature_map_may_differ_and_convolutions_take_any_size():
    connected = head_of(grid_size=(5, 4), feature_size=(2, 3), in_channels=6)
    assert connected((torch.rand(2, 6, 2, 3),))[0].shape == (2, 13, 5, 4)
    convolutional = head_of(in_channels=6)
    for size in ((2, 3), (9, 5)):
        assert convolutional((torch.rand(1, 6, *size),))[0].shape == (1, 13, *size)


def test_a_detector_calls_the_head_as_any_dense_head():
    instances, meta = image_of((0, 10, 10, 40, 50))
    sample = DetDataSample(gt_instances=instances, metainfo=meta)
    head = head_of(in_channels=6).eval()
    feature = (torch.rand(1, 6, 6, 8),)
    losses = head.loss(feature, [sample])
    assert losses['loss_xy'].item() > 0
    assert torch.isfinite(sum(losses.values()))
    assert set(head.predict(feature, [sample])[0].keys()) == {'bboxes', 'scores', 'labels'}


def test_mistakes_are_one_sentence():
    with pytest.raises(ValueError, match=r"confidence_target='giou': give 'iou' or 'one'\.$"):
        head_of(confidence_target='giou')
    with pytest.raises(ValueError, match='num_boxes=0: give at least 1'):
        head_of(num_boxes=0)
    with pytest.raises(ValueError, match=r'built for .* \(7, 7\) .* but got \(8, 9\): set'):
        head_of(grid_size=7)((torch.rand(1, 1, 8, 9),))
    with pytest.raises(ValueError, match='takes one feature map but got 2'):
        head_of()((torch.rand(1, 1, 8, 9),) * 2)
