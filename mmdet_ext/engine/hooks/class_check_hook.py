"""Agreement of model and data."""

import itertools

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
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
        heads = [m for name, m in runner.model.named_modules() if name.endswith('bbox_head')]
        loops = (runner._train_loop, runner._val_loop, runner._test_loop)
        datasets = [loop.dataloader.dataset for loop in loops if isinstance(loop, BaseLoop)]
        for head, dataset in itertools.product(heads, datasets):
            classes = dataset.metainfo.get('classes')
            if classes is not None and len(classes) != head.num_classes:
                raise ValueError(
                    f'model.bbox_head.num_classes is {head.num_classes}, but {dataset.ann_file} is '
                    f'read with {len(classes)} classes {tuple(classes)}; make the two agree.'
                )
