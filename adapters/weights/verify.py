"""Telling whether the files in the weights folder are those that `adapters.weights.upstream` names."""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sambench.adapters.weights.upstream import RemoteFile, Upstream
from sambench.evsam.errors import SambenchError


def part_of(path: Path) -> Path:
    """Return what a download of a file is called until it is whole and checked."""
    return path.with_name(path.name + ".part")


@dataclass(frozen=True)
class State:
    """What is where a file should be."""

    file: RemoteFile
    path: Path
    status: Literal["right", "unknown", "missing", "wrong"]
    """``right``: it has the known checksum, or where it was not hashed the known size; ``unknown``: it looks
    whole, and there is no checksum to compare with, or where it was not hashed no size."""
    bytes: int | None = None
    """Its size, or how much of ``NAME.part`` there is."""
    sha256: str | None = None
    """Its checksum, where it was hashed."""
    problem: str | None = None
    """What is wrong with it."""


def verify(upstream: Upstream, folder: Path, *, hashing: bool = True) -> list[State]:
    """Compare the files in a weights folder with what is known of them.

    Args:
        upstream: whose files.
        folder: the weights folder.
        hashing: whether to read all of each file; sizes and visible damage alone are instant.

    Raises:
        SambenchError: a file cannot be read.
    """
    return [examine(file, folder / file.name, hashing) for file in upstream.files]


def examine(file: RemoteFile, path: Path, hashing: bool) -> State:
    """Compare one file with what is known of it."""
    if not path.is_file():
        return State(file, path, "missing", _begun(path))
    found = path.stat().st_size
    if file.bytes not in (None, found):
        return State(file, path, "wrong", found, problem=f"it has {found:,} bytes, not {file.bytes:,}")
    digest = None
    try:
        problem = damage(path)
        if hashing and not problem:
            with path.open("rb") as content:
                digest = hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise SambenchError(f"{path}: cannot be read ({reason(error)}).") from None
    if file.sha256 and digest and digest != file.sha256:
        problem = f"its sha256 is {digest}, not {file.sha256}"
    if problem:
        return State(file, path, "wrong", found, digest, problem)
    compared = file.sha256 if hashing else file.bytes
    return State(file, path, "right" if compared else "unknown", found, digest)


def _begun(path: Path) -> int | None:
    part = part_of(path)
    return part.stat().st_size if part.exists() else None


def damage(path: Path) -> str | None:
    """Say what is visibly wrong with a checkpoint without reading it all, or return ``None``.

    Raises:
        OSError: it cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(1024)
        if not head:
            return "it is empty"
        if head.startswith(b"version https://git-lfs"):
            return "it is a pointer of git-lfs, not the file that it points to"
        if head.lstrip()[:9].lower().startswith((b"<!doctype", b"<html")):
            return "it is a web page"
        if path.name.removesuffix(".part").endswith(".safetensors"):
            return _safetensors_damage(head, file, size)
    if head.startswith(b"PK\x03\x04") and not zipfile.is_zipfile(path):  # torch.save writes a zip
        return f"it is cut off after {size:,} bytes"
    return None


def _safetensors_damage(head: bytes, file: Any, size: int) -> str | None:
    """Compare a safetensors file's size with its header: 8 bytes of length, JSON, then all tensors."""
    length = int.from_bytes(head[:8], "little")
    if len(head) < 8 or length > size - 8:
        return "it is no safetensors file, or cut off within its header"
    file.seek(8)
    try:
        tensors = json.loads(file.read(length))
        ends = [t["data_offsets"][1] for name, t in tensors.items() if name != "__metadata__"]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        return "it is no safetensors file"
    whole = 8 + length + max(ends, default=0)
    return None if size == whole else f"it has {size:,} bytes; by its header {whole:,}"


def reason(error: object) -> str:
    """Say in the system's words what went wrong."""
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).rstrip(".")
