"""``--track`` with and without a name behind it, which the library of the command line has no way to say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from typer.core import TyperCommand

from sambench.harness.config.keys import split
from sambench.harness.tracking.trackers import DEFAULT, TRACKERS

FLAG = "--track"


class Tracking(TyperCommand):
    """A command whose ``--track`` may stand alone."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line."""
        return super().parse_args(ctx, spelled_out(args))


def spelled_out(args: Sequence[str]) -> list[str]:
    """Put the default behind a ``--track`` that is followed by no name: by nothing, an option or a file."""
    found = []
    for word, following in zip(args, [*args[1:], "--"], strict=True):
        found.append(f"{FLAG}={DEFAULT}" if word == FLAG and not _is_name(following) else word)
    return found


def _is_name(word: str) -> bool:
    """Tell whether a word is meant as trackers: it has their names, or is no option and no file."""
    if any(name in TRACKERS for name in split(word)):
        return True
    return not (word.startswith("-") or Path(word).suffix or Path(word).exists())
