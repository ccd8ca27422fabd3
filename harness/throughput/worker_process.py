"""Running one throughput job in a process of its own, whatever becomes of it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sambench.adapters.children import ending
from sambench.adapters.files import write_atomic
from sambench.adapters.spec import ModelSpec
from sambench.evsam.errors import SambenchError
from sambench.harness.secrets import without_secrets
from sambench.harness.times import in_words
from sambench.suites.throughput.job import Job

COMMAND = (sys.executable, "-P", "-m", "sambench.suites.throughput.worker")


START_S = 1800.0
"""Seconds that reading the data and creating, compiling or building a model may take: TensorRT needs minutes
for SAM-ViT-H."""

IMAGE_S = 60.0
"""Seconds that an image may take: SAM-ViT-H on one core, in a precision that the processor only emulates."""


def patience(job: Job) -> float:
    """Return after how many seconds a process that does a job is taken to hang.

    Generous, for stopping one that works is worse than waiting for one that hangs. Of each mode it is the
    warm-up and the least time and batches, all twice where they are audited; of a comparison its images, by
    the model and by the reference.
    """
    rule = job.rule
    if job.kind == "gate":
        return START_S + 2 * max(rule.gate_images, job.batch) * IMAGE_S
    least = rule.warmup_limit_s + rule.min_seconds + rule.min_batches * job.batch * IMAGE_S
    return START_S + len(job.modes) * (1 + job.audit) * least


def run_job(job: Job, stem: Path, timeout: float | None = None) -> dict[str, Any]:
    """Run a job and return its result; a process that died or was stopped has the reason of its death.

    Args:
        job: what to do.
        stem: path of the result's files without their endings.
        timeout: seconds that it may take, after which it is killed with all that it started; ``None`` for
            `patience`.

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
    limit = patience(job) if timeout is None else timeout
    try:
        code, stderr = _run([*COMMAND, str(stem)], json.dumps(job.to_json()), limit)
    except subprocess.TimeoutExpired:
        code, stderr = None, ""
    found = read_result(stem)
    if found is None:
        reason = late(limit) if code is None else death(code, stderr)
        return {"status": "failed", "kind": "died", "reason": reason}
    if (clean := without_secrets(found)) != found:  # an exception says what it was called with
        write_atomic(file, (json.dumps(clean, indent=1) + "\n").encode())
    if found["status"] == "failed" and "Traceback" in stderr:
        print(stderr, file=sys.stderr)  # a bug: its author wants to see where
    return dict(clean)


def _run(command: Sequence[str], given: str, limit: float) -> tuple[int, str]:
    """Run a command in a process group of its own; return its exit code and what it said on stderr.

    Raises:
        subprocess.TimeoutExpired: it took longer.
    """
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command, stdin=pipe, stdout=subprocess.DEVNULL, stderr=pipe, text=True, process_group=0
    )
    try:
        _, stderr = process.communicate(given, limit)
    except BaseException:  # an interruption too: Ctrl-C reaches the terminal's own group alone
        _kill(process)
        raise
    return process.returncode, stderr


def _kill(process: subprocess.Popen[str]) -> None:
    """Kill a process and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


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


def late(limit: float) -> str:
    """Say in one line that a process was stopped."""
    return (
        f"timeout: its process was stopped after {in_words(limit)}. It hangs, or takes that long: "
        "give it more with --timeout SECONDS."
    )


def death(code: int, stderr: str) -> str:
    """Say in one line how a process ended that left no result."""
    last = (stderr.strip().splitlines() or ["nothing was said"])[-1][:300]
    if code == -signal.SIGKILL:
        return "out of memory? The process was killed (signal 9), as the system does when memory runs out."
    return f"the process {ending(code)}: {last}"


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
