"""Data as one can look at it: contact sheets of annotations and of what a pipeline makes of them."""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import matplotlib.pyplot as plt
import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmdet.datasets.transforms import LoadAnnotations
from mmengine.runner import set_random_seed
from mmengine.visualization import Visualizer
from rich.console import Console
from rich.progress import track

from mmdet_ext.apis.browse_sources import Source, fill_caches, open_source, require_pipeline
from mmdet_ext.datasets.formats.parking_slot_coco import HIDDEN
from mmdet_ext.datasets.selection import conditions_of, select_images
from mmdet_ext.datasets.tracing import Stage, describe_whole_map, step_name, trace
from mmdet_ext.datasets.transforms import LoadParkingSlotAnnotations, LoadParkingSlotImage
from mmdet_ext.utils.files import write_whole
from mmdet_ext.visualization.montage import captioned, side_by_side, text_block
from mmdet_ext.visualization.pages import PAGE, Row, draw_page, in_rows, paged
from mmdet_ext.visualization.pipeline_results import (
    Labels,
    draw_labels,
    image_of,
    labels_of,
    variants_of,
)

MODES = {'annotations': 24, 'stages': 6, 'repeat': 1}
"""What can be shown, and of how many images if nothing is said."""

_SIDE, _LONGEST = 400, 640  # of a picture on a page: side of the square as large, longer side
_HEAD_WIDTH = 200
_NOT_PNG = ('.jpg', '.jpeg', '.bmp', '.gif', '.tif', '.tiff', '.webp', '.pdf')


@dataclass
class Browsed:
    """What :func:`browse` did.

    Attributes:
        files: Sheets written.
        shown: Images on them.
        matching: Images that those were drawn from.
        total: Images of the dataset.
        failures: Error of each image that could not be loaded or transformed, by its path.
    """

    files: list[Path] = field(default_factory=list)
    shown: int = 0
    matching: int = 0
    total: int = 0
    failures: dict[str, Exception] = field(default_factory=dict)

    def counts(self) -> str:
        """How many images of how many, such as ``24 of 375 images that match, of 8804``."""
        of_all = f' that match, of {self.total}' if self.matching != self.total else ''
        return f'{self.shown} of {self.matching} images{of_all}'


@dataclass
class _Drawer:
    """Draws pictures: at ``scale``, or as large as a square of ``side`` but not above ``longest``."""

    metainfo: Mapping[str, Any]
    scale: float | None
    side: float = _SIDE
    longest: float = _LONGEST
    pictures: int = 0

    def cell(self, stage: Stage, head: Sequence[str] = ()) -> tuple[np.ndarray, list[Labels]]:
        """Return the drawing of a stage with its caption, and the labels in it."""
        if stage.error is not None:
            lines = [*head, f'{type(stage.error).__name__} in {stage.name}:', str(stage.error)]
            return text_block(lines, 2 * _HEAD_WIDTH, most=20), []
        if stage.results is None:
            lines = [*head, f'{stage.name} drops it: training draws another image.', *stage.drawn]
            return text_block(lines, _HEAD_WIDTH), []
        variants = variants_of(stage.results)
        if len(variants) == 1:
            [results] = variants.values()
            drawing, line, labels = self._draw(results, self.side)
            return captioned(drawing, [*head, line, *stage.drawn]), [labels]
        side = self.side * np.sqrt(2 / len(variants))
        drawn = [self._draw(results, side) for results in variants.values()]
        captions = [
            [f'{name}: {line}', describe_whole_map(results)]
            for (name, results), (_, line, _) in zip(variants.items(), drawn, strict=True)
        ]
        pictures = [drawing for drawing, _, _ in drawn]
        return side_by_side(pictures, captions), [labels for _, _, labels in drawn]

    def _draw(self, results: Mapping[str, Any], side: float) -> tuple[np.ndarray, str, Labels]:
        image, labels = image_of(results), labels_of(results)
        if image is None:
            return text_block(['no image yet'], _HEAD_WIDTH), '', labels
        self.pictures += 1
        height, width = image.shape[:2]
        fitting = min(side / np.sqrt(width * height), self.longest / max(width, height))
        drawing = draw_labels(image, labels, self.metainfo, self.scale or fitting)
        return drawing, f'{width} x {height}  {labels.counts()}', labels


