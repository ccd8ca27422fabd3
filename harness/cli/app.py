"""The command ``sambench``. Each command imports what it needs when it runs, so that help is instant."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable
from typing import Annotated

import typer
from rich.text import Text

from sambench.evsam.errors import SambenchError
from sambench.harness.cli import console, verbosity
from sambench.harness.cli.commands import App
from sambench.harness.cli.compare import compare
from sambench.harness.cli.data import data
from sambench.harness.cli.detect import detect
from sambench.harness.cli.detectors import detectors
from sambench.harness.cli.doctor import doctor
from sambench.harness.cli.export import export
from sambench.harness.cli.models import models
from sambench.harness.cli.profile import profile
from sambench.harness.cli.published import published
from sambench.harness.cli.push import push
from sambench.harness.cli.report import report
from sambench.harness.cli.run import run
from sambench.harness.cli.runs import runs
from sambench.harness.cli.score import score
from sambench.harness.cli.show import show
from sambench.harness.cli.suites import suites
from sambench.harness.cli.throughput import throughput
from sambench.harness.cli.train import train
from sambench.harness.cli.weights import weights
from sambench.harness.executors.launch import exit_code_told
from sambench.harness.terminal import says

app = App(
    name="sambench",
    help="Reproducible benchmarks for the Segment Anything family.",
    epilog="Start with 'sambench data make shapes --out data/shapes', then 'sambench run configs/demo.yaml'.",
)
COMMANDS: tuple[Callable[..., None], ...] = (
    *(run, score, report, compare, throughput, push, profile, export, show, detect),
    *(models, suites, detectors, published, doctor),
)
for command in COMMANDS:
    app.command()(command)
app.add_typer(data, name="data")
app.add_typer(weights, name="weights")
app.add_typer(runs, name="runs")
app.add_typer(train, name="train")


def _print_version(wanted: bool) -> None:
    if wanted:
        from sambench.adapters.version import version
        from sambench.harness.newer import newer

        print(version())
        if found := newer():
            console.err.print(f"newer than what it was tested with: {', '.join(found)}", soft_wrap=True)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Hold the options of ``sambench`` itself."""


def main() -> None:
    """Run the command line: exit code 2 where the user's input is wrong, 1 where a cell failed."""
    with exit_code_told(), verbosity.as_asked():
        try:
            app(prog_name="sambench")
        except SambenchError as error:
            if says(logging.DEBUG):
                console.err.print(traceback.format_exc(), soft_wrap=True)
            console.err.print(Text("error: ", "bold red") + Text(str(error)), soft_wrap=True)
            sys.exit(2)
