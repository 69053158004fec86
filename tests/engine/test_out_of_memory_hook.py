"""Recovery when memory runs out, in runs of a Runner with models that raise above a batch size."""

import pytest
import torch
from mmengine.optim import OptimWrapper
from tiny_training import Model, fresh_globals, images, messages, train, weights  # noqa: F401

from mmdet_ext.engine.hooks import out_of_memory_hook as module
from mmdet_ext.engine.hooks.out_of_memory_hook import OutOfMemoryHook
from mmdet_ext.utils.out_of_memory import is_out_of_memory

CPU = RuntimeError(
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you "
    'tried to allocate 8589934592 bytes. Error code 12 (Cannot allocate memory)'
)
ERRORS = [
    CPU,
    RuntimeError('DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes.'),
    torch.cuda.OutOfMemoryError('CUDA out of memory. Tried to allocate 2.00 GiB.'),
    RuntimeError('CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`'),
    MemoryError(),
]


class Hungry(Model):
    """Has memory for so many images, in the forward or only in the backward pass."""

    def __init__(self, most, error=CPU, backward=False):
        super().__init__(norm=False)  # batch norms would see the parts
        self.most, self.error, self.backward, self.sizes = most, error, backward, []

    def forward(self, inputs, data_samples=None, mode='tensor'):
        self.sizes.append(len(inputs))
        if len(inputs) > self.most and not self.backward:
            raise self.error
        losses = super().forward(inputs, data_samples, mode)
        if len(inputs) > self.most:
            # After the gradients of the last layer, so that some have been added to.
            self.stem.weight.register_hook(self.fail)
        return losses

    def fail(self, gradient):
        if self.sizes[-1] > self.most:
            raise self.error


def sgd(accumulative_counts=1, **options):
    optimizer = dict(type='SGD', lr=0.1, momentum=0.9)
    counts = dict(accumulative_counts=accumulative_counts)
    return dict(type='OptimWrapper', optimizer=optimizer, **counts, **options)


@pytest.mark.parametrize('backward', [False, True])
@pytest.mark.parametrize('error', ERRORS, ids=lambda error: type(error).__name__)
def test_the_batch_is_halved_until_it_fits_and_the_weights_are_those_of_the_whole(
    tmp_path, error, backward
):
    hungry, plain = Hungry(2, error, backward), Model(norm=False)
    train(tmp_path, [OutOfMemoryHook()], hungry, images(16), batch_size=8)
    train(tmp_path, [], plain, images(16), batch_size=8)
    assert hungry.sizes == [8, 4, 2, 2, 2, 2, 2, 2, 2, 2]
    assert torch.allclose(weights(hungry), weights(plain), atol=1e-6)


def test_parts_of_unequal_size_count_by_their_images(tmp_path):
    hungry, plain = Hungry(3), Model(norm=False)
    train(tmp_path, [OutOfMemoryHook()], hungry, images(5), batch_size=5)
    train(tmp_path, [], plain, images(5), batch_size=5)
    assert hungry.sizes == [5, 2, 3]
    assert torch.allclose(weights(hungry), weights(plain), atol=1e-6)


@pytest.mark.parametrize('options', [{}, dict(clip_grad=dict(max_norm=0.1))])
def test_it_goes_with_accumulation_and_clipping(tmp_path, options):
    hungry, plain = Hungry(2), Model(norm=False)
    wrapper = sgd(3, **options)
    train(tmp_path, [OutOfMemoryHook()], hungry, images(28), batch_size=4, optim_wrapper=wrapper)
    wrapper = sgd(3, **options)
    train(tmp_path, [], plain, images(28), batch_size=4, optim_wrapper=wrapper)
    assert torch.allclose(weights(hungry), weights(plain), atol=1e-6)


