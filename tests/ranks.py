"""Real processes of a distributed run on this machine, forked, since new ones import for seconds."""

import multiprocessing
import os
import pickle
import queue
import socket
import traceback

import torch
from torch import distributed

from mmdet_ext.utils.dist import end_group


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def run_ranks(function, *args, world=2, timeout=90, group=False):
    """Call ``function(*args)`` in each rank; returns what they return, or the exception raised.

    The processes have what torchrun gives to its own, and with ``group`` a gloo group, too.
    """
    context = multiprocessing.get_context('fork')
    results, port = context.Queue(), free_port()
    ranks = [
        context.Process(target=_run, args=(results, rank, world, port, group, function, args))
        for rank in range(world)
    ]
    for process in ranks:
        process.start()
    try:
        found = dict(results.get(timeout=timeout) for _ in ranks)
    except queue.Empty:
        raise AssertionError(f'not all ranks answered within {timeout} s') from None
    finally:
        for process in ranks:
            process.join(5)
            process.kill()
    return [pickle.loads(found[rank]) for rank in range(world)]


def _run(results, rank, world, port, group, function, args):
    torch.set_num_threads(1)
    os.environ |= dict(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE=str(world),
        MASTER_ADDR='127.0.0.1',
        MASTER_PORT=str(port),
        GLOO_SOCKET_IFNAME='lo',
    )
    try:
        if group:
            distributed.init_process_group('gloo')
        result = function(*args)
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        result = error
    results.put((rank, pickle.dumps(result)))
    if group:
        distributed.barrier()
        end_group()
