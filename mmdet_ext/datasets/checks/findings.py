"""What a check found: how bad it is, how often, where first, and how to mend it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

ERROR, WARNING, NOTE = SEVERITIES = ('error', 'warning', 'note')
"""Training fails or learns the wrong thing; it may suffer; good to know."""

MANY = 0.05
"""Share of faulty labels from which they are no longer noise but an error."""


@dataclass(frozen=True)
class Finding:
    """One kind of defect in one place.

    Attributes:
        severity: One of :data:`SEVERITIES`.
        source: File or config key that has the defect.
        problem: What is wrong, after the number of entries that have it: ``slots run clockwise``.
        remedy: What to do about it.
        count: Entries that have it.
        total: Entries that were looked at; 0 where there is nothing to count.
        example: The first of them, with its place and values.
    """

    severity: str
    source: str
    problem: str
    remedy: str
    count: int = 1
    total: int = 0
    example: str = ''

    @property
    def sentence(self) -> str:
        """The finding in one sentence."""
        first = f' (first: {self.example})' if self.example else ''
        return f'{self.source}: {self.statement}{first}; {self.remedy}.'

    @property
    def statement(self) -> str:
        """The problem with its count."""
        amount = f'{self.count:,} of {self.total:,} ' if self.total else ''
        return f'{amount}{self.problem}'


def findings_at(
    mask: np.ndarray,
    source: str,
    problem: str,
    remedy: str,
    example: Callable[[int], str],
    severity: str | None = None,
) -> Iterator[Finding]:
    """Yield one finding if any entry is faulty.

    Args:
        mask: Which entries are faulty, ``(N,)``.
        source: See :class:`Finding`, as for ``problem`` and ``remedy``.
        problem: What is wrong with them.
        remedy: What to do about it.
        example: Describes the entry of a row.
        severity: By default an error from a share of :data:`MANY` on, else a warning.

    Yields:
        The finding.
    """
    rows = np.flatnonzero(mask)
    if not len(rows):
        return
    if severity is None:
        severity = ERROR if len(rows) >= MANY * len(mask) else WARNING
    yield Finding(severity, source, problem, remedy, len(rows), len(mask), example(rows[0]))


def by_severity(findings: Iterable[Finding]) -> list[Finding]:
    """Sort findings, the gravest first; findings of the same severity keep their order."""
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def errors(findings: Iterable[Finding]) -> list[Finding]:
    """Those findings that training should not start with."""
    return [finding for finding in findings if finding.severity == ERROR]
