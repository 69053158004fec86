"""Loading those weights of any checkpoint that fit a model, and saying what became of the others."""

from collections import Counter
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from .checkpoint import read_checkpoint
from .errors import did_you_mean
from .parameter_names import choose_names, last_match
from .state_dicts import StateDict, compare, is_counter, weights_in
from .weight_names import Prefixes, find_prefixes, renamed, with_prefixes

MISMATCHES = ('drop', 'slice', 'reinitialise')
OUTCOMES = ('loaded', 'sliced', 'reinitialised', 'dropped', 'missing', 'skipped')
ENTRIES = ('state_dict', 'model', 'model_state_dict', 'ema', 'ema_state_dict', 'state_dict_ema')
"""Where checkpoints have their weights: MMEngine and others, ultralytics and DETR, timm; in order."""

_WIDTH = 140


class Fate(NamedTuple):
    """What became of one tensor.

    Attributes:
        name: In the model; of what is skipped, in the checkpoint after renaming.
        outcome: One of :data:`OUTCOMES`.
        reason: Why it was not simply loaded; may be empty.
        values: Number of values.
    """

    name: str
    outcome: str
    reason: str
    values: int


@dataclass
class LoadReport:
    """What became of the weights of a checkpoint and of a model.

    Attributes:
        source: The checkpoint.
        prefixes: How prefixes were changed.
        found: How they were found, in words; empty if they were given or there are none.
        fates: Of all tensors.
    """

    source: str
    prefixes: Prefixes = Prefixes('', '')
    found: str = ''
    fates: list[Fate] = field(default_factory=list)

    def names(self, outcome: str) -> list[str]:
        """Names of the tensors with one of :data:`OUTCOMES`."""
        return [fate.name for fate in self.fates if fate.outcome == outcome]

    def summary(self) -> str:
        """One sentence."""
        counts = Counter(fate.outcome for fate in self.fates)
        told = ', '.join(f'{counts[outcome]} {outcome}' for outcome in OUTCOMES if counts[outcome])
        return f'{self.source}: {told}{f"; {self.found}" if self.found else ""}'

    def table(self) -> str:
        """Table of outcomes and reasons, with numbers and the first name of each."""
        table = Table(title=self.summary())
        for name in ('outcome', 'why', 'tensors', 'values', 'first'):
            table.add_column(name, justify='right' if name in ('tensors', 'values') else 'left')
        for outcome in OUTCOMES:
            groups: dict[str, list[Fate]] = {}
            for fate in self.fates:
                if fate.outcome == outcome:
                    groups.setdefault(fate.reason, []).append(fate)
            for reason, fates in groups.items():
                values = sum(fate.values for fate in fates)
                table.add_row(outcome, reason, str(len(fates)), f'{values:,}', fates[0].name)
        console = Console(width=_WIDTH)
        with console.capture() as capture:
            console.print(table)
        return '\n' + capture.get()


