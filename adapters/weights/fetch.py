"""Getting the files that `adapters.weights.upstream` names.

What has a file's own name is whole and checked: a download grows as ``NAME.part`` and gets its name last.
"""

from __future__ import annotations

import errno
import http.client
import os
import re
import shutil
import time
import zipfile
import zlib
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from sambench.adapters.files import locked
from sambench.adapters.weights.upstream import RemoteFile, Upstream
from sambench.adapters.weights.verify import State, examine, part_of, reason, verify
from sambench.evsam.errors import SambenchError

BLOCK = 1 << 20
"""Most bytes read at a time."""
TIMEOUT = 30.0
"""Seconds without a byte after which a connection counts as cut."""
PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds before each new attempt; counted anew whenever an attempt got further than all before it."""
TOKEN_ORIGIN = "https://huggingface.co"
"""The only place that ``$HF_TOKEN`` is sent to."""
ELSEWHERE = "Set $SAMBENCH_WEIGHTS to a folder that can be written to."

OnProgress = Callable[[RemoteFile, int, int | None], None]
"""Told of a file, of the bytes there so far, and of all its bytes where known."""


def fetch(upstream: Upstream, folder: Path, on_progress: OnProgress = lambda *_: None) -> list[Path]:
    """Get those files that are not there or not right; go on with what an earlier call began.

    One process at a time: two that add to the same part would spoil it.

    Args:
        upstream: whose files.
        folder: the weights folder; made where it is not there.
        on_progress: called after each block.

    Returns:
        The files that were got.

    Raises:
        SambenchError: one cannot be had, or is not the right one. The message says how to get it by hand.
    """
    if not _wanted(upstream, folder):
        return []  # without a lock, for which the folder must be one that can be written to
    with locked(folder / upstream.location, ELSEWHERE):
        wanted = _wanted(upstream, folder)  # less, where another process had it
        for state in wanted:
            _get(upstream, state, on_progress)
    return [state.path for state in wanted]


def _wanted(upstream: Upstream, folder: Path) -> list[State]:
    return [s for s in verify(upstream, folder) if s.status in ("missing", "wrong")]


def _get(upstream: Upstream, state: State, on_progress: OnProgress) -> None:
    try:
        part = _Part(state.path)
        _download(state.file, part, on_progress)
        _finish(state.file, part)
    except _RefusedError as error:
        by_hand = _by_hand(upstream, state.file, state.path)
        raise SambenchError(f"{state.file.name}: {error}\n{by_hand}") from None
    except OSError as error:
        full = error.errno == errno.ENOSPC
        remedy = "Make room and go on with the same call." if full else ELSEWHERE
        raise SambenchError(f"{state.path}: cannot be written ({reason(error)}). {remedy}") from None


class _RefusedError(Exception):
    """Another attempt would not help; the message says why."""


class _CutError(Exception):
    """The connection did not last; another attempt may go on where it was."""


class _NoConnectionError(_CutError):
    """There was none to begin with."""


class _Part:
    """The beginning of a file, and which version of the remote file it is the beginning of."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = part_of(target)
        self._version = target.with_name(target.name + ".part.version")

    @property
    def bytes(self) -> int:
        """Size so far."""
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def version(self) -> str | None:
        """The server's validator (RFC 9110: a strong ETag, or a date), for ``If-Range``."""
        return (self._version.read_text("utf-8") or None) if self._version.exists() else None

    def begin(self, version: str | None) -> None:
        """Start at byte 0 of a version."""
        self.target.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_bytes(b"")
        self._version.write_text(version or "", "utf-8")

    def discard(self) -> None:
        """Forget it."""
        self.path.unlink(missing_ok=True)
        self._version.unlink(missing_ok=True)

    def accept(self, whole: Path) -> None:
        """Give a checked file its own name."""
        whole.replace(self.target)
        self.discard()


def _download(file: RemoteFile, part: _Part, on_progress: OnProgress) -> None:
    """Fill the part, in as many attempts as it takes while they get further."""
    begun_with = furthest = part.bytes
    failures = 0
    while True:
        try:
            return _attempt(file, part, on_progress)
        except _CutError as cut:
            if part.bytes > furthest:
                furthest, failures = part.bytes, 0
            offline = isinstance(cut, _NoConnectionError) and furthest == begun_with
            if offline or failures == len(PAUSES):
                kept = f" {part.bytes:,} bytes are kept for the next call." if part.version else ""
                raise _RefusedError(f"{cut}.{kept}") from None
            time.sleep(PAUSES[failures])
            failures += 1


def _attempt(file: RemoteFile, part: _Part, on_progress: OnProgress) -> None:
    """Ask for what is missing and write what comes.

    Raises:
        _CutError: it ended early.
        _RefusedError: the server does not give it, or gives something else.
        OSError: it cannot be written.
    """
    have = part.bytes
    if have and have == file.bytes and not file.zipped:
        return
    response = _open(file, part, have)
    if response is None:
        return
    with response:
        if response.headers.get_content_type() == "text/html":
            raise _RefusedError("the server sent a web page, perhaps to log in, instead of the file.")
        start = _start(response, part)
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None
        known = None if file.zipped else file.bytes
        if known and total not in (None, known):
            raise _RefusedError(f"the server has {total:,} bytes, not {known:,}.")
        total = total or known
        if not start:
            part.begin(_version(response.headers))
        if total and shutil.disk_usage(part.path.parent).free < total - start:
            raise OSError(errno.ENOSPC, f"{total - start:,} more bytes do not fit on the disk")
        with part.path.open("ab", buffering=0) as out:
            while block := _read(response):
                _write(out, block)
                if known and part.bytes > known:
                    part.discard()
                    raise _RefusedError(f"the server sends more than its {known:,} bytes.")
                on_progress(file, part.bytes, total)
    if total and part.bytes < total:
        raise _CutError(f"the connection was cut after {part.bytes:,} of {total:,} bytes")


