"""The command ``sambench`` as a user calls it: within this process, or in one of its own."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow.parquet as pq
from tiny_coco import TinyCoco

from sambench.harness.cli import app, console

ROOT = Path(__file__).resolve().parents[2]
WIDTH = 200
"""Of the terminal that `call` shows."""
PATIENCE = 120.0  # seconds for something to happen in another process

# Ctrl-C must work also where the tests run in the background of a shell, which ignores it there.
START = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from sambench.harness.cli import main; main()"
)
SHARD = "from sambench.harness import plan; plan.SHARD_IMAGES = {}; "


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str


class Screen(io.StringIO):
    """A terminal; ``Console(file=Screen(), color_system=None)`` shows what one would, without colours."""

    def isatty(self) -> bool:
        return True


def call(*arguments: object) -> Done:
    """Run the command in this process, as its entry point does, up to the exit code."""
    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    with (
        mock.patch.object(sys, "argv", ["sambench", *map(str, arguments)]),
        mock.patch.object(console.out, "_width", WIDTH),
        mock.patch.object(console.err, "_width", WIDTH),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            app.main()
        except SystemExit as stop:
            code = stop.code or 0
    assert isinstance(code, int)
    return Done(code, out.getvalue(), err.getvalue())


def started(*arguments: object, shard: int | None = None, **options: Any) -> subprocess.Popen[str]:
    """Start the command in a process of its own, if asked with so many images a shard."""
    environment = os.environ | {"COLUMNS": "200", "NO_COLOR": "1"} | options.pop("env", {})
    return subprocess.Popen(
        [sys.executable, "-c", (SHARD.format(shard) if shard else "") + START, *map(str, arguments)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def ended(process: subprocess.Popen[str]) -> Done:
    """Wait for a process that was started."""
    out, err = process.communicate(timeout=PATIENCE)
    return Done(process.returncode, out, err)


def stopped_when(
    condition: Callable[[], object], signal_number: signal.Signals, *arguments: object, shard: int
) -> Done:
    """Start the command, and send it a signal as soon as a condition holds."""
    process = started(*arguments, shard=shard)
    deadline = time.monotonic() + PATIENCE
    try:
        while not condition():
            assert process.poll() is None, f"ended too early: {ended(process)}"
            assert time.monotonic() < deadline, "nothing happened"
            time.sleep(0.005)
        process.send_signal(signal_number)
        return ended(process)
    finally:
        process.kill()


def cells_of(out: Path) -> list[dict[str, Any]]:
    """The cells of a run's results.json."""
    content = json.loads((out / "results.json").read_text())
    assert content["schema"] == 1
    return list(content["cells"])


def cell_of(out: Path, **wanted: object) -> dict[str, Any]:
    """The one cell of a run with these values."""
    found = [c for c in cells_of(out) if all(c[key] == value for key, value in wanted.items())]
    assert len(found) == 1, f"{len(found)} cells of {wanted}"
    return found[0]


def shards_of(out: Path) -> dict[str, bytes]:
    """Every shard of a run, by its path within the run's folder."""
    files = sorted((out / "records").rglob("*.parquet"))
    return {file.relative_to(out).as_posix(): file.read_bytes() for file in files}


def rows_of(out: Path, cell: dict[str, Any]) -> list[dict[str, Any]]:
    """The records of a cell, in order."""
    shards = sorted((out / cell["records"]).glob("*.parquet"))
    return [row for shard in shards for row in pq.read_table(shard).to_pylist()]


def assert_nothing_half_written(out: Path) -> None:
    """Whatever is in a run's folder is whole, but for locks; nothing at all will do."""
    files = [file for file in out.rglob("*") if file.is_file() and file.suffix != ".lock"]
    known = (".parquet", ".npz", ".json", ".html", ".md", ".tex", ".csv", ".pdf", ".svg", ".png")
    unknown = [f for f in files if f.suffix not in known or f.name[0] == "."]
    assert unknown == []
    for file in files:
        if file.suffix == ".parquet":
            pq.read_table(file)
        elif file.suffix == ".json":
            json.loads(file.read_text())


def times(out: Path) -> dict[str, int]:
    """When each shard of a run was written."""
    return {str(file): file.stat().st_mtime_ns for file in (out / "records").rglob("*.parquet")}


def metrics(out: Path) -> dict[tuple[str, str], Any]:
    """Metrics, intervals and counts by model and suite."""
    return {(c["model"], c["suite"]): (c["metrics"], c["intervals"], c["counts"]) for c in cells_of(out)}


def flags(tiny: TinyCoco, out: Path, models: str = "box,ellipse", suites: str = "gt_box,click") -> list[str]:
    """The command that runs these models and suites on a tiny data set."""
    return ["run", "--models", models, "--suites", suites, *tiny.flags, "--out", str(out)]
