"""Where checkpoints lie, and what they are."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

from adapters.base import Weights
from evsam.errors import SambenchError

RANDOM_SEED = 0


def weights_folder() -> Path:
    """Return ``$SAMBENCH_WEIGHTS``, or the user's data folder for sambench."""
    if given := os.environ.get("SAMBENCH_WEIGHTS"):
        return Path(given).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "sambench" / "weights"
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "sambench" / "weights"


def resolve(name: str, weights_file: str | None, given: str | None) -> Weights:
    """Say which weights a model takes; a file is hashed.

    Args:
        name: the model's name, for messages.
        weights_file: its registered checkpoint; ``None`` for a model without parameters.
        given: the user's choice: a path, ``"random"``, or ``None`` for the registered file.

    Raises:
        SambenchError: the file is not there or cannot be read.
    """
    if weights_file is None:
        return Weights(source="none")
    if given == "random":
        return Weights(source="random", seed=RANDOM_SEED)
    path = Path(given).expanduser() if given else weights_folder() / weights_file
    if not path.is_file():
        raise SambenchError(
            f"{name}: no checkpoint at {path}. Put the official {weights_file} there, name another file with "
            f"--weights {name}=PATH, or take a random initialisation with --weights {name}=random."
        )
    return Weights(source="file", path=str(path), sha256=sha256_of(path))


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hex.

    Raises:
        SambenchError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SambenchError(f"{path}: cannot be read ({error.strerror}).") from None
