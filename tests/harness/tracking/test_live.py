"""Sending beside the work: whatever becomes of it, the work is done and nothing waits for nothing."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from command import ROOT, Done, call, cells_of, flags
from folders import COMMAND, STEPS, cell, write_cells, write_training
from tiny_coco import TinyCoco

from sambench.harness.tracking import live
from sambench.harness.tracking.live import EVERY, PATIENCE, SLOWEST, START, Sender, Tracking

SAID = "import json, sys, time; say = lambda **words: print(json.dumps(words), flush=True)\n"


IMPATIENT = """
import sys
from pathlib import Path
from sambench.harness.tracking import __main__, mlflow
mlflow.SOON = 0.5
sys.exit(__main__.main(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))
"""


class Clock:
    """Time that passes when it is told to, or slept through: faster than ours."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.speed = 50.0
        self.interrupt: type[BaseException] | None = None

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        if self.interrupt is not None:
            raise self.interrupt
        self.now += self.speed * seconds
        time.sleep(0.001)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(live, "time", made)
    return made


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def sender(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, warnings: list[str]
) -> Iterator[Callable[[str], Sender]]:
    """Makes a sender whose process is a few lines."""
    made: list[Sender] = []
    popen = subprocess.Popen

    def make(lines: str) -> Sender:
        script = [sys.executable, "-c", SAID + lines]
        with monkeypatch.context() as patch:
            patch.setattr(subprocess, "Popen", lambda command, **options: popen(script, **options))
            made.append(Sender("mlflow", tmp_path, COMMAND, warnings.append))
        return made[-1]

    yield make
    for one in made:
        one._process.kill()


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.005)


def test_the_rest_is_waited_for_however_long_ago_something_was_sent(
    sender: Callable[[str], Sender], clock: Clock, warnings: list[str]
) -> None:
    one = sender("say(sending='a', bytes=0); say(sent='there'); sys.stdin.readline(); say(sent='all')")
    until(lambda: one.where)
    clock.now += 100_000
    clock.speed = 0.2
    assert one.end()
    assert (one.where, one.failed, warnings) == ("all", "", [])


@pytest.mark.parametrize(
    ("said", "patience"),
    [
        ("", START),
        ("say(sending='a', bytes=0)", PATIENCE),
        ("say(sending='a', bytes=0); say(sending='b', bytes=10**9)", PATIENCE + 1e9 / SLOWEST),
    ],
)
def test_what_does_not_arrive_is_given_up_after_its_time(
    sender: Callable[[str], Sender], clock: Clock, said: str, patience: float
) -> None:
    one = sender(f"{said}\nsay(failed='read')\ntime.sleep(600)")
    until(lambda: one.failed)
    one.failed, began, clock.speed = "", clock.now, patience
    assert not one.end()
    assert patience <= clock.now - began <= 1.1 * patience
    assert "no answer" in one.failed
    assert one._process.poll() is not None


def test_ctrl_c_while_the_rest_is_sent_gives_it_up(sender: Callable[[str], Sender], clock: Clock) -> None:
    one = sender("time.sleep(600)")
    clock.interrupt = KeyboardInterrupt
    assert not one.end()
    assert one.failed == "stopped"
    assert one._process.poll() is not None


def test_words_are_said_now_and_then(sender: Callable[[str], Sender], clock: Clock, tmp_path: Path) -> None:
    heard = tmp_path / "heard"
    one = sender(f"open({str(heard)!r}, 'w').write(sys.stdin.read())")
    tracking = Tracking([one])
    for _ in range(100):
        tracking.stepped({})
    clock.now += EVERY
    for _ in range(100):
        tracking.stepped({})
    tracking.run_started([])  # which is not often
    one._process.stdin.close()  # type: ignore[union-attr]
    one._process.wait()
    assert heard.read_text() == "new\nnew\nnew\n"


