"""``--quiet`` and ``--log-level``, which every command takes, and ``sambench`` before the command's name."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated, Any

import typer

from sambench.harness import terminal
from sambench.harness.cli import console


class Level(StrEnum):
    """How much is said, by the names that `logging` has for it."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


LIBRARIES: dict[str, dict[str, str | None]] = {
    "TORCH_LOGS": {"debug": "+all", "info": "all", "warning": None, "error": "-all"},
    "TRANSFORMERS_VERBOSITY": {level.value: level.value for level in Level},
}
"""Variables that libraries with levels of their own read when they are imported, and what they read."""


def _be_quiet(wanted: bool) -> None:
    terminal.asked.quiet |= wanted


def _be_at(level: Level | None) -> None:
    if level is not None:
        name = Level(level).value
        terminal.asked.level = getattr(logging, name.upper())
        _let_libraries_speak(name)


def _let_libraries_speak(level: str) -> None:
    """Put what libraries say through `logging` and `warnings` on standard error, from this level on."""
    root = logging.getLogger()
    root.setLevel(level.upper())
    if not any(isinstance(handler, _ToConsole) for handler in root.handlers):
        root.addHandler(_ToConsole())
    logging.captureWarnings(True)
    for variable, values in LIBRARIES.items():
        if value := values[level]:
            os.environ.setdefault(variable, value)


class _ToConsole(logging.Handler):
    """Writes a line above a bar, not into it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        text = f"{record.levelname.lower()}: {record.name}: {record.getMessage()}"
        console.err.print(text.rstrip(), soft_wrap=True)


@contextmanager
def as_asked() -> Iterator[None]:
    """Let a command say as much as its options ask, and put everything back when it ends."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    before = {name: os.environ.get(name) for name in LIBRARIES}
    try:
        yield
    finally:
        terminal.asked.quiet, terminal.asked.level = False, logging.INFO
        root.setLevel(level)
        root.handlers[:] = handlers
        logging.captureWarnings(False)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)


def _options(
    quiet: Annotated[
        bool,
        typer.Option(
            "--quiet",
            callback=_be_quiet,
            expose_value=False,
            help="No progress and no notes: results, files, warnings and errors alone.",
        ),
    ] = False,
    log_level: Annotated[
        Level | None,
        typer.Option(
            callback=_be_at,
            expose_value=False,
            help="From what on things are said, by libraries too; debug has the traceback of an error.",
        ),
    ] = None,
) -> None:
    """Have the options."""


def parameters() -> list[Any]:
    """Return the two options, as typer makes them."""
    alone = typer.Typer(add_completion=False)
    alone.command()(_options)
    return list(typer.main.get_command(alone).params)
