"""What ranks exchange of gradients: in 16 bits if asked for, in the layout that the weights have."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from ranks import run_ranks
from torch import distributed, nn

from mmdet_ext.engine.hooks.channels_last_hook import ChannelsLastHook
from mmdet_ext.engine.hooks.gradient_compression_hook import GradientCompressionHook
from mmdet_ext.utils.dist_checks import require_a_share_for_each_rank
from mmdet_ext.utils.dist_wrapper import CPUDistributedDataParallel

IMAGES = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))


class Runner(SimpleNamespace):
    """As much of mmengine's as the hooks ask for."""

    distributed = True
    cfg = Config()

    def wrap_model(self, cfg, model):
        return CPUDistributedDataParallel(model)


def convolution():
    torch.manual_seed(0)
    return nn.Conv2d(4, 6, 3)


def gradient(model, images):
    model.zero_grad()
    model(images).sin().sum().backward()
    return next(model.parameters()).grad.contiguous()


def exchanged_gradient(dtype):
    logger = MMLogger.get_instance('gradients')
    runner = Runner(model=CPUDistributedDataParallel(convolution()), logger=logger)
    GradientCompressionHook(dtype).before_train(runner)
    return gradient(runner.model, IMAGES[[distributed.get_rank()]])


@pytest.mark.parametrize(('dtype', 'digits'), [('fp16', 2**-11), ('bf16', 2**-8)])
def test_gradients_are_exchanged_in_16_bits(dtype, digits):
    first, second = run_ranks(exchanged_gradient, dtype, group=True)
    if isinstance(first, ValueError):  # the gloo of torch 2.1 knows no bfloat16, and says so
        assert torch.__version__ < '2.2'
        assert 'cannot add up torch.bfloat16' in str(first)
        return
    assert torch.equal(first, second)
    kind = dict(fp16=torch.float16, bf16=torch.bfloat16)[dtype]
    shares = [gradient(convolution(), image[None]).to(kind) / 2 for image in IMAGES]
    assert torch.equal(first, (shares[0] + shares[1]).float())
    exact = gradient(convolution(), IMAGES) / 2
    error = (first - exact).abs().max() / exact.abs().max()
    assert 0 < error < 4 * digits


def test_a_single_process_exchanges_nothing():
    GradientCompressionHook().before_train(SimpleNamespace(distributed=False))


def test_an_unknown_type_is_refused():
    with pytest.raises(ValueError, match=r"is 'int8': expected one of fp16, bf16\."):
        GradientCompressionHook('int8')


def test_a_model_that_is_not_in_ddp_is_refused():
    with pytest.raises(ValueError, match='needs a model in DistributedDataParallel, found Conv2d'):
        GradientCompressionHook().before_train(Runner(model=convolution()))


def first_gradients_in_channels_last():
    runner = Runner(model=CPUDistributedDataParallel(convolution()))
    ChannelsLastHook().before_run(runner)
    assert runner.model.module.weight.is_contiguous(memory_format=torch.channels_last)
    images = IMAGES[[distributed.get_rank()]]
    return [gradient(runner.model, images) for _ in range(2)]


def test_the_first_gradients_are_right_after_a_change_of_the_layout():
    expected = gradient(convolution(), IMAGES) / 2
    for gradients in run_ranks(first_gradients_in_channels_last, group=True):
        for found in gradients:
            torch.testing.assert_close(found, expected)


def start_with(images):
    loader = SimpleNamespace(dataset=range(images))
    require_a_share_for_each_rank(SimpleNamespace(train_loop=SimpleNamespace(dataloader=loader)))


def test_more_ranks_than_images_are_refused():
    assert run_ranks(start_with, 2, group=True) == [None, None]
    for error in run_ranks(start_with, 1, group=True):
        assert isinstance(error, ValueError)
        assert 'the 1 images to train on are fewer than the 2 processes' in str(error)
    start_with(0)  # one process: others say what is wrong
