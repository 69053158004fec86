"""Batch norm over all processes is batch norm over the whole batch."""

import copy

import pytest
import torch
from mmengine.model import revert_sync_batchnorm
from ranks import run_ranks
from torch import distributed, nn

from mmdet_ext.utils.dist_batch_norm import AllReduceBatchNorm, use_all_reduce

IMAGES = 100 + 3 * torch.randn(6, 4, 5, 7, generator=torch.Generator().manual_seed(0)).double()
SHARES = (IMAGES[:4], IMAGES[4:])  # one process has more images than the other


def layers(**options):
    whole = nn.BatchNorm2d(4, **options)
    for tensor in whole.state_dict().values():
        tensor.copy_(torch.arange(1, tensor.numel() + 1).reshape(tensor.shape))
    ours = AllReduceBatchNorm(4, **options)
    ours.load_state_dict(whole.state_dict())
    return whole.double(), ours.double()


def step(layer, images):
    """Two batches; the second's output, the gradients for its input and the parameters, the buffers."""
    layer(images.flip(0))
    images = images.clone().requires_grad_()
    output = layer(images)
    (output.sin() * torch.arange(7)).sum().backward()
    gradients = [parameter.grad for parameter in layer.parameters()]
    return [output.detach(), images.grad, *gradients, *layer.buffers()]


def step_of_a_share(options):
    return step(layers(**options)[1], SHARES[distributed.get_rank()])


@pytest.mark.parametrize(
    'options',
    [{}, dict(momentum=None), dict(track_running_stats=False), dict(affine=False)],
    ids=str,
)
def test_two_processes_compute_what_one_does_with_all_their_images(options):
    output, for_input, *others = step(layers(**options)[0], IMAGES)
    first, second = run_ranks(step_of_a_share, options, group=True)
    close = dict(rtol=1e-7, atol=1e-8)
    torch.testing.assert_close(torch.cat([first[0], second[0]]), output, **close)
    torch.testing.assert_close(torch.cat([first[1], second[1]]), for_input, **close)
    parameters = 0 if options.get('affine') is False else 2
    for i, expected in enumerate(others):
        if i < parameters:  # DDP adds these up
            torch.testing.assert_close(first[2 + i] + second[2 + i], expected, **close)
        else:
            torch.testing.assert_close(first[2 + i], expected, **close)
            assert torch.equal(first[2 + i], second[2 + i])


def outputs_in_evaluation():
    whole, ours = layers()
    return whole.eval()(IMAGES), ours.eval()(IMAGES)


def test_in_evaluation_it_is_a_plain_batch_norm():
    for plain, ours in run_ranks(outputs_in_evaluation, group=True):
        assert torch.equal(plain, ours)


def test_all_synchronised_layers_of_a_model_are_replaced_and_no_others():
    inner = nn.Sequential(nn.SyncBatchNorm(2, momentum=0.3, eps=0.1), nn.BatchNorm2d(2))
    model = nn.ModuleDict({'stem': nn.SyncBatchNorm(3, affine=False), 'body': inner})
    before = copy.deepcopy(model.state_dict())
    parameter = inner[0].weight
    model = use_all_reduce(model.train())
    kinds = [type(model['stem']), type(inner[0]), type(inner[1])]
    assert kinds == [AllReduceBatchNorm, AllReduceBatchNorm, nn.BatchNorm2d]
    assert (inner[0].momentum, inner[0].eps, model['stem'].affine) == (0.3, 0.1, False)
    assert inner[0].weight is parameter
    assert str(before) == str(model.state_dict())


def test_a_layer_that_is_the_whole_model_is_replaced():
    assert type(use_all_reduce(nn.SyncBatchNorm(3).eval())) is AllReduceBatchNorm
    assert not use_all_reduce(nn.SyncBatchNorm(3).eval()).training


def test_mmcvs_layer_is_replaced_as_torchs_is():
    mmcv_layer = type('SyncBatchNorm', (nn.BatchNorm2d,), {})(5)  # mmcv's builds in a group only
    assert type(use_all_reduce(mmcv_layer)) is AllReduceBatchNorm


def test_models_without_such_layers_stay_as_they_are():
    model = revert_sync_batchnorm(nn.Sequential(nn.SyncBatchNorm(3)))
    kinds = [type(module) for module in use_all_reduce(model)]
    assert AllReduceBatchNorm not in kinds
