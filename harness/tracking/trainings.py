"""The entry of a training's folder: curves by step, what it learns from, and its model once it is whole."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sambench.adapters.weights.resolve import sha256_of
from sambench.evsam.errors import SambenchError
from sambench.harness.secrets import without_secrets
from sambench.harness.tracking.content import Entry, Model, Point, files_under, flat
from sambench.harness.train.log import read_lines
from sambench.harness.train.result import ABOUT, MODEL, notes_of, passed

WEIGHTS = f"weights/{MODEL}"
"""Where a model is in its run."""


def entries_of_training(out: Path, running: bool) -> list[Entry]:
    """Return what a training's folder has to say.

    Raises:
        SambenchError: what the training wrote of itself cannot be read.
    """
    about = read_about(out)
    lines = read_lines(out / "metrics.jsonl")
    weights = out / MODEL
    notes = notes_of(weights) if weights.is_file() else None
    whole = notes is not None and notes.get("training") == about["id"]
    files = {} if running else _files(out, whole)
    if whole:
        files[WEIGHTS] = weights
    model = None
    if notes is not None and whole and not running and passed(about, lines):
        model = _model(about, notes, lines, weights)
    tags = {k: v for k, v in about.items() if k not in ("decides", "schema")}
    best = notes.get("best") if notes is not None and whole else None
    entry = Entry(
        key=f"training {about['id']}",
        name=f"{about['kind']} {about['decides']['model']}",
        params=without_secrets(flat(about["decides"])),
        points=tuple(_points(lines)),
        tags=without_secrets(flat(tags) | flat({"best": best or {}}) | {"folder": out.name}),
        files=files,
        status="running" if running else ("finished" if whole else "killed"),
        began=about.get("began"),
        ended=lines[-1].get("time") if lines else None,
        model=model,
        grows=True,
    )
    return [entry]


def read_about(out: Path) -> dict[str, Any]:
    """Read what a training wrote of itself when it began.

    Raises:
        SambenchError: it is missing or damaged.
    """
    try:
        found = json.loads((out / ABOUT).read_text(encoding="utf-8"))
        for path in (("id",), ("kind",), ("decides", "model"), ("decides", "steps"), ("decides", "data")):
            functools.reduce(lambda content, name: content[name], path, found)
        return dict(found)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SambenchError(
            f"{out / ABOUT}: cannot be read ({error}). A training writes it when it begins."
        ) from None


def _points(lines: Sequence[Mapping[str, Any]]) -> Iterator[Point]:
    """The numbers of each step, and of each validation under ``validation/``."""
    for line in lines:
        numbers = {k: v for k, v in line.items() if k not in ("step", "time", "validation")}
        numbers |= {f"validation/{k}": v for k, v in (line.get("validation") or {}).items()}
        for name, value in numbers.items():
            if isinstance(value, int | float) and math.isfinite(value):
                yield Point(name, float(value), int(line["step"]), line.get("time"))


def _files(out: Path, whole: bool) -> dict[str, Path]:
    """What is worth keeping of it, but for the weights: not its checkpoints, nor an earlier one's curve."""
    names = (ABOUT, "metrics.jsonl", *(["curve.png"] if whole else []))
    found = {name: out / name for name in names if (out / name).is_file()}
    pictures = out / "pictures"
    return found | (files_under(pictures, "pictures") if pictures.is_dir() else {})


def _model(
    about: Mapping[str, Any], notes: Mapping[str, Any], lines: Sequence[Mapping[str, Any]], weights: Path
) -> Model:
    scores = next(line["validation"] for line in reversed(lines) if "validation" in line)
    digest = sha256_of(weights)
    tags = {"sha256": digest, "training": about["id"], "steps": about["decides"]["steps"]}
    tags |= {f"validation.{name}": f"{value:.6g}" for name, value in scores.items()}
    said = flat({"data": about["decides"]["data"], "git": notes.get("git") or {}})
    return Model(about["decides"]["model"], digest, WEIGHTS, without_secrets({**said, **flat(tags)}))
