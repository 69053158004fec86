"""Presets: kinds of sites and cameras, each the whole variety narrowed by what is said here."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from difflib import get_close_matches
from typing import Any

from mmdet_ext.datasets.surround_view.config import SceneConfig
from mmdet_ext.datasets.surround_view.ranges import check_config

PLAIN = {
    'view': {'metres': (10, 13)},
    'layout': {
        'ego_length': (4.4, 4.9),
        'empty': 0.08,
        'arrangements': {'single': 0.35, 'opposite': 0.48, 'corner': 0.17},
        'any_tilt': 0.45,
        'far': 0.0,
        'distance': (0.35, 1.9),
        'least_visible': 0.3,
        'rows': {
            'slot_types': {'perpendicular': 0.38, 'parallel': 0.34, 'slanted': 0.28},
            'perpendicular_width': (2.3, 2.8),
            'parallel_length': (5.5, 6.8),
            'slant': (35, 75),
            'curved': 0.0,
            'trapezoidal': 0.0,
            'breaks': 0.0,
            'styles': {'closed': 0.72, 'open': 0.16, 'rounded': 0.12},
            'entrances': {'solid': 1},
            'overrun': 0.0,
            'rear_line': 0.0,  # a rear corner looks like a marking point and is none
            'line_width': (0.08, 0.2),
            'short': 0.0,
            'dashed_separators': 0.0,
            'trim': {
                'kerb_line': 0.0,
                'edge_lane': 0.0,
                'numbers': {'none': 3, 'deep': 1},
                'coloured_bays': 0.0,
            },
        },
        'markings': {'kinds': {'arrow': 1, 'zebra': 1, 'solid_lines': 1, 'dashed_line': 1}},
    },
    'ground': {
        'kinds': {'asphalt': 0.45, 'concrete': 0.25, 'epoxy': 0.2, 'bricks': 0.1},
        'paved_bays': 0.0,
        'checkered': 0.0,
        'coloured_lane': 0.0,
        'asphalt_tone': (48, 115),
        'concrete_tone': (80, 125),
        'paver_tone': (80, 120),
        'epoxy_tone': (70, 125),
        'blemishes': {
            'stained': 0.3,
            'patches': (0, 0.6),
            'cracks': (0, 2),
            'oil': (0, 3),
            'tyre_marks': (0, 1),
            'drains': (0, 0),
            'covers': (0, 0.3),
            'puddles': 0.0,
            'darkness': (0.08, 0.35),
        },
    },
    'paint': {
        'states': {'fresh': 0.6, 'worn': 0.4},
        'line_colours': {'white': 0.78, 'yellow': 0.22},
        'worn': (0.6, 0.85),
        'contrast': (55, 70),
        'flakes': (0, 0.15),
        'cracked': 0.0,
        'repainted': 0.0,
        'patchy': 0.0,
    },
    'objects': {
        'parking': {'gap': (0.2, 0.5), 'sloppy': 0.0, 'covered': 0.0},
        'wheel_stops': 0.0,
        'pillars': 0.0,
        'rear': {'nothing': 1},
        'beds': 0.0,
        'floor_locks': 0.0,
        'cones': 0.0,
        'bollards': (0, 0),
        'people': (0, 0),
        'carts': (0, 0),
        'passing': 0.0,
    },
    'light': {
        'day': (0.95, 1.2),
        'overcast': (0.75, 1.1),
        'night': (0.5, 0.7),
        'garage': (0.65, 1),
        'unevenness': (0.02, 0.1),
        'streaks': 0.0,
        'leaves': 0.0,
        'coloured': 0.1,
        'lamp_strength': (0.1, 0.4),
        'distant_lights': (0, 0),
    },
    'rig': None,
    'overhead_height': (15, 30),
    'finish': {
        'resolution': (1, 1),
        'motion_blur': 0.0,
        'contrast': (0.85, 1.15),
        'jpeg': (100, 100),
    },
}

PS2_LIKE = {
    'view': {'width': 600, 'height': 600, 'metres': (10, 10)},
    'layout': {
        'rows': {
            'slot_types': {'perpendicular': 0.6, 'parallel': 0.3, 'slanted': 0.1},
            'styles': {'closed': 0.9, 'open': 0.1},
            'curved': 0.02,
            'trapezoidal': 0.02,
        }
    },
    'finish': {'ego': {'box': 1}},
}

STRIP_LIKE = {  # sizes measured on the strips of PSDet: neighbouring points 116 of 600 pixels apart
    'view': {
        'width': 192,
        'height': 600,
        'metres': (11.3, 13.3),
        'side': {'left': 1, 'right': 1},
        'ego_shown': (0.2, 0.45),
    },
    'layout': {
        'ego_length': (4.5, 5.1),
        'empty': 0.06,
        'crosswise': 0.05,
        'any_tilt': 0.08,
        'distance': (0.4, 2.2),
        'rows': {
            'slot_types': {'perpendicular': 0.76, 'parallel': 0.08, 'slanted': 0.16},
            'styles': {'closed': 0.46, 'open': 0.24, 'rounded': 0.1, 'band': 0.2},
            'trim': {'edge_lane': 0.2, 'coloured_bays': 0.25},
        },
    },
    'ground': {'paved_bays': 0.3, 'checkered': 0.5, 'paver_tone': (85, 215)},
    'light': {'coloured': 0.12},
    'objects': {'bollards': (0, 0.8), 'people': (0, 0.6), 'carts': (0, 0.55)},
    'finish': {'resolution': (0.35, 1), 'ego': {'box': 1}, 'ego_margin': (0, 0.05)},
}

GARAGE = {
    'ground': {
        'kinds': {'epoxy': 0.6, 'concrete': 0.4},
        'paved_bays': 0.0,
        'blemishes': {'leafy': 0.0, 'puddles': 0.03},
    },
    'light': {'indoors': {'epoxy': 1, 'concrete': 1}},
    'objects': {'pillars': 0.5, 'rear': {'nothing': 0.4, 'wall': 0.6}},
}

OUTDOOR = {
    'ground': {
        'kinds': {'asphalt': 0.45, 'concrete': 0.2, 'bricks': 0.2, 'grass': 0.08, 'gravel': 0.07}
    },
    'light': {'indoors': dict.fromkeys(('asphalt', 'concrete', 'bricks', 'grass', 'gravel'), 0)},
}

HARD = {
    'layout': {'rows': {'curved': 0.3, 'trapezoidal': 0.25, 'breaks': 0.3}, 'any_tilt': 0.4},
    'paint': {'states': {'worn': 0.4, 'faded': 0.6}, 'repainted': 0.25},
    'objects': {'occupancy': (0.4, 1), 'parking': {'sloppy': 0.3}},
    'rig': {'angle_error': (0.4, 1.2), 'position_error': (0.01, 0.04)},
    'finish': {'resolution': (0.3, 0.7), 'motion_blur': 0.4, 'jpeg': (20, 70)},
}

PRESETS: dict[str, Mapping[str, Any]] = {
    'plain': PLAIN,
    'all': {},
    'ps2_like': PS2_LIKE,
    'strip_like': STRIP_LIKE,
    'garage': GARAGE,
    'outdoor': OUTDOOR,
    'hard': HARD,
}
"""What each preset changes of :class:`~.config.SceneConfig`; ``all`` is the whole variety."""


def scene_config(preset: str, size: int | None = None, **overrides) -> SceneConfig:
    """A checked configuration.

    Args:
        preset: Name in :data:`PRESETS`.
        size: Height of the picture in pixels; its width follows. None leaves the preset's.
        **overrides: Fields of the configuration to change, as nested dicts in the shape of :data:`PRESETS`.

    Returns:
        The configuration.

    Raises:
        ValueError: An unknown preset or field, or a value out of range.
    """
    if preset not in PRESETS:
        raise ValueError(f'Unknown preset {preset!r}; expected one of {", ".join(PRESETS)}.')
    config = changed(changed(SceneConfig(), PRESETS[preset]), overrides)
    if size is not None:
        width = round(config.view.width * size / config.view.height)
        config = changed(config, {'view': {'width': width, 'height': size}})
    check_config(config)
    return config


def changed(config: Any, changes: Mapping[str, Any], name: str = 'scene') -> Any:
    """A copy of a dataclass with some fields, and fields of its fields, replaced.

    Args:
        config: The dataclass.
        changes: New values by name; a mapping for a field that is itself a dataclass changes that.
        name: What errors call it.

    Returns:
        The copy.

    Raises:
        ValueError: There is no such field.
    """
    known = {entry.name for entry in fields(config)}
    new = {}
    for key, value in changes.items():
        if key not in known:
            near = get_close_matches(key, known, 1) or sorted(known)
            raise ValueError(f'{name} has no field {key!r}; did you mean {", ".join(near)}?')
        old = getattr(config, key)
        nested = is_dataclass(old) and isinstance(value, Mapping)
        new[key] = changed(old, value, f'{name}.{key}') if nested else value
    return replace(config, **new)
