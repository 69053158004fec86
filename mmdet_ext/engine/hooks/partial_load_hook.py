"""Starting from those weights of any checkpoint that fit."""

from inspect import signature
from typing import Any

from mmdet.registry import HOOKS
from mmengine.dist import broadcast, is_distributed
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from mmdet_ext.utils.checkpoint import require_checkpoint_file
from mmdet_ext.utils.errors import did_you_mean
from mmdet_ext.utils.model_wrappers import unwrapped
from mmdet_ext.utils.partial_checkpoint import load_partly


@HOOKS.register_module()
class PartialLoadHook(Hook):
    """Load what fits of a checkpoint before training, with a table of what became of each weight.

    In place of ``load_from``, where MMEngine drops what does not fit with no more than a warning. A run
    that is resumed has its own weights and is left alone.

    Args:
        checkpoint: File or address of the checkpoint.
        options: How to load it, as for :func:`mmdet_ext.utils.partial_checkpoint.load_partly`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: Before training: the file is unsafe, damaged or of another model.
    """

    priority = 'VERY_HIGH'  # what other hooks make of the weights is to be made of these

    def __init__(self, checkpoint: str, **options: Any) -> None:
        require_checkpoint_file(checkpoint)
        known = list(signature(load_partly).parameters)[2:]
        for option in options:
            if option not in known:
                raise ValueError(
                    f'PartialLoadHook has no option {option!r}{did_you_mean(option, known)}: it has '
                    f'{", ".join(known)}.'
                )
        self.checkpoint, self.options = checkpoint, options

    def before_train(self, runner: Runner) -> None:
        """Load, unless training goes on from an iteration."""
        if runner.iter:
            print_log(f'{self.checkpoint} is not loaded: the run is resumed.', 'current')
            return
        model = unwrapped(runner.model)
        report = load_partly(model, self.checkpoint, **self.options)
        if is_distributed():  # what was drawn anew is to be the same everywhere
            for value in model.state_dict().values():
                broadcast(value)
        print_log(report.table(), 'current')
