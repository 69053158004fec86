"""Convert other formats to parking-slot COCO and split them without leaking neighbouring frames."""

import math
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from mmdet_ext.datasets.formats.parking_slot_coco import ParkingImage, write_parking_slot_coco
from mmdet_ext.datasets.formats.psdet import PSDET_LABELS, ReadReport, frame_number, read_psdet

READERS = {'psdet': (read_psdet, PSDET_LABELS)}
"""Format name -> (reader, labels complete in it); a reader takes a folder and a ReadReport."""


def split_by_blocks(
    records: Iterable[ParkingImage],
    val_fraction: float = 0.2,
    gap: int = 25,
    gap_fraction: float = 0.02,
) -> tuple[list[ParkingImage], list[ParkingImage], list[ParkingImage]]:
    """Split each sequence into a first block for training and a last one for validation.

    Consecutive video frames are near-duplicates, so some frames between the blocks belong to
    neither.

    Args:
        records: Images whose ``group`` names the sequence; sorted here by the last number in
            ``file_name``.
        val_fraction: Share of each sequence's frames that is validated on, in (0, 1).
        gap: Frames left out before the validation block, at least.
        gap_fraction: Share of the sequence's frames left out, if that is more.

    Returns:
        Images for training, for validation, and those of the gaps.

    Raises:
        ValueError: ``val_fraction`` is not in (0, 1) or an image has no ``group``.
    """
    if not 0 < val_fraction < 1:
        raise ValueError(f'val_fraction is {val_fraction}; expected a share between 0 and 1.')
    train, val, dropped = [], [], []
    for sequence in _sequences(records).values():
        sequence.sort(key=lambda record: frame_number(record.file_name))
        n = len(sequence)
        first_val = n - round(n * val_fraction)
        first_gap = max(first_val - max(gap, math.ceil(n * gap_fraction)), 0)
        train += sequence[:first_gap]
        dropped += sequence[first_gap:first_val]
        val += sequence[first_val:]
    return train, val, dropped


def split_by_sequences(
    records: Iterable[ParkingImage], holdout: Sequence[str]
) -> tuple[list[ParkingImage], list[ParkingImage]]:
    """Hold out whole sequences for validation.

    Args:
        records: Images whose ``group`` names the sequence.
        holdout: Sequences to validate on; all others are for training.

    Returns:
        Images for training and for validation.

    Raises:
        ValueError: A name in ``holdout`` is no sequence or an image has no ``group``.
    """
    sequences = _sequences(records)
    unknown = [name for name in holdout if name not in sequences]
    if unknown:
        raise ValueError(
            f'No sequence is called {unknown}; expected some of {sorted(sequences)} in `holdout`.'
        )
    train = [r for name, rs in sequences.items() if name not in holdout for r in rs]
    return train, [r for name in holdout for r in sequences[name]]


def _sequences(records: Iterable[ParkingImage]) -> dict[str, list[ParkingImage]]:
    sequences = defaultdict(list)
    for record in records:
        if record.group is None:
            raise ValueError(
                f'{record.file_name} has no `group`; name its sequence to split without leaks.'
            )
        sequences[record.group].append(record)
    return sequences


def convert(
    format_name: str,
    source: str | Path,
    target: str | Path,
    *,
    val_fraction: float = 0.2,
    holdout: Sequence[str] = (),
) -> Table:
    """Convert a data set to ``train.json`` and ``val.json`` in parking-slot COCO.

    Images stay where they are: ``file_name`` leads to them from ``target``, which is the config's
    ``data_root``.

    Args:
        format_name: Key of :data:`READERS`.
        source: Folder of the data set.
        target: Folder to write to.
        val_fraction: Share of each sequence for validation; see :func:`split_by_blocks`.
        holdout: Sequences to validate on instead of a block of each.

    Returns:
        What was written and left out, per condition.

    Raises:
        ValueError: ``format_name`` is unknown, or see the splits.
        FileNotFoundError: ``source`` is not a data set of this format.
    """
    if format_name not in READERS:
        raise ValueError(f'Unknown format {format_name!r}; expected one of {sorted(READERS)}.')
    reader, labels = READERS[format_name]
    report, records = ReadReport(), []
    columns = (TextColumn(f'{format_name}: {{task.completed}} images'), BarColumn())
    console = Console(stderr=True)
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        task = progress.add_task('read', total=None)
        for record in reader(source, report):
            record.file_name = os.path.relpath(Path(source, record.file_name), target)
            records.append(record)
            progress.advance(task)
        progress.update(task, total=len(records))
    if holdout:
        train, val, dropped = *split_by_sequences(records, holdout), []
    else:
        train, val, dropped = split_by_blocks(records, val_fraction)
    for part, content in (('train', train), ('val', val)):
        path = Path(target) / f'{part}.json'
        write_parking_slot_coco(path, content, labels, f'{format_name}, {part}')
    return _summary(f'{format_name} -> {target}', train, val, dropped, report)


def _summary(title: str, train, val, dropped, report: ReadReport) -> Table:
    notes = '\n'.join(report.lines()) or 'nothing left out'
    table = Table(title=title, caption=notes, caption_justify='left')
    table.add_column('condition')
    for name in ('train', 'val', 'gap', 'points', 'slots', 'left out or odd'):
        table.add_column(name, justify='right')
    parts = [Counter(r.condition for r in part) for part in (train, val, dropped)]
    points, slots, odd = Counter(), Counter(), Counter()
    for record in (*train, *val):
        points[record.condition] += len(record.points)
        slots[record.condition] += len(record.corners)
    for (condition, _), count in report.by_condition.items():
        odd[condition] += count
    counters = (*parts, points, slots, odd)
    for condition in sorted({key for counter in counters for key in counter}, key=str):
        table.add_row(str(condition), *(str(counter[condition]) for counter in counters))
    table.add_section()
    table.add_row('all', *(str(counter.total()) for counter in counters))
    return table
