"""Two models on the same images and objects: by how much they differ, how surely, and on how many objects.

From what lies beside a run's records (`suites.scoring.evidence`); no model, annotation or suite is needed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from sambench.evsam.errors import SambenchError, did_you_mean
from sambench.reports.cells import Entry, read_runs
from sambench.reports.differences import Difference, Reader, differences, labels
from sambench.reports.pairs import pairs_between, pairs_within, refusal
from sambench.suites.scoring.evidence import holm


@dataclass(frozen=True)
class Refusal:
    """Two cells that are not subtracted."""

    model_a: str
    model_b: str
    label_a: str
    label_b: str
    suite: str
    dataset: str
    reason: str


@dataclass(frozen=True)
class Comparison:
    """What became of a comparison."""

    rows: tuple[Difference, ...]
    refused: tuple[Refusal, ...]
    unpaired: tuple[str, ...]
    """Cells that were compared with nothing, a sentence each."""


def compare_runs(
    run_a: Path,
    run_b: Path | None = None,
    *,
    models: Collection[str] = (),
    suites: Collection[str] = (),
    metrics: Collection[str] | None = None,
) -> Comparison:
    """Compare two runs, or all models of one; see `compare`.

    Raises:
        SambenchError: a run cannot be read, or has not a model, suite or metric that was named.
    """
    return compare(*read_pair(run_a, run_b), models=models, suites=suites, metrics=metrics)


def read_pair(run_a: Path, run_b: Path | None = None) -> tuple[list[Entry], list[Entry] | None]:
    """Read the cells of one run or two, whose names and protocols are told apart.

    Raises:
        SambenchError: one has no readable ``results.json``.
    """
    if run_b is None:
        return read_runs([run_a]), None
    folders = [run if run.is_dir() else run.parent for run in (run_a, run_b)]
    if folders[0].resolve() == folders[1].resolve():
        return read_runs([run_a]), read_runs([run_b])
    both = read_runs([run_a, run_b])
    own, its = ([entry for entry in both if entry.folder == folder] for folder in folders)
    return own, its


def compare(
    entries_a: Sequence[Entry],
    entries_b: Sequence[Entry] | None = None,
    *,
    models: Collection[str] = (),
    suites: Collection[str] = (),
    metrics: Collection[str] | None = None,
) -> Comparison:
    """Subtract the numbers of two runs, or of all pairs of models of one.

    Args:
        entries_a: one run's cells.
        entries_b: another's, paired as `pairs.pairs_between` says; without it all pairs of the first.
        models: only these; all by default.
        suites: only these; all by default.
        metrics: only these; all by default.

    Raises:
        SambenchError: there is no such model, suite or metric.
    """
    chosen_a = _chosen(entries_a, models, suites)
    chosen_b = None if entries_b is None else _chosen(entries_b, models, suites)
    every = [*entries_a, *(entries_b or ())]
    _known("model", models, {entry.cell.model for entry in every})
    _known("suite", suites, {entry.cell.suite for entry in every})
    _known("metric", metrics or (), {name for entry in every for name in entry.cell.metrics})
    found = pairs_within(chosen_a) if chosen_b is None else pairs_between(chosen_a, chosen_b)
    rows: list[Difference] = []
    refused: list[Refusal] = []
    reader = Reader(metrics)
    for a, b in found.pairs:
        reason = refusal(a.cell, b.cell)
        try:
            rows += [] if reason else differences(a, b, reader)
        except SambenchError as error:
            reason = str(error)
        if reason:
            where = (a.cell.suite, a.cell.dataset)
            refused.append(Refusal(a.cell.model, b.cell.model, *labels(a, b), *where, reason.rstrip(".")))
    return Comparison(tuple(_adjusted(rows)), tuple(refused), tuple(found.unpaired))


def _chosen(entries: Sequence[Entry], models: Collection[str], suites: Collection[str]) -> list[Entry]:
    return [
        entry
        for entry in entries
        if (not models or entry.cell.model in models) and (not suites or entry.cell.suite in suites)
    ]


def _known(what: str, asked: Collection[str], there: Collection[str]) -> None:
    for name in asked:
        if name not in there:
            hint = did_you_mean(name, there) or f" There are {', '.join(sorted(there)) or 'none'}."
            raise SambenchError(f"no {what} {name!r} in what is compared.{hint}")


def _adjusted(rows: Sequence[Difference]) -> list[Difference]:
    """Put in the p values that Holm adjusts: those of a table's column are a family."""
    families: dict[tuple[str, ...], list[int]] = {}
    for i, row in enumerate(rows):
        if row.p is not None:
            families.setdefault((row.suite, row.dataset, row.protocol, row.metric), []).append(i)
    found = list(rows)
    for members in families.values():
        adjusted = holm([p for i in members if (p := rows[i].p) is not None])
        for i, p_holm in zip(members, adjusted, strict=True):
            found[i] = dataclasses.replace(rows[i], p_holm=p_holm)
    return found
