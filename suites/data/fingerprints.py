"""Digests over images: what tells whether two runs saw the same."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from sambench.adapters.weights.resolve import sha256_of
from sambench.suites.data.coco import Entry
from sambench.suites.data.prefetch import prefetch


def images_sha256(entries: Sequence[Entry]) -> str:
    """SHA-256 over ids, names and contents of image files, in their order; files are read in threads."""
    digest = hashlib.sha256()
    contents = prefetch(sha256_of, (entry.file for entry in entries))
    for entry, content in zip(entries, contents, strict=True):
        digest.update(f"{entry.record.id} {entry.file.name} {content}\n".encode())
    return digest.hexdigest()
