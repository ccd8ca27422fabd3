"""SA-1B's tar files, read where they lie: an index says where in them each file begins.

The index of a tar file is made once, by reading the headers in it, and kept in the user's cache folder under
the file's path, size and time of change.
"""

from __future__ import annotations

import hashlib
import io
import logging
import sys
import tarfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib.recfunctions import repack_fields

from sambench.adapters.engines.cache import cache_folder
from sambench.adapters.files import write_atomic
from sambench.evsam.errors import SambenchError
from sambench.harness.terminal import says
from sambench.harness.train.sources.pairs import NAME, Pair, Pairs

ROW = np.dtype([("id", "<i8"), ("jpg", "<u4"), ("jpg_bytes", "<u4"), ("json", "<u4"), ("json_bytes", "<u4")])
"""Of an index: an image, with the block at which each of its files begins, and its length; block 0 for a file
that is not there."""
BLOCK = tarfile.BLOCKSIZE
GZIP = b"\x1f\x8b"
THREADS = 8
"""That read headers: it is waiting for the disk or the file server that takes long."""


class Tars(Pairs):
    """Images in tar files, by rising id.

    Args:
        files: the tar files.

    Raises:
        SambenchError: one is compressed, damaged or cut off, or two have the same image.
    """

    layout = "tars"

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = list(files)
        self.sizes = [file.stat().st_size for file in files]
        indices = _indices(self.files)
        rows = np.concatenate(indices)
        tars = np.repeat(np.arange(len(indices), dtype=np.int32), [len(index) for index in indices])
        order = np.argsort(rows["id"], kind="stable")
        self.ids, self.tars = rows["id"][order], tars[order]
        self.rows = repack_fields(rows[[name for name in ROW.fields or () if name != "id"]][order])
        twice = np.flatnonzero(np.diff(self.ids) == 0)
        if len(twice):
            first, second = (self.files[self.tars[twice[0] + k]] for k in (0, 1))
            raise SambenchError(
                f"{second}: sa_{self.ids[twice[0]]} is in {first} too; {len(twice)} images are in two "
                "tar files. Move one of the two elsewhere."
            )

    def read(self, index: int) -> Pair:
        """Read two files out of their tar file."""
        row, file, number = self.rows[index], self.files[self.tars[index]], int(self.ids[index])
        names = [f"{file}: sa_{number}.{kind}" for kind in ("jpg", "json")]
        try:
            with file.open("rb") as tar:
                picture, annotations = (
                    _piece(tar, int(row[kind]), int(row[f"{kind}_bytes"]), name)
                    for kind, name in zip(("jpg", "json"), names, strict=True)
                )
        except OSError as error:
            raise SambenchError(f"{file}: cannot be read ({error.strerror or error}).") from None
        return Pair(number, picture, names[0], annotations, names[1])

    def contents(self) -> dict[str, Any]:
        """Return the SHA-256 of the tar files' names and sizes."""
        pairs = zip(self.files, self.sizes, strict=True)
        listed = "".join(f"{file.name} {size}\n" for file, size in pairs)
        return {"tars": len(self.files), "tars_sha256": hashlib.sha256(listed.encode()).hexdigest()}


def tar_files(root: Path) -> list[Path]:
    """Return the tar files in a folder, by name.

    Raises:
        SambenchError: one is compressed and not unpacked beside it, which is said before any is read.
    """
    found = sorted(file for file in root.iterdir() if file.name.endswith((".tar", ".tar.gz", ".tgz")))
    plain = [file for file in found if file.suffix == ".tar"]
    for file in found:
        unpacked = file.with_suffix(".tar" if file.suffix == ".tgz" else "")  # as gunzip names it
        if file.suffix != ".tar" and unpacked not in plain:
            raise SambenchError(f"{file}: {_compressed(f'gunzip {file}')}")
    return plain


def _compressed(command: str) -> str:
    return (
        "is compressed, so that no image can be read without all before it, and JPEGs hardly get smaller by "
        f"it. Unpack it: {command}"
    )


def _indices(files: Sequence[Path]) -> list[np.ndarray]:
    """Return the indices of tar files, and make those that are missing."""
    kept = [_kept(_place(file)) for file in files]
    missing = [i for i, index in enumerate(kept) if index is None]
    if missing and says(logging.INFO):
        print(f"{files[0].parent}: indexing {len(missing)} tar files, once", file=sys.stderr)
    with ThreadPoolExecutor(THREADS) as pool:
        made = iter(pool.map(lambda i: _make(files[i]), missing))
        return [next(made) if index is None else index for index in kept]


def _place(file: Path) -> Path:
    """Return where the index of a tar file is kept."""
    facts = file.stat()
    key = f"{file.resolve()}\n{facts.st_size}\n{facts.st_mtime_ns}\n{ROW}"
    return cache_folder() / "tars" / f"{file.stem}-{hashlib.sha256(key.encode()).hexdigest()[:24]}.npy"


def _kept(place: Path) -> np.ndarray | None:
    """Read an index; ``None`` where it is missing or damaged."""
    try:
        index = np.load(place, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return index if index.dtype == ROW else None


def _make(file: Path) -> np.ndarray:
    """Make the index of a tar file, and keep it."""
    place = _place(file)
    index = index_tar(file)
    content = io.BytesIO()
    np.save(content, index)
    write_atomic(place, content.getvalue())
    return index


def index_tar(file: Path) -> np.ndarray:
    """Find the images in a tar file: rows of `ROW` by rising id. Of equal names the last counts.

    Raises:
        SambenchError: it is compressed, damaged or cut off.
    """
    found: dict[int, dict[str, tuple[int, int]]] = {}
    try:
        with file.open("rb") as content:
            if content.read(len(GZIP)) == GZIP:
                raise SambenchError(f"{file}: {_compressed(f'mv {file} {file}.gz && gunzip {file}.gz')}")
            content.seek(0)
            with tarfile.open(fileobj=content, mode="r:") as tar:
                for member in tar:
                    match = NAME.fullmatch(Path(member.name).name)
                    if match and member.isreg() and not member.issparse():
                        files = found.setdefault(int(match[1]), {})
                        files[match[2]] = (member.offset_data // BLOCK, member.size)
                _see_end(content, tar.offset, file)
    except tarfile.TarError as error:
        raise _cut_off(file, str(error)) from None
    except OSError as error:
        raise SambenchError(f"{file}: cannot be read ({error.strerror or error}).") from None
    nothing = (0, 0)
    rows = [(i, *one.get("jpg", nothing), *one.get("json", nothing)) for i, one in sorted(found.items())]
    return np.array(rows, ROW)


def _see_end(content: BinaryIO, offset: int, file: Path) -> None:
    """See that a tar file ends as one does, with empty blocks; tarfile takes any other end for it."""
    content.seek(offset)
    if content.read(BLOCK) != bytes(BLOCK):
        raise _cut_off(file, f"it has no end after {offset} bytes")


def _cut_off(file: Path, why: str) -> SambenchError:
    return SambenchError(
        f"{file}: damaged, cut off or no tar file ({why}). Get it again, or move it elsewhere to go "
        "without it."
    )


def _piece(tar: BinaryIO, block: int, length: int, name: str) -> bytes:
    """Read one file of a tar file."""
    if block == 0:
        raise SambenchError(f"{name}: no such file, though its fellow is there. Get the tar file again.")
    tar.seek(block * BLOCK)
    content = tar.read(length)
    if len(content) < length:
        raise SambenchError(f"{name}: cut off since the tar file was indexed. Get the tar file again.")
    return content
