"""What is shown where: bars on a terminal that someone looks at, plain lines in a log, less if asked."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass

from rich.console import Console

LINE_EVERY = 15.0  # seconds between lines where there is no terminal to draw a bar on


@dataclass
class _Asked:
    """How much the command is to say; ``--quiet`` and ``--log-level`` set it."""

    quiet: bool = False
    level: int = logging.INFO


asked = _Asked()


def says(level: int) -> bool:
    """Tell whether something of this level of `logging` is said; notes and progress are ``INFO``."""
    return level >= asked.level and not (asked.quiet and level < logging.WARNING)


def watched(console: Console) -> bool:
    """Tell whether a console is a terminal that someone looks at, whatever colours are forced into it.

    A pipe, a file and a notebook are none, nor is the terminal that some CI machines pretend to have.
    """
    return console.file.isatty() and os.environ.get("CI", "").lower() in ("", "0", "false")


def draws(console: Console) -> bool:
    """Tell whether bars move on a console: it is watched, can go back in a line, and is not to be quiet."""
    return watched(console) and console.is_interactive and says(logging.INFO)


def logs(console: Console) -> bool:
    """Tell whether progress is said in lines instead."""
    return not draws(console) and says(logging.INFO)
