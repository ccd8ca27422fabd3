"""Interrupted anywhere, the same command goes on; a full disk is said and leaves nothing half written."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from command import (
    ROOT,
    Done,
    assert_nothing_half_written,
    call,
    cells_of,
    ended,
    shards_of,
    started,
    stopped_when,
)
from tiny_coco import TinyCoco

from sambench.adapters.base import Segmenter
from sambench.adapters.registry import create

GRABCUT = ["run", "--models", "grabcut", "--suites", "gt_box"]  # slow enough to be caught in the act
SHARDS, SHARD = 4, 2  # of the 8 images

FULL_DISK = """
mount -t tmpfs -o size=48k tmpfs "$DISK" || exit 99
"$@"
code=$?
cp -a "$DISK"/. "$COPY"
exit $code
"""
TINY_FILES = """
import resource, sys
from sambench.harness.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
main()
"""


@pytest.fixture(scope="module")
def unbroken(shapes: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing interrupted, in a process like those that are interrupted."""
    out = tmp_path_factory.mktemp("unbroken") / "out"
    done = ended(started(*GRABCUT, *shapes, "--out", out, shard=SHARD))
    assert done.code == 0, done.err
    return out


def one_shard(out: Path) -> bool:
    return any(out.glob("records/*/*.parquet"))


def results(out: Path) -> list[tuple[object, ...]]:
    keys = (
        "model",
        "suite",
        "status",
        "metrics",
        "intervals",
        "counts",
        "n_images",
        "n_instances",
        "records",
    )
    return [tuple(cell[key] for key in keys) for cell in cells_of(out)]


@pytest.mark.slow
def test_killed_in_the_middle_and_run_again_is_the_same_to_the_byte(
    shapes: list[str], unbroken: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = [*GRABCUT, *shapes, "--out", out]
    killed = stopped_when(lambda: one_shard(out), signal.SIGKILL, *command, shard=SHARD)
    assert killed.code == -signal.SIGKILL
    kept = shards_of(out)
    assert 1 <= len(kept) < SHARDS
    assert {cell["status"] for cell in cells_of(out)} == {"unfinished"}
    times = {name: (out / name).stat().st_mtime_ns for name in kept}

    again = ended(started(*command, shard=SHARD))
    assert again.code == 0, again.err
    assert f"{SHARD * len(kept)}/8 images" in again.err  # it says where it goes on
    assert {name: (out / name).stat().st_mtime_ns for name in kept} == times
    assert shards_of(out) == shards_of(unbroken)
    assert len(shards_of(out)) == SHARDS
    assert results(out) == results(unbroken)


@pytest.mark.slow
def test_ctrl_c_exits_130_with_a_hint_and_keeps_what_is_done(shapes: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [*GRABCUT, *shapes, "--out", out]
    stopped = stopped_when(lambda: one_shard(out), signal.SIGINT, *command, shard=SHARD)
    assert stopped.code == 130
    assert 1 <= len(shards_of(out)) < SHARDS
    assert_nothing_half_written(out)
    assert "Traceback" not in stopped.err
    assert "Go on with: sambench run --models grabcut --suites gt_box --dataset shapes" in stopped.err


def test_ctrl_c_between_models_keeps_the_first_and_says_what_is_unfinished(
    tiny: TinyCoco, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def create_or_stop(name: str, **options: Any) -> Segmenter:
        if name == "ellipse":
            raise KeyboardInterrupt
        return create(name, **options)

    monkeypatch.setattr("sambench.adapters.spec.create", create_or_stop)
    command = ["run", "--models", "box,ellipse", "--suites", "gt_box", *tiny.flags, "--out", tmp_path / "out"]
    assert call(*command).code == 130
    assert [(c["model"], c["status"]) for c in cells_of(tmp_path / "out")] == [
        ("box", "done"),
        ("ellipse", "unfinished"),
    ]
    monkeypatch.undo()
    assert call(*command).code == 0
    assert {c["status"] for c in cells_of(tmp_path / "out")} == {"done"}


def test_a_temporary_file_of_a_killed_run_is_not_taken_for_a_shard(tiny: TinyCoco, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ["run", "--models", "box", "--suites", "gt_box", *tiny.flags, "--out", out]
    call(*command)
    (shard,) = out.rglob("*.parquet")
    whole = shard.read_bytes()
    shard.unlink()
    shard.with_name(f".{shard.name}.1.tmp").write_bytes(whole[:50])
    assert call(*command).code == 0
    assert shard.read_bytes() == whole


def test_a_disk_that_fills_up_stops_the_run_which_goes_on_when_there_is_space(
    tiny: TinyCoco, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    command = ["run", "--models", "box", "--suites", "gt_box,click", *tiny.flags, "--out", out]
    monkeypatch.setattr("sambench.harness.plan.SHARD_IMAGES", 1)
    assert call(*command[:-1], tmp_path / "unbroken").code == 0
    sync, synced = os.fsync, []

    def full_after_five(file: int) -> None:
        synced.append(file)
        if len(synced) > 5:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(file)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full_after_five)
        done = call(*command)
    _assert_says_full(done, out, "No space left on device")
    kept = shards_of(out)
    assert 0 < len(kept) < len(shards_of(tmp_path / "unbroken"))
    assert call(*command).code == 0
    assert shards_of(out) == shards_of(tmp_path / "unbroken")
    assert shards_of(out).items() > kept.items()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="tmpfs and mount namespaces are Linux's")
def test_a_really_full_disk_leaves_nothing_half_written(many: list[str], tmp_path: Path) -> None:
    disk, copy = tmp_path / "disk", tmp_path / "copy"
    disk.mkdir()
    copy.mkdir()
    try:
        probe = subprocess.run(
            ["unshare", "-m", "mount", "-t", "tmpfs", "-o", "size=48k", "tmpfs", str(disk)],
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        pytest.skip("no unshare or mount here")
    if probe.returncode:
        pytest.skip(f"may not mount: {probe.stderr.decode().strip()}")
    command = [
        sys.executable,
        "-m",
        "sambench.harness",
        "run",
        "--models",
        "box",
        "--suites",
        "gt_box",
        *many,
    ]
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", FULL_DISK, "sh", *command, "--out", str(disk / "out")],
        cwd=ROOT,
        env=os.environ | {"DISK": str(disk), "COPY": str(copy), "NO_COLOR": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 99, done.stderr
    shown = Done(done.returncode, done.stdout, done.stderr)
    _assert_says_full(shown, copy / "out", "No space left on device", named=disk / "out")
    assert 0 < len(shards_of(copy / "out")) < 4  # of 64 images


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are Unix's")
def test_a_file_that_may_not_grow_leaves_nothing_half_written(shapes: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ["run", "--models", "box", "--suites", "gt_box", *shapes, "--out", str(out)]
    done = subprocess.run(
        [sys.executable, "-c", TINY_FILES, *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    _assert_says_full(Done(done.returncode, done.stdout, done.stderr), out, "File too large")
    assert shards_of(out) == {}


def _assert_says_full(done: Done, out: Path, reason: str, named: Path | None = None) -> None:
    assert done.code == 2, done.err
    assert str(named or out) in done.err
    assert reason in done.err
    assert "run the same command again" in done.err
    assert "Traceback" not in done.err
    assert_nothing_half_written(out)
