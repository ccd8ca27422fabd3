"""``--track`` with and without a name behind it, which the library of the command line has no way to say."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from sambench.harness.tracking.trackers import DEFAULT

FLAG = "--track"


def spelled_out(args: Sequence[str]) -> list[str]:
    """Put the default behind a ``--track`` that is followed by no name: by nothing, an option or a file."""
    found = []
    for word, following in itertools.pairwise([*args, "--"]):
        alone = following.startswith("-") or Path(following).suffix or Path(following).exists()
        found.append(f"{FLAG}={DEFAULT}" if word == FLAG and alone else word)
    return found
