"""The processes of a command, found by a mark in the environment that all of them inherit."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

MARK = "FAULT_FAMILY"
PATIENCE = 600.0
"""Seconds for a command to end, and for anything to happen."""


@dataclass(frozen=True)
class Member:
    """A process."""

    pid: int
    parent: int
    words: str
    """Of its command line."""
    environment: str


class Family:
    """A command that was started, and all that it starts.

    Args:
        words: the command.
        environment: of it.
        said: the file that its two outputs go to.
    """

    def __init__(self, words: Sequence[str], environment: Mapping[str, str], said: Path) -> None:
        self.mark, self.said = uuid.uuid4().hex, said
        with said.open("wb") as file:
            self.command = subprocess.Popen(
                words,
                env={**environment, MARK: self.mark},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )

    def members(self) -> list[Member]:
        """Return the processes that are alive."""
        mark = f"{MARK}={self.mark}"
        found = (_read(int(name)) for name in os.listdir("/proc") if name.isdecimal())
        return [one for one in found if one is not None and mark in one.environment]

    def wait(self, condition: Callable[[], object]) -> bool:
        """Wait for something; tell whether it happened before the command ended."""
        until = time.monotonic() + PATIENCE
        while not condition():
            if self.command.poll() is not None:
                return False
            if time.monotonic() > until:
                raise TimeoutError(f"nothing happened; see {self.said}")
            time.sleep(0.002)
        return True

    def end(self) -> tuple[int, float]:
        """Wait for the end of all; return the command's exit code, and seconds until nobody was left."""
        code = self.command.wait(PATIENCE)
        ended = time.monotonic()
        while self.members() and time.monotonic() < ended + 10:
            time.sleep(0.05)
        return code, time.monotonic() - ended

    def kill(self) -> list[Member]:
        """End whoever is left; return them."""
        left = self.members()
        for one in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one.pid, signal.SIGKILL)
        return left

    def text(self) -> str:
        """Return what they said."""
        return self.said.read_text(errors="replace")

    def role(self, member: Member, executor: str, loaders: int) -> str:
        """Say what a process is there for."""
        if member.pid == self.command.pid:
            return "torchrun's agent" if executor == "torchrun" else "the command"
        if "resource_tracker" in member.words:
            return "resource tracker"
        for word in ("raylet", "gcs_server"):
            if word in member.words:
                return f"Ray's {word}"
        if "ray::" in member.words:
            return "worker" if "Actor" in member.words or "Worker" in member.words else "a process of Ray"
        if executor == "ray" and "spawn_main" not in member.words:
            return "another of Ray's"
        if "spawn_main" not in member.words:
            rank = next((line for line in member.environment.split("\0") if line.startswith("RANK=")), "")
            return {"": "another", "RANK=0": "the first rank"}.get(rank, "another rank")
        parents = {one.pid: one for one in self.members()}
        parent = parents.get(member.parent)
        is_head = parent is not None and (parent.pid == self.command.pid or "RANK=0" in parent.environment)
        is_head = is_head and parent is not None and "spawn_main" not in parent.words
        return "loader" if loaders and not (is_head and executor != "inline") else "worker"


def _read(pid: int) -> Member | None:
    folder = Path("/proc") / str(pid)
    try:
        environment = (folder / "environ").read_bytes().decode(errors="replace")
        words = (folder / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
        state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
    except OSError:
        return None
    return None if state in "ZX" else Member(pid, int(parent), words, environment)