@torch.no_grad()
def load_partly(
    model: nn.Module,
    source: str | Mapping[str, Any],
    *,
    entry: str | None = None,
    strip: str | None = None,
    add: str | None = None,
    rename: Sequence[tuple[str, str]] = (),
    drop: str | Sequence[str] = (),
    mismatch: str | Mapping[str, str] = 'drop',
    min_share: float = 0.1,
    allow_pickle: bool = False,
) -> LoadReport:
    """Load the weights of a checkpoint that fit a model, whoever wrote it.

    Unless ``strip`` or ``add`` is given, prefixes are found that make most of the weights fit: those of
    a backbone go into a detector, those of a detector's backbone into a backbone.

    Args:
        model: The model, not wrapped for distributed training.
        source: A checkpoint file or an address, see :func:`mmdet_ext.utils.checkpoint.read_checkpoint`,
            or what is in one: of MMEngine, torchvision, timm, ultralytics (with ``allow_pickle``, as it
            saves modules), or plain weights by name.
        entry: Entry of the checkpoint that has the weights. By default the first of :data:`ENTRIES`,
            else all of it. In a file of MMEngine with ``EMAHook``, ``state_dict`` has the averages and
            ``ema_state_dict`` the weights that were trained.
        strip: Take only weights whose names start with this, and take it off.
        add: Put this before all names, after ``strip``.
        rename: Regular expressions and what they are replaced by, one after the other, before prefixes.
        drop: Weights to leave out, by patterns of their final names, see
            :func:`mmdet_ext.utils.parameter_names.choose_names`.
        mismatch: What to do where shapes differ, for all or by pattern, the last one that matches counts:
            ``'drop'`` leaves the model's values; ``'slice'`` loads the part that both have (the first
            classes, the first input channels) and leaves the model's values in the rest;
            ``'reinitialise'`` draws new values as the layer's ``reset_parameters`` does.
        min_share: Least share of the weights of the checkpoint, or of the model if it has fewer, that has
            to fit; with fewer it is taken for one of another model.
        allow_pickle: Load a file even if it can run code.

    Returns:
        What became of each weight.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is unsafe, damaged or of another model, or an option does not fit it; the
            model is then as it was.
    """
    name = source if isinstance(source, str) else 'the weights given'
    content = read_checkpoint(source, allow_pickle) if isinstance(source, str) else source
    weights = renamed(_weights_of(content, name, entry), [tuple(rule) for rule in rename])
    wanted = {key: v for key, v in model.state_dict().items() if isinstance(v, Tensor)}
    report = LoadReport(name)
    if strip is None and add is None:
        report.prefixes, fitting, as_they_are = find_prefixes(weights, wanted)
        if any(report.prefixes):
            report.found = f'names with {report.prefixes} ({fitting} fit, {as_they_are} without)'
    else:
        report.prefixes = Prefixes(_dotted(strip), _dotted(add))
    moved = with_prefixes(weights, report.prefixes)
    dropped = choose_names(drop, moved, 'drop', name)
    kept = {key: value for key, value in moved.items() if key not in dropped}
    _check_share(kept, wanted, name, min_share)

    chosen = _settle_wanted(model, kept, wanted, mismatch, dropped, report)
    _tell_skipped(weights, moved, dropped, wanted, report)
    model.load_state_dict(chosen, strict=False)
    return report


def _dotted(prefix: str | None) -> str:
    return prefix.rstrip('.') + '.' if prefix else ''


def _weights_of(content: Any, source: str, entry: str | None) -> StateDict:
    if entry is not None:
        entries = list(content) if isinstance(content, Mapping) else []
        if entry not in entries:
            some = ', '.join(f'`{key}`' for key in entries[:8]) or 'none'
            raise ValueError(
                f'{source} has no entry `{entry}`{did_you_mean(entry, [str(e) for e in entries])}: it '
                f'has {some}.'
            )
        content = content[entry]
    weights = weights_in(content, ENTRIES)
    if not weights:
        raise ValueError(
            f'{source}{f" has under `{entry}`" if entry else " has"} no weights by name: expected them '
            f'at the top or under one of {", ".join(ENTRIES)}; name the entry that has them.'
        )
    return weights


def _check_share(weights: StateDict, wanted: StateDict, source: str, least: float) -> None:
    """Refuse weights of another model, before anything is changed."""
    weights, wanted = (
        {key: value for key, value in each.items() if not is_counter(key)}
        for each in (weights, wanted)
    )
    fitting, misshapen, missing, foreign = compare(weights, wanted)
    fewer = min(len(weights), len(wanted))
    if fitting and len(fitting) >= least * fewer:
        return
    examples = []
    if misshapen:
        key = misshapen[0]
        examples.append(f'`{key}` is {_shape(weights[key])} there and {_shape(wanted[key])} here')
    if foreign and missing:
        examples.append(f'it has `{foreign[0]}`, the model `{missing[0]}`')
    raise ValueError(
        f'{source} seems to be of another model: only {len(fitting)} of {len(weights)} weights fit the '
        f'{len(wanted)} of the model{"".join(f", {example}" for example in examples)}; give another '
        'file, or make names agree with `rename`, `strip` and `add`.'
    )


