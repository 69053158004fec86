"""Memory format of the model."""

import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Keep convolution weights channels-last, the layout that CPUs and tensor cores work in.

    Activations follow the weights, so that nothing else changes; results are the same up to
    rounding, and so are checkpoints.
    """

    def before_run(self, runner: Runner) -> None:
        """Convert the model once."""
        runner.model.to(memory_format=torch.channels_last)
