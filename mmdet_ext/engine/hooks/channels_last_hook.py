"""Memory format of the model."""

import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.nn.parallel import DistributedDataParallel


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Keep convolution weights channels-last, the layout that CPUs and tensor cores work in.

    Activations follow the weights, so that nothing else changes; results are the same up to
    rounding, and so are checkpoints.
    """

    def before_run(self, runner: Runner) -> None:
        """Convert the model once; not in DDP under a runner that cannot wrap it anew."""
        wrapped = isinstance(runner.model, DistributedDataParallel)
        if wrapped and not hasattr(runner, 'wrap_model'):  # FlexibleRunner
            return
        # Of nn.Module: mmdet's distillation detectors have a `to` that takes devices alone.
        torch.nn.Module.to(runner.model, memory_format=torch.channels_last)
        if wrapped:
            # DDP has laid out its buckets for the weights as they were: the first gradients would get
            # mixed up (found in torch 2.1 and 2.11).
            wrapper = runner.cfg.get('model_wrapper_cfg')
            runner.model = runner.wrap_model(wrapper, runner.model.module)
