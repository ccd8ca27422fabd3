"""Finding a model's weights, and saying exactly which they are."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path

from sambench.adapters.base import Given, Weights
from sambench.adapters.models import PHRASE_DETECTORS, parts_of
from sambench.adapters.weights.shipped import shipped
from sambench.adapters.weights.upstream import has_weights, upstream, weights_folder
from sambench.evsam.errors import SambenchError

RANDOM_SEED = 0


def resolve(name: str, given: Given) -> Weights:
    """Say which weights a model takes; what is found is hashed.

    Args:
        name: the model's name, or a part's of one.
        given: the user's choice: a path, ``"random"``, or ``None`` for `default_path`; of a model of several
            parts as `of_parts` reads it.

    Raises:
        SambenchError: nothing is there, or it cannot be read.
    """
    if parts := of_parts(name, given):
        return joined({part: resolve(part, own) for part, own in parts.items()})
    assert not isinstance(given, Mapping)
    if given is None and not has_weights(name):
        return Weights(source="none")
    if given == "random":
        return Weights(source="random", seed=RANDOM_SEED)
    path = Path(given).expanduser() if given else default_path(name)
    if not path.exists():
        fetch = f"'sambench weights fetch {name}' gets it; or name" if upstream(name) else "Name"
        if detector := PHRASE_DETECTORS.get(name):
            fetch = f"'sambench weights fetch hf:{detector.hub}' gets it but for its tokenizer; or name"
        raise SambenchError(
            f"{name}: no checkpoint at {path}. {fetch} another with --weights {name}=PATH, "
            f"or take a random initialisation with --weights {name}=random."
        )
    return from_path(path)


def of_parts(name: str, given: Given) -> dict[str, str | None]:
    """Return what was said of each part's weights; nothing of a model that has no parts.

    Args:
        name: the model's name.
        given: ``None`` or ``"random"``, which goes for all parts that have weights, or each part's own.

    Raises:
        SambenchError: a file is given for all parts together, or something for a part that there is not.
    """
    parts = parts_of(name)
    if isinstance(given, Mapping):
        if not parts or not set(given) <= set(parts):
            raise SambenchError(
                f"{name}: weights for {', '.join(given) or 'no part'}; its parts are "
                f"{' and '.join(parts) or 'none, so give a path or random'}."
            )
        return {part: given.get(part) for part in parts}
    if parts and given not in (None, "random"):
        raise SambenchError(
            f"{name}: weights {given} of which part? Say {' and '.join(f'{part}=PATH' for part in parts)}, "
            "or random for both."
        )
    return {part: given if has_weights(part) else None for part in parts}


def given_for(model: str, weights: Mapping[str, str]) -> Given:
    """Return what was given as a model's weights, or as those of its parts.

    Args:
        model: its name.
        weights: names of models and of parts to a path or ``"random"``; of a part its own goes before what is
            said of the whole.

    Raises:
        SambenchError: the whole has a file.
    """
    whole = weights.get(model)
    own = {part: weights[part] for part in parts_of(model) if part in weights}
    if not own:
        return whole
    if whole is None:
        return own
    return {part: one for part, one in of_parts(model, whole).items() if one is not None} | own


def joined(parts: Mapping[str, Weights]) -> Weights:
    """Say of the weights of several parts what can be said of all: random where any are, one checksum."""
    found = parts.values()
    random = [one for one in found if one.source == "random"]
    files = {name: one for name, one in parts.items() if one.source == "file"}
    lines = "".join(f"{name} {one.identity}\n" for name, one in parts.items())
    taken = "; ".join(f"{name}: {one.taken}" for name, one in parts.items() if one.taken)
    return Weights(
        source="random" if random else "file" if files else "none",
        path=" + ".join(str(one.path) for one in files.values()) or None,
        sha256=hashlib.sha256(lines.encode()).hexdigest() if files else None,
        seed=random[0].seed if random else None,
        taken=taken or None,
        parts=dict(parts),
    )


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
    if name in PHRASE_DETECTORS:
        return weights_folder() / PHRASE_DETECTORS[name].folder
    _, colon, which = name.partition(":")
    if colon and Path(which).expanduser().exists():
        return Path(which).expanduser()
    known = upstream(name)
    return weights_folder() / (known.location if known else which or name)


def places(name: str, given: Given) -> list[Path]:
    """Return where a model's parameters are read from, one place a part; ``random`` is no place."""
    if parts := of_parts(name, given):
        return [place for part, own in parts.items() for place in places(part, own)]
    return [Path(str(given)).expanduser() if given else default_path(name)]


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
