"""Curves that belong together in one chart of TensorBoard."""

from collections.abc import Mapping, Sequence

from mmdet.registry import HOOKS
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from .tensorboard_writer import tensorboard_writer

CHARTS = {
    'Training': {
        'Losses': [r'(train/)?.*loss'],
        'Learning rates': [r'(train/)?(.*\.)?(base_)?lr$'],
    },
    'Validation': {
        'Slots': [r'(val/)?slot/(precision|recall|f1|ap|map_polygon)$'],
        'Slot F1 by condition': [r'(val/)?slot/f1(@|$)'],
        'Slot localisation': [r'(val/)?slot/.*error_(px|deg)$'],
        'Marking points': [r'(val/)?point/(precision|recall|f1|ap)$'],
        'COCO mAP': [r'(val/)?coco/.*mAP(_[a-z0-9]+)?$'],
    },
}


@HOOKS.register_module()
class TensorboardChartsHook(Hook):
    """Draw curves that belong together in one chart, on TensorBoard's page "Custom Scalars".

    This names tags that are written anyway. ``SummaryWriter.add_scalars`` would write each curve
    once more, into an event file and a "run" of its own.

    Args:
        charts: Regular expressions of tags, matched from their beginning, by category and chart.
    """

    def __init__(self, charts: Mapping[str, Mapping[str, Sequence[str]]] = CHARTS) -> None:
        self.charts = charts

    @master_only
    def before_train(self, runner: Runner) -> None:
        """Write the layout of the charts."""
        writer = tensorboard_writer(runner.visualizer)
        if writer is not None:
            layout = {
                category: {title: ['Multiline', list(tags)] for title, tags in charts.items()}
                for category, charts in self.charts.items()
            }
            writer.add_custom_scalars(layout)
