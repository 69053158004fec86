"""Figures as bytes, to be written whole."""

from io import BytesIO
from typing import Any

from matplotlib.figure import Figure


def png_of(figure: Figure, **options: Any) -> bytes:
    """Render a figure.

    Args:
        figure: A matplotlib figure.
        options: Of its ``savefig``, such as ``dpi``.

    Returns:
        A PNG file.
    """
    target = BytesIO()
    figure.savefig(target, format='png', **options)
    return target.getvalue()
