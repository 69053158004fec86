"""Checks of what a config gives to a transform."""

from collections.abc import Sequence


def check_between(owner: object, option: str, value: float, low: float, high: float) -> float:
    """Check that a number is in a range.

    Args:
        owner: The transform, to be named.
        option: Its option.
        value: What the config gives.
        low: Smallest value allowed.
        high: Largest value allowed.

    Returns:
        The value.

    Raises:
        ValueError: It is not in the range.
    """
    if not low <= value <= high:
        expected = f'at least {low}' if high == float('inf') else f'a number from {low} to {high}'
        raise ValueError(
            f'{type(owner).__name__}: `{option}` is {value}; expected {expected}: correct it in the '
            'pipeline.'
        )
    return value


def check_range(
    owner: object, option: str, value: Sequence[float], low: float, high: float
) -> tuple[float, float]:
    """Check that a pair is a range ``(smallest, largest)`` within limits.

    Args:
        owner: The transform, to be named.
        option: Its option.
        value: What the config gives.
        low: Smallest value allowed.
        high: Largest value allowed.

    Returns:
        The pair.

    Raises:
        ValueError: It is not such a pair.
    """
    pair = tuple(value) if isinstance(value, Sequence) else (value,)
    if len(pair) != 2 or not low <= pair[0] <= pair[1] <= high:
        raise ValueError(
            f'{type(owner).__name__}: `{option}` is {value}; expected a range (smallest, largest) '
            f'within {low} to {high}: correct it in the pipeline.'
        )
    return pair


def check_size(owner: object, option: str, value: int | Sequence[int]) -> tuple[int, int]:
    """Check a width and height in pixels; one number stands for both.

    Args:
        owner: The transform, to be named.
        option: Its option.
        value: What the config gives.

    Returns:
        Width and height.

    Raises:
        ValueError: They are not two positive integers.
    """
    size = (value, value) if isinstance(value, int) else tuple(value)
    if len(size) != 2 or not all(isinstance(side, int) and side > 0 for side in size):
        raise ValueError(
            f'{type(owner).__name__}: `{option}` is {value}; expected (width, height) in whole pixels: '
            'correct it in the pipeline.'
        )
    return size