def browse(
    source: str,
    mode: str = 'annotations',
    *,
    images: str | None = None,
    split: str = 'train',
    pipeline: str | None = None,
    repeat: int = 3,
    index: Sequence[int] = (),
    name: str | None = None,
    conditions: Sequence[str] = (),
    classes: Sequence[str] = (),
    number: int | None = None,
    seed: int = 0,
    scale: float | None = None,
    columns: int | None = None,
    rows: int | None = None,
    out: str = 'work_dirs/browse',
    show: bool = False,
    cfg_options: Mapping | None = None,
) -> Browsed:
    """Draw images of a dataset as contact sheets, PNG files; nothing needs a display.

    The random generators of Python, NumPy and torch are seeded anew for every picture, so that a
    picture does not depend on which others are on its sheet.

    Args:
        source: A config file, or an annotation file in COCO or parking-slot COCO.
        mode: ``annotations``: each image with its labels as they are. ``stages``: one row per image,
            one column per transform of the pipeline. ``repeat``: one image ``repeat`` x ``repeat``
            times through the whole pipeline.
        images: Folder of the images of an annotation file; by default its own folder.
        split: ``train``, ``val`` or ``test`` of a config.
        pipeline: Key of the config with the pipeline to apply, such as ``tta_pipeline``; by default
            the dataset's own.
        repeat: Rows and columns of a repeat sheet.
        index: See :func:`mmdet_ext.datasets.selection.select_images`, as for ``name``,
            ``conditions``, ``classes`` and ``seed``.
        name: Pattern for the end of the image's path.
        conditions: Conditions or tags, one of which the image must have.
        classes: Classes, one of which the image must show.
        number: Images; 0 for all. Defaults to that of the mode in :data:`MODES`.
        seed: Seed of what is drawn at random: images and augmentations.
        scale: Size of the drawings over that of the images. None: small images are enlarged and
            large ones shrunk until they are legible.
        columns: Images in a row of annotations; by default as many as fit into :data:`PAGE`.
        rows: Rows on a page; by default as many as fit into :data:`PAGE`.
        out: Folder to write to, or a ``.png`` file; of several pages it takes the first.
        show: Open a window for each page, too.
        cfg_options: Values that override the config's.

    Returns:
        The sheets, the numbers of images, and what could not be shown.

    Raises:
        FileNotFoundError: The source or its first image is missing.
        ValueError: An option is out of range, nothing matches, or ``show`` finds no display.
        Exception: What a transform raises, if not a single picture could be drawn.
    """
    _check_options(mode, out, show, repeat=repeat, columns=columns, rows=rows, scale=scale)
    opened = open_source(source, images, split, pipeline, cfg_options)
    if mode != 'annotations':
        require_pipeline(opened)
        fill_caches(opened, seed)
    chosen, matching = select_images(
        opened.dataset,
        index=index,
        name=name,
        conditions=conditions,
        classes=classes,
        number=MODES[mode] if number is None else number or None,
        seed=seed,
    )
    report = Browsed(shown=len(chosen), matching=matching, total=len(opened.dataset))
    drawer = _Drawer(opened.dataset.metainfo, scale)
    if mode == 'annotations':
        cells = _annotation_cells(opened, chosen, drawer, report)
        pages = paged(in_rows(cells, columns), rows)
    elif mode == 'stages':
        pages = paged(_stage_rows(opened, chosen, drawer, seed, report), rows)
    else:
        drawer.side = min(_SIDE, PAGE[0] / repeat)
        drawer.longest = min(_LONGEST, PAGE[1] / repeat)
        pages = _repeat_pages(opened, chosen, drawer, seed, repeat, report)
    for i, page in enumerate(pages, 1):
        first = f'{opened.title}, {mode}: {report.counts()}, seed {seed}, sheet {i}'
        title = [first, page[0].title] if page[0].title else [first]
        sheet = draw_page(page, title, opened.dataset.metainfo, mode == 'annotations')
        report.files.append(_write(sheet, out, f'{opened.stem}_{mode}', i))
        if show:
            _show(sheet, str(report.files[-1]))
    if not drawer.pictures and report.failures:
        raise next(iter(report.failures.values()))
    return report


def _annotation_cells(
    opened: Source, chosen: Sequence[int], drawer: _Drawer, report: Browsed
) -> Iterator[Row]:
    """One cell per image, as a row of one."""
    for i in _tracked(chosen, 'drawing annotations'):
        info = opened.dataset.get_data_info(i)
        head = _head(i, info)
        if 'parking' in info:
            info['gt_hidden_corners'] = _hidden_corners(info)
        last = _last(trace(_loaders(opened.steps_of(i), info), info), report, info)
        cell, labels = drawer.cell(last, head)
        yield Row([cell], labels)


def _hidden_corners(info: dict) -> np.ndarray:
    """Corners that something in the image hides; those outside need no mark."""
    record, size = info['parking'], (info['width'], info['height'])
    inside = ((record['corners'] >= 0) & (record['corners'] <= size)).all(-1)
    return (record['corner_visible'] == HIDDEN) & inside


