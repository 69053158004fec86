"""Any detector, its losses weighted by a balancer."""

from functools import cache

from mmdet.registry import MODELS
from mmengine.model import BaseModel
from torch import Tensor

_TOTAL = 'balanced total'


class LossBalancingMixin:
    """Weights the losses of a detector by its ``loss_balancer``; goes before the detector's class."""

    def loss(self, *args, **kwargs) -> dict[str, Tensor]:
        """Losses of a batch, their weights, and the weighted total.

        The total is made here, in the forward pass, so that DistributedDataParallel sees the balancer's
        parameters at work.

        Args:
            args: As for the detector: images and their annotations.
            kwargs: Likewise.

        Returns:
            What the detector gives, ``weight/<name>`` of each balanced loss, and the total.
        """
        losses = super().loss(*args, **kwargs)
        values = {name: _value(loss) for name, loss in losses.items() if 'loss' in name}
        total, weights = self.loss_balancer(values)
        weights = {f'weight/{name}': weight for name, weight in weights.items()}
        return {**losses, **weights, _TOTAL: total}

    def parse_losses(self, losses: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Split losses into the total to propagate back and what is logged.

        Args:
            losses: Of :meth:`loss`.

        Returns:
            The balanced total; and ``loss`` (the same), the detector's losses as they were, and
            ``weight/<name>`` of each.
        """
        if _TOTAL not in losses:  # another method's, such as of a semi-supervised detector
            return super().parse_losses(losses)
        losses = dict(losses)
        total = losses.pop(_TOTAL)
        weights = {name: losses.pop(name) for name in list(losses) if name.startswith('weight/')}
        _, logged = super().parse_losses(losses)
        return total, {**logged, 'loss': total, **weights}


@MODELS.register_module()
def LossBalancedDetector(detector: dict, balancer: dict) -> BaseModel:  # noqa: N802 (a type in configs)
    """Build a detector whose losses a balancer weights, and which is otherwise the same.

    It is an instance of the detector's class, with the same sub-modules under the same names, so that
    hooks, prediction, test-time augmentation and checkpoints work as before; a checkpoint has
    ``loss_balancer.*`` besides, which the plain detector leaves out. To deploy, use the plain
    detector's config.

    Args:
        detector: Config of any detector with losses.
        balancer: Config of a :class:`~mmdet_ext.models.loss_balancing.LossBalancer`.

    Returns:
        The detector.
    """
    model = MODELS.build(detector)
    model.__class__ = _with_balancing(type(model))
    model.loss_balancer = MODELS.build(balancer)
    return model


@cache
def _with_balancing(cls: type) -> type:
    return type(f'LossBalanced{cls.__name__}', (LossBalancingMixin, cls), {'__doc__': cls.__doc__})


def _value(loss: Tensor | list[Tensor]) -> Tensor:
    """Reduce a loss to a scalar as mmengine does."""
    return sum(part.mean() for part in loss) if isinstance(loss, list | tuple) else loss.mean()
