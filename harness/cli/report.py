"""``sambench report``: tables, figures and the page of runs that are finished."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sambench.evsam.errors import SambenchError
from sambench.harness.cli import console


def report(
    runs: Annotated[
        list[Path], typer.Argument(help="Folders of runs, or addresses; several are shown side by side.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the report; a single run's own by default.")
    ] = None,
    gallery: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="N",
            help="Show N objects of each kind with their masks: worst, best, most disagreed on; and the "
            "paper's figure 3. The images go into the page: mind their licence.",
        ),
    ] = 0,
    figure: Annotated[
        list[str] | None,
        typer.Option(
            metavar="X,SUITE:DATASET.METRIC",
            help="Draw this accuracy against this number of speeds, such as img_s,gt_box:coco.miou or "
            "params_m,det_box:coco/vitdet.ap; repeatable; beside the usual ones.",
        ),
    ] = None,
) -> None:
    """Write the report of one or several runs anew; nothing is computed.

    report.html is one page without a network, report.md the same in Markdown; tables/ has every table as
    LaTeX and CSV, figures/ every figure as PDF, SVG and PNG.

    **Example**: sambench report runs/coco runs/speed --out runs/both --gallery 6
    """
    from sambench.harness.remote.places import fetched, placed, returned
    from sambench.reports.report import Asked, write_report

    if out is None and len(runs) > 1:
        raise SambenchError("a report of several runs needs a folder of its own. Give it with --out.")
    asked = Asked(("pdf", "svg", "png"), gallery, tuple(figure or ()))
    target = out or runs[0]
    files = write_report([fetched(run, console.note) for run in runs], placed(target)[0], asked)
    returned(target)
    console.out.print(f"{files.html}\n{files.markdown}", soft_wrap=True)
    tables = sum(path.suffix == ".csv" for path in files.pieces)
    figures = sum(path.suffix == ".svg" for path in files.pieces)
    console.note(f"{tables} tables in tables/ (tex, csv), {figures} figures in figures/ (pdf, svg, png)")
