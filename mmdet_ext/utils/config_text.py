"""The text of a config, formatted once."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest import mock

from mmengine.config import config as mmengine_config
from yapf.yapflib import yapf_api

_format = yapf_api.FormatCode
_formatted: dict[tuple[str, str], tuple[str, bool]] = {}


@contextmanager
def config_formatted_once() -> Iterator[None]:
    """Within, the same config is formatted once, where MMEngine formats it for each checkpoint anew.

    That takes it half a second each time, which is most of what saving a small checkpoint takes.
    """
    with ExitStack() as patches:
        for module in (yapf_api, mmengine_config):  # MMEngine imports it each time, or has once
            if hasattr(module, 'FormatCode'):
                patches.enter_context(mock.patch.object(module, 'FormatCode', _format_once))
        yield


def _format_once(code: str, **options) -> tuple[str, bool]:
    key = code, json.dumps(options, sort_keys=True, default=str)
    if key not in _formatted:
        _formatted.clear()  # another run's
        _formatted[key] = _format(code, **options)
    return _formatted[key]
