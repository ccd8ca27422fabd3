"""Digests of image files: what tells whether two runs saw the same.

Each file is read once and remembered, so that a command on data that were seen before reads none of them.
What a model is given is hashed again as it is decoded (`suites.data.sample`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from sambench.adapters.weights.resolve import sha256_of
from sambench.suites.data.coco import Entry
from sambench.suites.data.prefetch import prefetch
from sambench.suites.data.remembered import Remembered


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
    memory = Remembered("images")
    known = memory.recall(files)
    unknown = [file for file in dict.fromkeys(files) if file not in known]
    found = dict(zip(unknown, prefetch(sha256_of, unknown), strict=True))
    memory.remember(found)
    known |= found
    return [known[file] for file in files]


def combined_sha256(parts: Mapping[str, str]) -> str:
    """Digest over files, such as a data set's each: name to SHA-256, in the order that they are given."""
    lines = "".join(f"{name} {sha256}\n" for name, sha256 in parts.items())
    return hashlib.sha256(lines.encode()).hexdigest()
