"""A disk that fails at any of a run's writes, for a moment or for good: nothing lost, the bytes the same."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from command import Done, assert_nothing_half_written, call, cells_of, flags, shards_of, times
from tiny_coco import TinyCoco, make_tiny

STEPS = ("fsync", "replace", "open")
"""What writing a file is made of (`adapters.files.writing`): its content reaches the disk, it gets its name;
or it cannot be begun."""
WHAT = ("box", "gt_box")
EVERY = 1 if "SAMBENCH_FAULTS" in os.environ else 4
"""Each so manieth of them is tried; `make faults` tries all."""


class Disk:
    """Counts the steps of one kind under a folder, and fails from one of them on.

    Args:
        step: the kind.
        first: the first that fails, from 1.
        last: the last that does.
    """

    def __init__(self, step: str, folder: Path, first: int = 0, last: int = 0) -> None:
        self.step, self.folder, self.first, self.last = step, folder, first, last
        self.count = 0

    def patched(self, patch: pytest.MonkeyPatch) -> Disk:
        """Let the process have it for its disk."""
        if self.step == "fsync":
            patch.setattr(os, "fsync", self._of(os.fsync, lambda fd: os.readlink(f"/proc/self/fd/{fd}")))
        else:
            patch.setattr(Path, self.step, self._of(getattr(Path, self.step), str))
        return self

    def _of(self, does: Callable[..., Any], path: Callable[[Any], str]) -> Callable[..., Any]:
        def do(thing: Any, *more: Any, **named: Any) -> Any:
            writes = self.step != "open" or "x" in (more or ("r",))[0]
            if writes and path(thing).startswith(str(self.folder)):
                self.count += 1
                if self.first <= self.count <= self.last:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return does(thing, *more, **named)

        return do


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyCoco]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sambench.harness.plan.SHARD_IMAGES", 2)
        patch.setattr("sambench.harness.cli.run.write_report", lambda out, results: _checked(results))
        yield make_tiny(tmp_path_factory.mktemp("world"), 4)


def _checked(results: Any) -> dict[str, Path]:
    """What a report does first; the rest would take longer than all else."""
    if results.error is not None:
        raise results.error
    return {}


@pytest.fixture(scope="module")
def whole(world: TinyCoco, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "out"
    assert call(*flags(world, out, *WHAT)).code == 0
    return out


def results(out: Path) -> list[dict[str, Any]]:
    cells = cells_of(out)
    for cell in cells:
        del cell["timing"], cell["provenance"]
    return cells


def run_on(disk: Disk, command: list[str]) -> Done:
    with pytest.MonkeyPatch.context() as patch:
        disk.patched(patch)
        return call(*command)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="files are told by /proc")
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("for_good", [False, True])
def test_every_write_may_fail(
    world: TinyCoco, whole: Path, tmp_path: Path, step: str, for_good: bool
) -> None:
    out = tmp_path / "out"
    command = flags(world, out, *WHAT)
    counted = Disk(step, out)
    assert run_on(counted, command).code == 0
    assert counted.count > 6  # 2 shards, what belongs to them, and results.json
    ended = set()
    for n in range(1, counted.count + 1, EVERY):
        shutil.rmtree(out)
        failing = Disk(step, out, n, counted.count + 99 if for_good else n)
        done = run_on(failing, command)
        assert failing.count >= n
        ended.add(done.code)
        assert "Traceback" not in done.err, (n, done.err)
        if done.code:
            said = done.out + done.err  # why a cell has no number stands in its table
            assert str(out) in said, (n, done)
            assert "No space left on device" in said, (n, done)
        elif not for_good:  # a results.json that the next one makes up for
            assert results(out) == results(whole), n
        if out.exists():
            assert_nothing_half_written(out)
        kept = times(out)
        again = call(*command)
        assert again.code == 0, (n, again.err)
        assert kept.items() <= times(out).items(), n
        assert shards_of(out) == shards_of(whole), n
        assert results(out) == results(whole), n
    assert ended <= ({1, 2} if for_good else {0, 1, 2})
