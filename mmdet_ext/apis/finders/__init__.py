"""Finding a learning rate and a batch size for any config."""

from .batch_size import BatchSizes, find_batch_size, largest_fitting
from .learning_rate import LearningRateSweep, find_learning_rate
from .plots import plot_batch_sizes, plot_learning_rates
from .reports import batch_size_report, learning_rate_report

__all__ = [
    'BatchSizes',
    'LearningRateSweep',
    'batch_size_report',
    'find_batch_size',
    'find_learning_rate',
    'largest_fitting',
    'learning_rate_report',
    'plot_batch_sizes',
    'plot_learning_rates',
]
