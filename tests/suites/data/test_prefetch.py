"""The workers that make things ahead of whoever takes them."""

import gc
import itertools
import threading
import time

import pytest

from sambench.evsam.errors import SambenchError
from sambench.suites.data.prefetch import prefetch

PATIENCE = 10.0


def workers():
    return [t for t in threading.enumerate() if t.name.startswith("sambench-load")]


class Source:
    """Counts what was taken from it."""

    def __init__(self, items):
        self.items = iter(items)
        self.taken = 0

    def __iter__(self):
        return self

    def __next__(self):
        item = next(self.items)
        self.taken += 1
        return item


@pytest.mark.parametrize("count", [0, 1, 3, 50])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_come_in_the_order_of_the_items_though_later_ones_are_ready_first(count, threads):
    def slow_when_even(i):
        time.sleep(0.004 if i % 2 == 0 else 0)
        return i * i

    assert list(prefetch(slow_when_even, range(count), threads)) == [i * i for i in range(count)]


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_it_runs_ahead_by_two_items_a_worker_and_no_more(threads):
    source = Source(range(100))
    for received, _ in enumerate(prefetch(lambda i: i, source, threads), start=1):
        assert source.taken == min(received + 2 * threads, 100)


def test_an_endless_source_is_fine():
    assert list(itertools.islice(prefetch(lambda i: -i, itertools.count()), 5)) == [0, -1, -2, -3, -4]


def test_the_workers_work_at_the_same_time():
    together = threading.Barrier(2, timeout=PATIENCE)  # breaks unless two are in it at once
    assert list(prefetch(lambda i: (together.wait(), i)[1], range(6), 2)) == list(range(6))


def test_an_error_comes_at_its_items_turn_and_the_workers_end():
    failed_early = threading.Event()

    def work(i):
        if i == 3:
            failed_early.set()
            raise SambenchError("item 3 is damaged")
        if i == 0:
            assert failed_early.wait(PATIENCE)
        return i

    source = Source(range(1000))
    received = []
    with pytest.raises(SambenchError, match="item 3 is damaged"):
        received.extend(prefetch(work, source, 2))  # keeps what came before the error
    assert received == [0, 1, 2]
    assert source.taken <= 3 + 1 + 4
    assert not workers()


def test_the_workers_end_when_no_one_asks_any_more():
    started = []
    results = prefetch(started.append, range(1000), 2)
    next(results)
    assert workers()
    results.close()
    assert not workers()
    assert len(started) <= 5


def test_work_that_has_not_begun_is_not_begun_when_no_one_asks_any_more():
    started, busy, release = [], threading.Event(), threading.Event()

    def work(i):
        started.append(i)
        if i == 1:
            busy.set()
            release.wait(PATIENCE)

    results = prefetch(work, range(1000), 1)
    next(results)
    assert busy.wait(PATIENCE)
    threading.Timer(0.5, release.set).start()  # long after closing has called off what waits behind it
    results.close()
    assert started == [0, 1]


def test_the_workers_end_with_a_generator_that_was_dropped():
    results = prefetch(lambda i: i, range(1000), 2)
    next(results)
    del results
    gc.collect()
    assert not workers()
