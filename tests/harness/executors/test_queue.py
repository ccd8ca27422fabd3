"""Each task is done once, whoever dies meanwhile."""

from __future__ import annotations

import random
from pathlib import Path

from sambench.harness.executors.queue import TRIES, Queue
from sambench.harness.work import Task
from sambench.suites.data.annotations import ImageRecord
from sambench.suites.data.coco import Entry


def entry(number: int) -> Entry:
    return Entry(ImageRecord(number, f"{number}.jpg"), Path(f"{number}.jpg"), ())


def tasks(shards: int, images: int = 4) -> list[Task]:
    return [Task(i, tuple(entry(i * images + j) for j in range(images)), (0,)) for i in range(shards)]


def test_tasks_are_taken_from_the_source_when_they_are_wanted() -> None:
    taken = []

    def source():  # type: ignore[no-untyped-def]
        for task in tasks(5):
            taken.append(task.shard)
            yield task

    queue = Queue(source())
    assert queue.take(0).shard == 0  # type: ignore[union-attr]
    assert queue.take(1).shard == 1  # type: ignore[union-attr]
    assert taken == [0, 1]
    assert queue.ready(2) == 2
    assert taken == [0, 1, 2, 3]


def test_what_a_dead_worker_had_is_done_again_and_what_it_died_of_is_given_up_in_the_end() -> None:
    queue = Queue(tasks(3))
    for death in range(1, TRIES + 1):
        first, second = queue.take(0), queue.take(0)
        assert (first.shard, second.shard) == (0, 1)  # type: ignore[union-attr]
        queue.count(0, 2)
        given_up = queue.bury(0)
        assert (given_up is not None) == (death == TRIES)
    assert given_up is not None
    assert (given_up.task.shard, given_up.at) == (0, "2.jpg")
    assert [queue.take(1).shard for _ in range(2)] == [1, 2]  # type: ignore[union-attr]
    assert queue.take(1) is None


def test_what_there_is_of_a_shard_goes_to_whoever_does_it_next() -> None:
    queue = Queue(tasks(1))
    queue.take(0)
    queue.keep(0, 0, {0: b"so far"})
    assert queue.bury(0) is None
    assert queue.take(1).begun == {0: b"so far"}  # type: ignore[union-attr]


def test_a_worker_that_goes_gives_back_what_it_has_without_blame() -> None:
    queue = Queue(tasks(2))
    for _ in range(TRIES + 2):
        assert queue.take(0).shard == 0  # type: ignore[union-attr]
        queue.release(0)
    assert queue.take(0).shard == 0  # type: ignore[union-attr]


def test_nobody_does_more_for_a_suite_that_has_failed() -> None:
    both = [Task(t.shard, t.entries, (0, 1)) for t in tasks(3)]
    queue = Queue(both)
    queue.take(0)
    queue.take(0)
    queue.end([1])
    queue.bury(0)
    assert [(task.shard, task.suites) for task in (queue.take(1), queue.take(1)) if task] == [
        (0, (0,)),
        (1, (0,)),
    ]
    queue.end([0])
    queue.release(1)
    assert queue.take(2) == both[2]  # of the source, which leaves them out itself
    assert queue.take(2) is None


def test_whatever_happens_every_task_is_done_once_or_given_up_once() -> None:
    """Against a list of what was done, in 300 random stories."""
    for seed in range(300):
        draw = random.Random(seed)
        shards, workers = draw.randint(1, 9), draw.randint(1, 4)
        queue = Queue(tasks(shards))
        held: dict[int, list[int]] = {worker: [] for worker in range(workers)}
        done: list[int] = []
        deaths: dict[int, int] = {}
        for _ in range(10_000):
            worker = draw.randrange(workers)
            what = draw.random()
            if what < 0.5 and len(held[worker]) < 2:
                task = queue.take(worker)
                if task is None and not any(held.values()):
                    break
                if task is not None:
                    held[worker].append(task.shard)
            elif what < 0.85 and held[worker]:
                done.append(held[worker].pop(0))
                queue.finish(worker, done[-1])
            elif what < 0.95:
                if held[worker]:
                    deaths[held[worker][0]] = deaths.get(held[worker][0], 0) + 1
                given_up = queue.bury(worker)
                if given_up is not None:
                    assert deaths[given_up.task.shard] == TRIES
                    done.append(given_up.task.shard)
                held[worker].clear()
            else:
                queue.release(worker)
                held[worker].clear()
        assert sorted(done) == list(range(shards))
        assert max(deaths.values(), default=0) <= TRIES
