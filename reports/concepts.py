"""SA-Co/Gold as one table: models by rows, its seven subsets and their mean, published numbers beside.

The benchmark's headline is a mean over subsets, each of which is a data set with a table of its own. It
stands here only where all seven were measured; a row of fewer says how many.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence

from sambench.reports import literature
from sambench.reports.cells import Entry, provenance
from sambench.reports.literature import Claim
from sambench.reports.literature.vocabulary import GOLD as SUBSETS
from sambench.reports.model import Column, Notes, Row, Table, Value
from sambench.reports.tables import unused_name
from sambench.suites import naming
from sambench.suites.determinism import bound

SUITE = "concept"
GOLD = "saco_gold"
DATASETS = {f"{GOLD}_{subset}": title for subset, title in SUBSETS.items()}
"""Each subset's data set to the head of its column, in the order of the benchmark's table."""
MEANS = {"cgf1": "cgF1", "il_mcc": "IL_MCC", "pmf1": "pmF1"}
"""What the benchmark takes the mean of, and calls it."""
BENCHMARK = "saco"
"""The source that comes first where several print a model's numbers: the benchmark's own tables."""

ABOUT = (
    "cgF1 is pmF1 times IL_MCC. The mean, which has no interval, is over the seven subsets, each with the "
    "same weight; it stands only where all of them were measured. Cited: what is published, beside and not "
    "subtracted; 'sambench published --suite concept' tells how it was made, as far as its source does."
)
DIGITS = 2  # as the benchmark prints them

Group = dict[str, Entry]
"""Cells that differ in their data alone: data set to cell."""
Claims = dict[tuple[str, str], Claim]
"""What one source prints of a model, by data set and metric."""


def gold_tables(entries: Sequence[Entry], names: set[str]) -> list[Table]:
    """Return the table of SA-Co/Gold where several of its subsets were measured, else none.

    Args:
        entries: cells of any suites.
        names: of other tables, which this must not have.
    """
    asked = [e for e in entries if e.cell.suite == SUITE and e.cell.dataset in DATASETS]
    if len({entry.cell.dataset for entry in asked if entry.cell.status == "done"}) < 2:
        return []
    notes, printed, groups = Notes(), _printed(), _groups(asked)
    rows = [_measured_row(group, groups, printed, notes) for group in groups]
    run = {row.model for row in rows}
    rows += [_published_row(model, claims, notes) for model, claims in printed.items() if model not in run]
    return [
        Table(
            kind="suite",
            name=unused_name(f"{SUITE} {GOLD}", names),
            title="SA-Co/Gold: instances of noun phrases",
            about=ABOUT,
            columns=(
                *(_column(metric, title, "Mean of seven") for metric, title in MEANS.items()),
                *(_column(f"cgf1_{subset}", title, "cgF1") for subset, title in SUBSETS.items()),
            ),
            rows=tuple(rows),
            notes=tuple(notes.texts),
        )
    ]


def _column(metric: str, title: str, group: str) -> Column:
    return Column(metric, title, group, "cited", digits=DIGITS, printed=DIGITS)


def _groups(entries: Iterable[Entry]) -> list[Group]:
    """Put the cells of one model, run in one way by one protocol, together.

    Where a data set was measured twice in one way, each has a group of its own.
    """
    found: dict[tuple[str, int], Group] = {}
    for entry in entries:
        way = _way(entry)
        n = next(n for n in itertools.count() if entry.cell.dataset not in found.get((way, n), ()))
        found.setdefault((way, n), {})[entry.cell.dataset] = entry
    return list(found.values())


def _way(entry: Entry) -> str:
    """Identify model, weights, what runs it, and the protocol; what depends on the data is no part of it."""
    cell, weights = entry.cell, provenance(entry.cell, "weights")
    parts = [cell.model, weights.get("source"), weights.get("sha256"), naming.run_by(cell)]
    return json.dumps([*parts, provenance(cell, "adapter"), cell.protocol], sort_keys=True)


def _measured_row(group: Group, peers: Sequence[Group], printed: Mapping[str, Claims], notes: Notes) -> Row:
    first = _first(group)
    claims = printed.get(first.cell.model, {})
    done = {dataset: entry for dataset, entry in group.items() if entry.cell.status == "done"}
    departures = dict.fromkeys(text for e in done.values() for text in naming.departures(e.cell))
    values = [_mean(metric, done, claims) for metric in MEANS]
    values += [_of_subset(dataset, group.get(dataset), claims) for dataset in DATASETS]
    said = [_source(claims)] if claims else []
    said += [_failed(entry) for entry in group.values() if entry.cell.status != "done"]
    return Row(
        first.cell.model,
        first.name,
        tuple(values),
        tuple(departures),
        _tags(group, done, peers),
        notes=tuple(notes.number(text) for text in said),
    )


def _tags(group: Group, done: Group, peers: Sequence[Group]) -> tuple[str, ...]:
    """Say how many subsets there are, and what tells a row from another of the same model."""
    mine = _first(group)
    alike = [peer for peer in peers if _way(_first(peer)) == _way(mine)]
    found = [] if len(done) == len(DATASETS) else [f"{len(done)} of {len(DATASETS)} subsets"]
    if len({_first(peer).protocol for peer in peers}) > 1:
        found.append(f"{mine.protocol} protocol")
    if len(alike) > 1:
        found.append(f"run {', '.join(dict.fromkeys(entry.run for entry in group.values()))}")
    return tuple(found)


def _first(group: Group) -> Entry:
    """Return one of its cells, which are alike but for the data."""
    return next(iter(group.values()))


def _of_subset(dataset: str, entry: Entry | None, claims: Claims) -> Value:
    claim = claims.get((dataset, "cgf1"))
    measured = entry.cell.metrics.get("cgf1") if entry and entry.cell.status == "done" else None
    if entry is None or measured is None:
        return _unmeasured(claim, "not run" if entry is None else _failed(entry))
    ends = entry.cell.intervals.get("cgf1")
    interval = (ends[0], ends[1]) if ends else None
    published = None if claim is None else claim.value
    return Value(measured, interval, published, entry=entry, bound=bound(entry.cell, "cgf1"))


def _mean(metric: str, done: Group, claims: Claims) -> Value:
    """Return the mean over all seven subsets; nothing of fewer."""
    found = [done[dataset].cell.metrics.get(metric) for dataset in DATASETS if dataset in done]
    there = [value for value in found if value is not None]
    claim = claims.get((GOLD, metric))
    if len(there) < len(DATASETS):
        return _unmeasured(claim, f"{len(there)} of {len(DATASETS)} subsets")
    return Value(sum(there) / len(there), published=None if claim is None else claim.value)


def _unmeasured(claim: Claim | None, why: str) -> Value:
    return Value() if claim is None else Value(published=claim.value, verdict="not run", why=why)


def _failed(entry: Entry) -> str:
    cell = entry.cell
    reason = (cell.reason or "no reason recorded").rstrip(".")
    return f"{DATASETS[cell.dataset]}: {cell.status.replace('_', ' ')}, {reason}."


def _published_row(model: str, claims: Claims, notes: Notes) -> Row:
    values = [_unmeasured(claims.get((GOLD, metric)), "not run") for metric in MEANS]
    values += [_unmeasured(claims.get((dataset, "cgf1")), "not run") for dataset in DATASETS]
    title = naming.title(model)
    called = next(iter(claims.values())).called
    return Row(
        model,
        called if title == model else title,
        tuple(values),
        tags=("published, not run",),
        notes=(notes.number(_source(claims)),),
    )


def _source(claims: Claims) -> str:
    claim = next(iter(claims.values()))
    return f"Published: {claim.source}, {claim.table} ({claim.url})."


def _printed() -> dict[str, Claims]:
    """Return what one source prints of each model, the one with most numbers; the best model first."""
    tables: dict[str, dict[tuple[str, str], Claims]] = {}
    for claim in literature.claims(suite=SUITE):
        if claim.dataset in (GOLD, *DATASETS) and claim.metric in MEANS:
            its = tables.setdefault(claim.model, {}).setdefault((claim.source, claim.table), {})
            its[claim.dataset, claim.metric] = claim
    best = {
        model: max(its.items(), key=lambda item: (len(item[1]), item[0][0] == BENCHMARK))[1]
        for model, its in tables.items()
    }
    return dict(sorted(best.items(), key=lambda item: -item[1][GOLD, "cgf1"].value))
