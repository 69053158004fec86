"""Set-up: nothing to do takes no time, and what is missing is said in one sentence.

Each test copies the script into an empty checkout whose PATH holds only fakes and the basic tools.
"""

import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PINS = ('tools/setup/maintained.txt', 'tools/setup/openmmlab.txt')
BASIC_TOOLS = [
    'bash',
    'sed',
    'awk',
    'cat',
    'sha256sum',
    'dirname',
    'grep',
    'tail',
    'mkdir',
    'sleep',
    'head',
    'rm',
]

FAKE_PYTHON = """#!/bin/bash
case "$2" in
  *version_info*) echo {version} ;;
  *ensurepip*) exit {no_venv} ;;
  *Python.h*) exit {no_headers} ;;
  *) echo "the fake was asked for: $*"; exit 1 ;;
esac
"""


class Checkout:
    """A copy of the set-up script with a PATH of its own."""

    def __init__(self, folder):
        self.folder, self.bin = folder / 'checkout', folder / 'bin'
        self.bin.mkdir()
        (self.folder / 'tools/setup').mkdir(parents=True)
        for name in ('tools/setup/install.sh', *PINS, 'pyproject.toml'):
            shutil.copy(ROOT / name, self.folder / name)
        for tool in BASIC_TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool))
        self.free(100)
        self.fake('c++', '#!/bin/bash\n')
        self.python('python3.11')

    def fake(self, name, text):
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def python(self, name, version='3.11', no_venv=0, no_headers=0):
        self.fake(name, FAKE_PYTHON.format(version=version, no_venv=no_venv, no_headers=no_headers))

    def free(self, gib):
        self.fake('df', f'#!/bin/bash\necho header\necho disk 1 1 {gib * 1024**2} 1% /\n')

    def run(self, **environ):
        script = self.folder / 'tools/setup/install.sh'
        return subprocess.run(
            ['bash', str(script)],
            env={'PATH': str(self.bin), **environ},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path)


def error_of(result):
    assert result.returncode == 1
    return result.stderr.strip().splitlines()[-1]


def test_without_a_supported_python_the_ones_found_are_named(checkout):
    (checkout.bin / 'python3.11').unlink()
    checkout.python('python3', version='3.9')
    assert 'no Python 3.10-3.12 was found (python3 is 3.9)' in error_of(checkout.run())


def test_the_other_stack_gets_its_own_venv_and_its_own_range_of_pythons(checkout):
    checkout.python('python3.12', version='3.12')
    result = checkout.run(STACK='openmmlab')
    assert 'Setting up .venv-openmmlab with python3.11 (3.11)' in result.stdout
    assert 'the fake was asked for: -m venv .venv-openmmlab' in result.stderr
    refused = error_of(checkout.run(STACK='openmmlab', PYTHON='python3.12'))
    assert 'no Python 3.10-3.11 was found (python3.12 is 3.12)' in refused


def test_an_unknown_stack_is_refused(checkout):
    assert "STACK is 'mmlab', but there are two stacks" in error_of(checkout.run(STACK='mmlab'))


def test_the_python_that_is_asked_for_must_be_supported(checkout):
    checkout.python('python3.13', version='3.13')
    assert 'python3.13 is 3.13' in error_of(checkout.run(PYTHON='python3.13'))


def test_a_python_without_venv_is_answered_with_the_package_to_install(checkout):
    checkout.python('python3.11', no_venv=1)
    assert 'python3.11-venv' in error_of(checkout.run())


def test_a_python_without_headers_is_answered_with_the_package_to_install(checkout):
    checkout.python('python3.11', no_headers=1)
    assert 'Python.h' in error_of(checkout.run())
    assert 'python3.11-dev' in error_of(checkout.run())


def test_a_complete_python_is_preferred_to_a_newer_incomplete_one(checkout):
    checkout.python('python3.12', version='3.12', no_headers=1)
    assert 'with python3.11 (3.11)' in checkout.run().stdout


def test_without_a_compiler_g_plus_plus_is_asked_for(checkout):
    (checkout.bin / 'c++').unlink()
    assert 'the package g++' in error_of(checkout.run())


def test_too_little_disk_is_refused_before_anything_is_made(checkout):
    checkout.free(3)
    assert 'has 3 GiB of free disk' in error_of(checkout.run())
    assert not (checkout.folder / '.venv').exists()


def test_a_venv_of_an_unsupported_python_is_not_touched(checkout):
    (checkout.folder / '.venv/bin').mkdir(parents=True)
    shutil.copy(checkout.bin / 'python3.11', checkout.folder / '.venv/bin/python')
    checkout.fake(
        '../checkout/.venv/bin/python', FAKE_PYTHON.format(version='3.9', no_venv=0, no_headers=0)
    )
    assert '.venv holds Python 3.9' in error_of(checkout.run())


def test_a_step_that_fails_shows_the_end_of_its_log_and_where_it_is(checkout):
    result = checkout.run()
    assert 'could not create .venv (all of it: .venv/install.log)' in error_of(result)
    assert 'the fake was asked for: -m venv .venv' in result.stderr


def stamped(checkout):
    """Pretend that set-up has run: the stamp holds what the script computes as its fingerprint."""
    venv = checkout.folder / '.venv'
    (venv / 'bin').mkdir(parents=True)
    ops = venv / 'lib/python3.11/site-packages/mmcv/_ext.cpython-311.so'
    ops.parent.mkdir(parents=True)
    ops.touch()
    shutil.copy(checkout.bin / 'python3.11', venv / 'bin/python')
    script = checkout.folder / 'tools/setup/install.sh'
    line = re.search(r'^fingerprint\(\).*', script.read_text(), re.MULTILINE)[0]
    command = f'PINS={PINS[0]}; {line}; fingerprint >.venv/installed'
    subprocess.run(['bash', '-c', command], cwd=checkout.folder, check=True)


def test_a_finished_set_up_says_nothing_and_takes_no_time(checkout):
    stamped(checkout)
    start = time.perf_counter()
    result = checkout.run()
    assert (result.returncode, result.stdout, result.stderr) == (0, '', '')
    assert time.perf_counter() - start < 2


def test_set_up_runs_again_when_the_ops_are_gone(checkout):
    stamped(checkout)
    next((checkout.folder / '.venv').rglob('_ext*.so')).unlink()
    assert 'Setting up' in checkout.run().stdout


@pytest.mark.parametrize(
    ('file', 'old', 'new', 'again'),
    [
        ('tools/setup/maintained.txt', 'six==', 'seven==', True),
        ('pyproject.toml', '"scipy"', '"scipy", "six"', True),
        ('pyproject.toml', 'line-length = 100', 'line-length = 99', False),
    ],
)
def test_set_up_runs_again_when_what_it_installs_changed(checkout, file, old, new, again):
    stamped(checkout)
    path = checkout.folder / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    assert ('Setting up' in checkout.run().stdout) == again
