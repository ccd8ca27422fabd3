"""What a run says of one cell, and the file that holds all cells of a run (``results.json``)."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sambench.evsam.errors import SambenchError
from sambench.suites.scoring.scores import About

SCHEMA = 1

Status = Literal["done", "failed", "not_applicable", "unfinished", "invalid"]


@dataclass(frozen=True)
class CellResult:
    """One model x engine x precision x suite x dataset x protocol, measured."""

    model: str
    engine: str
    precision: str
    device: str
    suite: str
    dataset: str
    protocol: dict[str, Any]
    """The axes of `suites.protocol.Protocol`."""
    metrics: dict[str, float | None] = field(default_factory=dict)
    """Name to value, percent; ``None`` where there was nothing to average (an empty size bin)."""
    intervals: dict[str, list[float]] = field(default_factory=dict)
    """Name to [low, high]: the 95% interval of a bootstrap over images, percent."""
    n_images: int = 0
    """Images evaluated, those without annotations included."""
    n_instances: int = 0
    """Objects scored."""
    n_failed_images: int = 0
    """Images that the model failed on, as far as ``--max-failures`` let it; their objects are not scored."""
    failed_images: list[dict[str, Any]] = field(default_factory=list)
    """The first of them: ``image_id``, ``file_name``, ``reason``."""
    status: Status = "done"
    reason: str | None = None
    """Why a cell failed or does not apply."""
    note: str | None = None
    """What a reader must know of the numbers, in a sentence."""
    counts: dict[str, int] = field(default_factory=dict)
    """Objects by size (``small``, ...) and those left out (``crowd_dropped``, ``empty_dropped``, ...)."""
    partial: dict[str, int] | None = None
    """``{"limit", "of", "seed"}`` when only a seeded sample of the images was evaluated."""
    records: str | None = None
    """Folder of this cell's Parquet shards, relative to the run's folder."""
    evidence: str | None = None
    """File in that folder: what the numbers are made of, image by image (`suites.scoring.evidence`)."""
    timing: dict[str, float] = field(default_factory=dict)
    """Seconds by stage, of the last command that computed something; never part of a record."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """``weights``, ``annotations``, ``images``, ``git``, ``versions``, ``device`` and the ``command``."""
    about: About | None = None
    """The suite's title and metrics, which the file has once for all its cells; ``None`` in older files."""

    def to_json(self) -> dict[str, Any]:
        """Return the cell as a plain dictionary, without what it says of its suite."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "about"}


def load_results(path: Path) -> list[CellResult]:
    """Read the cells of a run from its folder or from its ``results.json``.

    Raises:
        SambenchError: the file is missing, is not JSON, or was written under another schema.
    """
    file = path / "results.json" if path.is_dir() else path
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        raise SambenchError(f"{file}: no such file. Is {path} the --out folder of a run?") from None
    except OSError as error:
        raise SambenchError(f"{file}: cannot be read as results of a run ({error}).") from None
    return decode_results(content, str(file))


def decode_results(encoded: bytes, where: str) -> list[CellResult]:
    """Return the cells that the bytes of a ``results.json`` have.

    Raises:
        SambenchError: they are not JSON, or of another schema; ``where`` they are from is named.
    """
    try:
        content = json.loads(encoded.decode("utf-8"))
    except ValueError as error:
        raise SambenchError(f"{where}: cannot be read as results of a run ({error}).") from None
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise SambenchError(
            f"{where}: not a results file of schema {SCHEMA}; make it again with 'sambench run'."
        )
    known = {f.name for f in dataclasses.fields(CellResult)} - {"about"}
    try:
        about = {suite: About.from_json(one) for suite, one in content.get("suites", {}).items()}
        return [
            CellResult(**{k: v for k, v in cell.items() if k in known}, about=about.get(cell["suite"]))
            for cell in content["cells"]
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise SambenchError(
            f"{where}: a cell is incomplete ({error}); make it again with 'sambench run'."
        ) from None
