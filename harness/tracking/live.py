"""Sending while a command works: by a process of its own, so that nothing of it costs the work any time.

The command tells it that something is new, a word on a pipe; it reads the folder and sends what is lacking. A
server that does not answer is said once, and the folder keeps what it did not get (``sambench push``).
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sambench.harness.events import Listener
from sambench.harness.train.loop import Watcher
from sambench.suites.results import CellResult

EVERY = 5.0
"""Seconds from one word to the next, at least."""
START = 60.0
"""Seconds from a command's end that the sender may still take to import its library, ..."""
PATIENCE = 30.0
"""... that something may take to arrive, ..."""
SLOWEST = 1e6
"""... and in bytes a second what a file is allowed beside."""

Say = Callable[[str], None]


class Sender:
    """The process that sends a folder to one tracker.

    Args:
        name: of the tracker.
        out: the folder.
        command: what is at work on it.
        warn: is told, once, that the place does not answer.
    """

    def __init__(self, name: str, out: Path, command: str, warn: Say) -> None:
        self.name, self.out, self.warn = name, out, warn
        self.failed = ""
        """Why the last attempt came to nothing."""
        self.where = ""
        """Which place it is, once something arrived there."""
        self._warned, self._told = False, 0.0
        self._patient_until: float | None = None
        """When to give up what is being sent; ``None`` before anything was."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sambench.harness.tracking", name, str(out.resolve()), command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,  # Ctrl-C is for the command, which then says what is to become of this
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                said = json.loads(line)
            except ValueError:
                said = None
            if not isinstance(said, dict):  # a library printed something
                continue
            if "sending" in said:
                self._patient_until = time.monotonic() + PATIENCE + said["bytes"] / SLOWEST
            self.failed = said.get("failed", "" if "sent" in said else self.failed)
            self.where = said.get("sent", self.where)
            if self.failed and not self._warned:
                self._warned = True
                self.warn(f"{self.name}: {self.failed}. The work goes on, and the folder keeps everything.")

    def tell(self, often: bool = False) -> None:
        """Say that something is new; what is new often goes unsaid where that was said just now."""
        if not often or time.monotonic() - self._told >= EVERY:
            self._told = time.monotonic()
            self._write("new")

    def _write(self, word: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(word + "\n")
            self._process.stdin.flush()
        except OSError:  # it has ended, and said why
            self.failed = self.failed or "its process ended"

    def end(self) -> bool:
        """Have the rest sent; return whether all arrived. It is waited for as long as something does."""
        until = time.monotonic() + (START if self._patient_until is None else PATIENCE)
        self._write("end")
        try:
            while self._process.poll() is None and time.monotonic() < max(until, self._patient_until or 0.0):
                time.sleep(0.02)
        except KeyboardInterrupt:  # the user does not want to wait: the rest is for `sambench push`
            self.failed = "stopped"
        if self._process.poll() is None:
            self._process.kill()
            self.failed = self.failed or f"no answer for {PATIENCE:.0f} s"
        code = self._process.wait()
        self._reader.join(1.0)
        if code and not self.failed:
            self.failed = f"its process ended with {code}"
        return not self.failed


class Tracking(Listener, Watcher):
    """Tells senders what happens in a run or a training.

    A throughput is left alone: whatever works beside it is measured with it.
    """

    def __init__(self, senders: Sequence[Sender]) -> None:
        self.senders = senders

    def run_started(self, cells: Sequence[CellResult]) -> None:
        self._tell()

    def cell_done(self, cell: CellResult) -> None:
        self._tell()

    def stepped(self, line: Mapping[str, Any]) -> None:
        self._tell(often=True)

    def _tell(self, often: bool = False) -> None:
        for sender in self.senders:
            sender.tell(often)


@contextmanager
def tracked(
    names: Sequence[str], out: Path, command: str, warn: Say, note: Say, *, meanwhile: bool = True
) -> Iterator[Tracking]:
    """Send a folder to trackers while the block lasts, and the rest at its end.

    Args:
        names: of the trackers; without any, nothing is done.
        out: the folder.
        command: what works on it.
        warn: is told what goes wrong, and how what did not arrive is sent later.
        note: is told where it all is.
        meanwhile: whether anything is sent before the end.
    """
    senders = [Sender(name, out, command, warn) for name in names if meanwhile]
    try:
        yield Tracking(senders)
    finally:
        for sender in senders or [Sender(name, out, command, warn) for name in names]:
            if sender.end():
                note(f"{sender.name}: {sender.where}")
            else:
                rest = shlex.join(["sambench", "push", str(out), "--track", sender.name])
                warn(f"{sender.name}: not everything arrived ({sender.failed}). To send the rest: {rest}")
