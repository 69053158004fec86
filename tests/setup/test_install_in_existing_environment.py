"""`pip install -e .` into a MMDetection set-up must leave its stack alone."""

import re
from importlib.metadata import requires
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Every distribution that provides torch, torchvision, mmengine, mmcv or mmdet, or pulls one of them in.
STACK = re.compile(
    r'(onedl-?)?(torch|torchvision|mmengine(-lite)?|mmcv(-full|-lite)?|mmdet(ection)?)$'
)


def names(requirements):
    """Return the normalised distribution names of requirement strings."""
    found = [re.match(r'[A-Za-z0-9._-]+', text)[0] for text in requirements]
    return [re.sub(r'[-_.]+', '-', name).lower() for name in found]


@pytest.mark.parametrize(
    'name',
    ['torch', 'torchvision', 'mmcv', 'mmcv-full', 'onedl-mmdetection', 'mmengine-lite', 'mmdet'],
)
def test_stack_pattern_knows_the_distribution_names_of_both_stacks(name):
    assert STACK.match(name)


def test_no_hard_dependency_is_part_of_the_stack():
    hard = [text for text in requires('mmdet_ext') if 'extra ==' not in text]
    assert 'numpy' in names(hard)
    assert [name for name in names(hard) if STACK.match(name)] == []


def test_no_hard_dependency_pulls_the_stack_in():
    seen, todo = set(), names(text for text in requires('mmdet_ext') if 'extra ==' not in text)
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += names(text for text in requires(name) or [] if 'extra ==' not in text)
    assert [name for name in seen if STACK.match(name)] == []


def test_the_stack_extra_is_pinned_to_the_versions_that_make_installs():
    pins = (ROOT / 'tools/setup/maintained.txt').read_text().splitlines()
    extra = [
        re.split(r' *;', text)[0]
        for text in requires('mmdet_ext')
        if re.search(r'extra == .stack.', text) and '==' in text.split(';')[0]
    ]
    assert len(extra) == 5
    assert [pin for pin in extra if pin not in pins] == []


@pytest.mark.parametrize('stack', ['maintained', 'openmmlab'])
def test_no_registry_address_is_in_the_pins(stack):
    assert '://' not in (ROOT / f'tools/setup/{stack}.txt').read_text()