def _settle_wanted(
    model: nn.Module,
    weights: StateDict,
    wanted: StateDict,
    mismatch: str | Mapping[str, str],
    dropped: set[str],
    report: LoadReport,
) -> StateDict:
    """Decide on each weight of the model; returns the new values."""
    modes = _modes(mismatch, list(wanted))
    chosen, fresh = {}, {}
    for key, own in wanted.items():
        value, outcome, reason = weights.get(key), 'loaded', ''
        if value is None:
            outcome = 'missing'
            reason = 'left out by `drop`' if key in dropped else 'not in the checkpoint'
        elif value.shape == own.shape:
            chosen[key] = value
        else:
            outcome, chosen_value = _resolve(modes[key], value, own)
            reason = f'{_shape(value)} in the checkpoint, {_shape(own)} in the model'
            if outcome == 'reinitialised':
                chosen_value = _fresh(model, key, fresh)
            if chosen_value is not None:
                chosen[key] = chosen_value
        report.fates.append(Fate(key, outcome, reason, own.numel()))
    return chosen


def _modes(mismatch: str | Mapping[str, str], names: list[str]) -> dict[str, str]:
    by_pattern = {'*': mismatch} if isinstance(mismatch, str) else {'*': 'drop', **mismatch}
    for mode in by_pattern.values():
        if mode not in MISMATCHES:
            raise ValueError(
                f'`mismatch` is {mode!r}{did_you_mean(str(mode), MISMATCHES)}: give one of '
                f'{", ".join(MISMATCHES)}.'
            )
    return last_match(by_pattern, names, 'mismatch')


def _resolve(mode: str, value: Tensor, own: Tensor) -> tuple[str, Tensor | None]:
    """Outcome where shapes differ, and the values that are known already."""
    if mode == 'slice' and value.ndim == own.ndim and own.ndim:
        common = tuple(slice(min(sides)) for sides in zip(value.shape, own.shape, strict=True))
        merged = own.clone()
        merged[common] = value[common].to(own)
        return 'sliced', merged
    return ('reinitialised' if mode == 'reinitialise' else 'dropped'), None


def _fresh(model: nn.Module, key: str, fresh: dict[str, nn.Module]) -> Tensor:
    """A weight as its layer draws it."""
    owner, _, own = key.rpartition('.')
    if owner not in fresh:
        layer = deepcopy(model.get_submodule(owner))
        if not hasattr(layer, 'reset_parameters'):
            raise ValueError(
                f'`{owner}` ({type(layer).__name__}) cannot be initialised by itself, so that '
                f"`mismatch='reinitialise'` cannot be done for `{key}`: choose 'drop' or 'slice'."
            )
        layer.reset_parameters()
        fresh[owner] = layer
    return fresh[owner].state_dict()[own]


def _tell_skipped(
    weights: StateDict, moved: StateDict, dropped: set[str], wanted: StateDict, report: LoadReport
) -> None:
    """Report the weights of the checkpoint that the model does not get."""
    strip = report.prefixes.strip
    skipped = [
        (name, value, f'not under `{strip}`')
        for name, value in weights.items()
        if not name.startswith(strip)
    ]
    for name, value in moved.items():
        if name in dropped:
            skipped.append((name, value, 'left out by `drop`'))
        elif name not in wanted:
            skipped.append((name, value, 'the model has no such name'))
    report.fates += [Fate(name, 'skipped', why, value.numel()) for name, value, why in skipped]


def _shape(tensor: Tensor) -> str:
    return ' x '.join(map(str, tensor.shape)) or 'a number'
