"""Files and paths: YAML read as keys and values, variables expanded, files written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import Any

import yaml

from sambench.evsam.errors import SambenchError


def read_mapping(file: Path, kind: str, what: str, examples: str) -> dict[str, Any]:
    """Read a YAML file that holds keys and values; the words are for the messages.

    Raises:
        SambenchError: it is not there, not YAML, or holds something else.
    """
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SambenchError(f"{file}: no such {kind}.") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SambenchError(f"{file}: cannot be read as YAML. {error}") from None
    if not isinstance(content, dict):
        raise SambenchError(f"{file}: {what} is a mapping of keys to values, see {examples}.")
    return content


def expanded(value: Any, key: str, where: str) -> Path:
    """Return a path with ``${VAR}`` and ``~`` expanded.

    Raises:
        SambenchError: it is not a path, or a variable is not set.
    """
    if not isinstance(value, str | Path):
        raise SambenchError(f"{where}: {key} must be a path, not {value!r}.")
    path = os.path.expandvars(value)
    if unset := re.search(r"\$\{?(\w+)", path):
        raise SambenchError(
            f"{where}: {key} is {str(value)!r}, but {unset[1]} is not set in the environment."
        )
    return Path(path).expanduser()


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; its folder is made where it is missing.

    Raises:
        SambenchError: the disk is full, or the folder cannot be written to; nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise SambenchError(
            f"{path}: cannot be written ({error.strerror or error}). Free some space, or "
            "choose a folder that can be written to. What was finished is kept: run the same command again."
        ) from None