def _loaders(steps: Sequence[Callable], info: dict) -> list[Callable]:
    """Steps that load an image and its annotations, and nothing else."""
    if 'img' in info:
        return [lambda results: results]
    if 'parking' in info:
        return [LoadParkingSlotImage(), LoadParkingSlotAnnotations()]
    # The pipeline's own loader knows where the images are (a server, an archive) and their channels.
    own = [
        step for step in steps if 'Load' in type(step).__name__ and 'Image' in type(step).__name__
    ]
    instances = info.get('instances', ())
    masks = bool(instances) and all('mask' in instance for instance in instances)
    return [*(own[:1] or [LoadImageFromFile()]), LoadAnnotations(with_mask=masks)]


def _stage_rows(
    opened: Source, chosen: Sequence[int], drawer: _Drawer, seed: int, report: Browsed
) -> Iterator[Row]:
    """One row per image: what it is called, then a cell per transform."""
    for i in _tracked(chosen, 'running pipelines'):
        info = opened.dataset.get_data_info(i)
        steps = opened.steps_of(i)
        loaded = ['0 dataset'] if 'img' in info else []  # made by the dataset itself
        names = [f'{k} {step_name(step)}' for k, step in enumerate(steps, 1)]
        headings = ('', *loaded, *names)
        drawer.side = min(_SIDE, 2 * PAGE[0] / len(headings))
        cells, labels = [text_block(_head(i, info), _HEAD_WIDTH)], []
        if loaded:
            cell, labels = drawer.cell(Stage('dataset', info))
            cells.append(cell)
        set_random_seed(_seed_of(seed, i))
        for stage in trace(steps, info):
            _note(stage, report, info)
            cell, drawn = drawer.cell(stage)
            cells.append(cell)
            labels = drawn or labels
        blank = [text_block([], 1)] * (len(headings) - len(cells))
        yield Row(cells + blank, labels, headings)


def _repeat_pages(
    opened: Source, chosen: Sequence[int], drawer: _Drawer, seed: int, repeat: int, report: Browsed
) -> Iterator[list[Row]]:
    """One page per image: the whole pipeline again and again."""
    for i in _tracked(chosen, 'repeating'):
        info = opened.dataset.get_data_info(i)
        steps = opened.steps_of(i)
        cells, labels = [], []
        for k in range(repeat**2):
            set_random_seed(_seed_of(seed, i, k))
            stages = list(trace(steps, copy.deepcopy(info)))
            last = _last(stages, report, info)
            last.drawn = tuple(line for stage in stages for line in stage.drawn)
            cell, drawn = drawer.cell(last)
            cells.append(cell)
            labels += drawn
        rows = [cells[k : k + repeat] for k in range(0, len(cells), repeat)]
        yield [Row(row, labels, title=' '.join(_head(i, info))) for row in rows]


def _last(stages: Iterable[Stage], report: Browsed, info: dict) -> Stage:
    *_, last = stages
    _note(last, report, info)
    return last


def _note(stage: Stage, report: Browsed, info: dict) -> None:
    if stage.error is not None:
        report.failures.setdefault(str(info.get('img_path', info.get('img_id'))), stage.error)


def _seed_of(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def _head(i: int, info: dict) -> list[str]:
    """What an image is called: index, file and folder, conditions."""
    path = Path(info.get('img_path', ''))
    lines = [f'#{i} {path.name}', path.parent.name, ', '.join(conditions_of(info))]
    return [line for line in lines if line]


def _tracked(items: Sequence[int], description: str) -> Iterable[int]:
    return track(items, description, console=Console(stderr=True))


def _write(sheet: np.ndarray, out: str, stem: str, page: int) -> Path:
    path = Path(out) / f'{stem}_{page:03d}.png'
    if Path(out).suffix.lower() == '.png':
        path = Path(out) if page == 1 else Path(out).with_stem(f'{Path(out).stem}_{page:03d}')
    _, content = cv2.imencode('.png', sheet[..., ::-1])
    write_whole(path, content.tobytes())
    return path


def _check_options(mode: str, out: str, show: bool, **numbers: float | None) -> None:
    if mode not in MODES:
        raise ValueError(f'mode is {mode!r}; expected one of {tuple(MODES)}.')
    for name, value in numbers.items():
        if value is not None and not (value > 0 if name == 'scale' else value >= 1):
            smallest = 'more than 0' if name == 'scale' else 'at least 1'
            raise ValueError(f'{name} is {value}; expected {smallest}.')
    if Path(out).suffix.lower() in _NOT_PNG:
        raise ValueError(f'out is {out}; sheets are PNG files, name one in .png or a folder.')
    if show:
        _require_display(out)


def _require_display(out: str) -> None:
    if plt.get_backend().lower() == 'agg':  # what matplotlib takes where it finds no display
        raise ValueError(
            f'show needs a display, and there is none here: leave it out and look at the sheets in {out}.'
        )


def _show(sheet: np.ndarray, title: str) -> None:
    Visualizer().show(sheet, win_name=title)
