"""Settings of all tests."""

import contextlib
import multiprocessing
import os
import signal
import time
from pathlib import Path

import hypothesis
import pytest

# How long an example takes says nothing but how busy the machine is.
hypothesis.settings.register_profile('unhurried', deadline=None)
hypothesis.settings.load_profile('unhurried')

_MARK = 'MMDET_EXT_TESTS'
_GRACE = 5.0  # seconds


@pytest.fixture(scope='session', autouse=True)
def _no_process_outlives_the_tests():
    """CI would wait for it: pytest joins its children, and who reads its output waits for all writers."""
    os.environ[_MARK] = str(os.getpid())
    yield
    deadline = time.monotonic() + _GRACE
    while (left := dict(_processes_left())) and time.monotonic() < deadline:
        time.sleep(0.1)  # what was told to end may still be ending
    for pid in left:
        with contextlib.suppress(ProcessLookupError):  # it has ended just now
            os.kill(pid, signal.SIGKILL)
    assert not left, f'processes outlived the tests that started them: {left}'


def _processes_left():
    """Processes that tests started, and what they are: the command and the test."""
    yield from ((each.pid, each.name) for each in multiprocessing.active_children())
    for folder in Path('/proc').glob('[0-9]*'):
        try:
            environment, command, status = (
                (folder / name).read_text(errors='replace')
                for name in ('environ', 'cmdline', 'status')
            )
        except OSError:  # it has ended, or is somebody else's
            continue
        known = dict(entry.partition('=')[::2] for entry in environment.split('\0'))
        is_helper = 'multiprocessing.' in command and f'PPid:\t{os.getpid()}\n' in status
        if known.get(_MARK) == str(os.getpid()) and not is_helper:
            yield int(folder.name), f'{command[:200]} ({known.get("PYTEST_CURRENT_TEST")})'
