"""Which paths are addresses of a store elsewhere, and which folder here mirrors one."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from sambench.adapters.engines.cache import cache_folder
from sambench.evsam.errors import SambenchError, did_you_mean

if TYPE_CHECKING:
    from sambench.harness.remote.mirror import Mirror

Note = Callable[[str], None]

_ADDRESS = re.compile(r"([a-z][a-z0-9+]+):/(.*)")  # a drive of Windows has one letter
_ROOTED = ("file", "local")
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")


def address(path: Path | str) -> str | None:
    """Return the address that a path was given as, such as ``s3://bucket/run``; ``None`` of a plain path.

    `Path` makes one slash of two, which is undone. What reads addresses is imported only for one.

    Raises:
        SambenchError: there are no such stores.
    """
    found = _ADDRESS.fullmatch(str(path))
    if found is None:
        return None
    import fsspec

    scheme, rest = found[1], found[2].strip("/")
    known = fsspec.available_protocols()
    if scheme not in known:
        near = did_you_mean(scheme, known)
        raise SambenchError(f"{path}: no kind of store {scheme!r}.{near} There are s3://, gs:// and others.")
    if not rest:
        raise SambenchError(f"{path}: names no place. Say {scheme}://BUCKET/PATH.")
    return f"{scheme}://{'/' if scheme in _ROOTED else ''}{rest}"


def placed(out: Path) -> tuple[Path, str | None]:
    """Return the folder that a run works in, and the address of what that mirrors, if it is such.

    The same bucket of another server is another place.

    Raises:
        SambenchError: see `address`.
    """
    url = address(out)
    if url is None:
        return out, None
    server = next((os.environ[name] for name in _ENDPOINTS if os.environ.get(name)), "")
    digest = hashlib.sha256(f"{server} {url}".encode()).hexdigest()[:16]
    return cache_folder() / "remote" / digest / PurePosixPath(url).name, url


def mirror_of(path: Path) -> Mirror | None:
    """Return what mirrors an address; ``None`` of a path of this machine.

    Raises:
        SambenchError: see `address`, or a package is missing.
    """
    folder, url = placed(path)
    if url is None:
        return None
    from sambench.harness.remote.bucket import Bucket
    from sambench.harness.remote.mirror import Mirror

    return Mirror(folder, Bucket(url))


def fetched(path: Path, note: Note) -> Path:
    """Return a path of this machine: of an address its mirror, brought up to date.

    Raises:
        SambenchError: there is nothing, or the store does not answer.
    """
    mirror = mirror_of(path)
    if mirror is None:
        return path
    mirror.pull(note)
    if not any(mirror.folder.glob("*")):
        raise SambenchError(f"{mirror.bucket}: nothing is there. Is it what a run was given as --out?")
    return mirror.folder


def open_place(folder: Path, url: str | None, note: Note, *, writes: bool) -> None:
    """Bring the mirror of a store up to date before a plan is made on it; nothing without an address.

    Args:
        folder: the mirror.
        url: the address.
        note: is told what is fetched.
        writes: whether to see that the store can be written to.

    Raises:
        SambenchError: there is no such bucket, credentials are missing or wrong, or a package is missing.
    """
    if url is None:
        return
    from sambench.harness.remote.bucket import Bucket
    from sambench.harness.remote.mirror import Mirror

    mirror = Mirror(folder, Bucket(url))
    mirror.pull(note)
    if writes:
        mirror.probe()
    note(f"{mirror.bucket}: mirrored in {folder}")


def returned(path: Path) -> None:
    """Send what was written into the mirror of an address; nothing of a path of this machine.

    Raises:
        SambenchError: the store does not answer.
    """
    if mirror := mirror_of(path):
        mirror.push_all()


def forget(path: Path, gone: Sequence[Path]) -> None:
    """Remove also in the store what was removed from its mirror.

    Raises:
        SambenchError: the store does not answer.
    """
    if mirror := mirror_of(path):
        mirror.remove([one.relative_to(mirror.folder).as_posix() for one in gone])
