"""What a cell is called, wherever it is shown: its model, and every way in which it is not the plain case.

Plain is the model's official checkpoint, run by eager PyTorch in fp32 on the whole data set, and scored by
the default evaluator. A number that was made otherwise never stands beside a bare name.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from sambench.adapters.registry import entry
from sambench.adapters.weights.upstream import upstream
from sambench.evsam.errors import SambenchError
from sambench.suites.results import CellResult
from sambench.suites.sginw.registry import registry

PLAIN = "eager fp32"
"""How a model runs where a name says nothing of it."""

EVALUATOR = "hotcoco"
"""What computes AP where a name says nothing of it."""

NAMED = 3
"""Images that failed which a sentence names; `CellResult.failed_images` has more."""

SHORT = 8
"""Letters of a checksum in a name; the report's tables have all of them."""


def title(model: str) -> str:
    """Return a model's display name; one that is not known here keeps its own."""
    try:
        return entry(model).title
    except SambenchError:
        return model


def run_by(cell: CellResult) -> str:
    """Return engine and precision."""
    return f"{cell.engine} {cell.precision}"


def departures(cell: CellResult) -> tuple[str, ...]:
    """Return what sets a cell apart from the plain case, a few words each; nothing of one that is plain."""
    weights = cell.provenance.get("weights") or {}
    unknown = cell.status == "done" and not weights
    found = [
        "weights not recorded" if unknown else checkpoint(cell.model, weights),
        "" if run_by(cell) == PLAIN else run_by(cell),
        sample(cell),
        failures(cell),
        _evaluator(cell),
        *_options(cell),
    ]
    return tuple(words for words in found if words)


def beside_speed(cell: CellResult) -> tuple[str, ...]:
    """Return engine and precision, the plain ones too, and what else sets a cell apart."""
    return (run_by(cell), *(words for words in departures(cell) if words != run_by(cell)))


def with_departures(name: str, cell: CellResult) -> str:
    """Return a name with the cell's departures behind it, on one line."""
    return ", ".join([name, *departures(cell)])


def checkpoint(model: str, weights: Mapping[str, Any]) -> str:
    """Return what sets a model's weights apart; nothing of the official ones, nor where there are none.

    Args:
        model: the registered name.
        weights: ``source``, ``path``, ``sha256`` and, of a model of several, ``parts``, as
            `adapters.base.Weights` has them.
    """
    if weights.get("source") == "random":
        return "random weights"
    if parts := weights.get("parts"):
        return " + ".join(filter(None, (checkpoint(part, own) for part, own in parts.items())))
    if weights.get("source") != "file" or is_official(model, weights):
        return ""
    name = PurePath(str(weights.get("path") or "a file")).name
    return " ".join([name, str(weights.get("sha256") or "")[:SHORT]]).strip()


def is_official(model: str, weights: Mapping[str, Any]) -> bool | None:
    """Tell by checksum whether weights are those of the model's authors; ``None`` where none is known.

    Those of several parts are where each part's are that has any.
    """
    if parts := weights.get("parts"):
        each = [is_official(part, own) for part, own in parts.items() if own.get("source") != "none"]
        return False if False in each else None if None in each else True
    known = upstream(model)
    if known is None or known.sha256 is None:
        return None
    return bool(weights.get("sha256") == known.sha256)


def sample(cell: CellResult) -> str:
    """Say how much of the data set was evaluated; nothing where that is all of it."""
    if part := cell.partial:
        return f"{_count(part.get('limit'))} of {_count(part.get('of'))} images"
    there = cell.counts.get("data_sets", len(registry()))
    return f"{there} of {len(registry())} data sets" if there < len(registry()) else ""


def failures(cell: CellResult) -> str:
    """Say on how many images the model failed; nothing where it did on none."""
    return f"{cell.n_failed_images:,} of {cell.n_images:,} images failed" if cell.n_failed_images else ""


def failures_named(cell: CellResult) -> str:
    """Say it in a sentence, with the first of the images and why; nothing where there is none."""
    if not cell.n_failed_images:
        return ""
    found = [
        f"{image.get('file_name') or image.get('image_id')}: {str(image.get('reason')).rstrip('.')}"
        for image in cell.failed_images[:NAMED]
    ]
    if more := cell.n_failed_images - len(found):
        found.append(f"and {more:,} more" if found else "")
    one = cell.n_failed_images == 1
    said = f"{failures(cell)} and {'is' if one else 'are'} not in these numbers"
    return ": ".join(filter(None, [said, "; ".join(filter(None, found))])) + "."


def _count(images: int | None) -> str:
    return "?" if images is None else f"{images:,}"


def _evaluator(cell: CellResult) -> str:
    used = cell.provenance.get("evaluator") or EVALUATOR
    return "" if used == EVALUATOR else f"scored by {used}"


def _options(cell: CellResult) -> list[str]:
    """Say how a model of one's own was made, where that is a choice."""
    options = (cell.provenance.get("adapter") or {}).get("options") or {}
    return [f"{key}: {value}" for key, value in options.items()]
