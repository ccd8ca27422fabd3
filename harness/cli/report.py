"""``sambench report``: tables, figures and provenance of one or several runs on a page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sambench.evsam.errors import SambenchError
from sambench.harness.cli import console


def report(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs; several are shown side by side.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for report.html and report.md; a single run's own by default.")
    ] = None,
) -> None:
    """Write the report of one or several runs anew; nothing is computed.

    **Example**: sambench report runs/coco runs/speed --out runs/both
    """
    from sambench.reports.report import write_report

    if out is None and len(runs) > 1:
        raise SambenchError("a report of several runs needs a folder of its own. Give it with --out.")
    files = write_report(runs, out or runs[0])
    console.out.print(f"{files.html}\n{files.markdown}", soft_wrap=True)
