"""From a config and a checkpoint to checked ONNX files: what ``tools/export.py`` does."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from mmengine.config import Config
from torch import nn

from mmdet_ext.apis.run import load_config
from mmdet_ext.deploy.accuracy import Accuracy, LabelledImages
from mmdet_ext.deploy.box_agreement import BoxAgreement, box_agreement
from mmdet_ext.deploy.compression import first_good, write_half, write_int8
from mmdet_ext.deploy.graphs import build_graph
from mmdet_ext.deploy.images import read_images, synthetic_images
from mmdet_ext.deploy.onnx_export import OPSET, write_onnx
from mmdet_ext.deploy.parity import Parity, as_torch_says, compare
from mmdet_ext.deploy.runtime import OnnxEngine

_SCENES = (512, 384, 600, 256)  # pixels of a side
_MOST_IMAGES = 200
_KEPT = (0, 1, 2, 4, 8)  # last layers left in float32, tried in this order
_LEAST_F1_LOST, _LEAST_ERROR_ADDED = 0.005, 0.05
_LEAST_BOXES_LOST = 0.02

Say = Callable[[str], None]


@dataclass
class Exported:
    """What an export wrote.

    Attributes:
        paths: Files by precision.
        parity: Of the fp32 file with torch; None of raw maps, which are compared to 1e-4 only.
        accuracies: Of the files by precision, where there was something to compare with.
    """

    paths: dict[str, Path] = field(default_factory=dict)
    parity: Parity | None = None
    accuracies: dict[str, Accuracy | BoxAgreement] = field(default_factory=dict)


def export(
    config: str,
    checkpoint: str,
    out: str | Path,
    *,
    dynamic: bool = False,
    input_size: tuple[int, int] | None = None,
    raw: bool = False,
    half: bool = False,
    int8: str | None = None,
    opset: int = OPSET,
    images: Sequence[str] = (),
    labels: str | None = None,
    say: Say = print,
) -> Exported:
    """Export a detector, check the file against torch, and compress it on demand.

    Args:
        config: A config file, or the name of one of the package's.
        checkpoint: A checkpoint trained with it.
        out: File to write, ``.onnx``; ``_fp16`` and ``_int8`` are put before its ending.
        dynamic: Take images of any size; the graph resizes them.
        input_size: Width and height of the images to come, which the graph resizes; None: those of
            the network, to be resized before.
        raw: Give the maps of the head, not decoded.
        half: Also write a file in float16.
        int8: Folder of images to calibrate a file in 8-bit integers on, which is written, too.
        opset: Version of ONNX's operators.
        images: Files and folders of real images for the check; those of ``labels`` are taken, too.
        labels: Parking-slot COCO file that says what compression costs; by default that of the config's
            tests, if it is there.
        say: Told what happens.

    Returns:
        What was written.

    Raises:
        FileNotFoundError: A file or a folder is missing.
        ImportError: A package is missing.
        ValueError: Options do not fit, the model cannot be exported, or the file departs from torch.
        OSError: A file cannot be written.
    """
    out = Path(out)
    _check_options(out, dynamic, input_size, raw, half, int8)
    cfg = load_config(config)
    graph = build_graph(cfg, checkpoint, input_size, dynamic, raw)
    calibration = read_images(int8, _MOST_IMAGES) if int8 else []
    known = _labelled(cfg, labels) if graph.kind == 'parking_slots' else None
    done = Exported()
    described = write_onnx(graph, out, opset)
    done.paths['fp32'] = out
    say(f'{out}: {_megabytes(out)}, by {described.exporter}')
    if raw:
        return done
    pictures = [*synthetic_images(_SCENES, 'export'), *calibration[:16]]
    pictures += read_images(images, _MOST_IMAGES) if images else []
    pictures += known.images[:16] if known else []
    engine = OnnxEngine(out)
    done.parity = _check_parity(engine, graph, pictures)
    say(f'as torch has it: {done.parity}')
    if half or int8:
        with tempfile.TemporaryDirectory() as folder:
            measure = _yardstick(engine, known, calibration or pictures, folder, say)
            done.accuracies['fp32'] = measure(engine)
            say(f'fp32: {done.accuracies["fp32"]}')
            if half:
                _add_half(done, out, measure, say)
            if int8:
                _add_int8(done, out, calibration, measure, say)
    return done


def _check_options(
    out: Path,
    dynamic: bool,
    input_size: tuple[int, int] | None,
    raw: bool,
    half: bool,
    int8: str | None,
) -> None:
    if out.suffix != '.onnx':
        raise ValueError(f'{out} does not end in .onnx: name such a file.')
    if dynamic and input_size:
        raise ValueError('images of any size and of one size are asked for: leave out one of them.')
    if input_size and min(input_size) < 8:
        raise ValueError(f'the image size is {input_size}: give width and height from 8 pixels up.')
    if raw and (half or int8):
        raise ValueError('the maps of a head are not compressed: leave out raw, or half and int8.')
    if int8 and not Path(int8).is_dir():
        raise FileNotFoundError(f'there is no folder {int8} with images to calibrate on.')


def _labelled(cfg: Config, labels: str | None) -> LabelledImages | None:
    if labels:
        return LabelledImages.read(labels, _MOST_IMAGES)
    evaluators = cfg.get('test_evaluator') or []
    for each in evaluators if isinstance(evaluators, list) else [evaluators]:
        path = each.get('ann_file')
        if each.get('type') == 'ParkingSlotMetric' and path and Path(path).is_file():
            try:
                return LabelledImages.read(path, _MOST_IMAGES)
            except ValueError:
                return None  # no slots in it
    return None


def _check_parity(engine: OnnxEngine, graph: nn.Module, pictures: list[np.ndarray]) -> Parity:
    size = engine.model.input_size
    if size is not None and tuple(size) != tuple(engine.model.network_size):
        pictures = [engine.prepare(each).pixels for each in pictures]  # no room for a second resize
    parity = compare(engine, as_torch_says(engine, graph), pictures)
    if not parity.is_kept():
        raise ValueError(
            f'the exported file departs from torch ({parity}): it is not to be used. Please report it.'
        )
    return parity


def _yardstick(
    engine: OnnxEngine,
    known: LabelledImages | None,
    pictures: list[np.ndarray],
    folder: str,
    say: Say,
) -> Callable[[OnnxEngine], Accuracy | BoxAgreement]:
    """How to measure the worth of a file."""
    if engine.model.kind == 'boxes':
        say(f'costs are measured against what the fp32 file finds in {len(pictures)} images')
        return partial(box_agreement, truth=engine, images=pictures)
    known = known or LabelledImages.as_found_by(engine, pictures, folder)
    say(f'costs are measured on {known.origin}')
    return known.measure


def _add_half(done: Exported, out: Path, measure: Callable, say: Say) -> None:
    path = out.with_name(f'{out.stem}_fp16.onnx')
    write_half(out, path)
    done.paths['fp16'] = path
    done.accuracies['fp16'] = measure(OnnxEngine(path))
    say(f'fp16: {done.accuracies["fp16"]}; {path}: {_megabytes(path)}')


def _add_int8(
    done: Exported, out: Path, images: list[np.ndarray], measure: Callable, say: Say
) -> None:
    """Leave as few of the last layers in float32 as accuracy allows."""
    path, tried = out.with_name(f'{out.stem}_int8.onnx'), {}

    def cost(kept: int) -> float:
        write_int8(out, path, images, kept)
        tried[kept] = measure(OnnxEngine(path))
        say(f'int8, last {kept} layers in fp32: {tried[kept]}; {path}: {_megabytes(path)}')
        return _cost(tried[kept], done.accuracies['fp32'])

    best, _ = first_good(_KEPT, cost, 1.0)
    if best != list(tried)[-1]:
        write_int8(out, path, images, best)
        say(f'none keeps the accuracy; {path} has its last {best} layers in fp32')
    done.paths['int8'], done.accuracies['int8'] = path, tried[best]


def _cost(found: Accuracy | BoxAgreement, whole: Accuracy | BoxAgreement) -> float:
    """How much is lost, in what may be."""
    if isinstance(found, BoxAgreement):
        return (1 - found.f1) / _LEAST_BOXES_LOST
    lost = (whole.f1 - found.f1) / _LEAST_F1_LOST
    return max(lost, (found.corner_error / whole.corner_error - 1) / _LEAST_ERROR_ADDED)


def _megabytes(path: Path) -> str:
    return f'{path.stat().st_size / 1e6:.2f} MB'
