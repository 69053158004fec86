"""Threads that keep order, stay within bounds and end when something goes wrong."""

import itertools
import threading
import time

import pytest

from mmdet_ext.apis.pipelining import map_in_order


def test_results_come_in_the_order_of_the_items_however_long_each_takes():
    def slow_first(i):
        time.sleep(0.002 * ((7 * i) % 5))
        return i * i

    assert list(map_in_order(slow_first, range(60), 8)) == [i * i for i in range(60)]


def test_items_are_worked_on_side_by_side():
    meeting = threading.Barrier(3)
    assert len(list(map_in_order(lambda i: meeting.wait(5), range(3), 3))) == 3


def test_the_source_is_read_no_further_ahead_than_a_few_items():
    read = []
    results = map_in_order(lambda i: i, (read.append(i) or i for i in itertools.count()), 2)
    for expected in range(20):
        assert next(results) == expected
        time.sleep(0.005)
        assert len(read) <= expected + 6  # done, waiting, and one in hand
    results.close()
    seen = len(read)
    time.sleep(0.05)
    assert len(read) == seen


def test_an_error_of_the_work_is_raised_in_its_place_and_ends_everything():
    done = []

    def fail_at_five(i):
        done.append(i)
        if i == 5:
            raise ValueError('the fifth is rotten')
        return i

    results, got = map_in_order(fail_at_five, itertools.count(), 2), []
    with pytest.raises(ValueError, match='the fifth is rotten'):
        got.extend(iter(results))  # extend keeps what came before
    before = len(done)
    time.sleep(0.05)
    assert len(done) == before
    assert threading.active_count() < 10


def test_an_error_of_the_source_is_raised_after_what_came_before_it():
    def source():
        yield from range(3)
        raise OSError('the cable is out')

    results = map_in_order(lambda i: i, source(), 2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match='the cable is out'):
        next(results)


def test_stopping_finishes_what_was_read():
    stop, read = threading.Event(), []
    results = map_in_order(lambda i: i, (read.append(i) or i for i in range(1000)), 2, stop)
    got = [next(results) for _ in range(3)]
    stop.set()
    got += list(results)
    assert got == list(range(len(got)))
    assert 3 <= len(got) < 20
    assert len(read) - len(got) <= 1  # one may have been in hand


def test_stopping_does_not_wait_for_a_source_that_never_answers():
    stop, silence = threading.Event(), threading.Event()

    def camera():
        yield 0
        silence.wait(30)

    results = map_in_order(lambda i: i, camera(), 1, stop)
    assert next(results) == 0
    start = time.perf_counter()
    stop.set()
    assert list(results) == []
    assert time.perf_counter() - start < 5
    silence.set()
