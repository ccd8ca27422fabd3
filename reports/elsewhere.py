"""What other papers and repositories print of the models and data of a report, beside what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sambench.reports import literature, words
from sambench.reports.cells import Entry
from sambench.reports.literature import Claim
from sambench.reports.made import Grid, Text
from sambench.suites import naming

OURS = "efficientvit_sam"
"""The source that the report's tables have beside every number already."""

CAPTION = (
    "Numbers of papers and repositories for the same model, suite and data, looked up in their own tables; "
    "none of them is subtracted, for each was made in its own way. 'sambench published' has all of them."
)


def elsewhere(entries: Sequence[Entry]) -> list[Grid]:
    """Return a table of what others print of the models that were measured; none where nobody does."""
    measured: dict[tuple[str, str, str], list[Entry]] = {}
    for entry in entries:
        cell = entry.cell
        if cell.status == "done":
            measured.setdefault((cell.model, cell.suite, cell.dataset), []).append(entry)
    rows = [row for question, its in measured.items() for row in _rows(*question, its)]
    head = ("Model", "Data set", "Metric", "Measured here", "Published", "By", "How, as far as stated")
    return [Grid("What others print", head, tuple(dict.fromkeys(rows)), CAPTION)] if rows else []


def _rows(model: str, suite: str, dataset: str, its: Sequence[Entry]) -> Iterator[tuple[Text, ...]]:
    for claim in literature.beside(model, suite, "" if suite == "throughput" else dataset):
        if claim.source != OURS and any(claim.metric in entry.cell.metrics for entry in its):
            yield (
                Text(naming.title(model)),
                Text(dataset),
                Text(claim.metric),
                Text(_measured(claim, its), number=True),
                Text(f"{claim.value:,g}{_unit(claim)}", number=True),
                Text(f"{claim.source}, {claim.table}", about=claim.note),
                Text("; ".join(f"{axis}: {value}" for axis, value in claim.made.items()) or "nothing stated"),
            )


def _measured(claim: Claim, its: Sequence[Entry]) -> str:
    """Return what the cells have of the same number, the lowest and the highest where they are several."""
    found = sorted(value for entry in its if (value := entry.cell.metrics.get(claim.metric)) is not None)
    if not found:
        return ""
    ends = dict.fromkeys(words.figures(value) for value in (found[0], found[-1]))
    return " to ".join(ends) + _unit(claim)


def _unit(claim: Claim) -> str:
    return "%" if claim.unit == "%" else f" {claim.unit}"
