"""Convert other formats to COCO: in parallel, gone on with when interrupted, split without leaks."""

import dataclasses
import functools
import hashlib
import importlib
import os
import pickle
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from mmdet_ext.datasets.checks.images import survey_images
from mmdet_ext.datasets.checks.splits import find_copies, find_look_alikes
from mmdet_ext.datasets.formats.reader import ParkingReader, Reader, ReadReport
from mmdet_ext.datasets.splits import split_at_random, split_by_blocks, split_by_sequences
from mmdet_ext.utils.errors import did_you_mean
from mmdet_ext.utils.files import write_whole
from mmdet_ext.utils.parallel import track_map

READERS = {
    'bjtu': 'bjtu.BjtuReader',
    'box-txt': 'box_txt.BoxTxtReader',
    'coco-keypoints': 'coco_keypoints.CocoKeypointsReader',
    'crps': 'crps.CrpsReader',
    'cvat': 'cvat.CvatReader',
    'dmpr': 'dmpr.DmprReader',
    'dmpr-prepared': 'dmpr.DmprPreparedReader',
    'gpsd': 'gpsd.GpsdReader',
    'images': 'image_folder.ImageFolderReader',
    'labelme': 'labelme.LabelMeReader',
    'labelme-slots': 'labelme_slots.LabelMeSlotReader',
    'parking-slot-coco': 'parking_slot_coco_reader.ParkingSlotCocoReader',
    'pil-park': 'pil_park.PilParkReader',
    'ps2': 'ps2.Ps2Reader',
    'psdet': 'psdet.PSDetReader',
    'psv': 'psv.PsvReader',
    'voc': 'pascal_voc.PascalVocReader',
    'yolo': 'yolo.YoloReader',
    'yolo-pose': 'yolo_pose.YoloPoseReader',
}
"""Format name -> module of this package and class of its reader."""

WRITERS = {'coco': None, 'dmpr': 'dmpr.write_dmpr', 'yolo-pose': 'yolo_pose.write_yolo_pose'}
"""What can be written: COCO by the readers themselves, others by a function for parking slots."""

_CHUNK = 256
"""Images between two points that an interrupted conversion can go on from."""


def reader_class(name: str) -> type[Reader]:
    """Reader of a format.

    Raises:
        ValueError: There is no format of this name.
    """
    if name not in READERS:
        raise ValueError(
            f'Unknown format {name!r}{did_you_mean(name, READERS)}; expected one of {sorted(READERS)}.'
        )
    return _imported(READERS[name])


def _imported(name: str) -> Any:
    module, attribute = name.split('.')
    return getattr(importlib.import_module(f'{__package__}.{module}'), attribute)


def build_reader(name: str, source: str | Path, options: Mapping[str, Any] = {}) -> Reader:
    """Make the reader of a format.

    Args:
        name: Key of :data:`READERS`.
        source: Folder or file of the data set.
        options: The reader's other fields.

    Raises:
        ValueError: The format or an option is unknown.
    """
    cls = reader_class(name)
    known = [f.name for f in dataclasses.fields(cls) if f.name != 'root']
    for option in options:
        if option not in known:
            raise ValueError(
                f'The format {name} has no option {option!r}{did_you_mean(option, known)}; it has '
                f'{known or "none"}.'
            )
    return cls(Path(source), **options)


def convert(
    format_name: str,
    source: str | Path,
    target: str | Path,
    *,
    val_fraction: float = 0.2,
    holdout: Sequence[str] = (),
    options: Mapping[str, Any] = {},
    to: str = 'coco',
    num_workers: int | None = None,
) -> Table:
    """Convert a data set to COCO: ``train.json`` and ``val.json``, or one file per split it comes with.

    Images stay where they are: ``file_name`` leads to them from ``target``, which is the config's
    ``data_root``. (Other formats find images and labels by equal paths: there names stay as they are
    in the source.) A call that was interrupted is gone on with by calling it again.

    Args:
        format_name: Key of :data:`READERS`.
        source: Folder or file of the data set.
        target: Folder to write to.
        val_fraction: Share for validation where the data set has no split of its own: the last block
            of each sequence (see :func:`split_by_blocks`), or random images if it has no sequences.
        holdout: Sequences to validate on instead.
        options: Options of the reader, such as ``min_size``.
        to: Key of :data:`WRITERS`: the format to write.
        num_workers: Processes; by default one per available core.

    Returns:
        What was written and left out, per condition.

    Raises:
        ValueError: The format or an option is unknown, or no image could be read, or see the splits.
        FileNotFoundError: ``source`` is not a data set of this format.
    """
    reader, report = build_reader(format_name, source, options), ReadReport()
    target, write = Path(target), _writer(to, reader)
    records = list(_read_all(reader, target, report, num_workers))
    if not records:
        raise ValueError(
            f'{source}: no image of format {format_name} could be read: '
            f'{"; ".join(report.lines()) or "nothing was found"}.'
        )
    reader.prepare_writing(records)
    parts, dropped, own_split = _split(records, val_fraction, holdout)
    if not own_split:
        parts['val'], copies = _without_copies(parts, reader.folder, report, num_workers)
        dropped += copies
    if write is not None:
        _write_parts(write, target, parts, report)
    else:
        start = os.path.realpath(target)  # `..` leads out of where a link points to
        for record in records:
            record.file_name = os.path.relpath(reader.folder / record.file_name, start)
        for part, content in parts.items():
            reader.write(target / f'{part}.json', content, f'{format_name}, {part}')
    shutil.rmtree(_scratch(target), ignore_errors=True)
    return _summary(f'{format_name} -> {target}', reader, parts, dropped, report)


