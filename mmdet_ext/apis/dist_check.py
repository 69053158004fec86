"""A self-test of distributed runs: can the ranks talk, how fast, and what to set if they cannot."""

import datetime
import os
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from rich.table import Table
from torch import Tensor, distributed

from mmdet_ext.utils.dist import end_group

SIZES = (1 << 10, 1 << 20, 1 << 24, 1 << 26)
"""Bytes that are summed over all ranks, one size after the other."""

_NEEDED = ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT')


@dataclass
class Exchange:
    """One size of message.

    Attributes:
        size: Bytes.
        seconds: Mean time of an all-reduce.
        bandwidth: Bytes per second that each rank sends, and receives as many (ring algorithm:
            ``2 (n - 1) / n`` times the size, as NVIDIA's nccl-tests count their bus bandwidth).
    """

    size: int
    seconds: float
    bandwidth: float


def check_ranks(
    backend: str | None = None, timeout: float = 10, sizes: Sequence[int] = SIZES
) -> list[Exchange]:
    """Start a process group, check a sum over it, time all-reduces, and end it.

    Args:
        backend: ``nccl`` or ``gloo``. None: NCCL with GPUs, gloo without.
        timeout: Seconds to wait for the other ranks, at the start and at each exchange.
        sizes: Bytes to exchange. Once a fifth of ``timeout`` is spent, larger ones are left out.

    Returns:
        What was measured, by size.

    Raises:
        ValueError: The process was not started by a launcher, or ``backend`` needs GPUs.
        ConnectionError: The ranks cannot talk; says how far they came, and what to set.
    """
    missing = [name for name in _NEEDED if name not in os.environ]
    if missing:
        raise ValueError(
            f'there is no {", ".join(missing)} in the environment: start it through '
            'tools/dist_run.sh N tools/dist_check.py, or torchrun.'
        )
    has_gpu = torch.cuda.is_available()
    backend = backend or ('nccl' if has_gpu else 'gloo')
    if backend == 'nccl' and not has_gpu:
        raise ValueError('the backend is nccl, and this machine shows no GPU: take gloo.')
    _reach_the_first_rank(timeout)
    try:
        _start(backend, timeout)
        return list(_exchanges(backend, timeout, sizes))
    except (RuntimeError, TimeoutError) as error:
        raise ConnectionError(_no_answer_sentence(backend, error)) from error
    finally:
        if distributed.is_initialized() and backend == 'gloo':  # NCCL would wait for lost ranks
            end_group()


def describe_rank() -> str:
    """Say which rank this is, where it runs and what it talks through."""
    interfaces = {name: os.environ.get(name, 'any') for name in _interface_variables()}
    return (
        f'rank {os.environ["RANK"]} of {os.environ["WORLD_SIZE"]} on {socket.gethostname()}, meeting at '
        f'{_address()}, torch {torch.__version__}, '
        + ', '.join(f'{name}={value}' for name, value in interfaces.items())
    )


def exchange_table(found: Sequence[Exchange]) -> Table:
    """Lay out what was measured."""
    table = Table(title=f'all-reduce over {os.environ["WORLD_SIZE"]} ranks')
    for column in ('size, KiB', 'time, ms', 'per rank, MB/s'):
        table.add_column(column, justify='right')
    for exchange in found:
        table.add_row(
            f'{exchange.size / 1024:,.0f}',
            f'{exchange.seconds * 1e3:,.2f}',
            f'{exchange.bandwidth / 1e6:,.1f}',
        )
    return table


def _address() -> str:
    return f'{os.environ["MASTER_ADDR"]}:{os.environ["MASTER_PORT"]}'


def _interface_variables() -> tuple[str, ...]:
    return ('GLOO_SOCKET_IFNAME', 'NCCL_SOCKET_IFNAME')


def _reach_the_first_rank(timeout: float) -> None:
    """Check the name and, where something listens already, the port of the meeting place."""
    host, port = os.environ['MASTER_ADDR'], int(os.environ['MASTER_PORT'])
    try:
        socket.getaddrinfo(host, port)
    except socket.gaierror as error:
        raise ConnectionError(
            f'MASTER_ADDR is {host}, a name that this machine does not know ({error.strerror}): set it '
            'to the IP address of the first machine, on all.'
        ) from error
    if int(os.environ['RANK']) == 0:
        return
    deadline = time.monotonic() + timeout
    while (error := _connection_error(host, port, timeout)) is not None:
        if time.monotonic() > deadline:
            raise ConnectionError(
                f'rank {os.environ["RANK"]} cannot reach {host}:{port} ({error}): check that rank 0 '
                'runs, that MASTER_ADDR is its machine, and that no firewall closes the port.'
            ) from error
        time.sleep(0.2)  # rank 0 may still be starting


def _connection_error(host: str, port: int, timeout: float) -> OSError | None:
    try:
        socket.create_connection((host, port), timeout=timeout).close()
    except OSError as error:
        return error
    return None


def _start(backend: str, timeout: float) -> None:
    if backend == 'nccl':
        torch.cuda.set_device(int(os.environ.get('LOCAL_RANK', '0')))
    distributed.init_process_group(backend, timeout=datetime.timedelta(seconds=timeout))
    rank, world = distributed.get_rank(), distributed.get_world_size()
    total = _summed(torch.tensor([float(rank)]), backend)
    if total.item() != world * (world - 1) / 2:
        raise RuntimeError(f'the ranks 0 to {world - 1} add up to {total.item():g}')


def _exchanges(backend: str, timeout: float, sizes: Sequence[int]) -> Iterator[Exchange]:
    world, start = distributed.get_world_size(), time.monotonic()
    for size in sizes:
        spent = _summed(torch.tensor([time.monotonic() - start]), backend) / world
        if float(spent) > timeout / 5:  # the same mean on all ranks, which thus stop together
            return
        values = torch.zeros(size // 4, device='cuda' if backend == 'nccl' else 'cpu')
        distributed.all_reduce(values)
        _wait(backend)
        began, times = time.perf_counter(), 3
        for _ in range(times):
            distributed.all_reduce(values)
        _wait(backend)
        seconds = (time.perf_counter() - began) / times
        yield Exchange(size, seconds, size * 2 * (world - 1) / world / seconds)


def _summed(values: Tensor, backend: str) -> Tensor:
    values = values.cuda() if backend == 'nccl' else values
    distributed.all_reduce(values)
    return values.cpu()


def _wait(backend: str) -> None:
    if backend == 'nccl':
        torch.cuda.synchronize()


def _no_answer_sentence(backend: str, error: Exception) -> str:
    interfaces = [name for _, name in socket.if_nameindex() if name != 'lo']
    variable = 'NCCL_SOCKET_IFNAME' if backend == 'nccl' else 'GLOO_SOCKET_IFNAME'
    first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
    more = (
        '; if it is GPUs of one machine that hang, NCCL_P2P_DISABLE=1, then NCCL_IB_DISABLE=1 between '
        'machines (NCCL_DEBUG=INFO tells where)'
        if backend == 'nccl'
        else ''
    )
    return (
        f'rank {os.environ["RANK"]} got no answer over {backend} ({first_line}): check that all '
        f'{os.environ["WORLD_SIZE"]} ranks run, and set {variable} to the network that they share (here: '
        f'{", ".join(interfaces) or "lo only"}){more}.'
    )
