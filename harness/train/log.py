"""``metrics.jsonl``: a line a step, and one a validation; a training that goes on cuts what it repeats."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sambench.adapters.files import write_atomic
from sambench.evsam.errors import SambenchError


class Log:
    """The metrics of a training, appended to line by line.

    Args:
        path: the file.
        done: steps that the training goes on after; lines of later ones are dropped, and a torn one.
    """

    def __init__(self, path: Path, done: int) -> None:
        self.path = path
        kept = [line for line in read_lines(path) if line["step"] <= done]
        write_atomic(path, "".join(f"{json.dumps(line)}\n" for line in kept).encode())

    def write(self, line: Mapping[str, Any]) -> None:
        """Append a line; numbers that are not finite are null.

        Raises:
            SambenchError: the disk is full.
        """
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(f"{json.dumps(_plain(line))}\n")
        except OSError as error:
            raise SambenchError(
                f"{self.path}: cannot be written ({error.strerror}). Free some space; "
                "the same command goes on."
            ) from None


def _plain(value: Any) -> Any:
    """Return a value with null for each number that JSON has not."""
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read the lines that are whole."""
    if not path.exists():
        return []
    found = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            break  # torn by a crash: so is all that follows
    return found
