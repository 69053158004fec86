"""The self-test says whether ranks can talk, and what to do where they cannot, within its time."""

import time

import pytest
from ranks import free_port, run_ranks
from torch import distributed

from mmdet_ext.apis import dist_check
from mmdet_ext.apis.dist_check import Exchange, check_ranks, describe_rank, exchange_table


def test_ranks_that_talk_get_a_bandwidth_for_each_size():
    sizes = (1024, 4096)
    for found in run_ranks(check_ranks, 'gloo', 10, sizes):
        assert [exchange.size for exchange in found] == list(sizes)
        for exchange in found:
            # Two ranks in a ring send each value once: half of it in each of two rounds.
            assert exchange.bandwidth == pytest.approx(exchange.size / exchange.seconds)


def check_with_wrong_sum():
    distributed.all_reduce = lambda tensor: tensor.add_(5)
    return check_ranks('gloo', 5)


def test_a_wrong_sum_is_not_taken_for_an_answer():
    for error in run_ranks(check_with_wrong_sum):
        assert isinstance(error, ConnectionError)
        assert 'the ranks 0 to 1 add up to' in str(error)


def check_alone(monkeypatch, rank, port, timeout):
    values = dict(RANK=rank, WORLD_SIZE=2, MASTER_ADDR='127.0.0.1', MASTER_PORT=port)
    for name, value in values.items():
        monkeypatch.setenv(name, str(value))
    started = time.monotonic()
    with pytest.raises(ConnectionError) as caught:
        check_ranks('gloo', timeout)
    assert time.monotonic() - started < timeout + 8
    return str(caught.value)


def test_rank_0_that_is_alone_says_so_in_time(monkeypatch):
    sentence = check_alone(monkeypatch, 0, free_port(), 1)
    assert sentence.startswith('rank 0 got no answer over gloo (')
    assert 'check that all 2 ranks run, and set GLOO_SOCKET_IFNAME' in sentence


def test_another_rank_that_finds_no_rank_0_names_the_address(monkeypatch):
    port = free_port()
    sentence = check_alone(monkeypatch, 1, port, 0.5)
    assert f'rank 1 cannot reach 127.0.0.1:{port}' in sentence


def test_a_first_machine_of_unknown_name_is_named(monkeypatch):
    monkeypatch.setattr(dist_check, '_NEEDED', ('RANK',))
    for name, value in dict(RANK='1', MASTER_ADDR='no.such.invalid', MASTER_PORT='1').items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConnectionError, match=r'MASTER_ADDR is no\.such\.invalid, a name that'):
        check_ranks('gloo', 1)


def test_without_a_launcher_it_says_how_to_start_it(monkeypatch):
    monkeypatch.delenv('RANK', raising=False)
    with pytest.raises(ValueError, match=r'no RANK.* tools/dist_run\.sh N tools/dist_check\.py'):
        check_ranks()


def test_what_was_measured_is_laid_out_in_usual_units(monkeypatch):
    for name in ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT'):
        monkeypatch.setenv(name, '2')
    table = exchange_table([Exchange(2048, 0.004, 5e8)])
    assert [list(column.cells) for column in table.columns] == [['2'], ['4.00'], ['500.0']]
    assert describe_rank().startswith('rank 2 of 2 on ')
