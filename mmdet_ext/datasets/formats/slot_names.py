"""What label texts, classes and attributes say of a slot: its type and whether it is occupied."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from mmdet_ext.datasets.formats.parking_slot_coco import SLOT_TYPES
from mmdet_ext.structures.marking_points import SHAPES

IGNORE = 'ignore'
"""What a label is mapped to in order to leave it out."""

_TYPE_WORDS = {
    'perpendicular': 'perpendicular',
    'vertical': 'perpendicular',
    'parallel': 'parallel',
    'horizontal': 'parallel',
    'slanted': 'slanted',
    'slant': 'slanted',
    'diagonal': 'slanted',
    'oblique': 'slanted',
    'inclined': 'slanted',
    'herringbone': 'slanted',
    'fishbone': 'slanted',
}
_OCCUPANCY_WORDS = dict.fromkeys(('occupied', 'parked', 'taken', 'busy', 'unavailable'), 1)
_OCCUPANCY_WORDS |= dict.fromkeys(('vacant', 'empty', 'free', 'available', 'unoccupied'), 0)
_SLOT_NOUNS = ('slot', 'space', 'stall', 'bay', 'lot', 'parkingslot', 'parkingspace')
_SLOT_WORDS = ('parking', *_SLOT_NOUNS, *(f'{noun}s' for noun in _SLOT_NOUNS))
_NEGATIONS = ('no', 'not', 'non')
_TRUE, _FALSE = ('true', 'yes', '1'), ('false', 'no', '0')


class Meaning(NamedTuple):
    """What a text says of a slot.

    Attributes:
        slot_type: Label in ``SLOT_TYPES``, None if it says nothing or several things.
        occupied: 1, 0 or -1 unknown.
    """

    slot_type: int | None = None
    occupied: int = -1

    def refined(self, other: 'Meaning | None') -> 'Meaning':
        """This meaning, with what ``other`` knows better."""
        if other is None:
            return self
        slot_type = self.slot_type if other.slot_type is None else other.slot_type
        return Meaning(slot_type, self.occupied if other.occupied < 0 else other.occupied)


def meaning_of(text: str) -> Meaning | None:
    """Read a text such as ``parallel_occupied``, ``VacantSlot`` or ``diagonal, not occupied``.

    Args:
        text: Words in any case, joined by anything but letters or written as one in camel case.

    Returns:
        None if no word of it has to do with slots.
    """
    words = _words(text)
    types, occupied, is_slot = set(), set(), False
    for before, word in zip(['', *words], words, strict=False):
        negated = before in _NEGATIONS
        if word in _OCCUPANCY_WORDS:
            occupied.add(_OCCUPANCY_WORDS[word] ^ negated)
        elif word in _TYPE_WORDS and not negated:
            types.add(_TYPE_WORDS[word])
        elif word in _SLOT_WORDS and not negated:
            is_slot = True
    if not (types or occupied or is_slot):
        return None
    slot_type = SLOT_TYPES.index(*types) if len(types) == 1 else None
    return Meaning(slot_type, occupied.pop() if len(occupied) == 1 else -1)


def _words(text: str) -> list[str]:
    return re.findall(r'[a-z]+', re.sub(r'(?<=[a-z])(?=[A-Z])', ' ', str(text)).lower())


def shape_of(text: str) -> int:
    """Shape of a marking point named in a text such as ``T``, ``L-shape`` or ``mark_other``.

    Returns:
        Label in ``SHAPES``, -1 unless exactly one is named.
    """
    words = _words(text)
    named = [i for i, shape in enumerate(SHAPES) if shape.lower() in words]
    return named[0] if len(named) == 1 else -1


def attribute_text(name: str, value: object) -> str:
    """An attribute as words: its name, or ``not`` its name, if it is a yes or no; else its value."""
    value = str(value).strip()
    if value.lower() in _TRUE:
        return name
    return f'not {name}' if value.lower() in _FALSE else value


def attribute_meaning(attributes: Iterable[tuple[str, object]]) -> Meaning | None:
    """What attributes such as ``occupied: false`` and ``type: parallel`` say of a slot."""
    return meaning_of(', '.join(attribute_text(name, value) for name, value in attributes))


def read_names(names: Mapping | Sequence[str] | str) -> dict[str, str]:
    """Check the option that says how labels are to be read.

    Args:
        names: Label -> words, as a mapping or as texts ``LABEL:WORDS`` (one or a list).

    Returns:
        The same as a mapping with keys of :func:`label_key`.

    Raises:
        ValueError: The words mean nothing.
    """
    if isinstance(names, Mapping):
        pairs = [(str(label), str(words)) for label, words in names.items()]
    else:
        entries = [names] if isinstance(names, str) else names
        pairs = [str(entry).rpartition(':')[::2] for entry in entries]
    for label, words in pairs:
        if not label or not (words in (IGNORE, *SHAPES) or meaning_of(words)):
            raise ValueError(
                f'Option `names` has {label!r} read as {words!r}; expected LABEL:WORDS with words such '
                f"as 'parallel', 'perpendicular_occupied', 'slot' (type from its shape) or '{IGNORE}'."
            )
    return {label_key(label): words for label, words in pairs}


def label_key(label: str) -> str:
    """A label without its blanks and in lower case: command lines do not keep blanks."""
    return ''.join(str(label).split()).lower()
