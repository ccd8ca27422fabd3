"""Files written whole, by one command at a time, whatever other commands and crashes do beside it."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sambench.adapters import files
from sambench.adapters.files import locked, remove_leftovers, write_atomic, writing
from sambench.evsam.errors import SambenchError

HOLDS = """
import sys, time
from pathlib import Path
from sambench.adapters.files import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""
CRASHES = """
import os, sys
from pathlib import Path
from sambench.adapters.files import scratch, writing
with writing(Path(sys.argv[1], "file")), scratch(Path(sys.argv[1], "folder")) as made:
    (made / "half").touch()
    os._exit(9)
"""


def test_writers_with_one_process_id_do_not_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As those of two containers that share a folder: here both have it open before either renames."""
    both, sync = threading.Barrier(2, timeout=10), os.fsync

    def sync_together(file: int) -> None:
        both.wait()
        sync(file)

    monkeypatch.setattr(os, "fsync", sync_together)
    target, contents = tmp_path / "file", [b"a" * 1000, b"b" * 3000]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda content: write_atomic(target, content), contents))
    assert target.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_is_as_open_to_others_as_any(tmp_path: Path) -> None:
    write_atomic(tmp_path / "ours", b"")
    (tmp_path / "plain").write_bytes(b"")
    ours, plain = (stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("ours", "plain"))
    assert ours == plain


def test_an_interruption_leaves_the_file_of_before_and_nothing_else(tmp_path: Path) -> None:
    write_atomic(tmp_path / "file", b"before")

    def interrupted() -> None:
        with writing(tmp_path / "file") as file:
            file.write(b"after")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (tmp_path / "file").read_bytes() == b"before"
    assert [f.name for f in tmp_path.iterdir()] == ["file"]


def test_leftovers_go_after_a_day_and_nothing_else_does(tmp_path: Path) -> None:
    old = _left_by_a_crash(tmp_path)
    young = _left_by_a_crash(tmp_path)
    assert (len(old), len(young)) == (2, 2)
    not_ours = {tmp_path / name for name in (".note.tmp", ".a.123.tmp", "x.0123456789abcdef.tmp")}
    for file in not_ours:
        file.touch()
    long_ago = time.time() - files.DAY - 60
    for path in old | not_ours:
        os.utime(path, (long_ago, long_ago))
    remove_leftovers(tmp_path)
    assert set(tmp_path.iterdir()) == young | not_ours
    remove_leftovers(tmp_path / "not there")


def _left_by_a_crash(folder: Path) -> set[Path]:
    before = set(folder.iterdir())
    done = subprocess.run([sys.executable, "-c", CRASHES, str(folder)], env=_environment(), check=False)
    assert done.returncode == 9
    return set(folder.iterdir()) - before


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}


@pytest.fixture
def held(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock on ``file``."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(tmp_path / "file")],
        env=_environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_waiting_is_said_and_ends_with_the_name_of_the_file(
    tmp_path: Path,
    held: subprocess.Popen[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(files, "SILENCE", 0.05)
    monkeypatch.setattr(files, "PATIENCE", 0.1)
    with pytest.raises(SambenchError, match="Wait for its end") as caught, locked(tmp_path / "file"):
        pytest.fail("two hold it")
    assert str(tmp_path / "file") in str(caught.value)
    assert capsys.readouterr().err == f"{tmp_path / 'file'}: another command is writing it; waiting\n"
    with locked(tmp_path / "other"):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is Unix's")
def test_a_crash_lets_go_of_the_lock(
    tmp_path: Path, held: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "SILENCE", 0.0)
    monkeypatch.setattr(files, "PATIENCE", 10.0)
    held.send_signal(signal.SIGKILL)
    held.wait()
    with locked(tmp_path / "file"):
        pass


def test_a_place_that_cannot_be_locked_is_said(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("a file")
    inside = tmp_path / "folder" / "file"
    with pytest.raises(SambenchError, match="cannot be written under a lock"), locked(inside, "Go away."):
        pytest.fail("it was locked")
