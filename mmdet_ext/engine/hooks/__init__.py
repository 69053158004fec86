"""Registered hooks, one per file."""

from .channels_last_hook import ChannelsLastHook
from .class_check_hook import ClassCheckHook
from .compile_hook import CompileHook
from .drop_block_schedule_hook import DropBlockScheduleHook
from .early_stopping_hook import ResumableEarlyStoppingHook
from .freeze_hook import FreezeHook
from .gradient_compression_hook import GradientCompressionHook
from .interrupt_hook import InterruptHook
from .keep_freed_memory_hook import KeepFreedMemoryHook
from .l1_regularization_hook import L1RegularizationHook
from .non_finite_guard_hook import NonFiniteGuardHook
from .out_of_memory_hook import OutOfMemoryHook
from .partial_load_hook import PartialLoadHook
from .progress_bar_hook import ProgressBarHook
from .safe_checkpoint_hook import SafeCheckpointHook
from .sample_seed_hook import SampleSeedHook
from .schedule_check_hook import ScheduleCheckHook
from .tensorboard_charts_hook import TensorboardChartsHook
from .tensorboard_graph_hook import TensorboardGraphHook
from .tensorboard_pr_curve_hook import TensorboardPRCurveHook
from .training_curves_hook import TrainingCurvesHook
from .visualization_hook import ParkingSlotVisualizationHook

__all__ = [
    'ChannelsLastHook',
    'ClassCheckHook',
    'CompileHook',
    'DropBlockScheduleHook',
    'FreezeHook',
    'GradientCompressionHook',
    'InterruptHook',
    'KeepFreedMemoryHook',
    'L1RegularizationHook',
    'NonFiniteGuardHook',
    'OutOfMemoryHook',
    'ParkingSlotVisualizationHook',
    'PartialLoadHook',
    'ProgressBarHook',
    'ResumableEarlyStoppingHook',
    'SafeCheckpointHook',
    'SampleSeedHook',
    'ScheduleCheckHook',
    'TensorboardChartsHook',
    'TensorboardGraphHook',
    'TensorboardPRCurveHook',
    'TrainingCurvesHook',
]
