"""Going back to a checkpoint in the middle of a run."""

from mmengine.hooks import EMAHook
from mmengine.runner import Runner, find_latest_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader

from mmdet_ext.utils.model_wrappers import unwrapped

from .non_finite import is_finite
from .replay import settings_of


def last_checkpoint(runner: Runner) -> str | None:
    """Find the checkpoint that the run saved last, or was resumed from."""
    saved = runner.message_hub.runtime_info.get('last_ckpt')
    return saved or find_latest_checkpoint(runner.work_dir)


def roll_back(runner: Runner, path: str) -> None:
    """Take weights, averaged weights and the state of the optimizer from a checkpoint of the run.

    The count of iterations, the order of the data and the schedules go on: the same batch does not
    meet the same weights again.

    Args:
        runner: In training.
        path: The checkpoint.

    Raises:
        ValueError: Its weights are not finite either.
    """
    checkpoint = CheckpointLoader.load_checkpoint(path, map_location='cpu')
    bad = [name for name, value in checkpoint['state_dict'].items() if not is_finite(value)]
    if bad:
        raise ValueError(
            f'{path} cannot be gone back to: its {bad[0]} is not finite either; start again from an '
            'earlier checkpoint with a lower learning rate.'
        )
    _restore_averages(runner, checkpoint)
    model = unwrapped(runner.model)
    model.load_state_dict(checkpoint['state_dict'])
    _restore_optimizer(runner, checkpoint)


def _restore_averages(runner: Runner, checkpoint: dict) -> None:
    """Let EMA hooks take theirs, which also puts the model's own weights into ``state_dict``."""
    resuming, runner._resume = runner._resume, True
    try:
        for hook in runner.hooks:
            if isinstance(hook, EMAHook):
                hook.after_load_checkpoint(runner, checkpoint)
    finally:
        runner._resume = resuming


def _restore_optimizer(runner: Runner, checkpoint: dict) -> None:
    wrapper = runner.optim_wrapper
    settings = settings_of(wrapper.param_groups)
    if 'optimizer' in checkpoint:
        wrapper.load_state_dict(checkpoint['optimizer'])
    else:
        wrapper.optimizer.state.clear()
    for group, kept in zip(wrapper.param_groups, settings, strict=True):
        group.update(kept)  # the schedules go on
