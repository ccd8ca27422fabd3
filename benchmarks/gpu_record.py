"""What a GPU run has found so far: entries, one a finding, that processes append and the page is made of.

An entry is a plain dictionary. ``step`` says what was done, ``status`` whether it went well ("done", "failed"
with a ``reason``, or "left out"); the fields of `KEY` tell entries apart, the others are the finding.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sambench.adapters.files import write_atomic

Entry = dict[str, Any]

KEY = ("step", "model", "engine", "precision", "scope", "batch", "mode")


def say(text: str) -> None:
    """Print a line of progress with the time."""
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


def note(lines: Path, **entry: Any) -> None:
    """Append an entry to a file of lines, whole, and say it."""
    with lines.open("a") as file:
        file.write(json.dumps(entry) + "\n")
    facts = {k: v for k, v in entry.items() if k not in ("seconds", "monitor", "tail")}
    say("  ".join(f"{k} {_short(v)}" for k, v in facts.items()))


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def read_lines(lines: Path) -> list[Entry]:
    """Return the entries of a file of lines; a last line that a killed process cut short is left out."""
    if not lines.exists():
        return []
    *whole, _ = lines.read_text().split("\n")
    return [json.loads(line) for line in whole]


def merge(old: Iterable[Entry], new: Iterable[Entry]) -> list[Entry]:
    """Add entries to others; one that is found again takes the place of the older."""
    found = {tuple(entry.get(k) for k in KEY): entry for entry in (*old, *new)}
    return list(found.values())


def load(file: Path) -> list[Entry]:
    """Return the entries of an earlier run's ``gpu.json``, or none."""
    return json.loads(file.read_text())["entries"] if file.exists() else []


def save(file: Path, facts: Entry, entries: list[Entry]) -> None:
    """Write ``gpu.json``, whole or not at all."""
    write_atomic(file, (json.dumps({"facts": facts, "entries": entries}, indent=1) + "\n").encode())
