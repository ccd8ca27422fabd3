"""What nobody needs of a run's folder. Only files with known names are ever offered for removal."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sambench.adapters.files import locked
from sambench.harness.inventory import Held, Inventory
from sambench.harness.times import in_words

AT_WORK = 600.0
"""Seconds since the last change of a cell, or of a temporary file, in which a command may be at work on it:
one writes once a minute (`harness.work.SAVE_EVERY`), and the clock of a file server may be minutes off."""

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{16}\.tmp")  # of adapters.files
_BEGUN = re.compile(r"_begun-(\d+-of-\d+)\.part")
_MADE = re.compile(r"_(?:scores|evidence)-([0-9a-f]+)\.(?:json|npz)")
_KNOWN = re.compile(
    r"\d+-of-\d+\.parquet|_(?:cell|not_applicable|(?:scores|session)-[\w.-]+)\.json"
    r"|_evidence-[0-9a-f]+\.npz|_begun-\d+-of-\d+\.part|_submission\.zip"
)
_KNOWN_SPEED = re.compile(r"round-\d+(?:\.json|(?:-monitor)?\.parquet)")


@dataclass(frozen=True)
class Waste:
    """Something that can be removed."""

    path: Path
    why: str
    bytes: int
    files: int = 1

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self) | {"path": self.path.as_posix()}


@dataclass(frozen=True)
class Found:
    """What is not needed, and what stays although no result refers to it."""

    waste: tuple[Waste, ...]
    kept: tuple[tuple[Path, str], ...]
    """With the reason."""


def find_waste(inventory: Inventory) -> Found:
    """Return what no result refers to, and what killed commands left; nothing is removed."""
    waste, kept = list(_leftovers(inventory)), list[tuple[Path, str]]()
    for cell in inventory.cells:
        age = inventory.looked - cell.changed
        if cell.use == "in results":
            waste += _outdated(cell, inventory)
        elif age < AT_WORK:
            kept.append((cell.folder, f"changed {in_words(age)} ago: a command may be at work on it"))
        elif reason := _reason_to_stay(cell, inventory):
            kept.append((cell.folder, reason))
        else:
            waste.append(Waste(cell.folder, "no result refers to it", cell.bytes, len(cell.files)))
    return Found(tuple(waste), tuple(kept))


def remove(inventory: Inventory, waste: tuple[Waste, ...]) -> list[Path]:
    """Remove what `find_waste` found; return what is gone.

    Raises:
        SambenchError: another command is writing the results.
    """
    gone = []
    with locked(inventory.run / "results.json"):
        for one in waste:
            if one.path.is_dir():
                shutil.rmtree(one.path, ignore_errors=True)
            else:
                one.path.unlink(missing_ok=True)
            if not one.path.exists():
                gone.append(one.path)
    return gone


def _reason_to_stay(cell: Held, inventory: Inventory) -> str:
    """Return why a cell that no result refers to stays all the same."""
    if inventory.results is None:
        return "there is no results.json to say what is needed; the same 'sambench run' writes it"
    if cell.awaited:
        return "a result without a number may come from it: the same 'sambench run' goes on with it"
    known = _KNOWN_SPEED if cell.is_speed else _KNOWN
    names = [file.relative_to(cell.folder).as_posix() for file in cell.files]
    strange = [name for name in names if not known.fullmatch(name) and not _TEMPORARY.fullmatch(name)]
    if names == ["_not_applicable.json"]:
        return "it says why a model cannot take part"
    if names == ["gate.json"]:
        return "it says that a model's masks were compared before it was timed"
    if not strange and (cell.key or cell.is_speed):
        return ""
    return f"not known: {strange[0] if strange else 'no _cell.json'}; remove it by hand if you know better"


def _leftovers(inventory: Inventory) -> Iterator[Waste]:
    """What a killed command left half written, in the run's folder and in its cells."""
    folders = [inventory.run, inventory.run / "tables", inventory.run / "figures"]
    for folder in [*folders, *(cell.folder for cell in inventory.cells if cell.use == "in results")]:
        for file in sorted(folder.glob(".*.tmp")):
            if _TEMPORARY.fullmatch(file.name) and inventory.looked - file.stat().st_mtime > AT_WORK:
                files = [f for f in [file, *file.rglob("*")] if f.is_file()]
                size = sum(f.stat().st_size for f in files)
                yield Waste(file, "left half written by a command that was killed", size, len(files))


def _outdated(cell: Held, inventory: Inventory) -> Iterator[Waste]:
    """What lies beside needed records and is needed no more."""
    needed = {made[1] for r in cell.results if r.evidence and (made := _MADE.fullmatch(r.evidence))}
    told = all(result.evidence for result in cell.results)  # else any scores may be those of the result
    for file, (size, changed) in cell.files.items():
        if inventory.looked - changed < AT_WORK:
            continue
        if (begun := _BEGUN.fullmatch(file.name)) and (cell.folder / f"{begun[1]}.parquet").exists():
            yield Waste(file, "its shard is finished", size)
        elif told and (made := _MADE.fullmatch(file.name)) and made[1] not in needed:
            yield Waste(file, "scores of another evaluator, protocol or version that no result has", size)
