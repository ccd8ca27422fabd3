"""How the ranks that torchrun started find the first one, also when it starts them anew."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from multiprocessing.connection import Listener
from typing import Any

import pytest

from sambench.harness.executors import torchrun
from sambench.harness.executors.torchrun import ADDRESS, Place, Ranks, dismiss
from sambench.harness.provenance import versions


class Store(dict[str, str]):
    """Torchrun's, which keeps what was written before it began anew."""

    def set(self, name: str, value: str) -> None:
        self[name] = value

    def get(self, name: str) -> bytes:  # type: ignore[override]
        while name not in self:
            pass
        return self[name].encode()


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(Ranks, "met", False)
    found = Store()
    monkeypatch.setattr(torchrun, "_store", lambda: found)
    monkeypatch.setattr(torchrun, "AGAIN", 0.01)
    monkeypatch.setenv("MASTER_ADDR", "localhost")
    for name, value in {"RANK": 0, "WORLD_SIZE": 2, "LOCAL_RANK": 0, "LOCAL_WORLD_SIZE": 2}.items():
        monkeypatch.setenv(name, str(value))
    return found


def arrived(store: Store) -> tuple[threading.Thread, list[Any]]:
    """Let another rank come, in a thread; it says what it got, and how its pipe ended."""
    said: list[Any] = []

    def come() -> None:
        connection, share = torchrun._meet(store)  # type: ignore[arg-type]
        said.append(share)
        try:
            connection.recv()
        except EOFError:
            said.append("end")

    thread = threading.Thread(target=come, daemon=True)
    thread.start()
    return thread, said


def port_of_nobody() -> int:
    with Listener(("localhost", 0), "AF_INET") as listener:
        return int(listener.address[1])


@pytest.mark.parametrize("stale", [False, True])
def test_a_rank_finds_the_first_one_whatever_an_earlier_start_left(
    store: Store, monkeypatch: pytest.MonkeyPatch, stale: bool
) -> None:
    if stale:  # the first rank was killed, and torchrun began anew with the same store
        store.set(ADDRESS, f"{port_of_nobody()} {'0' * 64}")
    place = Place(1, 2, 1, 2, "there", versions())
    monkeypatch.setattr(torchrun.Connection, "send", _as(place, torchrun.Connection.send))
    thread, said = arrived(store)
    with Ranks():
        pass
    thread.join(20)
    assert said == [place.share, "end"]


def _as(place: Place, send: Any) -> Any:
    """Let every place that is said be this one: both ranks are of one process here."""
    return lambda self, thing: send(self, place if isinstance(thing, Place) else thing)


def test_ranks_that_nothing_is_for_are_let_go_and_only_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        torchrun.Connection, "send", _as(Place(1, 2, 1, 2, "there", versions()), torchrun.Connection.send)
    )
    thread, said = arrived(store)
    dismiss()
    thread.join(20)
    assert said[-1] == "end"
    dismiss()  # nobody is waited for: they have been there


def test_a_stranger_is_not_let_in(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(1, 2, 1, 2, "there", versions())
    monkeypatch.setattr(torchrun.Connection, "send", _as(place, torchrun.Connection.send))
    wrong = Store()
    opened = threading.Thread(target=dismiss, daemon=True)
    opened.start()
    port, key = store.get(ADDRESS).decode().split()
    wrong.set(ADDRESS, f"{port} {'0' * 64}")
    arrived(wrong)
    opened.join(0.3)
    assert opened.is_alive()
    wrong.set(ADDRESS, f"{port} {key}")
    opened.join(20)
    assert not opened.is_alive()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="of Linux")
def test_a_process_that_a_pinned_rank_starts_counts_all_cores() -> None:
    cores = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(cores)})
        with torchrun._on(cores):
            words = [sys.executable, "-c", "import os; print(len(os.sched_getaffinity(0)))"]
            counted = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        assert int(counted) == len(cores)
        assert os.sched_getaffinity(0) == {min(cores)}
    finally:
        os.sched_setaffinity(0, cores)
