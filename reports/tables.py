"""Tables of measured numbers, each beside the published one where that is fair."""

from __future__ import annotations

import contextlib
import itertools
import math
import re
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from sambench.reports import comparable, published
from sambench.reports.cells import Entry
from sambench.reports.model import Column, Notes, Row, Table, Value, verdict
from sambench.suites import naming
from sambench.suites.determinism import bound
from sambench.suites.registry import SUITES, suite_class
from sambench.suites.scoring.scores import About, Metric

STATUS = {"not_applicable": "n/a", "failed": "failed", "unfinished": "unfinished"}
MOST_COLUMNS = 13
"""Of a table; more go into another, or no page is wide enough."""
LONGEST = 100
"""Letters of a table's name, which names its files."""


def build_tables(entries: Sequence[Entry], names: set[str] | None = None) -> list[Table]:
    """Return the tables of each suite and data set, the suites of the paper first.

    Args:
        entries: cells of suites.
        names: of other tables, which these must not have.
    """
    order = {suite: rank for rank, suite in enumerate(SUITES)}
    pairs = dict.fromkeys((entry.cell.suite, entry.cell.dataset) for entry in entries)
    names = set() if names is None else names
    return [
        table
        for suite, dataset in sorted(pairs, key=lambda pair: order.get(pair[0], len(order)))
        for table in _of_suite(
            suite, dataset, [e for e in entries if (e.cell.suite, e.cell.dataset) == (suite, dataset)], names
        )
    ]


def unused_name(text: str, taken: set[str]) -> str:
    """Return a name for a table's files which no other has, though it had the same letters; it is taken."""
    slug = re.sub(r"[^a-z0-9_.]+", "-", text.lower())[:LONGEST].strip("-.")
    names = itertools.chain([slug], (f"{slug}-{n}" for n in itertools.count(2)))
    found = next(name for name in names if name not in taken)
    taken.add(found)
    return found


def _of_suite(suite: str, dataset: str, entries: Sequence[Entry], names: set[str]) -> list[Table]:
    """Return a suite's main table, then those of its parts that were measured."""
    about = _about(suite, entries)
    tables = []
    for part in dict.fromkeys(metric.part for metric in about.metrics):
        metrics = [metric for metric in about.metrics if metric.part == part]
        columns = _columns(suite, dataset, metrics, entries)
        name = " ".join(filter(None, [suite, dataset, part]))
        title = f"{about.title}: {part[0].lower()}{part[1:]}" if part else about.title
        for n, some in enumerate(_cut(columns)):
            more = ["continued"] * (n > 0)
            words = (", ".join(filter(None, [text, *more])) for text in (title, part))
            tables.append(_build(suite, dataset, entries, some, Heading(unused_name(name, names), *words)))
    return tables


def _cut(columns: Sequence[Column]) -> list[tuple[Column, ...]]:
    """Cut columns into as few tables as fit a page, about as wide as each other."""
    tables = math.ceil(len(columns) / MOST_COLUMNS)
    width = math.ceil(len(columns) / tables) if tables else 1
    return [tuple(columns[i : i + width]) for i in range(0, len(columns), width)]


class Heading(NamedTuple):
    """What a table of a suite is called."""

    name: str
    title: str
    part: str


def _columns(suite: str, dataset: str, metrics: Sequence[Metric], entries: Sequence[Entry]) -> list[Column]:
    """Return the columns that there is anything to say in."""
    measured = {m for e in entries for m in e.cell.metrics}
    return [
        Column(
            metric.name,
            metric.title,
            metric.group,
            printed_by := published.printed_by(suite, dataset, metric.name),
            digits=1 if metric.unit == "percent" else 2,
            printed=published.decimals(suite, dataset, metric.name) if printed_by else None,
            higher_is_better=metric.higher_is_better,
        )
        for metric in metrics
        if metric.name in measured or not (metric.optional or metric.part)
    ]


def _build(
    suite: str, dataset: str, entries: Sequence[Entry], columns: tuple[Column, ...], heading: Heading
) -> Table:
    printed = any(column.published for column in columns)
    models = published.models_of(suite, dataset) if printed else []
    absent = [m for m in models if m not in {e.cell.model for e in entries}]
    notes = Notes()
    rows = [_measured_row(entry, entries, columns, notes) for entry in entries]
    rows += [_published_row(suite, dataset, model, columns) for model in absent]
    return Table(
        kind="suite",
        name=heading.name,
        title=heading.title,
        about=_published_in(suite, dataset, columns),
        columns=columns,
        rows=tuple(rows),
        notes=tuple(notes.texts),
        suite=suite,
        dataset=dataset,
        part=heading.part,
        source=_source(suite, dataset) if printed else "",
    )


