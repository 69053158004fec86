"""Memory and start of a very large dataset, beside stock CocoDataset's, under ranks and workers."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch.distributed as dist
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from rich.table import Table

from mmdet_ext.datasets.columnar.convert import convert_json
from mmdet_ext.datasets.columnar.synthetic_coco import write_synthetic_coco

STOCK_BYTES_PER_BOX = 1250
"""What stock CocoDataset holds at its peak while it starts, per rank and box (measured: 1150)."""

LIBRARY_BYTES = 900 << 20
"""What a rank holds before it has a dataset (measured: 810 MiB)."""

BATCH_SIZE = 16


@dataclass
class Footprint:
    """What one dataset costs, all ranks and their workers running.

    Memory is in bytes, time in seconds.

    Attributes:
        images: Images in the set.
        first_batch: From building the dataset (libraries are imported) to the first batch, on the
            slowest rank.
        peak: Largest resident memory of the ranks' main processes until then, summed.
        total: Memory of all processes, pages that they share counted once (PSS).
        worker: Memory that a loader worker wrote to and therefore has to itself, the largest.
        file_pages: Part of ``total`` that the system can drop and read again.
        shuffle: Order of another epoch, drawn by the sampler, on the slowest rank.
        item: One item of the dataset, annotations alone, on the slowest rank.
    """

    images: int
    first_batch: float
    peak: int
    total: int
    worker: int
    file_pages: int
    shuffle: float
    item: float


def measure(
    dataset: Mapping[str, Any], ranks: int = 2, workers: int = 4, batches: int = 100
) -> Footprint:
    """Run a dataset under ranks and loader workers, all in fresh processes.

    Args:
        dataset: Its config, without ``pipeline``: items are annotations, and no image is read.
        ranks: Processes of a distributed run on this machine.
        workers: Loader workers of each.
        batches: Batches that each rank takes before memory is read.

    Returns:
        Its cost.

    Raises:
        ChildProcessError: A rank failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        options = dict(
            dataset=dataset, ranks=ranks, workers=workers, batches=batches, folder=folder
        )
        _run([{**options, 'rank': rank} for rank in range(ranks)])
        found = [json.loads(Path(folder, f'{rank}.json').read_text()) for rank in range(ranks)]
    largest = {key: max(rank[key] for rank in found) for key in found[0]}
    summed = {key: sum(rank[key] for rank in found) for key in ('peak', 'total', 'file_pages')}
    return Footprint(**(largest | summed))


def _run(ranks: Sequence[Mapping[str, Any]]) -> None:
    """Start all ranks and wait for them; one that fails takes along the others, which wait for it."""
    command = 'from mmdet_ext.apis.dataset_memory import run_rank; run_rank()'
    with Path(ranks[0]['folder'], 'log').open('w+') as log:
        processes = [
            subprocess.Popen(
                [sys.executable, '-c', command, json.dumps(options)],
                env={**os.environ, 'GLOO_SOCKET_IFNAME': 'lo'},
                stdout=log,
                stderr=log,
            )
            for options in ranks
        ]
        try:
            while not any(process.poll() for process in processes):
                if all(process.returncode == 0 for process in processes):
                    return
                time.sleep(0.1)  # often enough to end the others when one breaks
            code = next(process.returncode for process in processes if process.returncode)
        finally:
            for process in processes:
                process.kill()
                process.wait()
        log.seek(0)
        last = (log.read().strip().splitlines() or ['it printed nothing'])[-1]
    found = 'was killed, for want of memory as a rule' if code == -signal.SIGKILL else last
    raise ChildProcessError(
        f'A rank with {ranks[0]["dataset"]["type"]} ended with code {code}: {found}; '
        'take fewer images if memory is short.'
    )


def run_rank() -> None:
    """Be one rank of :func:`measure`, whose options are the process's argument."""
    Path('/proc/self/oom_score_adj').write_text('1000')  # rather this process than another's work
    options = json.loads(sys.argv[1])
    rank, folder = options['rank'], options['folder']
    init_default_scope('mmdet')
    dist.init_process_group(
        'gloo', f'file://{folder}/store', rank=rank, world_size=options['ranks']
    )
    dist.barrier()
    start = time.perf_counter()
    loader = Runner.build_dataloader(_loader_config(options), seed=0)
    batches = iter(loader)
    next(batches)
    first_batch = time.perf_counter() - start
    for _ in range(options['batches'] - 1):
        next(batches)
    dist.barrier()  # all are up, and none is starting
    memory = _memory_of_family()
    dist.barrier()
    found = asdict(Footprint(len(loader.dataset), first_batch, **memory, **_times_of(loader)))
    Path(folder, f'{rank}.json').write_text(json.dumps(found))
    dist.destroy_process_group()


def _loader_config(options: Mapping[str, Any]) -> dict[str, Any]:
    pipeline = [
        dict(type='LoadAnnotations', with_bbox=True),
        dict(type='PackDetInputs', meta_keys=('img_id', 'img_path')),
    ]
    return dict(
        batch_size=BATCH_SIZE,
        num_workers=options['workers'],
        persistent_workers=True,
        sampler=dict(type='DefaultSampler', shuffle=True),
        dataset=dict(options['dataset'], pipeline=pipeline),
    )


