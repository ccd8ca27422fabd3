"""``sambench runs``: what lies in the folders of runs, who made it, and what nobody needs any more."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sambench.evsam.errors import SambenchError
from sambench.harness.cli import console, options
from sambench.harness.cli.bars import status
from sambench.harness.cli.commands import App

if TYPE_CHECKING:
    from sambench.harness.garbage import Found
    from sambench.harness.inventory import Held

runs = App(help="Folders of runs: what is in them, from which commands, and what no result refers to.")

Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="The --out folder of a run; or an address, such as s3://...")
]


@runs.command("list")
def list_(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="The --out folder of a run, or one that holds such folders."),
    ] = Path("runs"),
    as_json: options.Json = False,
) -> None:
    """List the cells that are on disk: shards, images, size, and whether results.json refers to them.

    **unfinished** is a cell that no number was made of yet, and that the same command goes on with;
    **unused** is one that no result needs: 'sambench runs gc' removes it, unless it has to stay.

    **Example**: sambench runs list runs
    """
    from sambench.harness.inventory import Inventory, runs_in
    from sambench.harness.remote.places import fetched

    found = [Inventory.of(run) for run in runs_in(fetched(folder, console.note))]
    cells = [cell for inventory in found for cell in inventory.cells]
    if as_json:
        console.print_json([cell.to_json() for cell in cells])
        return
    numbers = ("shards", "images", "size")
    table = console.plain_table(
        "run", "cell", "suite", "data set", *numbers, "changed (UTC)", "use", right=numbers
    )
    for cell in cells:
        row = cell.to_json()
        counts = (f"{cell.done}/{cell.of or '?'}", str(cell.images), _size(cell.bytes))
        if cell.is_speed:
            counts = (f"{cell.done} rounds", "-", counts[2])
        words = (cell.run.name, cell.name, row["suite"] or "-", row["dataset"] or "-")
        table.add_row(*words, *counts, row["changed"][:16].replace("T", " "), cell.use)
    console.print_table(table)
    unused = sum(cell.bytes for cell in cells if cell.use == "unused")
    total = f"{len(cells)} cells, {_size(sum(cell.bytes for cell in cells))}"
    console.note(f"{total}; {_size(unused)} of them unused" if unused else total)


@runs.command()
def show(
    folder: Folder,
    cell: Annotated[
        str | None, typer.Argument(metavar="[CELL]", help="As 'list' names it; its beginning will do.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Say all of one cell, or of every cell: what decides it, the commands behind it, and damaged shards.

    Every shard is read and compared with the checksum in it; the exit code is 2 where one is damaged.

    **Example**: sambench runs show runs/coco sam_vit_b-gt_box
    """
    from sambench.harness.inventory import Inventory
    from sambench.harness.remote.places import fetched

    inventory = Inventory.of(fetched(folder, console.note))
    facts, damaged = [], []
    for one in [inventory.cell(cell)] if cell else inventory.cells:
        with status(f"Reading {one.name}"):
            paths = [one.store.path(shard) for shard in one.store.damaged()] if one.store else []
        damaged += paths
        facts.append(_in_full(one, paths))
    if as_json:
        console.print_json(facts)
    else:
        for fact in facts:
            _print_cell(fact)
    if damaged:
        names = ", ".join(map(str, damaged))
        raise SambenchError(f"{len(damaged)} damaged: {names}. The same 'sambench run' computes it again.")


@runs.command()
def gc(
    folder: Folder,
    yes: Annotated[bool, typer.Option("--yes", help="Remove it; else it is only listed.")] = False,
    as_json: options.Json = False,
) -> None:
    """List, or with --yes remove, what no result refers to and what killed commands left.

    Nothing that a result refers to is touched, nor a cell whose numbers are still to come, nor one that
    changed within ten minutes, for a command may be at work on it, nor files whose names are not known.

    **Example**: sambench runs gc runs/coco --yes
    """
    from sambench.harness.garbage import find_waste, remove
    from sambench.harness.inventory import Inventory
    from sambench.harness.remote.places import fetched, forget

    inventory = Inventory.of(fetched(folder, console.note))
    found = find_waste(inventory)
    gone = remove(inventory, found.waste) if yes else []
    if gone:
        forget(folder, gone)
    if as_json:
        kept = [{"path": path.as_posix(), "why": why} for path, why in found.kept]
        waste = [one.to_json() | {"removed": one.path in gone} for one in found.waste]
        console.print_json({"waste": waste, "kept": kept})
    else:
        _print_waste(found, yes)
    if yes and len(gone) < len(found.waste):
        left = next(one.path for one in found.waste if one.path not in gone)
        raise SambenchError(f"{left}: cannot be removed. Is it yours to remove?")


def _in_full(cell: Held, damaged: list[Path]) -> dict[str, Any]:
    results = [
        {"status": r.status, "reason": r.reason, "metrics": r.metrics, "protocol": r.protocol}
        for r in (*cell.results, *cell.awaited)
    ]
    more = {"damaged": [path.name for path in damaged], "results": results}
    return {**cell.to_json(), **more, "key": cell.key, "sessions": cell.sessions}


def _print_cell(fact: dict[str, Any]) -> None:
    """Print what there is to say of a cell: a line for each thing, the longest last."""
    shards = f"{fact['shards_done']} of {fact['shards'] or '?'}"
    lines = {
        "run": fact["run"],
        "shards": f"{shards}, {fact['images']} images, {_size(fact['bytes'])}, changed {fact['changed']}",
        "use": fact["use"],
        "protocol": ", ".join(fact["protocol"]) or "as by default",
        "damaged": ", ".join(fact["damaged"]) or "none",
    }
    console.out.print(fact["cell"], style="bold", soft_wrap=True)
    for name, text in lines.items():
        console.out.print(f"  {name:9} {text}", soft_wrap=True)
    for result in fact["results"]:
        numbers = ", ".join(f"{k} {v:.2f}" for k, v in result["metrics"].items() if v is not None)
        console.out.print(f"  result    {result['status']}: {result['reason'] or numbers}", soft_wrap=True)
    for session in fact["sessions"]:
        hardware = session.get("hardware") or {}
        where = f"{hardware.get('device', '?')} of {hardware.get('host', '?')}"
        text = f"{session.get('images', 0)} images on {where}: {session.get('command')}"
        console.out.print(f"  computed  {text}", soft_wrap=True)
    for name, value in fact["key"].items():
        console.out.print(f"  key       {name} = {value}", soft_wrap=True)


def _print_waste(found: Found, removed: bool) -> None:
    for path, why in found.kept:
        console.note(f"kept: {path}: {why}")
    for one in found.waste:
        console.out.print(f"{_size(one.bytes):>9}  {one.path}: {one.why}", soft_wrap=True)
    total = f"{sum(w.files for w in found.waste)} files, {_size(sum(w.bytes for w in found.waste))}"
    if not found.waste:
        console.note("nothing to remove")
    else:
        console.note(f"removed {total}" if removed else f"{total}; --yes removes them")


def _size(count: int) -> str:
    from rich.filesize import decimal

    return decimal(count)