def _measured_row(entry: Entry, peers: Sequence[Entry], columns: Iterable[Column], notes: Notes) -> Row:
    """Make the row of a cell; what is to be said of its comparison becomes a note."""
    cell = entry.cell
    departures, tags = naming.departures(cell), _tags(entry, peers)
    if cell.status != "done":
        fallback = "run the same command again" if cell.status == "unfinished" else "no reason recorded"
        return Row(
            cell.model,
            entry.name,
            departures=departures,
            tags=tags,
            entry=entry,
            status=STATUS.get(cell.status, cell.status),
            reason=cell.reason or fallback,
        )
    columns = list(columns)
    printed = any(column.published for column in columns)
    paper = published.lookup(cell.suite, cell.dataset, cell.model) if printed else None
    reasons = comparable.reasons(entry) if paper else []
    values = tuple(value_beside(entry, column.metric, reasons) for column in columns)
    told = [text for text in (naming.failures_named(cell), cell.note) if text]
    if reasons:
        others = [reason for reason in reasons if reason != naming.failures(cell)]  # which is told at length
        said = _note("Not comparable", [*others, *told], notes)
    else:
        caveats = comparable.caveats(entry) if paper else []
        said = _note("Comparable, but mind" if paper else "Mind", [*caveats, *told], notes)
    return Row(cell.model, entry.name, values, departures, tags, entry, notes=said)


def _note(lead: str, reasons: Sequence[str], notes: Notes) -> tuple[int, ...]:
    """Return the number of the note with these reasons, if there are any."""
    if not reasons:
        return ()
    return (notes.number(f"{lead}: {'; '.join(reason.rstrip('.') for reason in reasons)}."),)


def value_beside(entry: Entry, metric: str, reasons: Sequence[str]) -> Value:
    """Return a cell's number beside the published one.

    Args:
        entry: the cell, which is done.
        metric: as results call it.
        reasons: why the two may not be compared (`reports.comparable`); none where they may.
    """
    cell = entry.cell
    low, high = cell.intervals.get(metric) or (None, None)
    interval = None if low is None or high is None else (low, high)
    measured = cell.metrics.get(metric)
    moves = bound(cell, metric)
    paper = published.lookup(cell.suite, cell.dataset, cell.model)
    printed = paper.values.get(metric) if paper else None
    if paper is None or printed is None:
        return Value(measured, interval, entry=entry, bound=moves)
    exact = paper.exact.get(metric)
    if measured is None:
        return Value(None, None, printed, exact, "not run", "nothing there to measure it on", entry)
    if reasons:
        return Value(measured, interval, printed, exact, "not comparable", "; ".join(reasons), entry, moves)
    if exact is not None:
        found = verdict(measured, exact, published.SCRIPT_DECIMALS)
    else:
        found = verdict(measured, printed, published.decimals(cell.suite, cell.dataset, metric))
    return Value(measured, interval, printed, exact, found, entry=entry, bound=moves)


def published_value(suite: str, dataset: str, model: str, metric: str, why: str = "not run") -> Value:
    """Return the published number of what no run has."""
    paper = published.lookup(suite, dataset, model)
    printed = paper.values.get(metric) if paper else None
    if paper is None or printed is None:
        return Value()
    return Value(published=printed, exact=paper.exact.get(metric), verdict="not run", why=why)


def _published_row(suite: str, dataset: str, model: str, columns: Iterable[Column]) -> Row:
    values = tuple(published_value(suite, dataset, model, c.metric) for c in columns)
    return Row(model, naming.title(model), values, tags=("published, not run",))


def _tags(entry: Entry, peers: Sequence[Entry]) -> tuple[str, ...]:
    """Return what differs between rows besides their departures; the run where nothing else does."""
    own = _setting(entry)
    all_rows = zip(*map(_setting, peers), strict=True)
    tags = [text for text, every in zip(own, all_rows, strict=True) if len({*every} - {""}) > 1]
    twins = {p.run for p in peers if (p.label, _setting(p)) == (entry.label, own)}
    if len(twins) > 1:
        tags.append(f"run {entry.run}")
    return tuple(filter(None, tags))


def _setting(entry: Entry) -> tuple[str, ...]:
    """Return what need not be said where all rows share it; a sample is a departure, which says its size."""
    cell = entry.cell
    images = "" if cell.partial else f"{cell.n_images:,} images"
    return f"{entry.protocol} protocol", cell.device, images


def _source(suite: str, dataset: str) -> str:
    models = published.models_of(suite, dataset)
    paper = published.lookup(suite, dataset, models[0]) if models else None
    full = published.full_set(dataset)
    if paper is None:
        return ""
    return f"{paper.source}" + (f": {full.name}, {full.images:,} images" if full else "")


def _published_in(suite: str, dataset: str, columns: Collection[Column]) -> str:
    """Say whose numbers stand beside the measured ones."""
    said = {column.published for column in columns} - {""}
    if not said:
        return "" if any(published.models_of(suite, dataset)) else "The paper prints no numbers for this."
    script = " Script: printed by the authors' evaluation script, not in the paper." * ("script" in said)
    return f"Paper: {_source(suite, dataset)}.{script}"


def _about(suite: str, entries: Sequence[Entry]) -> About:
    """Return what a suite says of itself, as its results recorded it."""
    if recorded := next((e.cell.about for e in entries if e.cell.about is not None), None):
        return recorded
    if suite in SUITES:  # a run of before suites were recorded
        with contextlib.suppress(ImportError):  # where models cannot run, metrics have their names alone
            return suite_class(suite).about()
    names = dict.fromkeys(m for e in entries for m in e.cell.metrics)
    return About(suite, tuple(Metric(name, name, "", higher_is_better=True) for name in names))
