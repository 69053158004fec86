"""Settings of all tests."""

import multiprocessing
import os
import signal
from pathlib import Path

import hypothesis
import pytest

# How long an example takes says nothing but how busy the machine is.
hypothesis.settings.register_profile('unhurried', deadline=None)
hypothesis.settings.load_profile('unhurried')

_MARK = 'MMDET_EXT_TESTS'


@pytest.fixture(scope='session', autouse=True)
def _no_process_outlives_the_tests():
    """CI would wait for it: pytest joins its children, and who reads its output waits for all writers."""
    os.environ[_MARK] = str(os.getpid())
    yield
    left = dict(_processes_left()) if Path('/proc').is_dir() else {}
    left |= {each.pid: each.name for each in multiprocessing.active_children()}
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left, f'processes outlived the tests that started them: {left}'


def _processes_left():
    """Processes that tests started, and what they are: the command and the test."""
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
