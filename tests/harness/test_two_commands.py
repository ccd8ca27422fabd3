"""Two commands on one folder at once: neither loses what the other found."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command import ROOT, assert_nothing_half_written, cells_of, ended, shards_of, started
from filelock import FileLock, Timeout

from sambench.harness.results import write_results
from sambench.suites.results import CellResult, load_results

HOLDS = """
import sys, time
from pathlib import Path
from sambench.adapters.files import locked
with locked(Path(sys.argv[1]) / "results.json"):
    print("locked", flush=True)
    time.sleep(600)
"""

ADDS = """
import sys
from pathlib import Path
from sambench.harness.results import write_results
from sambench.suites.results import CellResult
out, own = Path(sys.argv[1]), sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
for i in range(15):
    protocol = {"preset": "paper"}
    write_results(out, [CellResult(f"{own}{i}", "eager", "fp32", "cpu", "gt_box", "coco", protocol)])
"""


def test_results_written_at_once_keep_each_others_cells(tmp_path: Path) -> None:
    """The file is whole whenever it is read, and what locks it stays out of the way."""
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", ADDS, str(tmp_path), own],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for own in "abc"
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"  # all is imported
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("\n")
        writer.stdin.flush()
    while any(writer.poll() is None for writer in writers):
        if (tmp_path / "results.json").exists():
            load_results(tmp_path)
    for writer in writers:
        writer.communicate()
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    names = sorted(cell.model for cell in load_results(tmp_path))
    assert names == sorted(f"{own}{i}" for own in "abc" for i in range(15))
    assert sorted(f.name for f in tmp_path.iterdir()) == [".results.json.lock", "results.json"]


def test_a_command_that_is_killed_while_it_holds_the_lock_releases_it(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "locked\n"
    waiting = FileLock(tmp_path / ".results.json.lock")
    with pytest.raises(Timeout):
        waiting.acquire(timeout=0.1)
    holder.kill()
    holder.communicate()
    cell = CellResult("box", "eager", "fp32", "cpu", "gt_box", "coco", {"preset": "paper"})
    began = time.monotonic()
    write_results(tmp_path, [cell])
    assert time.monotonic() - began < 1
    assert load_results(tmp_path) == [cell]


@pytest.mark.slow
def test_the_same_cells_and_others_computed_at_once_end_right(shapes: list[str], tmp_path: Path) -> None:
    """The same command twice, and a third that asks for another model."""
    common = ["--suites", "gt_box", *shapes, "--out"]
    alone, out = tmp_path / "alone", tmp_path / "out"
    done = ended(started("run", "--models", "box,ellipse,grabcut", *common, alone, shard=2))
    assert done.code == 0, done.err
    models = ("box,grabcut", "box,grabcut", "ellipse")
    for process in [started("run", "--models", its, *common, out, shard=2) for its in models]:
        done = ended(process)
        assert done.code == 0, done.err
    assert shards_of(out) == shards_of(alone)
    assert_nothing_half_written(out)
    found, expected = ({c["model"]: c["metrics"] for c in cells_of(o)} for o in (out, alone))
    assert found == expected
    assert {c["status"] for c in cells_of(out)} == {"done"}
