"""What the loss balancers have in common."""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from mmengine.dist import all_reduce
from mmengine.model import BaseModule
from torch import Tensor

from mmdet_ext.utils.errors import did_you_mean

_NAMES_SIZE = 4096


class LossBalancer(BaseModule):
    """Base of balancers: turns the losses of a detector into one; a subclass writes :meth:`weigh`.

    Losses are found in the first training iteration and numbered in alphabetical order; the names are
    part of the checkpoint, so that what a balancer has learnt belongs to the same losses after a resume.

    Args:
        losses: Names of those to balance, the others keeping a weight of 1. Defaults to all.
        capacity: The most losses that there may be.
    """

    has_state = True
    """Whether anything is kept from one iteration to the next."""

    def __init__(self, losses: Sequence[str] | None = None, capacity: int = 64) -> None:
        super().__init__()
        self.losses = losses
        self.capacity = capacity
        self._names: list[str] | None = None
        names = torch.zeros(_NAMES_SIZE, dtype=torch.uint8)
        self.register_buffer('names', names, persistent=self.has_state)

    def forward(self, losses: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Balance the losses of an iteration.

        Args:
            losses: Scalars.

        Returns:
            The total to minimise, and the weight of each balanced loss.

        Raises:
            ValueError: A loss that is to be balanced is not among those of the first iteration, or
                one to be balanced came up only later, or there are more than ``capacity``.
        """
        names = self._balanced(losses)
        rest = sum(value for name, value in losses.items() if name not in names)
        if not names:
            return rest, {}
        values = torch.stack([losses[name].float() for name in names])
        index = torch.tensor([self._names.index(name) for name in names], device=values.device)
        with torch.no_grad():
            shared = values.detach().clone()
            all_reduce(shared, 'mean')  # for all processes to have the same weights
        total, weights = self.weigh(values, shared, index)
        return total + rest, dict(zip(names, weights.detach().unbind(), strict=True))

    @abstractmethod
    def weigh(self, values: Tensor, shared: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """Weigh the losses of an iteration.

        Args:
            values: Losses of this process, shape ``(K,)``.
            shared: Their means over all processes, without gradient.
            index: Which of the ``capacity`` losses they are.

        Returns:
            The total to minimise, a scalar, and the weights ``(K,)``.
        """

    def _balanced(self, losses: dict[str, Tensor]) -> list[str]:
        """Names of the losses of this iteration that are to be balanced."""
        if self._names is None:
            self._names = self._saved_names() or self._first_names(losses)
        wanted = losses if self.losses is None else self.losses
        names = [name for name in losses if name in wanted]
        late = sorted(set(names) - set(self._names))
        if late:
            raise ValueError(
                f'{type(self).__name__}: the loss {late[0]!r} is not among those that it started '
                f'with ({", ".join(self._names)}): name those to balance in `losses`, without this one.'
            )
        return names

    def _first_names(self, losses: dict[str, Tensor]) -> list[str]:
        known = sorted(losses)
        for name in self.losses or ():
            if name not in losses:
                raise ValueError(
                    f'{type(self).__name__}: the detector has no loss {name!r}'
                    f'{did_you_mean(name, known)}: expected names among {", ".join(known)}.'
                )
        names = known if self.losses is None else sorted(self.losses)
        text = torch.frombuffer(bytearray('\n'.join(names).encode()), dtype=torch.uint8)
        if len(names) > self.capacity or len(text) > len(self.names):
            raise ValueError(
                f'{type(self).__name__}: the detector has {len(names)} losses, more than the capacity '
                f'of {self.capacity}: set `capacity` to as many.'
            )
        self.names[: len(text)] = text.to(self.names.device)
        return names

    def _saved_names(self) -> list[str]:
        text = bytes(self.names.tolist()).rstrip(b'\0').decode()
        return text.split('\n') if text else []

    def _load_from_state_dict(self, *args, **kwargs) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._names = None
