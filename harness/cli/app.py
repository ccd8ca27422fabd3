"""The command ``sambench``. Each command imports what it needs when it runs, so that help is instant."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sambench.evsam.errors import SambenchError
from sambench.harness.cli.data import data
from sambench.harness.cli.detect import detect, detectors
from sambench.harness.cli.export import export
from sambench.harness.cli.profile import profile
from sambench.harness.cli.show import show
from sambench.harness.cli.throughput import throughput
from sambench.harness.cli.weights import weights as weights_app

app = typer.Typer(
    name="sambench",
    help="Reproducible benchmarks for the Segment Anything family.",
    epilog="Start with 'sambench data make shapes --out data/shapes', then 'sambench run configs/demo.yaml'.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.add_typer(data, name="data")
app.add_typer(weights_app, name="weights")
app.command()(profile)
app.command()(export)
app.command()(throughput)
app.command()(show)
app.command()(detectors)
app.command()(detect)

# Names, paths and reasons come from users: nothing in them is taken for markup.
out_console = Console(markup=False, highlight=False)
err_console = Console(stderr=True, markup=False, highlight=False)

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(version("sambench"))
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Hold the options of ``sambench`` itself."""


@app.command()
def run(
    config: Annotated[
        Path | None, typer.Argument(help="YAML file with the same keys as the flags; flags win over it.")
    ] = None,
    models: Annotated[
        str | None, typer.Option(help="Model names, comma-separated; see 'sambench models'.")
    ] = None,
    adapter: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE.py:CLASS", help="A model of your own (docs/add-a-model.md); repeatable."),
    ] = None,
    suites: Annotated[
        str | None, typer.Option(help="Suite names, comma-separated; see 'sambench suites'.")
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE.yaml",
            help="A data set of 'sambench data list' or of a YAML file (docs/data.md); or, with --images and "
            "--annotations, what to call the data. 'coco' and 'lvis' have published numbers beside them.",
        ),
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of its images.")] = None,
    annotations: Annotated[Path | None, typer.Option(help="Its annotations, JSON in COCO's format.")] = None,
    detections: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]FILE",
            help="A detector's boxes for it, JSON in COCO's result format; repeatable. 'vitdet', 'yolov8' "
            "and 'gdino' have published numbers beside them.",
        ),
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PATH|NAME=random", help="Checkpoint of a model, or a random one; repeatable."
        ),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(help="'paper' does what the authors' scripts do, 'strict' (default) what is right."),
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu (default), cuda or cuda:1.")] = None,
    evaluator: Annotated[
        str | None, typer.Option(help="What computes AP: hotcoco (default), pycocotools or lvis.")
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            help="What runs the model: eager (default), compile, onnxruntime, openvino or tensorrt."
        ),
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="What it computes in: fp32 (default), tf32, bf16, fp16 or int8.")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(help="Evaluate a seeded sample of so many images; the result is marked partial."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of that sample (default 0).")] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Images an encoder call (default 1 on a CPU, 8 on a GPU).")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for records, results.json and the report.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, show the plan, run nothing.")
    ] = False,
) -> None:
    """Evaluate models on data sets, and write a report.

    Interrupt it anywhere and run the same command again: it goes on where it was.

    **Example**: sambench run --models efficientvit_sam_l0,box --suites gt_box,click --dataset coco
    --images val2017 --annotations instances_val2017.json --protocol paper --out runs/coco
    """
    from sambench.harness.config import load_config, parse_weights
    from sambench.harness.plan import make_plan

    flags = {
        "models": models,
        "adapters": adapter or None,
        "suites": suites,
        "datasets": _dataset(dataset, images, annotations, detections),
        "weights": parse_weights(weights) if weights else None,
        "protocol": protocol,
        "device": device,
        "evaluator": evaluator,
        "engine": engine,
        "precision": precision,
        "limit": limit,
        "seed": seed,
        "batch_size": batch_size,
        "out": out,
    }
    loaded = load_config(config, flags)
    with err_console.status("Reading annotations, images and weights"):
        plan = make_plan(loaded)
    if dry_run:
        from sambench.harness.cli.tables import show_plan

        show_plan(plan, out_console)
        return
    for group in plan.groups:
        if group.reason:
            err_console.print(f"will fail: {group.reason}", soft_wrap=True)
    failed = _run(plan)
    if failed:
        raise typer.Exit(1)


