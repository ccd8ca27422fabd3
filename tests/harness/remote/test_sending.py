"""Sending while the work goes on: at once, without being waited for, and said once where it fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import pytest

from sambench.evsam.errors import SambenchError
from sambench.harness.events import Listener
from sambench.harness.remote import sending as module
from sambench.harness.remote.bucket import Bucket, StoreError
from sambench.harness.remote.sending import sending

URL = "memory://sending/run"


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nobody waits long here, and the place is empty."""
    monkeypatch.setattr(module, "EVERY", 0.02)
    monkeypatch.setattr(module, "RETRY", 0.02)
    fsspec.filesystem("memory").store.clear()
    yield
    fsspec.filesystem("memory").store.clear()


def write(out: Path, name: str) -> None:
    (out / name).parent.mkdir(parents=True, exist_ok=True)
    (out / name).write_bytes(b"{}")


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def names() -> list[str]:
    return sorted(Bucket(URL).list())


def failing(monkeypatch: pytest.MonkeyPatch, fails: threading.Event) -> None:
    """Let every writing fail as long as an event is set."""
    put = Bucket.put

    def broken(self: Bucket, name: str, file: Path) -> None:
        if fails.is_set():
            raise StoreError(f"{URL}: cannot be written (no answer).")
        put(self, name, file)

    monkeypatch.setattr(Bucket, "put", broken)


def test_files_are_sent_while_the_work_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with sending(URL, out, pytest.fail, pytest.fail):
        write(out, "records/c/0.json")
        until(lambda: names() == ["records/c/0.json"])
        write(out, "records/c/1.json")
        until(lambda: len(names()) == 2)
        write(out, "report.md")
    assert names() == ["records/c/0.json", "records/c/1.json", "report.md"]


def test_beside_a_measurement_nothing_is_sent_before_its_end(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with sending(URL, out, pytest.fail, pytest.fail, meanwhile=False):
        write(out, "records/c/0.json")
        time.sleep(0.2)
        assert names() == []
    assert names() == ["records/c/0.json"]


def test_a_store_that_does_not_answer_is_said_once_and_gets_all_when_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, fails, said = tmp_path / "run", threading.Event(), list[str]()
    failing(monkeypatch, fails)
    fails.set()
    with sending(URL, out, said.append, pytest.fail):
        write(out, "records/c/0.json")
        until(lambda: said)
        write(out, "records/c/1.json")
        time.sleep(0.2)  # several tries
        fails.clear()
        until(lambda: len(names()) == 2)
    assert len(said) == 1
    assert "no answer" in said[0]
    assert str(out) in said[0]


def test_what_cannot_be_sent_in_the_end_is_an_error_with_the_way_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, fails, said = tmp_path / "run", threading.Event(), list[str]()
    failing(monkeypatch, fails)
    fails.set()

    def work() -> None:
        with sending(URL, out, said.append, pytest.fail) as listener:
            write(out, "records/c/0.json")
            listener.run_done([])

    with pytest.raises(SambenchError, match=r"no answer.*same command sends the rest") as caught:
        work()
    assert str(out) in str(caught.value)
    assert len(said) == 1
    fails.clear()
    with sending(URL, out, pytest.fail, pytest.fail):
        pass
    assert names() == ["records/c/0.json"]


def test_an_interruption_waits_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, began = tmp_path / "run", threading.Event()
    release = threading.Event()

    def slow(*_: object) -> None:
        began.set()
        release.wait(20)

    monkeypatch.setattr(Bucket, "put", slow)
    stopped = 0.0

    def work() -> None:
        nonlocal stopped
        with sending(URL, out, pytest.fail, pytest.fail):
            write(out, "records/c/0.json")
            began.wait(20)
            stopped = time.monotonic()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert time.monotonic() - stopped < 1
    release.set()


def test_without_an_address_nothing_is_done(tmp_path: Path) -> None:
    with sending(None, tmp_path, pytest.fail, pytest.fail) as listener:
        assert type(listener) is Listener
    assert list(tmp_path.iterdir()) == []
