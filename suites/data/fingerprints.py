"""Digests of image files: what tells whether two runs saw the same.

Each file is read once and remembered by its path, size, inode and times, so that a command on data that were
seen before reads none of them. What a model is given is hashed again as it is decoded (`suites.data.sample`).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from sambench.adapters.engines.cache import cache_folder
from sambench.adapters.weights.resolve import sha256_of
from sambench.suites.data.coco import Entry
from sambench.suites.data.prefetch import prefetch

SETTLED = 2.0
"""Seconds that a file must be old to be remembered: one written again at once may keep size and time."""

Facts = tuple[int, int, int, int]
"""Of a file: size, inode, time of its content and of its inode, in ns."""


def with_digests(entries: Sequence[Entry]) -> list[Entry]:
    """Return entries with the SHA-256 of their image files.

    Raises:
        SambenchError: a file cannot be read.
    """
    files = [entry.file for entry in entries]
    return [replace(e, sha256=d) for e, d in zip(entries, digests(files), strict=True)]


def images_sha256(entries: Sequence[Entry]) -> str:
    """SHA-256 over ids, names and contents of image files, in their order."""
    digest = hashlib.sha256()
    if any(entry.sha256 is None for entry in entries):
        entries = with_digests(entries)
    for entry in entries:
        digest.update(f"{entry.record.id} {entry.file.name} {entry.sha256}\n".encode())
    return digest.hexdigest()


def digests(files: Sequence[Path]) -> list[str]:
    """Return the files' SHA-256; those that are not remembered are read, in threads."""
    known: dict[Path, str] = {}
    facts = {file: _facts(file) for file in files}
    with _memory() as memory:
        if memory is not None:
            known = _recall(memory, facts)
        unknown = [file for file in facts if file not in known]
        found = dict(zip(unknown, prefetch(sha256_of, unknown), strict=True))
        if memory is not None:
            _remember(memory, {f: (facts[f], d) for f, d in found.items() if _facts(f) == facts[f]})
    known |= found
    return [known[file] for file in files]


def _facts(file: Path) -> Facts | None:
    try:
        about = file.stat()
    except OSError:
        return None
    return about.st_size, about.st_ino, about.st_mtime_ns, about.st_ctime_ns


@contextlib.contextmanager
def _memory() -> Iterator[sqlite3.Connection | None]:
    """Open what is remembered; without a place to write to, nothing is."""
    memory = None
    with contextlib.suppress(OSError, sqlite3.Error):
        cache_folder().mkdir(parents=True, exist_ok=True)
        memory = sqlite3.connect(cache_folder() / "images.sqlite", timeout=10)
        memory.execute(
            "CREATE TABLE IF NOT EXISTS images"
            " (path TEXT PRIMARY KEY, size INT, inode INT, mtime INT, ctime INT, sha256 TEXT)"
        )
    try:
        yield memory
    finally:
        if memory is not None:
            memory.close()


def _recall(memory: sqlite3.Connection, facts: dict[Path, Facts | None]) -> dict[Path, str]:
    found = {}
    with contextlib.suppress(sqlite3.Error):
        for file, its in facts.items():
            row = memory.execute("SELECT * FROM images WHERE path = ?", (_name(file),)).fetchone()
            if row is not None and row[1:5] == its:
                found[file] = row[5]
    return found


def _remember(memory: sqlite3.Connection, found: dict[Path, tuple[Facts | None, str]]) -> None:
    now = time.time_ns()
    rows = [
        (_name(file), *facts, digest)
        for file, (facts, digest) in found.items()
        if facts is not None and now - max(facts[2:]) > SETTLED * 1e9
    ]
    with contextlib.suppress(sqlite3.Error), memory:
        memory.executemany("INSERT OR REPLACE INTO images VALUES (?, ?, ?, ?, ?, ?)", rows)


def _name(file: Path) -> str:
    return os.path.abspath(file)
