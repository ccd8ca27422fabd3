"""What the commands that leave a run have in common: how they are interrupted, and what they leave."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from sambench.harness.cli import console

if TYPE_CHECKING:
    from sambench.harness.results import ResultsFile


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """End with a word on how to go on where the user interrupts."""
    try:
        yield
    except KeyboardInterrupt:
        console.err.print("Stopped; run the same command again to go on.")
        raise typer.Exit(130) from None


def foresee_report(out: Path) -> None:
    """Say before the work if there will be no report, and how to have one; the work does not depend on it."""
    from sambench.adapters.extras import MissingExtraError
    from sambench.reports.report import check_extra

    try:
        check_extra()
    except MissingExtraError as error:
        console.warn(_without_report(error, out))


def write_report(out: Path, results: ResultsFile) -> dict[str, Path]:
    """Write the report of a run's folder; return what there is now, by title.

    Without the report's extra it is left out with a line that says how to have it.

    Raises:
        SambenchError: ``results.json`` could not be written in the end.
    """
    from sambench.adapters.extras import MissingExtraError
    from sambench.reports.report import write_report as write

    if results.error is not None:
        raise results.error
    found = {"results": out / "results.json"}
    try:
        files = write([out], out)
    except MissingExtraError as error:
        console.warn(_without_report(error, out))
        return found
    return found | {"report": files.html, "": files.markdown}


def _without_report(error: Exception, out: Path) -> str:
    command = shlex.join(["sambench", "report", str(out)])
    return f"{error}; then '{command}' writes it. Results and records do not need it."


def show_files(files: dict[str, Path]) -> None:
    """Say where the files are."""
    for title, path in files.items():
        console.out.print(f"{title:8} {path}", soft_wrap=True)
