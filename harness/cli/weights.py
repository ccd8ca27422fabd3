"""``sambench weights``: which checkpoints there are, whether they are the right ones, and getting them."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from sambench.evsam.errors import SambenchError, did_you_mean
from sambench.harness.cli import complete, console, options
from sambench.harness.cli.bars import Lines, status
from sambench.harness.cli.commands import App
from sambench.harness.terminal import draws, logs, watched

if TYPE_CHECKING:
    from sambench.adapters.weights.fetch import OnProgress
    from sambench.adapters.weights.upstream import RemoteFile, Upstream
    from sambench.adapters.weights.verify import State

weights = App(
    help="Checkpoints of the models, as their authors publish them. They are looked for in "
    "**$SAMBENCH_WEIGHTS**, or else in your data folder for sambench, under the names that their authors "
    "gave them; a file that you put there by hand is as good.",
)


@weights.command("list")
def list_(as_json: options.Json = False) -> None:
    """List the models that have weights: file or folder, size, licence, and whether it is there.

    Nothing is hashed, so **there** means that the size fits; 'sambench weights verify' looks closer.
    **partly** is a folder with files missing, or a download to go on with.

    **Example**: sambench weights list --json
    """
    from sambench.adapters.weights.upstream import upstreams, weights_folder
    from sambench.adapters.weights.verify import verify as look

    folder = weights_folder()
    rows: list[dict[str, Any]] = []
    table = console.plain_table("model", "file", "size", "licence", "state", right=("size",))
    if watched(console.out):
        table.columns[0].no_wrap = True  # by which a line is found
        table.columns[3].max_width = 12
    for model, upstream in upstreams().items():
        states = look(upstream, folder, hashing=False)
        location, state, size = str(upstream.location), _summary(states), upstream.files[-1].bytes
        table.add_row(model, location, _size(size), upstream.licence, state)
        facts = {"model": model, "location": location, "state": state, "licence": upstream.licence}
        rows.append({**facts, "page": upstream.page, "note": upstream.note, "files": _as_json(states)})
    if as_json:
        console.print_json(rows)
        return
    console.print_table(table)
    console.out.print(f"folder: {folder}", soft_wrap=True)


@weights.command()
def verify(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL]...",
            autocompletion=complete.one(complete.models_with_weights),
            help="Which; all that are there by default.",
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Read the files that are there, and compare size and SHA-256 with what is known of them.

    Where no checksum is known, the one found is printed: note it, and compare it with a colleague's.
    The exit code is 2 where a file is wrong, or missing from a model that is named or partly there.

    **Example**: sambench weights verify sam_vit_b edge_sam
    """
    from sambench.adapters.weights.upstream import upstreams, weights_folder
    from sambench.adapters.weights.verify import verify as compare

    folder, found = weights_folder(), {}
    for model, upstream in (_chosen(models) if models else upstreams()).items():
        with status(f"Reading {model}"):
            states = compare(upstream, folder)
        if models or any(state.status != "missing" for state in states):
            found[model] = states
    if as_json:
        rows = [{"model": model, **row} for model, states in found.items() for row in _as_json(states)]
        console.print_json(rows)
    else:
        for model, states in found.items():
            for state in states:
                console.out.print(f"{model}: {state.file.name}: {_verdict(state)}", soft_wrap=True)
        console.out.print(f"folder: {folder}{'' if found else ', nothing is there yet'}", soft_wrap=True)
    bad = [m for m, states in found.items() if any(s.status in ("missing", "wrong") for s in states)]
    if bad:
        raise SambenchError(f"not as it should be: {', '.join(bad)}. 'sambench weights fetch' gets it anew.")


