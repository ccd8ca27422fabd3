"""``--track`` with and without a name behind it, which the library of the command line has no way to say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from typer.core import TyperCommand

from sambench.harness.tracking.trackers import DEFAULT

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
        alone = following.startswith("-") or Path(following).suffix or Path(following).exists()
        found.append(f"{FLAG}={DEFAULT}" if word == FLAG and alone else word)
    return found