def _writer(name: str, reader: Reader) -> Callable | None:
    if name not in WRITERS:
        raise ValueError(
            f'Unknown format {name!r} to write{did_you_mean(name, WRITERS)}; expected one of {sorted(WRITERS)}.'
        )
    if WRITERS[name] and not isinstance(reader, ParkingReader):
        raise ValueError(
            f'{name} holds parking slots, but the source has boxes; write coco instead.'
        )
    return WRITERS[name] and _imported(WRITERS[name])


def _write_parts(write: Callable, target: Path, parts: dict[str, list], report: ReadReport) -> None:
    for part, content in parts.items():
        for record in content:
            record.split = part
    report.merge(write(target, [record for content in parts.values() for record in content]))


def _scratch(target: Path) -> Path:
    return target / '.converting'


def _read_all(
    reader: Reader, target: Path, report: ReadReport, num_workers: int | None
) -> Iterator[Any]:
    """Records in order, from the chunks that an interrupted call has left where there are some."""
    items = list(reader.find(report))
    scratch = _open_scratch(_scratch(target), repr((reader, items)))
    chunks = [(i, items[i : i + _CHUNK]) for i in range(0, len(items), _CHUNK)]
    todo = [chunk for chunk in chunks if not _chunk_path(scratch, chunk[0]).is_file()]
    read = functools.partial(_read_chunk, reader, scratch)
    workers, done = num_workers, len(chunks) - len(todo)
    for _ in track_map(read, todo, 'reading', num_workers=workers, already_done=done, chunksize=1):
        pass
    for first, _ in chunks:
        records, found = pickle.loads(_chunk_path(scratch, first).read_bytes())
        report.merge(found)
        yield from records


def _open_scratch(scratch: Path, content: str) -> Path:
    """Folder for chunks, emptied if it was begun for other items or with other options."""
    note, key = scratch / 'key', hashlib.sha256(content.encode()).hexdigest()
    if not note.is_file() or note.read_text() != key:
        shutil.rmtree(scratch, ignore_errors=True)
        write_whole(note, key)
    return scratch


def _chunk_path(scratch: Path, first: int) -> Path:
    return scratch / f'{first:09d}.pkl'


def _read_chunk(reader: Reader, scratch: Path, chunk: tuple[int, list]) -> None:
    first, items = chunk
    report = ReadReport()
    records = [reader.read_or_report(item, report) for item in items]
    kept = [record for record in records if record is not None]
    write_whole(_chunk_path(scratch, first), pickle.dumps((kept, report)))


def _split(
    records: list, val_fraction: float, holdout: Sequence[str]
) -> tuple[dict[str, list], list, bool]:
    """Parts by name, images between them, and whether the data set came with these parts."""
    if holdout:
        train, val = split_by_sequences(records, holdout)
        return {'train': train, 'val': val}, [], False
    if any(record.split for record in records):
        parts: dict[str, list] = {}
        for record in records:
            parts.setdefault(record.split or 'no_split', []).append(record)
        return parts, [], True
    if all(record.group for record in records):
        train, val, dropped = split_by_blocks(records, val_fraction)
        return {'train': train, 'val': val}, dropped, False
    train, val = split_at_random(records, val_fraction)
    return {'train': train, 'val': val}, [], False


def _without_copies(
    parts: dict[str, list], folder: Path, report: ReadReport, num_workers: int | None
) -> tuple[list, list]:
    """Images for validation that look like none for training, and the others: the car stood still."""
    train, val = (
        survey_images([str(folder / r.file_name) for r in parts[name]], name, num_workers)
        for name in ('train', 'val')
    )
    twin = (find_copies(train, val) >= 0) | (find_look_alikes(train, val) >= 0)
    kept, copies = [], []
    for record, is_copy in zip(parts['val'], twin, strict=True):
        (copies if is_copy else kept).append(record)
    for record in copies:
        report.add(
            'image that looks like one for training (not validated on)',
            record.file_name,
            record.condition,
        )
    return kept, copies


def _summary(
    title: str, reader: Reader, parts: dict[str, list], dropped: list, report: ReadReport
) -> Table:
    notes = '\n'.join(report.lines()) or 'nothing left out'
    table = Table(title=title, caption=notes, caption_justify='left')
    table.add_column('condition')
    counts = {name: Counter(r.condition for r in part) for name, part in parts.items()}
    if dropped:
        counts['gap'] = Counter(record.condition for record in dropped)
    for part in parts.values():
        for record in part:
            for kind, count in reader.count(record).items():
                counts.setdefault(kind, Counter())[record.condition] += count
    counts['left out or odd'] = odd = Counter()
    for (condition, _), count in report.by_condition.items():
        odd[condition] += count
    for name in counts:
        table.add_column(name, justify='right')
    for condition in sorted({key for c in counts.values() for key in c}, key=str):
        table.add_row(str(condition), *(str(c[condition]) for c in counts.values()))
    table.add_section()
    table.add_row('all', *(str(c.total()) for c in counts.values()))
    return table
