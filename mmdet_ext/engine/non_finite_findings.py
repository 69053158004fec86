"""What is wrong with the batches of a step that is not finite, in words."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mmengine.dist import get_rank
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from mmdet_ext.utils.batches import image_files_of

from .non_finite import is_finite, non_finite_gradients, non_finite_inputs, non_finite_outputs


@dataclass
class NonFiniteFinding:
    """What is wrong with one batch; false if nothing is.

    Attributes:
        inputs: Images and labels that hold such values.
        losses: Values that are not finite, by the name of the loss.
        place: Where they arise, or why that is not known.
        files: Image files of the batch.
        rank: Process that the batch went to.
    """

    inputs: list[str]
    losses: dict[str, float] = field(default_factory=dict)
    place: str = ''
    files: list[str] = field(default_factory=list)
    rank: int = field(default_factory=get_rank)

    def __bool__(self) -> bool:
        return bool(self.inputs or self.losses or self.place)


def find_non_finite(
    model: nn.Module, optim_wrapper: OptimWrapper, batch: Any, in_loss: bool
) -> NonFiniteFinding:
    """Run a batch again and look where values arise that are not finite.

    Args:
        model: Not wrapped for distributed training: no rank waits for another.
        optim_wrapper: Sets the precision.
        batch: From the data loader.
        in_loss: Look at the losses and the forward pass, not at the gradients.

    Returns:
        What was found.
    """
    finding = NonFiniteFinding(non_finite_inputs(batch), files=image_files_of(batch))

    def run() -> tuple[Tensor, dict[str, Tensor]]:
        with optim_wrapper.optim_context(model):
            losses = model(**model.data_preprocessor(batch, True), mode='loss')
        return model.parse_losses(losses)

    try:
        if in_loss:
            (_, values), finding.place = non_finite_outputs(model, run)
            losses = {name: float(v) for name, v in values.items() if not is_finite(v)}
            finding.losses = {k: v for k, v in losses.items() if k != 'loss'} or losses
        else:
            finding.place = non_finite_gradients(model, lambda: run()[0])
    except Exception as error:  # what is known of a bad batch is still worth saying
        finding.place = f'running the batch again fails ({error})'
    return finding


def describe_findings(findings: Sequence[NonFiniteFinding], iteration: int, in_loss: bool) -> str:
    """Say in one clause what is not finite, where it arises and in which images.

    Args:
        findings: Of all ranks; the first is told, the others are counted.
        iteration: Counted from 1.
        in_loss: It was seen in the loss, not in the gradients.

    Returns:
        No full stop at its end.
    """
    if not findings:
        what = 'the loss' if in_loss else 'a gradient'
        return f'{what} of iteration {iteration} is not finite, but is when the batch is run again'
    first = findings[0]
    what = ', '.join(f'{k} ({v})' for k, v in first.losses.items()) or 'a gradient'
    verb = 'are' if len(first.losses) > 1 else 'is'
    rank = f' of rank {first.rank}' if any(finding.rank for finding in findings) else ''
    others = f' and {len(findings) - 1} other batches are affected' if len(findings) > 1 else ''
    return (
        f'{what} of iteration {iteration}{rank} {verb} not finite: {_cause(first)}; the batch is '
        f'{_listed(first.files)}{others}'
    )


def remedy_for(findings: Sequence[NonFiniteFinding]) -> str:
    """Say what the user can do."""
    if any(finding.inputs for finding in findings):
        return 'correct or remove these files'
    return 'lower the learning rate, or clip the gradients by `optim_wrapper.clip_grad`'


def _cause(finding: NonFiniteFinding) -> str:
    if finding.inputs:
        return f'{_listed(finding.inputs)} is not'
    return finding.place or 'every module gives finite values, so it arises in computing the loss'


def _listed(names: Sequence[str], most: int = 16) -> str:
    more = f' and {len(names) - most} more' if len(names) > most else ''
    return ', '.join(names[:most]) + more