@weights.command()
def fetch(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL]...",
            autocompletion=complete.one(complete.models_with_weights),
            help="Which; see 'sambench weights list'.",
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All models that have weights.")] = False,
) -> None:
    """Download weights from their authors, and check them.

    What is there and right is left alone. Interrupt it anywhere: the same command goes on where it was.
    **hf:OWNER/NAME** gets a model of the hub. **$HF_TOKEN** is sent to huggingface.co, and nowhere else, for
    models whose terms you have accepted there. Where it fails, the message says what to put where by hand.

    **Example**: sambench weights fetch efficientvit_sam_l0 mobile_sam
    """
    from sambench.adapters.weights.fetch import fetch as get
    from sambench.adapters.weights.upstream import upstreams, weights_folder

    if every == bool(models):
        raise SambenchError("say which models to fetch, or --all. 'sambench weights list' lists them.")
    wanted = upstreams() if every else _chosen(models or [])
    folder, failed = weights_folder(), {}
    try:
        with _Downloads() as downloads:
            for model, upstream in wanted.items():
                try:
                    got = get(upstream, folder, downloads.of(model))
                except SambenchError as error:
                    failed[model] = str(error)
                else:
                    what = "fetched" if got else "there already"
                    console.out.print(f"{model}: {what}, licence {upstream.licence}", soft_wrap=True)
    except KeyboardInterrupt:
        console.err.print("Stopped; run the same command again to go on.")
        raise typer.Exit(130) from None
    console.out.print(f"folder: {folder}", soft_wrap=True)
    if failed and len(wanted) == 1:
        raise SambenchError(*failed.values())
    if failed:
        reasons = "".join(f"\n\n{model}: {reason}" for model, reason in failed.items())
        raise SambenchError(f"{len(failed)} of {len(wanted)} models could not be fetched.{reasons}")


class _Downloads:
    """A bar a file, with bytes, speed and time left; a line a file where there is no terminal."""

    def __init__(self) -> None:
        self._tasks: dict[str, TaskID] = {}
        self._lines = Lines()
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=console.err,
            disable=not draws(console.err),
        )

    def __enter__(self) -> _Downloads:
        self._bar.start()
        return self

    def __exit__(self, *error: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._bar.stop()

    def of(self, model: str) -> OnProgress:
        """Return what to call with the progress of a model's files."""

        def advance(file: RemoteFile, done: int, total: int | None) -> None:
            if file.name not in self._tasks:
                self._tasks[file.name] = self._bar.add_task(model, total=total, completed=done)
                if logs(console.err):
                    console.note(f"{model}: {_size(total)} from {file.url}")
            self._bar.update(self._tasks[file.name], completed=done, total=total)
            self._lines.say(lambda: f"{model}: {_size(done)} of {_size(total)}")

        return advance


def _chosen(models: Sequence[str]) -> dict[str, Upstream]:
    """Return what the authors of named models publish.

    Raises:
        SambenchError: no such model, or one without weights to fetch.
    """
    from sambench.adapters.models import LIBRARIES
    from sambench.adapters.registry import known
    from sambench.adapters.weights.upstream import upstream, upstreams

    chosen = {}
    for model in models:
        if found := upstream(model):
            chosen[model] = found
        elif model in known() or model.partition(":")[0] in LIBRARIES:
            raise SambenchError(f"{model}: nothing to fetch or verify; it has no weights, or brings its own.")
        else:
            near = did_you_mean(model, [*upstreams(), *known()])
            raise SambenchError(
                f"no model {model!r}.{near} 'sambench weights list' lists those with weights."
            )
    return chosen


def _summary(states: Sequence[State]) -> str:
    if any(state.status == "wrong" for state in states):
        return "wrong"
    if all(state.status != "missing" for state in states):
        return "there"
    nothing = all(state.status == "missing" and state.bytes is None for state in states)
    return "missing" if nothing else "partly"


def _verdict(state: State) -> str:
    if state.status == "missing":
        return f"missing, {_size(state.bytes)} of a download is there" if state.bytes else "missing"
    if state.status == "unknown":
        size = "its size is right" if state.file.bytes else "it looks whole"
        return f"{size}; no known checksum; its sha256 is {state.sha256}"
    return state.problem or "right"


def _as_json(states: Sequence[State]) -> list[dict[str, Any]]:
    return [
        {
            "file": state.file.name,
            "path": str(state.path),
            "url": state.file.url,
            "status": state.status,
            "bytes": state.bytes,
            "known_bytes": state.file.bytes,
            "sha256": state.sha256,
            "known_sha256": state.file.sha256,
            "problem": state.problem,
        }
        for state in states
    ]


def _size(count: int | None) -> str:
    return "-" if count is None else decimal(count)
