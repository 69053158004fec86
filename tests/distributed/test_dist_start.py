"""How the process group of a run starts, and what it says where it cannot."""

import os
import socket

import pytest
import torch
from mmengine.config import Config
from ranks import free_port, run_ranks
from torch import distributed

from mmdet_ext.utils import dist_agreement
from mmdet_ext.utils.dist import is_lost_connection, process_group
from mmdet_ext.utils.dist_checks import require_devices

without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason='is about machines without')


def config(launcher='pytorch', work_dir='work', **more):
    return Config(dict(launcher=launcher, work_dir=str(work_dir), model=dict(type='Net'), **more))


def group_of_a_run(options):
    cfg = config(**options)
    with process_group(cfg):
        total = torch.ones(1)
        distributed.all_reduce(total)
        inside = distributed.get_backend(), float(total), os.environ.get('NCCL_P2P_DISABLE')
    return inside, distributed.is_initialized(), cfg.get('model_wrapper_cfg'), cfg.get('strategy')


@without_gpu
def test_without_a_gpu_the_ranks_talk_over_gloo_and_the_model_stays_on_the_cpu():
    options = dict(environment=dict(NCCL_P2P_DISABLE=1), find_unused_parameters=True)
    for inside, still_there, wrapper, _ in run_ranks(group_of_a_run, options):
        assert inside == ('gloo', 2, '1')
        assert not still_there
        assert wrapper == dict(type='CPUDistributedDataParallel', find_unused_parameters=True)


@without_gpu
def test_the_strategy_of_a_flexible_runner_gets_the_wrapper():
    for *_, wrapper, strategy in run_ranks(group_of_a_run, dict(strategy=dict(type='DDPStrategy'))):
        assert wrapper is None
        assert strategy.model_wrapper.type == 'CPUDistributedDataParallel'


def test_a_variable_that_is_set_already_wins_over_the_configs(monkeypatch):
    monkeypatch.setenv('NCCL_P2P_DISABLE', '0')
    with process_group(config('none', environment=dict(NCCL_P2P_DISABLE=1))):
        assert os.environ['NCCL_P2P_DISABLE'] == '0'


def run_with_difference(what):
    second = os.environ['RANK'] == '1'
    if what == 'version' and second:
        dist_agreement.versions = lambda: dist_agreement_versions() | {'mmcv': '0.1'}
    with process_group(config(lr=[0.1, 0.2 if what == 'config' and second else 0.1])):
        return 'started'


dist_agreement_versions = dist_agreement.versions


@without_gpu
def test_other_versions_on_a_rank_stop_all_ranks():
    for error in run_ranks(run_with_difference, 'version'):
        assert isinstance(error, ValueError)
        assert f'rank 1 (on {socket.gethostname()}) has mmcv 0.1, rank 0 (on' in str(error)
        assert str(error).endswith('install the same versions of mmcv everywhere.')


@without_gpu
def test_another_config_on_a_rank_stops_all_ranks_with_the_key():
    for error in run_ranks(run_with_difference, 'config'):
        assert isinstance(error, ValueError)
        assert '`lr.1` of the config is 0.2 on rank 1 (on' in str(error)
        assert 'and 0.1 on rank 0' in str(error)


@without_gpu
def test_equal_ranks_start():
    assert run_ranks(run_with_difference, None) == ['started', 'started']


def leave_alone(work_dir):
    with process_group(config(work_dir=work_dir)):
        if os.environ['RANK'] == '1':
            os._exit(9)
        distributed.all_reduce(torch.ones(1))


def first_rank_left_alone(work_dir):
    pid = os.fork() if os.environ['RANK'] == '1' else None
    if pid is None:
        return leave_alone(work_dir)
    if pid == 0:
        leave_alone(work_dir)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@without_gpu
def test_who_loses_another_rank_says_where_to_go_on(tmp_path):
    (tmp_path / 'last_checkpoint').write_text('epoch_7.pth')
    error, code = run_ranks(first_rank_left_alone, tmp_path)
    assert code == 9
    assert isinstance(error, ConnectionError)
    assert 'another process of this run has ended or is out of reach (' in str(error)
    assert str(error).endswith('go on with --resume from epoch_7.pth.')


def test_errors_of_the_model_are_not_taken_for_lost_connections():
    assert not is_lost_connection(RuntimeError('mat1 and mat2 shapes cannot be multiplied'))
    assert is_lost_connection(distributed.DistBackendError('NCCL error'))


def start(cfg):
    with process_group(cfg):
        pass


def set_ranks(monkeypatch, rank, port):
    names = dict(RANK=rank, WORLD_SIZE=2, MASTER_ADDR='127.0.0.1', MASTER_PORT=port)
    for name, value in names.items():
        monkeypatch.setenv(name, str(value))


@without_gpu
def test_a_port_in_use_is_named(monkeypatch):
    with socket.socket() as other:
        other.bind(('', 0))
        other.listen()
        set_ranks(monkeypatch, 0, other.getsockname()[1])
        with pytest.raises(ConnectionError, match=r'the port of .* is in use .*PORT='):
            start(config())


@without_gpu
def test_ranks_that_do_not_come_are_waited_for_as_long_as_the_config_says(monkeypatch):
    set_ranks(monkeypatch, 0, free_port())
    cfg = config(env_cfg=dict(dist_cfg=dict(backend='nccl', timeout=1)))
    with pytest.raises(ConnectionError, match=r'did not all meet at 127\.0\.0\.1:.*dist_check\.py'):
        start(cfg)


def test_without_a_launcher_it_says_what_to_start_with(monkeypatch):
    monkeypatch.delenv('RANK', raising=False)
    with pytest.raises(ValueError, match=r'no RANK.*start it through tools/dist_train\.sh'):
        start(config())


@without_gpu
def test_slurms_own_launcher_is_refused_on_a_cpu_with_what_works():
    with pytest.raises(ValueError, match=r'--launcher slurm needs GPUs.*tools/slurm_train\.sh'):
        start(config('slurm'))


@without_gpu
@pytest.mark.parametrize('kind', ['AmpOptimWrapper', 'FloodingAmpOptimWrapper'])
def test_a_config_for_gpus_is_refused_on_a_cpu_with_what_to_take(kind):
    with pytest.raises(
        ValueError, match=f'{kind}, which needs a GPU.* take .*BFloat16OptimWrapper'
    ):
        require_devices(dict(optim_wrapper=dict(type=kind)))
    require_devices(dict(optim_wrapper=dict(type='OptimWrapper')))