def _times_of(loader) -> dict[str, float]:
    start = time.perf_counter()
    loader.sampler.set_epoch(1)
    order = list(loader.sampler)
    shuffle = time.perf_counter() - start
    some = order[:2000]
    start = time.perf_counter()
    for index in some:
        loader.dataset.get_data_info(index)
    return {'shuffle': shuffle, 'item': (time.perf_counter() - start) / len(some)}


def _memory_of_family() -> dict[str, int]:
    workers = [_memory(child.pid) for child in multiprocessing.active_children()]
    everyone = [_memory(os.getpid()), *workers]
    status = Path('/proc/self/status').read_text().split()
    return {
        'peak': int(status[status.index('VmHWM:') + 1]) * 1024,
        'total': sum(memory['Pss'] for memory in everyone),
        'worker': max(memory['Private_Dirty'] for memory in workers),
        'file_pages': sum(memory['Pss_File'] for memory in everyone),
    }


def _memory(process: int) -> dict[str, int]:
    """Bytes by kind, as Linux counts them."""
    lines = Path(f'/proc/{process}/smaps_rollup').read_text().splitlines()[1:]
    return {key: int(value.split()[0]) * 1024 for key, value in (line.split(':') for line in lines)}


def compare(
    folder: str | Path,
    images: int = 1_000_000,
    boxes: int = 7,
    ranks: int = 2,
    workers: int = 4,
    batches: int = 100,
) -> Iterator[tuple[str, Footprint]]:
    """Measure stock CocoDataset and ColumnarDataset on the same synthetic annotations.

    Where memory does not suffice for CocoDataset, both are measured on as many images as it
    suffices for, and ColumnarDataset on all of them besides.

    Args:
        folder: Where annotations are written, or found if they were written before.
        images: Number of images.
        boxes: Mean number of boxes per image.
        ranks: Processes of a distributed run on this machine.
        workers: Loader workers of each.
        batches: Batches that each rank takes before memory is read.

    Yields:
        Name and footprint, first those of CocoDataset with hardly any images: the libraries.

    Raises:
        ValueError: A number is too small.
        ChildProcessError: A rank failed.
    """
    fewest = 2 * BATCH_SIZE * ranks * batches  # filter_cfg leaves more than half of them
    if min(ranks, workers, batches, boxes) < 1 or images < fewest:
        raise ValueError(
            f'{images} images, {boxes} boxes, {ranks} ranks, {workers} workers, {batches} batches: '
            f'expected at least {fewest} images and 1 of all else.'
        )
    both = min(
        images, int(_available_memory() / ranks - LIBRARY_BYTES) // (STOCK_BYTES_PER_BOX * boxes)
    )
    if both < fewest:
        raise ValueError(
            f'memory suffices for {both} images of CocoDataset; free some and try again.'
        )
    runs = [('libraries', 'CocoDataset', fewest), ('CocoDataset', 'CocoDataset', both)]
    runs += [('ColumnarDataset', 'ColumnarDataset', count) for count in sorted({both, images})]
    for name, kind, count in runs:
        source = _annotations(Path(folder), count, boxes, columnar=kind == 'ColumnarDataset')
        yield name, measure(_dataset_config(kind, source), ranks, workers, batches)


def _available_memory() -> int:
    lines = Path('/proc/meminfo').read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith('MemAvailable'))


def _annotations(folder: Path, images: int, boxes: int, columnar: bool) -> Path:
    source = folder / f'{images}_images_of_{boxes}_boxes.json'
    if not source.is_file():
        write_synthetic_coco(source, images, boxes)
    target = source.with_suffix('.arrow')
    if columnar and not target.is_file():
        convert_json(source, target)
    return target if columnar else source


def _dataset_config(kind: str, ann_file: Path) -> dict[str, Any]:
    return dict(
        type=kind,
        ann_file=str(ann_file),
        data_prefix=dict(img=''),
        metainfo=dict(classes=[f'class_{i}' for i in range(80)]),
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
    )


def footprint_table(found: Sequence[tuple[str, Footprint]], title: str) -> Table:
    """Lay out footprints side by side, and how many times less ColumnarDataset needs.

    Args:
        found: What :func:`compare` yields.
        title: Put above.

    Returns:
        The table.
    """
    table = Table(title=title)
    table.add_column(no_wrap=True)
    for name in (*(name for name, _ in found), 'times less'):
        table.add_column(name, justify='right')
    libraries = found[0][1]
    columns = [_figures(footprint, libraries) for _, footprint in found]
    for figure in columns[0]:
        values = [column[figure] for column in columns]
        stock, ours = values[1:3]
        ratio = _rounded(stock / ours) if figure != 'images' and ours > 0 else ''
        table.add_row(figure, *map(_rounded, values), ratio)
    return table


def _figures(footprint: Footprint, libraries: Footprint) -> dict[str, float]:
    mebibyte = 1 << 20
    return {
        'images': footprint.images,
        'first batch, s': footprint.first_batch,
        'peak until then, MiB': footprint.peak / mebibyte,
        'all processes, MiB': footprint.total / mebibyte,
        '- above libraries, MiB': (footprint.total - libraries.total) / mebibyte,
        '- not files, MiB': (footprint.total - footprint.file_pages) / mebibyte,
        'own of a worker, MiB': footprint.worker / mebibyte,
        'order of an epoch, ms': footprint.shuffle * 1e3,
        'one item, us': footprint.item * 1e6,
    }


def _rounded(value: float) -> str:
    return f'{value:,.0f}' if value == int(value) or abs(value) >= 100 else f'{value:.1f}'
