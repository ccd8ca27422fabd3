"""The lock in a store: one at a time, released by a crash, and nobody else's."""

from __future__ import annotations

import threading
import time
import uuid

import pytest

from sambench.evsam.errors import SambenchError
from sambench.harness.remote import lease
from sambench.harness.remote.bucket import Bucket
from sambench.harness.remote.lease import leased


@pytest.fixture
def bucket() -> Bucket:
    """An empty place."""
    return Bucket(f"memory://{uuid.uuid4().hex}")


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long here."""
    monkeypatch.setattr(lease, "_PAUSE", 0.002)


def test_one_at_a_time(bucket: Bucket) -> None:
    inside, most, total = 0, 0, 0

    def work() -> None:
        nonlocal inside, most, total
        for _ in range(5):
            with leased(bucket, "lock"):
                inside += 1
                most = max(most, inside)
                before = total
                time.sleep(0.002)
                total = before + 1
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, total) == (1, 20)
    assert bucket.list() == {}


def test_what_a_crash_left_counts_no_longer_after_the_lease(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "LEASE", 0.2)
    bucket.write("lock", b"of a crash")
    began = time.monotonic()
    with leased(bucket, "lock"):
        assert bucket.read("lock") != b"of a crash"
    assert time.monotonic() - began >= 0.2
    assert bucket.list() == {}


def test_a_lock_that_changes_hands_is_not_taken_for_a_crash(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "LEASE", 0.2)
    monkeypatch.setattr(lease, "PATIENCE", 0.6)
    ended = threading.Event()

    def others() -> None:
        number = 0
        while not ended.wait(0.02):
            bucket.write("lock", str(number := number + 1).encode())

    thread = threading.Thread(target=others)
    bucket.write("lock", b"0")
    thread.start()
    try:
        with pytest.raises(SambenchError, match="other commands have held it"), leased(bucket, "lock"):
            pass
    finally:
        ended.set()
        thread.join()
    assert bucket.read("lock") is not None


def test_a_lock_that_another_took_over_is_left_to_it(bucket: Bucket) -> None:
    with leased(bucket, "lock"):
        bucket.write("lock", b"another's")
    assert bucket.read("lock") == b"another's"


def test_an_error_inside_releases_it(bucket: Bucket) -> None:
    with pytest.raises(KeyError), leased(bucket, "lock"):
        raise KeyError
    assert bucket.list() == {}
