"""What a run has to save, beside what MMEngine saves, to go on as if it had never stopped."""

from bisect import bisect
from dataclasses import asdict, dataclass, field
from typing import Any

from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch import Tensor

from .random_state import capture_random_state, restore_random_state


@dataclass
class TrainingState:
    """State of all processes between two iterations.

    Attributes:
        random: Random states of each process.
        gradients: Of each process, by parameter, where accumulation has not come to a step yet.
        batches_done: Batches that the epoch has had; 0 between epochs.
        validation_due: The epoch is to be validated and has not been.
    """

    random: list[dict[str, Any]]
    gradients: list[dict[str, Tensor]] = field(default_factory=list)
    batches_done: int = 0
    validation_due: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain values and tensors, for a checkpoint."""
        return asdict(self)


def trains(runner: Runner) -> bool:
    """Tell whether a run trains or has trained.

    Elsewhere ``runner.iter`` would build the training loop, and with it the training set.
    """
    loop = runner._train_loop
    return loop is not None and not isinstance(loop, dict)


def capture_training_state(
    runner: Runner, batches_done: int = 0, validation_due: bool = False
) -> TrainingState:
    """Collect the state of all processes; all of them have to call this.

    Args:
        runner: Between two iterations.
        batches_done: As :attr:`TrainingState.batches_done`.
        validation_due: As :attr:`TrainingState.validation_due`.

    Returns:
        The state, the same in each process.
    """
    own = (capture_random_state(), _pending_gradients(runner))
    random, gradients = zip(*all_gather_object(own), strict=True)
    return TrainingState(list(random), list(gradients), batches_done, validation_due)


def restore_training_state(runner: Runner, state: TrainingState) -> None:
    """Go on with a state, as the last thing before training.

    Args:
        runner: With as many processes as the one that the state is from; of another number, the random
            states are left as they are, with a warning.
        state: Of a checkpoint.

    Raises:
        ValueError: The state is from the middle of an epoch, where this run's loop cannot go on.
    """
    rank, processes = get_rank(), get_world_size()
    loop = runner.train_loop
    if state.batches_done and not hasattr(loop, 'batches_done'):
        raise ValueError(
            f'the checkpoint was saved after {state.batches_done} batches of an epoch, where a '
            f'{type(loop).__name__} cannot go on: set `train_cfg.type` to ResumableTrainLoop, or resume '
            'from a checkpoint between epochs.'
        )
    loop.batches_done = state.batches_done
    if len(state.random) != processes:
        runner.logger.warning(
            f'The checkpoint is of {len(state.random)} processes, this run has {processes}: random '
            'states are not restored, training goes on with other augmentation.'
        )
        return
    restore_random_state(state.random[rank])
    parameters = dict(runner.model.named_parameters())
    for name, gradient in state.gradients[rank].items():
        parameters[name].grad = gradient.to(parameters[name].device)


def validation_follows(runner: Runner, by_epoch: bool) -> bool:
    """Tell whether validation comes after the epoch or iteration that is just ending.

    Args:
        runner: In ``after_train_epoch`` or ``after_train_iter``.
        by_epoch: Which of the two.
    """
    loop = runner.train_loop
    done, end = (
        (runner.epoch + 1, loop.max_epochs) if by_epoch else (runner.iter + 1, loop.max_iters)
    )
    interval = loop.dynamic_intervals[bisect(loop.dynamic_milestones, done + 1) - 1]
    return (
        runner.val_loop is not None
        and done >= loop.val_begin
        and (done % interval == 0 or done == end)
    )


def _pending_gradients(runner: Runner) -> dict[str, Tensor]:
    wrapper = runner.optim_wrapper
    if not isinstance(wrapper, OptimWrapper) or (
        wrapper._inner_count % wrapper._accumulative_counts == 0
    ):
        return {}
    return {
        name: parameter.grad.cpu()
        for name, parameter in runner.model.named_parameters()
        if parameter.grad is not None
    }
