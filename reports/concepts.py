"""SA-Co/Gold and SA-Co/Silver as a table each: the mean and the subsets, published numbers beside.

The headline of such a benchmark is a mean over its subsets, each of which is a data set with a table of its
own. It stands only where all were measured, in one way; a row of fewer says how many.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sambench.reports import literature
from sambench.reports.cells import Entry, provenance
from sambench.reports.literature import Claim, vocabulary
from sambench.reports.model import Column, Notes, Row, Table, Value
from sambench.reports.tables import unused_name
from sambench.suites import naming
from sambench.suites.determinism import bound

SUITE = "concept"
MEANS = {"cgf1": "cgF1", "il_mcc": "IL_MCC", "pmf1": "pmF1"}
"""What the benchmarks take the mean of, and call it."""
OWN = "saco"
"""The source that comes first where several print a model's numbers: the benchmarks' own tables."""
DIGITS = 2  # as they print them

ABOUT = (
    "cgF1 is pmF1 times IL_MCC. The mean, which has no interval, gives each subset the same weight and "
    "stands only where all were measured. Cited: what is published, beside and not subtracted; "
    "'sambench published --suite concept' tells how it was made, as far as its source does."
)

Group = dict[str, Entry]
"""Cells that differ in their data alone: data set to cell."""
Claims = dict[tuple[str, str], Claim]
"""What one source prints of a model, by data set and metric."""


@dataclass(frozen=True)
class Benchmark:
    """Data sets of which the mean is taken."""

    name: str
    """As the literature calls the mean."""
    title: str
    subsets: Mapping[str, str]
    """Each one's name behind the benchmark's, to the head of its column."""

    @property
    def datasets(self) -> dict[str, str]:
        """Data set to the head of its column, in the order of the benchmark's own table."""
        return {f"{self.name}_{subset}": title for subset, title in self.subsets.items()}


GOLD = Benchmark("saco_gold", "SA-Co/Gold", vocabulary.GOLD)
SILVER = Benchmark("saco_silver", "SA-Co/Silver", vocabulary.SILVER)


def mean_tables(entries: Sequence[Entry], names: set[str]) -> list[Table]:
    """Return the table of each benchmark of which several subsets were measured.

    Args:
        entries: cells of any suites.
        names: of other tables, which these must not have.
    """
    tables = []
    for benchmark in (GOLD, SILVER):
        mine = [e for e in entries if e.cell.suite == SUITE and e.cell.dataset in benchmark.datasets]
        if len({entry.cell.dataset for entry in mine if entry.cell.status == "done"}) > 1:
            tables.append(_Board(benchmark, mine).table(unused_name(f"{SUITE} {benchmark.name}", names)))
    return tables


