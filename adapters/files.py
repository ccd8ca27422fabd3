"""Files: written whole or not at all, by one command at a time; and read as they were planned with."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from sambench.evsam.errors import SambenchError

DAY = 24 * 3600.0
"""Seconds without a change after which nobody is at work any more on what is temporary."""
SILENCE = 1.0
"""Seconds that a command waits for another without a word."""
PATIENCE = 60.0
"""Seconds that it waits after that; what is done under a lock takes less than one, or hours."""

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{16}\.tmp")


@contextlib.contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """Open a file that gets its name, and all its content, when the block has ended well.

    Its folder is made where it is missing.

    Raises:
        SambenchError: the disk is full, or the folder cannot be written to; nothing is left behind.
    """
    temporary = _temporary(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise SambenchError(
            f"{path}: cannot be written ({error.strerror or error}). Free some space, or "
            "choose a folder that can be written to. What was finished is kept: run the same command again."
        ) from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()  # there no more where all went well


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file whole or not at all (see `writing`)."""
    with writing(path) as file:
        file.write(content)


@contextlib.contextmanager
def scratch(path: Path) -> Iterator[Path]:
    """Make an empty folder beside a path, to build in it what is then moved there; what is left of it goes.

    Raises:
        SambenchError: nothing can be written there.
    """
    folder = _temporary(path)
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise SambenchError(
            f"{path.parent}: cannot be written to ({error.strerror or error}). Choose another folder."
        ) from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _temporary(path: Path) -> Path:
    """Name something by chance: processes of two containers that share a folder have equal ids."""
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")


def remove_leftovers(folder: Path) -> None:
    """Remove what `writing` and `scratch` left in a folder when a process was killed, after a `DAY`.

    It is that long because a file server may set the times; a writer whose file goes too early fails, and
    harms nothing.
    """
    with contextlib.suppress(OSError):  # no such folder, or another command is removing them
        for left in folder.iterdir():
            if not _TEMPORARY.fullmatch(left.name) or time.time() - left.stat().st_mtime < DAY:
                continue
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink()


@contextlib.contextmanager
def locked(path: Path, remedy: str = "Choose a folder that can be written to.") -> Iterator[None]:
    """Keep other commands from changing a file or a folder while the block lasts.

    The lock is the operating system's, on ``.NAME.lock`` beside it, which stays there, empty. The end of a
    process releases it, a crash too. On a file system without locks, filelock takes the existence of that
    file for the lock and warns; after a crash it is then to be removed by hand.

    Args:
        path: of what is to be changed; its folder is made where it is missing.
        remedy: what to say where nothing can be written there.

    Raises:
        SambenchError: another command has not released it in `PATIENCE` seconds, or the folder cannot be
            written to.
    """
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=SILENCE)
        except Timeout:
            print(f"{path}: another command is writing it; waiting", file=sys.stderr)
            lock.acquire(timeout=PATIENCE)
    except Timeout:
        raise SambenchError(
            f"{path}: another command has been writing it for {PATIENCE:.0f} seconds. Wait for its end, and "
            f"run the same command again; where none is running, remove {lock.lock_file}."
        ) from None
    except (OSError, NotImplementedError) as error:
        raise SambenchError(
            f"{path}: cannot be written under a lock ({getattr(error, 'strerror', None) or error}). {remedy}"
        ) from None
    try:
        yield
    finally:
        lock.release()


def refuse_changed(path: Path, found: str, planned: str | None) -> None:
    """See that what is read is what a run was planned with.

    Args:
        path: the file or folder, for the message.
        found: SHA-256 of what was read.
        planned: SHA-256 of what was planned with; ``None`` where there was no plan.

    Raises:
        SambenchError: it is not.
    """
    if planned not in (None, found):
        raise SambenchError(f"{path}: changed since this run was planned; run the same command again.")