def test_what_was_accumulated_before_survives_a_failure_in_the_forward_pass(tmp_path):
    class LaterHungry(Hungry):
        def forward(self, *args, **kwargs):
            self.most = 9 if not self.sizes else 2
            return super().forward(*args, **kwargs)

    hungry, plain = LaterHungry(9), Model(norm=False)
    train(tmp_path, [OutOfMemoryHook()], hungry, images(8), batch_size=4, optim_wrapper=sgd(2))
    train(tmp_path, [], plain, images(8), batch_size=4, optim_wrapper=sgd(2))
    assert hungry.sizes == [4, 4, 2, 2]
    assert torch.allclose(weights(hungry), weights(plain), atol=1e-6)


def test_what_is_lost_in_the_backward_pass_is_said(tmp_path):
    class LaterHungry(Hungry):
        def forward(self, *args, **kwargs):
            self.most = 9 if not self.sizes else 2
            return super().forward(*args, **kwargs)

    model = LaterHungry(9, backward=True)
    with messages() as said:
        train(tmp_path, [OutOfMemoryHook()], model, images(8), batch_size=4, optim_wrapper=sgd(2))
    assert [text for text in said if 'gradients of 1 batches that were accumulated' in text]


def test_the_logged_losses_are_those_of_the_whole_batch(tmp_path):
    def first_loss(hooks, model):
        runner = train(tmp_path, hooks, model, images(5), batch_size=5)
        return runner.message_hub.get_scalar('train/loss_square').data[0]

    parts = first_loss([OutOfMemoryHook()], Hungry(3))
    assert parts == pytest.approx(first_loss([], Model(norm=False)), rel=1e-5)


def test_it_is_said_once_with_the_settings_that_save_the_attempt(tmp_path):
    with messages() as said:
        train(tmp_path, [OutOfMemoryHook()], Hungry(4), images(32), batch_size=8)
    (warning,) = [text for text in said if 'memory ran out' in text]
    assert "can't allocate memory" in warning
    assert 'split into 2 parts' in warning
    assert 'train_dataloader.batch_size=4 and optim_wrapper.accumulative_counts=2' in warning


def test_one_image_that_does_not_fit_is_one_sentence(tmp_path):
    with pytest.raises(
        ValueError, match=r'memory ran out even with one image at a time .*: make the'
    ):
        train(tmp_path, [OutOfMemoryHook()], Hungry(0), images(4), batch_size=4)


def test_other_errors_pass(tmp_path):
    with pytest.raises(RuntimeError, match='shapes cannot be multiplied'):
        train(
            tmp_path,
            [OutOfMemoryHook()],
            Hungry(0, RuntimeError('mat1 and mat2 shapes cannot be multiplied')),
        )


def test_several_processes_get_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(module, 'get_world_size', lambda: 2)
    with pytest.raises(ValueError, match='cannot be mended while other processes wait: lower'):
        train(tmp_path, [OutOfMemoryHook()], Hungry(2), images(8), batch_size=4)


def test_a_healthy_training_is_bit_equal_to_one_without_the_hook(tmp_path):
    with_hook, plain = Model(), Model()
    train(tmp_path, [OutOfMemoryHook()], with_hook)
    train(tmp_path, [], plain)
    assert torch.equal(weights(with_hook), weights(plain))
    assert 'train_step' not in vars(with_hook)


@pytest.mark.parametrize('error', [RuntimeError('index out of range'), ValueError('out of memory')])
def test_other_errors_are_not_taken_for_it(error):
    assert not is_out_of_memory(error)


def test_the_hook_goes_with_wrappers_of_other_kinds(tmp_path):
    class Doubled(OptimWrapper):
        """Stands for flooding and other changes to the loss."""

        def scale_loss(self, loss):
            return super().scale_loss(loss) * 2

    results = []
    for model, hooks in ((Hungry(2), [OutOfMemoryHook()]), (Model(norm=False), [])):
        wrapper = Doubled(torch.optim.SGD(model.parameters(), lr=0.05))
        train(tmp_path, hooks, model, images(8), batch_size=4, optim_wrapper=wrapper)
        results.append(weights(model))
    assert torch.allclose(*results, atol=1e-6)
