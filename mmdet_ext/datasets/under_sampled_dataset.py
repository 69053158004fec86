"""Leaves out images of frequent classes or conditions."""

from collections.abc import Sequence

from mmdet.registry import DATASETS
from mmengine.dataset import BaseDataset, ClassBalancedDataset
from mmengine.logging import print_log

from mmdet_ext.datasets.image_labels import image_labels
from mmdet_ext.datasets.resampling import under_sampled_indices


@DATASETS.register_module()
class UnderSampledDataset(ClassBalancedDataset):
    """A wrapper that keeps no more than about ``cap`` images of each class or condition.

    Which ones is decided once, by the seed; see :func:`under_sampled_indices`. In the config:

        train_dataloader = dict(dataset=dict(
            type='UnderSampledDataset', cap=500, by='class', dataset=dict(type='CocoDataset', ...)))

    Models of several balanced sets, to average or to ensemble, are trained with
    ``--cfg-options train_dataloader.dataset.subset=0``, ``1``, ``2`` ...

    Args:
        dataset: Dataset to choose from, or its config.
        cap: Images per label; None: as many as the rarest has.
        by: ``class``, ``condition``, the name of a tag, or several of them.
        subset: Number of the choice: frequent labels' images are used in turn before any again.
        seed: Same seed and subset, same images.
        lazy_init: Leave reading to the first use.

    Raises:
        ValueError: ``cap`` is below 1 or no image has a label of this kind.
    """

    def __init__(
        self,
        dataset: BaseDataset | dict,
        cap: int | None = None,
        by: str | Sequence[str] = 'class',
        subset: int = 0,
        seed: int = 0,
        lazy_init: bool = False,
    ) -> None:
        self.cap, self.by, self.subset, self.seed = cap, by, subset, seed
        # Of the parent we use how it maps indices; only which ones is another matter.
        super().__init__(dataset, oversample_thr=0, lazy_init=lazy_init)

    def full_init(self) -> None:
        """Read the dataset and choose the images."""
        if self._fully_initialized:
            return
        labels = image_labels(self.dataset, self.by)
        chosen = under_sampled_indices(labels, self.cap, subset=self.subset, seed=self.seed)
        self.repeat_indices = chosen.tolist()
        self._fully_initialized = True
        print_log(
            f'UnderSampledDataset: {len(chosen)} of {len(labels)} images kept by {self.by}.',
            logger='current',
        )
