"""What every loss does with weights, reductions, nothing at all, and half precision."""

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS

GENERATOR = np.random.default_rng(0)


def boxes(count):
    low = GENERATOR.uniform(0, 50, (count, 2))
    return np.hstack([low, low + GENERATOR.uniform(5, 50, (count, 2))])


def logits(count):
    return GENERATOR.normal(0, 2, (count, 3))


# Of each: config, a prediction, and a target, of 6 rows.
LOSSES = {
    'GIoU': (dict(type='TorchvisionGIoULoss'), boxes(6), boxes(6)),
    'DIoU': (dict(type='TorchvisionDIoULoss'), boxes(6), boxes(6)),
    'CIoU': (dict(type='TorchvisionCIoULoss'), boxes(6), boxes(6)),
    'polygon': (
        dict(type='PolygonGIoULoss'),
        boxes(6)[:, [0, 1, 2, 1, 2, 3, 0, 3]],
        boxes(6)[:, [0, 1, 2, 1, 2, 3, 0, 3]],
    ),
    'direction': (
        dict(type='UnitDirectionLoss'),
        GENERATOR.normal(size=(6, 2)),
        GENERATOR.normal(size=(6, 2)),
    ),
    'KL': (dict(type='KLDivergenceLoss', temperature=2.0), logits(6), logits(6)),
    'softmax': (
        dict(type='SmoothedCrossEntropyLoss', use_sigmoid=False),
        logits(6),
        np.array([0, 1, 2, 2, 1, 0]),
    ),
    'sigmoid': (
        dict(type='SmoothedCrossEntropyLoss', use_sigmoid=True),
        logits(6),
        np.array([0, 1, 2, 3, 3, 3]),
    ),
    'focal': (
        dict(type='TorchvisionFocalLoss', use_sigmoid=True),
        logits(6),
        np.array([0, 1, 2, 3, 3, 3]),
    ),
}
ROWS = torch.tensor([1.0, 0.0, 2.0, 0.5, 0.0, 1.0], dtype=torch.float64)


@pytest.fixture(params=LOSSES)
def case(request):
    """A loss with its reduction, prediction and target."""
    cfg, pred, target = LOSSES[request.param]
    return (
        lambda **options: MODELS.build({**cfg, **options}),
        torch.tensor(pred),
        torch.tensor(target),
    )


def test_reductions_weights_of_rows_and_factors_are_those_of_mmdet(case):
    build, pred, target = case
    items = build(reduction='none')(pred, target)
    weight = ROWS.view(-1, *[1] * (items.dim() - 1))
    loss = build(loss_weight=3.0)
    pairs = [
        (loss(pred, target), items.mean()),
        (loss(pred, target, ROWS), (items * weight).mean()),
        (loss(pred, target, ROWS, avg_factor=4.0), (items * weight).sum() / 4),
        (loss(pred, target, reduction_override='sum'), items.sum()),
        (loss(pred, target, ROWS, reduction_override='none'), items * weight),
    ]
    for actual, expected in pairs:
        torch.testing.assert_close(actual, 3 * expected, rtol=1e-6, atol=0)
    with pytest.raises(ValueError, match='avg_factor can not be used with reduction="sum"'):
        loss(pred, target, avg_factor=4.0, reduction_override='sum')


def test_weights_of_elements_count_one_by_one_or_where_a_row_has_one_loss_by_their_mean(case):
    build, pred, target = case
    items = build(reduction='none')(pred, target)
    elements = torch.rand(pred.shape, dtype=torch.float64)
    expected = items * (elements.mean(1) if items.dim() == 1 else elements)
    actual = build()(pred, target, elements, avg_factor=2.0)
    torch.testing.assert_close(actual, expected.sum() / 2, rtol=1e-6, atol=0)


def test_a_weight_of_another_number_is_refused(case):
    build, pred, target = case
    with pytest.raises(ValueError, match=r'the weight \(5,\) does not fit losses \(6'):
        build()(pred, target, ROWS[:5])


@pytest.mark.parametrize('avg_factor', [None, 1.0, 0.0])
def test_nothing_costs_nothing(case, avg_factor):
    build, pred, target = case
    for rows, weight in ((slice(0), None), (slice(0), ROWS[:0]), (slice(6), ROWS * 0)):
        leaf = pred[rows].clone().requires_grad_()
        loss = build()(leaf, target[rows], weight, avg_factor=avg_factor)
        loss.backward()
        assert loss.item() == 0
        assert leaf.grad.shape == pred[rows].shape
        assert not leaf.grad.any()


@pytest.mark.parametrize(('dtype', 'tolerance'), [(torch.float16, 2e-3), (torch.bfloat16, 2e-2)])
def test_half_precision_is_computed_in_float32(case, dtype, tolerance):
    build, pred, target = case
    if target.is_floating_point():
        target = target.to(dtype)
    half = pred.to(dtype).requires_grad_()
    loss = build()(half, target, ROWS.to(dtype), avg_factor=3)
    loss.backward()
    assert loss.dtype == torch.float32
    assert half.grad.isfinite().all()
    exact = build()(
        half.detach().double(),
        target.double() if target.is_floating_point() else target,
        ROWS,
        avg_factor=3,
    )
    assert loss.item() == pytest.approx(exact.item(), rel=tolerance)


def test_under_autocast_the_value_is_that_of_float32(case):
    build, pred, target = case
    pred = pred.float()
    target = target.float() if target.is_floating_point() else target
    with torch.autocast('cpu', dtype=torch.bfloat16):
        inside = build()(pred, target)
    torch.testing.assert_close(inside, build()(pred, target))


def test_the_gradient_is_that_of_finite_differences(case):
    build, pred, target = case
    loss = build()
    if 'CIoU' in type(loss).__name__:  # its alpha is a constant: see test_box_losses
        target = pred + 5  # of the same aspect ratio
        assert torch.autograd.gradcheck(
            lambda shift: loss(pred + shift, target),
            torch.zeros(1, 1, dtype=torch.float64, requires_grad=True),
        )
        return
    assert torch.autograd.gradcheck(
        lambda p: loss(p, target, ROWS, avg_factor=2.0), pred.clone().requires_grad_()
    )


def test_an_unknown_reduction_is_refused(case):
    build, *_ = case
    if 'smoothing' not in vars(build()):  # mmdet's base class asserts
        with pytest.raises(
            ValueError, match="reduction is 'men', but must be one of none, mean, sum"
        ):
            build(reduction='men')


def test_predictions_and_targets_of_other_shapes_are_refused():
    loss = MODELS.build(dict(type='TorchvisionCIoULoss'))
    with pytest.raises(
        ValueError, match=r'predictions are \(2, 4\) and targets \(3, 4\), but must'
    ):
        loss(torch.zeros(2, 4), torch.zeros(3, 4))