def test_a_process_that_dies_or_babbles_harms_nothing(
    sender: Callable[[str], Sender], clock: Clock, warnings: list[str]
) -> None:
    for lines, why in (
        ("sys.exit(3)", "its process ended"),
        ("say(failed='refused'); say(failed='again'); sys.exit(1)", "again"),
        ("print('5\\n{\\n[1]\\nnull'); say(failed='x'); say(sent='there'); sys.exit(3)", "its process ended"),
    ):
        one = sender(lines)
        one._process.wait()
        for _ in range(3):
            clock.now += EVERY
            one.tell()
        assert not one.end()
        assert why in one.failed
    assert [text.partition(".")[0] for text in warnings] == ["mlflow: refused", "mlflow: x"]


def whole(done: Done, out: Path) -> str:
    """See that a run is as it is without tracking, and return what it said of that."""
    assert done.code == 0, done.err
    assert [one["status"] for one in cells_of(out)] == ["done", "done"]
    assert (out / "report.html").stat().st_size > 10_000
    assert "ellipse" in done.out
    (said,) = [line for line in done.err.splitlines() if "To send the rest:" in line]
    assert f"sambench push {out} --track" in said
    return said


def test_a_sender_that_dies_leaves_a_run_unharmed(
    tiny: TinyCoco, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "sys", SimpleNamespace(executable="/bin/false"))
    done = call(*flags(tiny, fresh, suites="gt_box"), "--track", "tensorboard")
    assert "its process ended" in whole(done, fresh)
    assert "The work goes on" not in done.err


@pytest.mark.slow
def test_a_server_that_refuses_is_said_once(
    tiny: TinyCoco, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:hunter2@127.0.0.1:{port}")
    done = call(*flags(tiny, fresh, suites="gt_box"), "--track")
    said = whole(done, fresh)
    assert f"http://127.0.0.1:{port}, experiment sambench: does not answer" in said
    assert done.err.count("The work goes on") == 1
    assert "hunter2" not in done.err + done.out


@pytest.mark.slow
def test_a_server_that_is_silent_is_not_waited_for(
    tiny: TinyCoco, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sender gives up by itself: where it is given up, 'no answer' is said."""
    pytest.importorskip("mlflow")
    popen = subprocess.Popen

    def impatient(command: list[str], **options: Any) -> subprocess.Popen[str]:
        return popen([command[0], "-c", IMPATIENT, *command[3:]], **options)

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setattr(live, "subprocess", SimpleNamespace(**vars(subprocess) | {"Popen": impatient}))
        done = call(*flags(tiny, fresh, suites="gt_box"), "--track")
    assert "does not answer (timed out)" in whole(done, fresh)
    assert done.err.count("The work goes on") == 1


def ledger_of(out: Path) -> dict[str, Any]:
    """What a tracker has, by keys."""
    content = json.loads((out / "tracking" / "tensorboard.json").read_text())
    return dict(content["places"]["tensorboard"]["entries"])


@pytest.mark.slow
def test_where_the_command_dies_its_sender_sends_the_rest_and_ends(tmp_path: Path) -> None:
    out = write_cells(tmp_path / "run", cell(), cell(model="b", status="unfinished"))
    process = subprocess.Popen(
        [sys.executable, "-m", "sambench.harness.tracking", "tensorboard", str(out), COMMAND],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("new\n")
        process.stdin.flush()
        until(lambda: '"sent"' in process.stdout.readline())
        statuses = [sent["status"] for sent in ledger_of(out).values()]
        assert statuses == ["running", "finished"]
        write_cells(out, cell(), cell(model="b"), cell(model="c", status="unfinished"))
        write_training(out, STEPS, whole=False)
        process.stdin.close()  # which is all that its death is to the other
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.stdout.close()
    found = {key.partition(" ")[0]: sent["status"] for key, sent in ledger_of(out).items()}
    assert found == {"command": "killed", "cell": "finished", "training": "killed"}
    assert len(ledger_of(out)) == 4
