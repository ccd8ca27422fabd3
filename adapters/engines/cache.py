"""What engines build is kept, so that it is built once: graphs, and what runtimes make of them.

``$SAMBENCH_CACHE``, or ``sambench`` in the user's cache folder. An entry is a folder named by a digest of its
key, which is all that decides its content. It can be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from sambench.adapters.files import remove_leftovers, scratch

Key = Mapping[str, object]
"""All that decides an entry, in JSON's types."""

LIST = "entry.json"
"""Beside an entry's files: its key, and the size and SHA-256 of each file."""


def cache_folder() -> Path:
    """Return where entries are kept."""
    if here := os.environ.get("SAMBENCH_CACHE"):
        return Path(here).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "sambench"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser() / "sambench"


def cached(title: str, key: Key, build: Callable[[Path], None]) -> Path:
    """Return the folder of an entry, built where it is missing or damaged.

    Args:
        title: begins the folder's name, for people.
        key: decides the entry.
        build: writes the entry's files into the empty folder it is given.
    """
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    folder = cache_folder() / f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', title)}-{digest[:24]}"
    if is_whole(folder):
        return folder
    remove_leftovers(folder.parent)
    with scratch(folder) as temporary:
        build(temporary)
        _write_list(temporary, key)
        _put(temporary, folder)
    return folder


def is_whole(folder: Path) -> bool:
    """Tell whether an entry is there, with all its bytes."""
    try:
        files: dict[str, list[object]] = json.loads((folder / LIST).read_bytes())["files"]
        return all(_facts(folder / name) == facts for name, facts in files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _write_list(folder: Path, key: Key) -> None:
    files = {f.relative_to(folder).as_posix(): _facts(f) for f in folder.rglob("*") if f.is_file()}
    (folder / LIST).write_text(json.dumps({"key": key, "files": files}, indent=1), encoding="utf-8")


def _facts(file: Path) -> list[object]:
    with file.open("rb") as content:
        return [file.stat().st_size, hashlib.file_digest(content, "sha256").hexdigest()]


def _put(temporary: Path, folder: Path) -> None:
    """Move a built entry to its place. Where another process was first, its entry stays."""
    if folder.exists() and not is_whole(folder):
        with scratch(folder) as aside:
            os.replace(folder, aside)
    try:
        os.rename(temporary, folder)
    except OSError:
        if not is_whole(folder):
            raise
