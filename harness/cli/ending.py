"""What the commands that leave a run have in common: how they are interrupted, and what they leave."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from sambench.harness.cli import console

if TYPE_CHECKING:
    from sambench.harness.results import ResultsFile


def command_line() -> str:
    """Return the command as it was typed, for the provenance of numbers."""
    return shlex.join(["sambench", *sys.argv[1:]])


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """End with a word on how to go on where the user interrupts."""
    try:
        yield
    except KeyboardInterrupt:
        console.err.print("Stopped; run the same command again to go on.")
        raise typer.Exit(130) from None


def write_report(out: Path, results: ResultsFile) -> dict[str, Path]:
    """Write the report of a run's folder; return what there is now, by title.

    Raises:
        SambenchError: ``results.json`` could not be written in the end.
    """
    from sambench.reports.report import write_report as write

    if results.error is not None:
        raise results.error
    files = write([out], out)
    return {"results": out / "results.json", "report": files.html, "": files.markdown}


def show_files(files: dict[str, Path]) -> None:
    """Say where the files are."""
    for title, path in files.items():
        console.out.print(f"{title:8} {path}", soft_wrap=True)
