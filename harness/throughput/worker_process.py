"""Running one throughput job in a process of its own, whatever becomes of it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from sambench.adapters.spec import ModelSpec
from sambench.evsam.errors import SambenchError
from sambench.suites.throughput.job import Job

COMMAND = (sys.executable, "-P", "-m", "sambench.suites.throughput.worker")


def run_job(job: Job, stem: Path) -> dict[str, Any]:
    """Run a job and return its result; a process that died has the reason of its death.

    Args:
        job: what to do.
        stem: path of the result's files without their endings.

    Raises:
        SambenchError: nothing can be written there.
    """
    file = stem.with_name(f"{stem.name}.json")
    try:
        stem.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
    except OSError as error:
        raise SambenchError(
            f"{stem.parent}: cannot be written to ({error.strerror}). Choose another."
        ) from None
    done = subprocess.run(
        [*COMMAND, str(stem)],
        input=json.dumps(job.to_json()),
        capture_output=True,
        text=True,
        check=False,
    )
    found = read_result(stem)
    if found is None:
        return {"status": "failed", "kind": "died", "reason": death(done.returncode, done.stderr)}
    if found["status"] == "failed" and "Traceback" in done.stderr:
        print(done.stderr, file=sys.stderr)  # a bug: its author wants to see where
    return found


def read_result(stem: Path) -> dict[str, Any] | None:
    """Return what a process left, or ``None``.

    Raises:
        SambenchError: the file is damaged.
    """
    file = stem.with_name(f"{stem.name}.json")
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise SambenchError(f"{file}: damaged ({error}). Remove it and run again.") from None
    return content


def death(code: int, stderr: str) -> str:
    """Say in one line how a process ended that left no result."""
    last = (stderr.strip().splitlines() or ["nothing was said"])[-1][:300]
    if code == -signal.SIGKILL:
        return "out of memory? The process was killed (signal 9), as the system does when memory runs out."
    if code < 0:
        return f"the process died of {signal.Signals(-code).name}: {last}"
    return f"the process ended with code {code}: {last}"


def ask_device(device: str) -> dict[str, Any]:
    """Ask for a GPU's name and identity in a process of its own, for asking takes memory on the GPU.

    Raises:
        SambenchError: the device does not answer.
    """
    with tempfile.TemporaryDirectory() as folder:
        found = run_job(Job(kind="device", model=ModelSpec("", device=device)), Path(folder) / "device")
    if found["status"] != "done":
        raise SambenchError(f"device {device}: {found['reason']}")
    return found
