"""What each ingredient of the synthetic scenes is worth: the same training without it."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mmdet_ext.apis.run import train
from mmdet_ext.datasets.surround_view.dataset import ensure_dataset
from mmdet_ext.utils.configs import schedule_options

CONFIG = 'ext/psd_yolo_sim_to_real.py'
"""Trains on synthetic strips and validates on real ones."""

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
    'no stitching (one ideal camera)': {'rig': None},
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
    images: int = 2000,
    epochs: int = 6,
) -> dict[str, dict[str, float]]:
    """Train on each variant of the scenes and validate on real strips.

    Sets that exist are used again, so an interrupted run goes on where it was.

    Args:
        out_dir: Folder for the sets and trainings.
        variants: Names in :data:`VARIANTS`.
        images: Scenes to train on.
        epochs: Times that each is seen.

    Returns:
        For each variant ``precision``, ``recall``, ``f1`` and ``ap`` of points.

    Raises:
        ValueError: An unknown variant.
    """
    results = {}
    for name in variants:
        if name not in VARIANTS:
            raise ValueError(f'Unknown variant {name!r}; expected one of {", ".join(VARIANTS)}.')
        folder = Path(out_dir, ''.join(c if c.isalnum() else '_' for c in name))
        ensure_dataset(
            folder / 'data', {'train': images}, preset='strip_like', overrides=VARIANTS[name]
        )
        runner = train(CONFIG, work_dir=str(folder), cfg_options=_options(folder / 'data', epochs))
        results[name] = {
            key: runner.message_hub.get_scalar(f'val/point/{key}').current()
            for key in ('precision', 'recall', 'f1', 'ap')
        }
    return results


def _options(data: Path, epochs: int) -> dict[str, Any]:
    return {
        'train_dataloader.dataset.data_root': f'{data}/',
        'synthetic_data': None,
        **schedule_options(epochs),
    }
