"""Registered hooks, one per file."""

from .channels_last_hook import ChannelsLastHook
from .class_check_hook import ClassCheckHook
from .drop_block_schedule_hook import DropBlockScheduleHook
from .freeze_hook import FreezeHook
from .interrupt_hook import InterruptHook
from .partial_load_hook import PartialLoadHook
from .progress_bar_hook import ProgressBarHook
from .safe_checkpoint_hook import SafeCheckpointHook
from .sample_seed_hook import SampleSeedHook
from .tensorboard_charts_hook import TensorboardChartsHook
from .tensorboard_graph_hook import TensorboardGraphHook
from .tensorboard_pr_curve_hook import TensorboardPRCurveHook
from .training_curves_hook import TrainingCurvesHook
from .visualization_hook import ParkingSlotVisualizationHook

__all__ = [
    'ChannelsLastHook',
    'ClassCheckHook',
    'DropBlockScheduleHook',
    'FreezeHook',
    'InterruptHook',
    'ParkingSlotVisualizationHook',
    'PartialLoadHook',
    'ProgressBarHook',
    'SafeCheckpointHook',
    'SampleSeedHook',
    'TensorboardChartsHook',
    'TensorboardGraphHook',
    'TensorboardPRCurveHook',
    'TrainingCurvesHook',
]
