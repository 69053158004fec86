"""The launchers start torchrun with the right options, on one machine, several, and under Slurm."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / 'tools'


@pytest.fixture
def run(tmp_path):
    """Run a script with a `python` that prints its arguments; returns code and last line."""
    python = tmp_path / 'python'
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o755)

    def run(script, *args, **environment):
        inherited = {'PATH': f'{tmp_path}:{os.environ["PATH"]}'}
        done = subprocess.run(
            [TOOLS / script, *args],
            env=inherited | {'PYTHON': str(python)} | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, (done.stdout + done.stderr).strip()

    return run


def test_on_one_machine_any_free_port_is_taken(run):
    code, said = run('dist_train.sh', 'c.py', '2', '--amp', '--cfg-options', 'a="b c"')
    assert code == 0
    assert said == (
        '-m torch.distributed.run --standalone --nproc_per_node=2 --max_restarts=0 '
        f'{TOOLS}/train.py c.py --launcher pytorch --amp --cfg-options a="b c"'
    )


def test_several_machines_meet_at_the_first(run):
    environment = dict(NNODES='2', NODE_RANK='1', MASTER_ADDR='first', PORT='29600')
    _, said = run('dist_test.sh', 'c.py', 'x.pth', '8', **environment, MAX_RESTARTS='3')
    assert said == (
        '-m torch.distributed.run --nnodes=2 --node_rank=1 --master_addr=first --master_port=29600 '
        f'--nproc_per_node=8 --max_restarts=3 {TOOLS}/test.py c.py x.pth --launcher pytorch'
    )


def test_several_machines_without_an_address_are_refused(run):
    code, said = run('dist_train.sh', 'c.py', '2', NNODES='2')
    assert code == 1
    assert said.startswith('error: NNODES is 2: set MASTER_ADDR')


def test_a_port_in_use_is_refused(run):
    with socket.socket() as other:
        other.bind(('127.0.0.1', 0))
        other.listen()
        port = str(other.getsockname()[1])
        code, said = run('dist_train.sh', 'c.py', '2', PORT=port)
        assert code == 1
        assert said.startswith(f'error: port {port} is in use')
    assert run('dist_train.sh', 'c.py', '2', PORT=port)[0] == 0


@pytest.mark.parametrize('processes', ['0', 'two', '-1'])
def test_a_number_of_processes_that_is_none_is_refused(run, processes):
    code, said = run('dist_train.sh', 'c.py', processes)
    assert code == 1
    assert f"is '{processes}'" in said


def test_what_is_missing_is_answered_with_the_usage(run):
    for script, args in (('dist_train.sh', ['c.py']), ('dist_test.sh', ['c.py', '2'])):
        code, said = run(script, *args)
        assert (code, said.startswith('usage: ')) == (2, True)


def test_under_slurm_each_machine_runs_the_launcher_once(run, tmp_path):
    (tmp_path / 'scontrol').write_text('#!/bin/sh\nprintf "node7\\nnode8\\n"\n')
    (tmp_path / 'srun').write_text(
        '#!/bin/bash\n'
        'while [[ $1 == --* ]]; do shift; done\n'
        'for SLURM_NODEID in 0 1; do export SLURM_NODEID; "$@"; done\n'
    )
    for name in ('scontrol', 'srun'):
        (tmp_path / name).chmod(0o755)
    slurm = dict(SLURM_JOB_NODELIST='node[7-8]', SLURM_NNODES='2', SLURM_JOB_ID='41234')
    code, said = run('slurm_train.sh', 'c.py', '--amp', **slurm, SLURM_GPUS_ON_NODE='4')
    assert code == 0
    assert said.splitlines() == [
        f'-m torch.distributed.run --nnodes=2 --node_rank={rank} --master_addr=node7 '
        '--master_port=21234 --nproc_per_node=4 --max_restarts=0 '
        f'{TOOLS}/train.py c.py --launcher pytorch --amp'
        for rank in (0, 1)
    ]
    code, said = run('slurm_train.sh', 'c.py', **slurm)
    assert (code, said.startswith('error: the allocation has no GPUs: set PROCESSES')) == (1, True)


def test_slurms_launcher_outside_slurm_is_refused(run):
    code, said = run('slurm_train.sh', 'c.py')
    assert (code, said.startswith('error: this is no Slurm allocation')) == (1, True)
