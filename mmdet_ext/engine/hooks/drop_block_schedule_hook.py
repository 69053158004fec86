"""Schedule of DropBlock."""

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmdet_ext.models.layers.drop_block import ClampedDropBlock


@HOOKS.register_module()
class DropBlockScheduleHook(Hook):
    """Raise the probability of every ``ClampedDropBlock`` linearly from 0 to its own.

    It follows the iteration of the run, which a resumed run goes on with.

    Ghiasi, Lin and Le: DropBlock: A Regularization Method for Convolutional Networks, NeurIPS 2018,
    arXiv:1810.12890.

    Args:
        begin: Share of the training before which nothing is dropped.
        end: Share of the training after which the probability stays.

    Raises:
        ValueError: The shares are not in order within [0, 1], or the model has no such layer.
    """

    def __init__(self, begin: float = 0.0, end: float = 1.0) -> None:
        if not 0 <= begin < end <= 1:
            raise ValueError(
                f'DropBlockScheduleHook got begin={begin} and end={end}, which are shares of the '
                'training: give 0 <= begin < end <= 1.'
            )
        self.begin, self.end = begin, end
        self._layers: list[tuple[ClampedDropBlock, float]] = []

    def before_train(self, runner: Runner) -> None:
        """Remember the probability that each layer was built with."""
        blocks = (m for m in runner.model.modules() if isinstance(m, ClampedDropBlock))
        self._layers = [(block, block.drop_prob) for block in blocks]
        if not self._layers:
            raise ValueError(
                'DropBlockScheduleHook found no ClampedDropBlock in the model: add one to its '
                '`plugins`, or remove the hook from `custom_hooks`.'
            )

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Set the probability of this iteration."""
        share = (runner.iter / runner.max_iters - self.begin) / (self.end - self.begin)
        for layer, drop_prob in self._layers:
            layer.drop_prob = drop_prob * min(max(share, 0.0), 1.0)