def _open(file: RemoteFile, part: _Part, have: int) -> Any:
    """Return the server's answer, or ``None`` where it says that nothing is missing."""
    request = Request(file.url, headers={"User-Agent": "sambench"})
    if have and part.version:
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", part.version)
    _authorise(request)
    try:
        return build_opener(_Redirects).open(request, timeout=TIMEOUT)
    except HTTPError as error:
        error.close()
        if error.code == 416 and have:
            if error.headers.get("Content-Range") == f"bytes */{have}":
                return None
            part.discard()
            raise _CutError("the server has no such bytes") from None
        if error.code >= 500 or error.code in (408, 429):
            raise _CutError(f"the server says {error.code} {error.reason}") from None
        raise _RefusedError(_refusal(error)) from None
    except URLError as error:
        raise _NoConnectionError(
            f"no connection to {urlsplit(file.url).netloc} ({reason(error.reason)})"
        ) from None
    except (OSError, http.client.HTTPException) as error:
        raise _CutError(f"the connection was cut ({reason(error)})") from None


def _start(response: Any, part: _Part) -> int:
    """Say at which byte of the file an answer starts: where the part ends, or at 0."""
    if response.status != 206:
        return 0
    span = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    version = part.version or ""
    same = response.headers.get("ETag" if version[:1] == '"' else "Last-Modified", version) == version
    if span is None or int(span[1]) != part.bytes or not same:
        part.discard()
        raise _CutError("the server sent other bytes than were asked for")
    return part.bytes


def _read(response: Any) -> bytes:
    try:
        return bytes(response.read1(BLOCK))  # what has come: a cut loses nothing of it
    except (OSError, http.client.HTTPException) as error:
        raise _CutError(f"the connection was cut ({reason(error)})") from None


def _write(out: Any, block: bytes) -> None:
    """Write all of a block: near the end of a disk, a call may write less."""
    rest = memoryview(block)
    while rest:
        rest = rest[out.write(rest) :]


def _version(headers: Message) -> str | None:
    """Return the strong ETag or else the date of what is sent, which tell two versions of a file apart."""
    etag = headers.get("ETag", "")
    return etag if etag.startswith('"') else headers.get("Last-Modified")  # W/"..." is a weak one


class _Redirects(HTTPRedirectHandler):
    """Follows redirects without taking the token along to another host."""

    def redirect_request(self, *arguments: Any) -> Request | None:
        request = super().redirect_request(*arguments)
        if request is not None:
            _authorise(request)
        return request


def _authorise(request: Request) -> None:
    token = os.environ.get("HF_TOKEN")
    if token and "{0.scheme}://{0.netloc}".format(urlsplit(request.full_url)) == TOKEN_ORIGIN:
        request.add_unredirected_header("Authorization", f"Bearer {token}")


def _refusal(error: HTTPError) -> str:
    if error.code not in (401, 403):
        return f"the server says {error.code} {error.reason}."
    token = "the account of $HF_TOKEN" if os.environ.get("HF_TOKEN") else "anybody without an $HF_TOKEN"
    whom = f" to {token}" if error.url.startswith(TOKEN_ORIGIN) else ""
    return f"the server does not give it{whom} ({error.code} {error.reason})."


def _finish(file: RemoteFile, part: _Part) -> None:
    """Check the whole file and give it its name; what is wrong is deleted."""
    whole = _unpacked(part) if file.zipped else part.path
    state = examine(file, whole, hashing=True)
    if state.problem:
        whole.unlink()
        part.discard()
        raise _RefusedError(f"what came is not the file: {state.problem}. It is deleted.")
    part.accept(whole)


def _unpacked(part: _Part) -> Path:
    """Take the file out of the zip that a part is."""
    whole = part.path.with_name(part.path.name + ".unpacked")
    try:
        with (
            zipfile.ZipFile(part.path) as archive,
            archive.open(part.target.name) as packed,
            whole.open("wb") as out,
        ):
            shutil.copyfileobj(packed, out, BLOCK)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, KeyError, EOFError) as error:
        whole.unlink(missing_ok=True)
        part.discard()
        raise _RefusedError(f"what came is not a zip with {part.target.name} in it ({error}).") from None
    return whole


def _by_hand(upstream: Upstream, file: RemoteFile, target: Path) -> str:
    """Say how to get a file without this command."""
    facts = {
        "from": file.url + (f" (a zip: take {target.name} out of it)" if file.zipped else ""),
        "to": target,
        "size": f"{file.bytes:,} bytes" if file.bytes else "not known",
        "sha256": file.sha256 or "not known",
        "page": upstream.page,
        "note": upstream.note,
    }
    lines = [f"  {what:7} {fact}" for what, fact in facts.items() if fact]
    return "\n".join(["To get it by hand:", *lines])
