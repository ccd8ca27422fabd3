"""Which cores a worker takes, and which ranks may take part."""

from __future__ import annotations

import dataclasses

import pytest

from sambench.evsam.errors import SambenchError
from sambench.harness.executors.serve import Share
from sambench.harness.executors.torchrun import Place

FIRST = Place(0, 4, 0, 2, "here", {"torch": "2.14.1", "numpy": "2.4.6"})


def test_a_rank_with_other_software_is_refused_by_name() -> None:
    FIRST.check(dataclasses.replace(FIRST, rank=1, host="there"))
    other = dataclasses.replace(FIRST, rank=3, host="there", software={"torch": "2.9", "numpy": "2.4.6"})
    with pytest.raises(SambenchError, match=r"rank 3 on there has torch 2\.9, not 2\.14\.1"):
        FIRST.check(other)


@pytest.mark.parametrize(
    ("share", "cores", "its"),
    [
        (Share(0, 2), [0, 1, 2, 3], [0, 1]),
        (Share(1, 2), [4, 5, 6, 7], [6, 7]),
        (Share(1, 3), [0, 1, 2, 3], [1]),
        (Share(2, 3), [0, 1, 2, 3], [2, 3]),
        (Share(2, 3), [0, 1], [0]),
        (Share(1, 2), [5], [5]),
    ],
)
def test_cores_are_shared_out_whole(share: Share, cores: list[int], its: list[int]) -> None:
    assert share.of(cores) == its


@pytest.mark.parametrize("workers", range(1, 9))
def test_every_core_is_somebodys_and_none_is_two_workers_where_there_are_enough(workers: int) -> None:
    cores = list(range(8))
    shares = [Share(i, workers).of(cores) for i in range(workers)]
    assert sorted(core for share in shares for core in share) == cores


def test_a_rank_alone_on_its_machine_takes_all_of_it() -> None:
    assert dataclasses.replace(FIRST, local_ranks=1).share is None
    assert FIRST.share == Share(0, 2)
