"""Agreement of model and data."""

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import BaseLoop, Runner


@HOOKS.register_module()
class ClassCheckHook(Hook):
    """Compare ``num_classes`` of the head with the classes of every data set before a run.

    Stock ``NumClassCheckHook`` looks at the start of an epoch and not before testing.
    """

    def before_run(self, runner: Runner) -> None:
        """Check the data sets of the loops that are about to run.

        Raises:
            ValueError: The numbers differ.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        expected = model.bbox_head.num_classes
        for loop in (runner._train_loop, runner._val_loop, runner._test_loop):
            classes = (
                loop.dataloader.dataset.metainfo['classes'] if isinstance(loop, BaseLoop) else None
            )
            if classes is not None and len(classes) != expected:
                raise ValueError(
                    f'model.bbox_head.num_classes is {expected}, but {loop.dataloader.dataset.ann_file} is '
                    f'read with {len(classes)} classes {tuple(classes)}; make the two agree.'
                )
