"""Signals to a run: an orderly end where there can be one, and within two seconds in any case."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
import typer

from sambench.adapters.children import BOTH
from sambench.harness.cli.stopping import PATIENCE, Stopped, stoppable

HINT = "Stopped; what is finished is kept. Go on with: sambench run x.yaml"
LIMIT = 2.0
SCRIPT = """
import hashlib, signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)
import typer
from sambench.harness.cli.stopping import stoppable
app = typer.Typer()

@app.command()
def main():
    try:
        with stoppable("sambench run x.yaml"):
            try:
                print("ready", flush=True)
                BODY
            finally:
                print("put right", flush=True)
                AFTER
    finally:
        print("the end", flush=True)
app()
"""
WAITS, NOTHING = "time.sleep(30)", "pass"
CALLS = "hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)"
"""One call of minutes into a library, which no signal ends."""


def script(body: str, after: str = NOTHING) -> Iterator[subprocess.Popen[str]]:
    """Start a process that is at work in a block that can be stopped."""
    text = SCRIPT.replace("BODY", body).replace("AFTER", after)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", text], text=True, **pipes)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def stopped(*signals: signal.Signals, body: str, after: str = NOTHING) -> tuple[int, float, str, str]:
    """Send signals a tenth of a second apart; return code, seconds from the last one, and words."""
    for process in script(body, after):
        for number in signals:
            time.sleep(0.1)
            process.send_signal(number)
        start = time.monotonic()
        out, err = process.communicate(timeout=30)
        return process.returncode, time.monotonic() - start, out, err
    raise AssertionError


@pytest.mark.parametrize("number", BOTH)
def test_a_signal_ends_it_in_order_and_says_how_to_go_on(number: signal.Signals) -> None:
    code, seconds, out, err = stopped(number, body=WAITS)
    assert code == 128 + number
    assert seconds < LIMIT
    assert out == "put right\nthe end\n"
    assert err.splitlines() == [HINT]


@pytest.mark.parametrize(("body", "after"), [(CALLS, NOTHING), (WAITS, CALLS)])
def test_what_does_not_come_back_from_a_call_is_not_waited_for(body: str, after: str) -> None:
    code, seconds, out, err = stopped(signal.SIGTERM, body=body, after=after)
    assert code == 128 + signal.SIGTERM
    assert PATIENCE - 0.2 < seconds < LIMIT
    assert "the end" not in out
    assert err.splitlines() == [HINT]


def test_a_second_signal_ends_it_at_once() -> None:
    code, seconds, _, err = stopped(signal.SIGINT, signal.SIGINT, body=CALLS)
    assert code == 128 + signal.SIGINT
    assert seconds < PATIENCE / 2
    assert err.splitlines() == [HINT]


def test_all_is_as_before_where_nobody_stopped_it() -> None:
    before, threads = [signal.getsignal(number) for number in BOTH], threading.active_count()
    with stoppable("x"):
        assert all(signal.getsignal(number) not in before for number in BOTH)
        assert threading.active_count() == threads + 1
    assert [signal.getsignal(number) for number in BOTH] == before
    assert threading.active_count() == threads
    assert signal.set_wakeup_fd(-1) == -1


def test_within_a_thread_signals_are_somebody_elses() -> None:
    seen = []

    def work() -> None:
        with stoppable("x"):
            seen.append([signal.getsignal(number) for number in BOTH])

    before = [signal.getsignal(number) for number in BOTH]
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


@pytest.mark.parametrize(
    ("error", "code"), [(KeyboardInterrupt(), 130), (Stopped(signal.SIGTERM), 143), (Stopped(2), 130)]
)
def test_codes(error: KeyboardInterrupt, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as end, stoppable("sambench run x.yaml"):
        raise error
    assert end.value.exit_code == code
    assert capsys.readouterr().err == f"{HINT}\n"
