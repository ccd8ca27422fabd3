"""JSON as the field's tools write it, brought to plain UTF-8: packed, in other encodings, in lines, with NaN.

Annotations and detections are read through here. What was changed is said, as findings of `checks.problems`.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from sambench.evsam.errors import SambenchError
from sambench.suites.data.checks.problems import Finding

GZIP = b"\x1f\x8b"
MOST_UNPACKED = 1 << 30
"""Bytes that any packed file may come to. Beyond it, `MOST_RATIO` tells a large file from a bomb."""
MOST_RATIO = 100
"""COCO's and LVIS's annotations come to 4 to 6 times their packed size."""

FALLBACK = "cp1252"
"""What text that is no UTF-8 was most often written in: Windows' encoding of western Europe."""

NUMBER = re.compile(rb'"(?:[^"\\]|\\.)*"|-?\b(?:Infinity|NaN)\b')
"""A string, or one of the three numbers that Python's ``json`` writes and JSON has not."""
AROUND = 20
"""Bytes either side of what is wrong that a message quotes."""


@dataclass(frozen=True)
class Content:
    """A file's JSON."""

    path: Path
    sha256: str
    """Of the file's own bytes."""
    documents: tuple[bytes, ...]
    """Valid JSON in UTF-8: one document, or one a line. In place of NaN and infinity stand strings of the
    same letters, so that whoever reads the field can name it."""
    findings: tuple[Finding, ...] = field(default=())
    """What was changed."""


def read_content(path: Path, missing: str, what: str) -> Content:
    """Read a file's JSON.

    Args:
        path: of the file; packed by gzip whatever its name is.
        missing: what to say where it is not there.
        what: the file is, in messages, such as "annotation file".

    Raises:
        SambenchError: it is missing, cannot be read, or is no JSON even so.
    """
    raw = read_bytes(path, missing)
    findings: list[Finding] = []
    content = raw
    if raw.startswith(GZIP):
        content = _unpacked(raw, path)
        findings.append(("packed", f"{path.name}: {len(raw):,} bytes are {len(content):,} unpacked"))
    content = _as_utf8(content, path, findings)
    if not content.strip():
        raise SambenchError(f"{path}: is empty, no {what}. Copy or export it again.")
    documents = _documents(content, path, findings, what)
    return Content(path, hashlib.sha256(raw).hexdigest(), documents, tuple(findings))


def read_bytes(path: Path, missing: str) -> bytes:
    """Read a file.

    Raises:
        SambenchError: it is missing, which is said in the caller's words, or cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise SambenchError(f"{path}: {missing}") from None
    except OSError as error:
        raise SambenchError(f"{path}: cannot be read ({error.strerror}).") from None


def _unpacked(raw: bytes, path: Path) -> bytes:
    most = max(MOST_UNPACKED, MOST_RATIO * len(raw))
    job, parts, left = zlib.decompressobj(wbits=31), [], raw
    try:
        while left:  # a gzip file may be several, one behind the other
            parts.append(job.decompress(left, most + 1))
            if sum(map(len, parts)) > most:
                raise SambenchError(
                    f"{path}: comes to more than {most:,} bytes unpacked, {MOST_RATIO} times its size. "
                    "Unpack it yourself if it is meant so."
                )
            if not job.eof:
                raise SambenchError(f"{path}: packed by gzip, and cut off. Copy the file again.")
            left = job.unused_data.lstrip(b"\0")
            job = zlib.decompressobj(wbits=31)
    except zlib.error as error:
        raise SambenchError(f"{path}: packed by gzip, and damaged ({error}). Copy the file again.") from None
    return b"".join(parts)


def _as_utf8(content: bytes, path: Path, findings: list[Finding]) -> bytes:
    if content.isascii() and b"\0" not in content[:4]:
        return content
    encoding: str = json.detect_encoding(content)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        encoding = FALLBACK
        text = content.decode(encoding, errors="replace")
    if encoding == "utf-8":
        return content
    findings.append(("encoding", f"{path.name}: written in {encoding}"))
    return text.removeprefix("\ufeff").encode()


def _documents(content: bytes, path: Path, findings: list[Finding], what: str) -> tuple[bytes, ...]:
    wrong = _wrong(content)
    if wrong is None:
        return (content,)
    marked = NUMBER.sub(lambda m: m[0] if m[0][:1] == b'"' else b'"' + m[0] + b'"', content)
    if marked != content and (wrong := _wrong(marked)) is None:
        return (marked,)
    lines = [line for line in marked.splitlines() if line.strip()]
    if len(lines) > 1 and all(_wrong(line) is None for line in lines):
        findings.append(("lines", f"{path.name}: {len(lines):,} lines, each JSON of its own"))
        return tuple(lines)
    if len(lines) > 1 and all(_wrong(line) is None for line in lines[:-1]):
        raise SambenchError(f"{path}: its last line is cut off. Copy or export it again.")
    raise SambenchError(f"{path}: {_explain(marked, wrong or '', what)}")


def _wrong(content: bytes) -> str | None:
    """Say what keeps bytes from being JSON, if anything does."""
    try:
        msgspec.json.decode(content, type=msgspec.Raw)
    except (msgspec.MsgspecError, RecursionError) as error:
        return str(error)
    return None


def _explain(content: bytes, wrong: str, what: str) -> str:
    if "recursion" in wrong:
        return f"no {what} but lists within lists, thousands deep."
    if "truncated" in wrong:
        return (
            f"JSON that ends in its middle, after {len(content):,} bytes: cut off. Copy or export it again."
        )
    place = re.search(r"byte (\d+)", wrong)
    if place is None:
        return f"not valid JSON ({wrong}). Copy or export it again."
    at = int(place[1])
    near = content[max(0, at - AROUND) : at + AROUND].decode(errors="replace")
    line, column = content.count(b"\n", 0, at) + 1, at - content.rfind(b"\n", 0, at)
    reason = wrong.partition(": ")[2].partition(" (byte")[0] or wrong
    return (
        f"not valid JSON: {reason} in line {line}, column {column}, near {near!r}. Is it the right file? "
        "Copy or export it again."
    )