def _run(plan: Any) -> bool:
    """Run a plan, show and report its results; tell whether a cell failed."""
    from sambench.harness.cli.progress import RunProgress
    from sambench.harness.cli.tables import show_results
    from sambench.harness.work import run as run_plan
    from sambench.reports.report import write_report

    command = shlex.join(["sambench", *sys.argv[1:]])
    try:
        with RunProgress(err_console) as progress:
            cells = run_plan(plan, progress, command)
    except KeyboardInterrupt:
        err_console.print("Stopped; run the same command again to go on.")
        raise typer.Exit(130) from None
    show_results(cells, out_console)
    out = plan.config.out
    files = write_report([out], out)
    for title, path in (("results", out / "results.json"), ("report", files.html), ("", files.markdown)):
        out_console.print(f"{title:8} {path}", soft_wrap=True)
    return any(cell.status == "failed" for cell in cells)


def _dataset(
    name: str | None, images: Path | None, annotations: Path | None, detections: list[str] | None
) -> list[dict[str, Any]] | None:
    named: dict[str, str] = {}
    for one in detections or []:
        detector, file = _detector(one)
        if detector in named:
            raise SambenchError(f"--detections {one}: there are two files of {detector!r}; say NAME=FILE.")
        named[detector] = file
    given = {"name": name, "images": images, "annotations": annotations, "detections": named or None}
    kept = {key: value for key, value in given.items() if value is not None}
    return [kept] if kept else None


def _detector(given: str) -> tuple[str, str]:
    """Split NAME=FILE; without a name it is the file's own, but none that the paper's boxes have."""
    name, equals, file = given.partition("=")
    if equals:
        return name, file
    from sambench.reports.published import detectors

    stem = Path(given).stem
    if stem in detectors():
        raise SambenchError(
            f"--detections {given}: {stem!r} is compared with the paper's numbers. Say {stem}={given} if "
            "these are its boxes, or give another name."
        )
    return stem, given


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs; several are shown side by side.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for report.html and report.md; a single run's own by default.")
    ] = None,
) -> None:
    """Write the report of one or several runs anew; nothing is computed."""
    from sambench.reports.report import write_report

    if out is None and len(runs) > 1:
        raise SambenchError("a report of several runs needs a folder of its own. Give it with --out.")
    files = write_report(runs, out or runs[0])
    out_console.print(f"{files.html}\n{files.markdown}", soft_wrap=True)


@app.command()
def models(as_json: JsonFlag = False) -> None:
    """List the models: those that come with sambench, and those of installed packages."""
    from sambench.adapters.registry import known
    from sambench.adapters.weights.upstream import upstream

    rows = []
    for name, entry in known().items():
        weights = upstream(name)
        rows.append(
            {
                "name": name,
                "title": entry.title,
                "weights": str(weights.location) if weights else None,
                "licence": weights.licence if weights else None,
                "source": entry.source,
            }
        )
    _list(rows, as_json, shown=("name", "title", "weights"))


@app.command()
def suites(as_json: JsonFlag = False) -> None:
    """List the suites."""
    from sambench.suites.registry import SUITES

    _list([{"name": name, "measures": text} for name, (_, text) in SUITES.items()], as_json)


@app.command()
def doctor(as_json: JsonFlag = False) -> None:
    """Say what this machine has, for a report of a problem."""
    import torch

    from sambench.adapters.engines import engine_libraries
    from sambench.adapters.weights.upstream import weights_folder
    from sambench.harness.provenance import device_name, git_state, versions

    devices = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    facts = {
        **versions("transformers", "ultralytics", *engine_libraries()),
        **{d: device_name(d) for d in devices},
    }
    facts |= {"git": git_state().get("commit", "-"), "weights folder": str(weights_folder())}
    _list([{"what": what, "found": found} for what, found in facts.items()], as_json)


def _list(rows: list[dict[str, Any]], as_json: bool, shown: tuple[str, ...] | None = None) -> None:
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    columns = shown or tuple(rows[0])
    for key in columns:
        table.add_column(key, overflow="fold")
    for row in rows:
        table.add_row(*("-" if row[key] is None else str(row[key]) for key in columns))
    out_console.print(table)


def main() -> None:
    """Run the command line: exit code 2 where the user's input is wrong, 1 where a cell failed."""
    try:
        app()
    except SambenchError as error:
        err_console.print(Text("error: ", "bold red") + Text(str(error)), soft_wrap=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
