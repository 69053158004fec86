"""Training in several processes: the same as in one, and an end or a restart where one is lost."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch
from ranks import run_ranks
from small_training import CONFIG, overrides, scenes  # noqa: F401

from mmdet_ext.apis.run import train
from mmdet_ext.apis.torch_engine import ready_checkpoint
from mmdet_ext.utils.checkpoint_files import damage_of
from mmdet_ext.utils.compat import load_weights_only

DIST_TRAIN = Path(__file__).parents[2] / 'tools/dist_train.sh'


def weights_at_the_end(work_dir, launcher, options):
    """Train in float64, in which round-off is no excuse for a difference."""
    torch.set_default_dtype(torch.float64)
    torch.Tensor.float = torch.Tensor.double
    runner = train(CONFIG, work_dir=str(work_dir), launcher=launcher, cfg_options=options)
    assert runner.iter == 20
    return load_weights_only(work_dir / 'iter_20.pth')['state_dict']


def vector(state, buffers=False):
    kept = [
        value.flatten()
        for name, value in state.items()
        if value.is_floating_point() and (buffers == ('running' in name))
    ]
    return torch.cat(kept)


def relative_difference(one, other, start, buffers=False):
    """Of two states, relative to how far the first has come."""
    one, other, start = (vector(state, buffers).double() for state in (one, other, start))
    return float((one - other).norm() / (one - start).norm())


def test_two_processes_train_the_weights_that_one_trains_with_twice_the_batch(scenes, tmp_path):  # noqa: F811
    common = {
        'load_from': ready_checkpoint(),  # fresh weights make much of round-off
        'sync_bn': 'torch',
        'optim_wrapper': dict(
            _delete_=True,
            type='OptimWrapper',
            optimizer=dict(type='AdamW', lr=1e-4),
            clip_grad=dict(max_norm=35),
        ),
        'param_scheduler': [],
        'train_dataloader.num_workers': 1,  # augmentation then depends on the sample alone
        'train_dataloader.persistent_workers': True,
        'default_hooks.checkpoint.by_epoch': False,
        'default_hooks.checkpoint.interval': 20,
    }
    start = load_weights_only(ready_checkpoint())['state_dict']
    alone, together = (overrides(scenes, batch, epochs=5) | common for batch in (4, 2))
    (expected,) = run_ranks(weights_at_the_end, tmp_path / 'alone', 'none', alone, world=1)
    args = weights_at_the_end, tmp_path / 'together', 'pytorch', together
    first, second = run_ranks(*args, world=2)
    assert relative_difference(expected, first, start) < 1e-6
    assert relative_difference(expected, first, start, buffers=True) < 1e-6
    assert all(torch.equal(first[name], second[name]) for name in first)


def start_training(scenes, work_dir, restarts):  # noqa: F811
    """Through the launcher, as from a terminal; returns it and the file that it prints to."""
    options = overrides(scenes, 4, epochs=1000) | {'default_hooks.logger.interval': 1}
    words = [f'{name}={value!r}'.replace(' ', '') for name, value in options.items()]
    environment = dict(
        os.environ,
        PYTHON=sys.executable,
        MAX_RESTARTS=str(restarts),
        OMP_NUM_THREADS='1',
        GLOO_SOCKET_IFNAME='lo',
    )
    output = work_dir.with_suffix('.log')
    with output.open('w') as file:
        agent = subprocess.Popen(
            [DIST_TRAIN, CONFIG, '2', '--work-dir', work_dir, '--cfg-options', *words],
            stdout=file,
            stderr=file,
            env=environment,
            start_new_session=True,
        )
    return agent, output


def wait_for(condition, agent, seconds=120):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert agent.poll() is None, 'the launcher has ended'
        assert time.monotonic() < deadline, f'nothing within {seconds} s'
        time.sleep(0.1)
    return found


def ranks_of(agent):
    """Process ids by rank."""
    children = Path(f'/proc/{agent.pid}/task/{agent.pid}/children').read_text().split()
    found = {}
    for child in children:
        environment = Path(f'/proc/{child}/environ').read_bytes().split(b'\0')
        found |= {int(v[5:]): int(child) for v in environment if v.startswith(b'RANK=')}
    return found


def test_a_killed_rank_is_restarted_from_the_last_checkpoint_or_ends_all_with_a_sentence(
    scenes,  # noqa: F811
    tmp_path,
):
    agent, output = start_training(scenes, tmp_path / 'run', restarts=1)
    try:
        last = tmp_path / 'run/last_checkpoint'
        wait_for(last.is_file, agent)
        os.kill(ranks_of(agent)[1], signal.SIGKILL)
        wait_for(lambda: 'resumed epoch: ' in output.read_text(), agent)
        said = output.read_text()
        resumed = int(said.split('resumed epoch: ')[1].split(',')[0])
        assert resumed >= 1
        saved = last.read_text()
        wait_for(lambda: last.read_text() != saved, agent)

        os.kill(ranks_of(agent)[1], signal.SIGKILL)
        assert agent.wait(60) == 1
        # The other rank says so, unless torchrun is quicker, which then says what it was.
        sentence = output.read_text()[len(said) :].partition('error: another process')[2]
        if sentence:
            assert f'go on with --resume from {tmp_path}/run/epoch_' in sentence
        else:
            assert 'Signal 9 (SIGKILL) received' in output.read_text()
        assert damage_of(last.read_text()) is None
    finally:
        if agent.poll() is None:
            os.killpg(agent.pid, signal.SIGKILL)
            agent.wait()
