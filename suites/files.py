"""Files that users write: YAML as keys and values, paths expanded. What writes files is `adapters.files`."""

from __future__ import annotations

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
