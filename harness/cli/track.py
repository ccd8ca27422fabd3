"""``--track`` with and without a name behind it, which the library of the command line has no way to say."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from sambench.harness.config.keys import split
from sambench.harness.tracking.trackers import DEFAULT, TRACKERS

FLAG = "--track"


def spelled_out(args: Sequence[str]) -> list[str]:
    """Put the default behind a ``--track`` that is followed by no name: by nothing, an option or a file."""
    found = []
    for word, following in itertools.pairwise([*args, "--"]):
        found.append(f"{FLAG}={DEFAULT}" if word == FLAG and not _is_name(following) else word)
    return found


def _is_name(word: str) -> bool:
    """Tell whether a word is meant as trackers: it has their names, or is no option and no file."""
    if any(name in TRACKERS for name in split(word)):
        return True
    return not (word.startswith("-") or Path(word).suffix or Path(word).exists())
