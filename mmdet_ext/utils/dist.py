"""The process group of a distributed run: started before the runner, ended after it."""

import datetime
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.dist import init_dist
from mmengine.utils.dl_utils import set_multi_processing
from torch import distributed

from mmdet_ext.utils.dist_agreement import require_same_run
from mmdet_ext.utils.dist_wrapper import CPUDistributedDataParallel

_NEEDED = ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT')
_PATIENCE = 0.2  # seconds, for gloo's threads
_GLOO_FAILED = ('gloo', 'Connection closed by peer', 'Connection reset by peer')


@contextmanager
def process_group(cfg: Config) -> Iterator[None]:
    """Run the block in a process group, over NCCL with GPUs and over gloo without.

    mmengine's own start-up picks a CUDA device first and fails without one. Does nothing, apart from
    setting the environment, without a launcher or in a group that runs already. In the config,
    ``environment`` has variables such as ``NCCL_P2P_DISABLE='1'``, to be set before the group starts
    unless they are set already, and ``env_cfg.dist_cfg`` arguments of ``init_process_group``, such as
    ``timeout`` in seconds.

    Args:
        cfg: The run's config; without a GPU it gets a model wrapper that keeps the model on the CPU.

    Raises:
        ValueError: If the process was not started by a launcher, has no GPU of its own where others
            have one, or runs other versions or another config than rank 0.
        ConnectionError: If the group cannot start, or another of its processes is lost.
    """
    for name, value in (cfg.get('environment') or {}).items():
        os.environ.setdefault(name, str(value))
    if cfg.launcher == 'none' or distributed.is_initialized():
        yield
        return
    _start(cfg)
    over_gloo, ended_well = distributed.get_backend() == 'gloo', False
    try:
        require_same_run(cfg)
        yield
        ended_well = True
    except RuntimeError as error:
        if not is_lost_connection(error):
            raise
        raise ConnectionError(_lost_rank_sentence(error, cfg.work_dir)) from error
    finally:
        if ended_well or over_gloo:  # NCCL would wait for what a lost rank will never send
            end_group()


def end_group() -> None:
    """End the group when gloo's threads have let go of the last operation.

    In torch 2.1 the end holds the interpreter's lock while it waits for threads that may need it.
    """
    time.sleep(_PATIENCE)
    distributed.destroy_process_group()


def is_lost_connection(error: RuntimeError) -> bool:
    """Tell whether an error says that another process of the group is gone or out of reach."""
    backend_failed = isinstance(error, distributed.DistBackendError)
    return backend_failed or any(text in str(error) for text in _GLOO_FAILED)


def restarts_of_torchrun() -> int:
    """How often torchrun has started this run again after the loss of a process."""
    return int(os.environ.get('TORCHELASTIC_RESTART_COUNT', '0'))


def _start(cfg: Config) -> None:
    options = dict((cfg.get('env_cfg') or {}).get('dist_cfg') or {})
    start = _start_with_gpus if torch.cuda.is_available() else _start_on_cpu
    if cfg.launcher == 'pytorch':
        _require_launcher()
    try:
        start(cfg, options)
    except (RuntimeError, TimeoutError) as error:
        if 'CUDA' in str(error):
            raise
        raise ConnectionError(_no_start_sentence(error)) from error


def _require_launcher() -> None:
    missing = [name for name in _NEEDED if name not in os.environ]
    if missing:
        raise ValueError(
            f'--launcher pytorch found no {", ".join(missing)} in the environment: start it through '
            'tools/dist_train.sh, tools/dist_test.sh or torchrun.'
        )


def _start_with_gpus(cfg: Config, options: dict) -> None:
    rank, gpus = int(os.environ.get('LOCAL_RANK', '0')), torch.cuda.device_count()
    if cfg.launcher == 'pytorch' and rank >= gpus:
        raise ValueError(
            f'process {rank} of this machine (counted from 0) finds only {gpus} GPUs: start at most '
            f'{gpus} processes on it, or show more of them in CUDA_VISIBLE_DEVICES.'
        )
    # The runner does it in this order, too: the other way round mmengine warns.
    set_multi_processing(**(cfg.get('env_cfg') or {}).get('mp_cfg', {}), distributed=True)
    init_dist(cfg.launcher, **options, **_fresh_store())


def _start_on_cpu(cfg: Config, options: dict) -> None:
    if cfg.launcher != 'pytorch':
        raise ValueError(
            f'--launcher {cfg.launcher} needs GPUs, and this machine shows none: use '
            'tools/slurm_train.sh or torchrun with --launcher pytorch, which run on CPUs, too.'
        )
    if 'timeout' in options:
        options['timeout'] = datetime.timedelta(seconds=options['timeout'])
    kept = {key: options[key] for key in ('timeout', 'init_method') if key in options}
    distributed.init_process_group('gloo', **kept, **_fresh_store())
    _wrap_for_cpu(cfg)


def _fresh_store() -> dict:
    """Where processes that torchrun has started again meet: not where addresses of lost ones are kept."""
    restarts = restarts_of_torchrun()
    if not restarts:
        return {}
    store, rank, world_size = next(distributed.rendezvous('env://'))
    store = distributed.PrefixStore(f'restart_{restarts}', store)
    return dict(store=store, rank=rank, world_size=world_size)


def _wrap_for_cpu(cfg: Config) -> None:
    """Let DDP, of the runner or of the flexible runner's strategy, keep the model on the CPU."""
    strategy = cfg.get('strategy')
    if strategy is not None and strategy.get('type') != 'DDPStrategy':
        return
    place, key = (cfg, 'model_wrapper_cfg') if strategy is None else (strategy, 'model_wrapper')
    wrapper = dict(place.get(key) or {})
    if wrapper.get('type', 'MMDistributedDataParallel') == 'MMDistributedDataParallel':
        wrapper['type'] = CPUDistributedDataParallel.__name__
        wrapper.setdefault('find_unused_parameters', cfg.get('find_unused_parameters', False))
        place[key] = wrapper


def _no_start_sentence(error: Exception) -> str:
    address = f'{os.environ.get("MASTER_ADDR")}:{os.environ.get("MASTER_PORT")}'
    if 'address already in use' in str(error).lower():
        return (
            f'the port of {address} is in use on this machine, by another training as a rule: choose '
            'a free one with PORT=.'
        )
    return (
        f'the processes did not all meet at {address} ({_first_line(error)}): check that all were '
        'started with the same MASTER_ADDR and PORT, and run tools/dist_check.py the same way.'
    )


def _lost_rank_sentence(error: Exception, work_dir: str) -> str:
    more = int(os.environ.get('TORCHELASTIC_MAX_RESTARTS', '0')) > restarts_of_torchrun()
    last = Path(work_dir) / 'last_checkpoint'
    saved = f'from {last.read_text().strip()}' if last.is_file() else 'from the start'
    then = 'torchrun starts all again, which go on' if more else 'go on with --resume'
    return (
        f'another process of this run has ended or is out of reach ({_first_line(error)}): its output '
        f'says why; {then} {saved}.'
    )


def _first_line(error: Exception) -> str:
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return re.sub(r'^\[\S+\] ', '', line).rstrip('.')  # without the place in gloo's sources