class _Board:
    """One benchmark's table while it is made."""

    def __init__(self, benchmark: Benchmark, entries: Iterable[Entry]) -> None:
        self.name, self.title = benchmark.name, benchmark.title
        self.datasets = benchmark.datasets
        self.groups = _groups(entries)
        self.printed = _printed(benchmark)
        self.notes = Notes()

    def table(self, name: str) -> Table:
        rows = [self._measured_row(group) for group in self.groups]
        run = {row.model for row in rows}
        rows += [self._published_row(*item) for item in self.printed.items() if item[0] not in run]
        mean = f"Mean of {len(self.datasets)}"
        columns = [_column(metric, title, mean) for metric, title in MEANS.items()]
        columns += [
            _column(dataset.replace(self.name, "cgf1"), title, "cgF1")
            for dataset, title in self.datasets.items()
        ]
        title = f"{self.title}: instances of noun phrases"
        return Table("suite", name, title, ABOUT, tuple(columns), tuple(rows), tuple(self.notes.texts))

    def _measured_row(self, group: Group) -> Row:
        first = _first(group)
        claims = self.printed.get(first.cell.model, {})
        done = {dataset: entry for dataset, entry in group.items() if entry.cell.status == "done"}
        departures = dict.fromkeys(text for e in done.values() for text in naming.departures(e.cell))
        values = [self._mean(metric, done, claims.get((self.name, metric))) for metric in MEANS]
        values += [self._value(group.get(ds), claims.get((ds, "cgf1"))) for ds in self.datasets]
        said = [_source(claims)] if claims else []
        said += [self._failed(entry) for entry in group.values() if entry.cell.status != "done"]
        return Row(
            first.cell.model,
            first.name,
            tuple(values),
            tuple(departures),
            self._tags(group, len(done)),
            notes=tuple(self.notes.number(text) for text in said),
        )

    def _published_row(self, model: str, claims: Claims) -> Row:
        values = [_unmeasured(claims.get((self.name, metric)), "not run") for metric in MEANS]
        values += [_unmeasured(claims.get((dataset, "cgf1")), "not run") for dataset in self.datasets]
        title, note = naming.title(model), self.notes.number(_source(claims))
        called = next(iter(claims.values())).called if title == model else title
        return Row(model, called, tuple(values), tags=("published, not run",), notes=(note,))

    def _tags(self, group: Group, done: int) -> tuple[str, ...]:
        """Say how many subsets there are, and what tells a row from another of the same model."""
        mine = _first(group)
        alike = [peer for peer in self.groups if _way(_first(peer)) == _way(mine)]
        found = [] if done == len(self.datasets) else [self._so_many(done)]
        if len({_first(peer).protocol for peer in self.groups}) > 1:
            found.append(f"{mine.protocol} protocol")
        if len(alike) > 1:
            found.append(f"run {', '.join(dict.fromkeys(entry.run for entry in group.values()))}")
        return tuple(found)

    def _mean(self, metric: str, done: Group, claim: Claim | None) -> Value:
        """Return the mean over all subsets; nothing of fewer."""
        found = [entry.cell.metrics.get(metric) for entry in done.values()]
        there = [value for value in found if value is not None]
        if len(there) < len(self.datasets):
            return _unmeasured(claim, self._so_many(len(there)))
        return Value(sum(there) / len(there), published=None if claim is None else claim.value)

    def _value(self, entry: Entry | None, claim: Claim | None) -> Value:
        """Return a subset's cgF1."""
        if entry is None or entry.cell.status != "done":
            return _unmeasured(claim, "not run" if entry is None else self._failed(entry))
        cell = entry.cell
        if (measured := cell.metrics.get("cgf1")) is None:
            return _unmeasured(claim, "nothing there to measure it on")
        low, high = cell.intervals.get("cgf1") or (None, None)
        interval = None if low is None or high is None else (low, high)
        published = None if claim is None else claim.value
        return Value(measured, interval, published, entry=entry, bound=bound(cell, "cgf1"))

    def _so_many(self, subsets: int) -> str:
        return f"{subsets} of {len(self.datasets)} subsets"

    def _failed(self, entry: Entry) -> str:
        status, reason = entry.cell.status.replace("_", " "), entry.cell.reason or "no reason recorded"
        return f"{self.datasets[entry.cell.dataset]}: {status}, {reason.rstrip('.')}."


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


def _first(group: Group) -> Entry:
    """Return one of its cells, which are alike but for the data."""
    return next(iter(group.values()))


def _unmeasured(claim: Claim | None, why: str) -> Value:
    return Value() if claim is None else Value(published=claim.value, verdict="not run", why=why)


def _source(claims: Claims) -> str:
    claim = next(iter(claims.values()))
    return f"Published: {claim.source}, {claim.table} ({claim.url})."


def _printed(benchmark: Benchmark) -> dict[str, Claims]:
    """Return what one source prints of each model, the one with most numbers; the best model first."""
    tables: dict[str, dict[tuple[str, str], Claims]] = {}
    for claim in literature.claims(suite=SUITE):
        if claim.dataset in (benchmark.name, *benchmark.datasets) and claim.metric in MEANS:
            its = tables.setdefault(claim.model, {}).setdefault((claim.source, claim.table), {})
            its[claim.dataset, claim.metric] = claim
    best = {
        model: max(its.items(), key=lambda item: (len(item[1]), item[0][0] == OWN))[1]
        for model, its in tables.items()
    }
    return dict(sorted(best.items(), key=lambda item: -item[1][benchmark.name, "cgf1"].value))
