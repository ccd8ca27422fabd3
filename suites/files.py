"""Files: YAML read as keys and values, paths expanded, content written whole, and by one command at a time."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import yaml
from filelock import FileLock, Timeout

from sambench.evsam.errors import SambenchError

DAY = 24 * 3600.0
SILENCE = 1.0
"""Seconds that a command waits for another without a word."""
PATIENCE = 60.0
"""Seconds that it waits in all but that; what is done under a lock takes less than one, or hours."""

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{16}\.tmp")


def read_mapping(file: Path, kind: str, what: str, examples: str) -> dict[str, Any]:
    """Read a YAML file that holds keys and values; the words are for the messages.

    Raises:
        SambenchError: it is not there, not YAML, or holds something else.
    """
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SambenchError(f"{file}: no such {kind}.") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SambenchError(f"{file}: cannot be read as YAML. {error}") from None
    if not isinstance(content, dict):
        raise SambenchError(f"{file}: {what} is a mapping of keys to values, see {examples}.")
    return content


def expanded(value: Any, key: str, where: str) -> Path:
    """Return a path with ``${VAR}`` and ``~`` expanded.

    Raises:
        SambenchError: it is not a path, or a variable is not set.
    """
    if not isinstance(value, str | Path):
        raise SambenchError(f"{where}: {key} must be a path, not {value!r}.")
    path = os.path.expandvars(value)
    if unset := re.search(r"\$\{?(\w+)", path):
        raise SambenchError(
            f"{where}: {key} is {str(value)!r}, but {unset[1]} is not set in the environment."
        )
    return Path(path).expanduser()


@contextlib.contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """Open a file that gets its name, and all its content, when the block has ended well.

    Its folder is made where it is missing. Until then it is ``.NAME.<16 hex digits>.tmp`` beside it: a name by
    chance, for processes of two containers on one disk have equal ids.

    Raises:
        SambenchError: the disk is full, or the folder cannot be written to; nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
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


def remove_leftovers(folder: Path) -> None:
    """Remove what `writing` left in a folder when a process was killed.

    A day without a change says that nobody is at it. It is long because the clock may be a file server's; one that
    is removed too early fails its writer, and harms no file.
    """
    with contextlib.suppress(
        OSError
    ):  # no such folder, or another command removes them: there is a next time
        for file in folder.iterdir():
            if _TEMPORARY.fullmatch(file.name) and time.time() - file.stat().st_mtime > DAY:
                file.unlink()


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other commands from changing a file, or what has a folder's name, while the block lasts.

    The lock is the operating system's, on ``.NAME.lock`` beside it, which stays there, empty: the end of a
    process, a crash too, releases it. On a file system without locks, filelock takes the existence of that file
    instead and warns; what a crash leaves is then to be removed by hand.

    Raises:
        SambenchError: another command has not released it for `PATIENCE` seconds, or the folder cannot be written to.
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
            f"{path}: another command has been writing it for {PATIENCE:.0f} seconds. Wait for its end, and run "
            "the same command again."
        ) from None
    except OSError as error:
        raise SambenchError(
            f"{path}: cannot be locked ({error.strerror or error}). Choose a folder that can be written to."
        ) from None
    try:
        yield
    finally:
        lock.release()
