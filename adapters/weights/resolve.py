"""Finding a model's weights, and saying exactly which they are."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

from sambench.adapters.base import Weights
from sambench.adapters.weights.shipped import shipped
from sambench.adapters.weights.upstream import upstream, weights_folder
from sambench.evsam.errors import SambenchError

RANDOM_SEED = 0


def resolve(name: str, given: str | None) -> Weights:
    """Say which weights a model takes; what is found is hashed.

    Args:
        name: the model's name.
        given: the user's choice: a path, ``"random"``, or ``None`` for `default_path`.

    Raises:
        SambenchError: nothing is there, or it cannot be read.
    """
    if given == "random":
        return Weights(source="random", seed=RANDOM_SEED)
    path = Path(given).expanduser() if given else default_path(name)
    if not path.exists():
        fetch = f"'sambench weights fetch {name}' gets it; or name" if upstream(name) else "Name"
        raise SambenchError(
            f"{name}: no checkpoint at {path}. {fetch} another with --weights {name}=PATH, "
            f"or take a random initialisation with --weights {name}=random."
        )
    return from_path(path)


def from_path(path: Path) -> Weights:
    """Describe the weights in a file or folder.

    Raises:
        SambenchError: they cannot be read.
    """
    return Weights(source="file", path=str(path), sha256=sha256_of(path))


def plain(weights: Weights) -> Weights:
    """Return what a segmenter says of its weights in plain values, with a checksum."""
    if weights.source != "file" or weights.path is None:
        return weights
    checksum = weights.sha256 or sha256_of(Path(weights.path))
    return dataclasses.replace(weights, path=str(weights.path), sha256=checksum)


def default_path(name: str) -> Path:
    """Return where a model's checkpoint is looked for: the weights folder, the path after ``hf:``, or the
    package itself.
    """
    if own := shipped(name):
        return own
    _, colon, which = name.partition(":")
    if colon and Path(which).expanduser().exists():
        return Path(which).expanduser()
    known = upstream(name)
    return weights_folder() / (known.location if known else which or name)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hex; of a folder, that over names and contents of all files in it.

    Hidden files and folders do not count.

    Raises:
        SambenchError: it cannot be read.
    """
    if path.is_dir():
        names = sorted(file.relative_to(path) for file in path.rglob("*") if file.is_file())
        shown = [name for name in names if not any(part.startswith(".") for part in name.parts)]
        lines = "".join(f"{name.as_posix()} {sha256_of(path / name)}\n" for name in shown)
        return hashlib.sha256(lines.encode()).hexdigest()
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SambenchError(f"{path}: cannot be read ({error.strerror}).") from None


def facts(path: Path) -> tuple[tuple[str, int, int, int, int], ...]:
    """Return what tells, unread, whether a file or one of a folder was written anew; nothing of none."""
    files = [path, *sorted(path.rglob("*"))] if path.is_dir() else [path] if path.exists() else []
    stats = ((str(file.relative_to(path)), file.stat()) for file in files)
    return tuple((name, s.st_size, s.st_ino, s.st_mtime_ns, s.st_ctime_ns) for name, s in stats)
