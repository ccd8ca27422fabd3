"""Tables of measured numbers, each beside the published one where that is fair."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sambench.reports import comparable, published
from sambench.reports.cells import Entry
from sambench.suites import naming
from sambench.suites.registry import SUITES, suite_class
from sambench.suites.scoring.scores import About, Metric

STATUS = {"not_applicable": "n/a", "failed": "failed", "unfinished": "unfinished"}


@dataclass(frozen=True)
class Column:
    """One metric of a table."""

    metric: str
    title: str
    group: str = ""
    """The heading that it shares with its neighbours, if any."""
    published: str = ""
    """Who prints it for some model: ``paper``, ``script`` (the authors'), or nobody."""


@dataclass(frozen=True)
class Value:
    """One measured number and the published one beside it, percent."""

    measured: float | None = None
    interval: tuple[float, float] | None = None
    published: float | None = None
    exact: float | None = None
    """The published number with the three decimals that the authors' script prints."""
    comparable: bool = False

    @property
    def compared(self) -> float | None:
        """The published number, where the measured one may be held against it."""
        return self.published if self.comparable and self.measured is not None else None

    @property
    def delta(self) -> float | None:
        """Measured minus published, where the two may be compared."""
        if self.compared is None or self.measured is None:
            return None
        return self.measured - self.compared


@dataclass(frozen=True)
class Row:
    """One cell of the run, or a published model that the run left out (``entry`` is ``None``)."""

    model: str
    name: str
    values: tuple[Value, ...] = ()
    departures: tuple[str, ...] = ()
    """What sets it apart from the plain case (`suites.naming`)."""
    tags: tuple[str, ...] = ()
    """What else tells it from its neighbours."""
    entry: Entry | None = None
    status: str = ""
    """``n/a``, ``failed`` or ``unfinished`` where there are no numbers."""
    reason: str = ""
    note: int | None = None
    """Number of the note that says why its numbers are not comparable, or what to know where they are."""

    @property
    def said(self) -> tuple[str, ...]:
        """All that stands behind the name."""
        return self.departures + self.tags


@dataclass(frozen=True)
class Table:
    """One suite on one dataset."""

    suite: str
    dataset: str
    title: str
    source: str
    """Where the published numbers come from; empty where there are none."""
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]

    @property
    def done(self) -> list[Row]:
        """The rows with measured numbers."""
        return [row for row in self.rows if row.entry and not row.status]

    @property
    def with_intervals(self) -> bool:
        """Whether a measured number has an interval."""
        return any(value.interval for row in self.rows for value in row.values)

    @property
    def scripted(self) -> bool:
        """Whether a published number comes from the authors' script alone."""
        return any(column.published == "script" for column in self.columns)

    @property
    def groups(self) -> list[tuple[str, list[Column]]]:
        """Neighbouring columns under their shared heading."""
        names = dict.fromkeys(column.group for column in self.columns)
        return [(name, [c for c in self.columns if c.group == name]) for name in names]


def build_tables(entries: Sequence[Entry]) -> list[Table]:
    """Return one table per suite and dataset, the suites of the paper first."""
    order = {suite: rank for rank, suite in enumerate(SUITES)}
    pairs = dict.fromkeys((entry.cell.suite, entry.cell.dataset) for entry in entries)
    return [
        _build(suite, dataset, [e for e in entries if (e.cell.suite, e.cell.dataset) == (suite, dataset)])
        for suite, dataset in sorted(pairs, key=lambda pair: order.get(pair[0], len(order)))
    ]


def _build(suite: str, dataset: str, entries: Sequence[Entry]) -> Table:
    about = _about(suite, entries)
    measured = {m for e in entries for m in e.cell.metrics}
    columns = [
        Column(m.name, m.title, m.group, published.printed_by(suite, dataset, m.name))
        for m in about.metrics
        if not m.optional or m.name in measured
    ]
    absent = [m for m in published.models_of(suite, dataset) if m not in {e.cell.model for e in entries}]
    notes: list[str] = []
    rows = [_measured_row(entry, entries, columns, notes) for entry in entries]
    rows += [_published_row(suite, dataset, model, columns) for model in absent]
    return Table(
        suite=suite,
        dataset=dataset,
        title=about.title,
        source=_source(suite, dataset),
        columns=tuple(columns),
        rows=tuple(rows),
        notes=tuple(notes),
    )


def _measured_row(entry: Entry, peers: Sequence[Entry], columns: Iterable[Column], notes: list[str]) -> Row:
    """Make the row of a cell; what is to be said of its comparison is appended to ``notes`` if new."""
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
    paper = published.lookup(cell.suite, cell.dataset, cell.model)
    reasons = comparable.reasons(entry) if paper else []
    values = tuple(_value(entry, column.metric, paper, not reasons) for column in columns)
    told = [cell.note] if cell.note else []
    if reasons:
        note = _note("Not comparable", [*reasons, *told], notes)
    else:
        caveats = comparable.caveats(entry) if paper else []
        note = _note("Comparable, but mind" if paper else "Mind", [*caveats, *told], notes)
    return Row(cell.model, entry.name, values, departures, tags, entry, note=note)


def _note(verdict: str, reasons: Sequence[str], notes: list[str]) -> int | None:
    """Return the number of the note with these reasons, appending it where it is new."""
    if not reasons:
        return None
    text = f"{verdict}: {'; '.join(reason.rstrip('.') for reason in reasons)}."
    if text not in notes:
        notes.append(text)
    return notes.index(text) + 1


def _value(entry: Entry, metric: str, paper: published.Published | None, comparable: bool) -> Value:
    low, high = entry.cell.intervals.get(metric) or (None, None)
    return Value(
        measured=entry.cell.metrics.get(metric),
        interval=None if low is None or high is None else (low, high),
        published=paper.values.get(metric) if paper else None,
        exact=paper.exact.get(metric) if paper else None,
        comparable=comparable,
    )


def _published_row(suite: str, dataset: str, model: str, columns: Iterable[Column]) -> Row:
    paper = published.lookup(suite, dataset, model)
    assert paper, "only models with published numbers are listed"
    values = tuple(
        Value(published=paper.values.get(c.metric), exact=paper.exact.get(c.metric)) for c in columns
    )
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


def _about(suite: str, entries: Sequence[Entry]) -> About:
    """Return what a suite says of itself, as its results recorded it."""
    if recorded := next((e.cell.about for e in entries if e.cell.about is not None), None):
        return recorded
    if suite in SUITES:  # a run of before suites were recorded
        return suite_class(suite).about()
    names = dict.fromkeys(m for e in entries for m in e.cell.metrics)
    return About(suite, tuple(Metric(name, name, "", higher_is_better=True) for name in names))
