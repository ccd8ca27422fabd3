"""What was found out about files, remembered by their path, size, inode and times.

A command on data that were seen before so opens none of them; a file that was written anew is another one.
Two commands may remember at once, and without a place to write to nothing is remembered.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from sambench.adapters.engines.cache import cache_folder

SETTLED = 2.0
"""Seconds that a file must be old to be remembered: one written again at once may keep size and time."""

Facts = tuple[int, int, int, int]
"""Of a file: size, inode, time of its content and of its inode, in ns."""


class Remembered:
    """One thing that is known of each file, as text.

    Args:
        what: names it: a table of the database in the cache.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._facts: dict[Path, Facts | None] = {}

    def recall(self, files: Iterable[Path]) -> dict[Path, str]:
        """Return what is known of files that are as they were."""
        self._facts |= {file: _facts(file) for file in files}
        found = {}
        with self._table() as table, contextlib.suppress(sqlite3.Error):
            for file, its in self._facts.items() if table else ():
                asked = f"SELECT * FROM {self._what} WHERE path = ?"
                row = table.execute(asked, (_name(file),)).fetchone() if table else None
                if row is not None and row[1:5] == its:
                    found[file] = row[5]
        return found

    def remember(self, found: Mapping[Path, str]) -> None:
        """Remember what was found of files since they were recalled; nothing of one that has changed."""
        now = time.time_ns()
        rows = [
            (_name(file), *facts, text)
            for file, text in found.items()
            if (facts := self._facts.get(file)) is not None
            and now - max(facts[2:]) > SETTLED * 1e9
            and _facts(file) == facts
        ]
        with self._table() as table, contextlib.suppress(sqlite3.Error):
            if table and rows:
                with table:
                    table.executemany(f"INSERT OR REPLACE INTO {self._what} VALUES (?, ?, ?, ?, ?, ?)", rows)

    @contextlib.contextmanager
    def _table(self) -> Iterator[sqlite3.Connection | None]:
        database = None
        with contextlib.suppress(OSError, sqlite3.Error):
            cache_folder().mkdir(parents=True, exist_ok=True)
            database = sqlite3.connect(cache_folder() / "images.sqlite", timeout=10)
            database.execute(
                f"CREATE TABLE IF NOT EXISTS {self._what}"
                " (path TEXT PRIMARY KEY, size INT, inode INT, mtime INT, ctime INT, found TEXT)"
            )
        try:
            yield database
        finally:
            if database is not None:
                database.close()


def _facts(file: Path) -> Facts | None:
    try:
        about = file.stat()
    except (OSError, ValueError):  # a name that no system takes
        return None
    return about.st_size, about.st_ino, about.st_mtime_ns, about.st_ctime_ns


def _name(file: Path) -> str:
    return os.path.abspath(file)
