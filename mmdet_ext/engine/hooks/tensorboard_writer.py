"""Access to what writes a run's TensorBoard files."""

from typing import TYPE_CHECKING

from mmengine.visualization import TensorboardVisBackend, Visualizer

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


def tensorboard_writer(visualizer: Visualizer) -> 'SummaryWriter | None':
    """Return the writer of a visualizer's ``TensorboardVisBackend``, None if it has none."""
    for backend in visualizer._vis_backends.values():
        if isinstance(backend, TensorboardVisBackend):
            return backend.experiment
    return None
