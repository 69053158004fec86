"""Types of command-line arguments."""

import argparse

import pytest

from mmdet_ext.utils.arguments import count


def test_a_count_is_a_whole_number_of_1_or_more():
    assert [count('1'), count('007'), count('12')] == [1, 7, 12]


@pytest.mark.parametrize('text', ['0', '-3', '1.5', 'many', ''])
def test_anything_else_is_refused_with_what_was_found(text):
    with pytest.raises(argparse.ArgumentTypeError, match=rf'^{text} is no whole number of 1 or'):
        count(text)
