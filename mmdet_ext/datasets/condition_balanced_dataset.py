"""Repeats images of rare conditions, as mmengine's ClassBalancedDataset does those of rare classes."""

from collections.abc import Sequence

from mmdet.registry import DATASETS
from mmengine.dataset import BaseDataset, ClassBalancedDataset

from mmdet_ext.datasets.image_labels import image_labels


@DATASETS.register_module()
class ConditionBalancedDataset(ClassBalancedDataset):
    """A wrapper that repeats images of rare conditions or tags.

    An image is repeated ``ceil(max(1, sqrt(oversample_thr / frequency)))`` times, with the frequency
    of its rarest label among all images (repeat-factor sampling of Gupta et al., LVIS: A Dataset for
    Large Vocabulary Instance Segmentation, 2019). For classes alone use the stock wrapper:

        train_dataloader = dict(dataset=dict(
            type='ClassBalancedDataset', oversample_thr=0.1, dataset=dict(type='CocoDataset', ...)))

    and for conditions this one:

        train_dataloader = dict(dataset=dict(
            type='ConditionBalancedDataset', oversample_thr=0.3, by='condition', dataset=dict(...)))

    Args:
        dataset: Dataset to repeat images of, or its config.
        oversample_thr: Frequency below which a label's images are repeated, in (0, 1].
        by: ``condition``, the name of a tag, ``class``, or several of them.
        lazy_init: Leave reading to the first use.

    Raises:
        ValueError: No image has a label of this kind.
    """

    def __init__(
        self,
        dataset: BaseDataset | dict,
        oversample_thr: float,
        by: str | Sequence[str] = 'condition',
        lazy_init: bool = False,
    ) -> None:
        self.by = by
        super().__init__(dataset, oversample_thr, lazy_init)

    def _get_repeat_factors(self, dataset: BaseDataset, repeat_thr: float) -> list[float]:
        # The stock arithmetic asks self.dataset for classes: give it conditions instead.
        self.dataset = _Labelled(image_labels(dataset, self.by))
        try:
            return super()._get_repeat_factors(self.dataset, repeat_thr)
        finally:
            self.dataset = dataset


class _Labelled:
    def __init__(self, labels: list[set]) -> None:
        self.labels = labels

    def __len__(self) -> int:
        return len(self.labels)

    def get_cat_ids(self, index: int) -> set:
        return self.labels[index]
