"""What each ingredient of the synthetic scenes is worth: the same training without it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from rich.table import Table

from mmdet_ext.apis.equal_trainings import (
    folder_name,
    metrics_of_training,
    metrics_over_seeds,
    spread_between_seeds,
)
from mmdet_ext.datasets.surround_view.dataset import ensure_dataset
from mmdet_ext.utils.configs import schedule_options
from mmdet_ext.utils.errors import did_you_mean
from mmdet_ext.utils.files import write_whole
from mmdet_ext.utils.tables import table_of

CONFIG = 'ext/psd_yolo_sim_to_real.py'
"""Trains on synthetic strips and validates on real ones."""

METRICS = {name: f'point/{name}' for name in ('precision', 'recall', 'f1', 'ap')}
"""Metrics of ``ParkingSlotMetric`` by their names here."""

_NOTHING = {
    'occupancy': (0, 0),
    'wheel_stops': 0.0,
    'pillars': 0.0,
    'rear': {'nothing': 1},
    'beds': 0.0,
    'end_beds': 0.0,
    'floor_locks': 0.0,
    'cones': 0.0,
    'bollards': (0, 0),
    'people': (0, 0),
    'carts': (0, 0),
    'passing': 0.0,
    'strays': (0, 0),
}
_OUTDOORS = dict.fromkeys(('asphalt', 'concrete', 'bricks', 'epoxy', 'grass', 'gravel'), 0.0)

VARIANTS: dict[str, Mapping[str, Any]] = {
    'everything': {},
    'no stitching, one ideal camera': {'rig': None},
    'nothing with height': {'objects': _NOTHING},
    'plain asphalt': {
        'ground': {
            'kinds': {'asphalt': 1},
            'paved_bays': 0.0,
            'blemishes': dict.fromkeys(
                ('patches', 'cracks', 'oil', 'tyre_marks', 'drains', 'covers'), (0, 0)
            )
            | {'leafy': 0.0, 'stained': 0.0, 'puddles': 0.0},
        }
    },
    'even light': {
        'light': {
            'indoors': _OUTDOORS,
            'outdoors': {'overcast': 1},
            'unevenness': (0, 0),
            'coloured': 0.0,
            'rainy': 0.0,
        },
        'camera': {'exposure': (0, 0), 'white_balance': (0, 0), 'vignetting': (0, 0)},
    },
    'nothing mirrored by the floor': {'light': {'lamp_strength': (0, 0), 'distant_lights': (0, 0)}},
    'fresh paint': {'paint': {'states': {'fresh': 1}, 'repainted': 0.0}},
    'straight rows with solid lines': {
        'layout': {
            'rows': {
                'curved': 0.0,
                'trapezoidal': 0.0,
                'breaks': 0.0,
                'styles': {'closed': 1},
                'entrances': {'solid': 1},
                'dashed_separators': 0.0,
            }
        }
    },
}
"""Changes of the scene config, by what is left out."""


def ablate_scenes(
    out_dir: str | Path,
    variants: Iterable[str] = tuple(VARIANTS),
    seeds: Sequence[int] = (0,),
    images: int = 2000,
    epochs: int = 6,
) -> dict[str, dict[str, list[float]]]:
    """Train on each variant of the scenes and validate on real strips.

    Sets that exist are used again, a training that has ended is not repeated, and one that was
    interrupted goes on from its last epoch.

    Args:
        out_dir: Folder for the sets and trainings; ``results.json`` is written to it.
        variants: Names in :data:`VARIANTS`.
        seeds: Each variant is trained once with each, on the same scenes.
        images: Scenes to train on.
        epochs: Times that each is seen.

    Returns:
        For each variant the :data:`METRICS`, one value per seed.

    Raises:
        ValueError: An unknown variant, or a folder with results of another budget.
    """

    def train(name: str, seed: int) -> dict[str, float]:
        folder = Path(out_dir, folder_name(name))
        ensure_dataset(
            folder / 'data', {'train': images}, preset='strip_like', overrides=VARIANTS[name]
        )
        options = {**_options(folder / 'data', epochs), 'randomness.seed': seed}
        return metrics_of_training(CONFIG, folder / f'seed{seed}', options)

    results = metrics_over_seeds(_known(variants), seeds, train, METRICS)
    write_whole(Path(out_dir, 'results.json'), json.dumps(results, indent=1))
    return results


def ablation_table(results: Mapping[str, Mapping[str, Sequence[float]]]) -> Table:
    """Results to print: means over the seeds, and how AP changes against the first variant.

    Args:
        results: As of :func:`ablate_scenes`.

    Returns:
        The table; the caption says which differences are noise.
    """
    headings = ('precision', 'recall', 'F1', 'AP', 'change')
    table = table_of([('scenes with', 'left'), *((heading, 'right') for heading in headings)])
    first = next(iter(results))
    for name, values in results.items():
        change = mean(values['ap']) - mean(results[first]['ap'])
        means = (f'{mean(values[metric]):.3f}' for metric in METRICS)
        table.add_row(name, *means, '-' if name == first else f'{change:+.3f}')
    table.caption = spread_between_seeds('AP', [values['ap'] for values in results.values()])
    return table


def _known(variants: Iterable[str]) -> list[str]:
    variants = list(variants)
    for name in variants:
        if name not in VARIANTS:
            raise ValueError(
                f'Unknown variant {name!r}{did_you_mean(name, list(VARIANTS))}; '
                f'expected one of {", ".join(VARIANTS)}.'
            )
    return variants


def _options(data: Path, epochs: int) -> dict[str, Any]:
    return {
        'train_dataloader.dataset.data_root': f'{data}/',
        'synthetic_data': None,
        **schedule_options(epochs),
    }
