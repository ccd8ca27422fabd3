"""Tables of throughput: speeds, their spread and share of the ceiling, the paper's beside them in grey."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sambench.reports import published
from sambench.reports.cells import Entry
from sambench.suites import naming

SUITE = "throughput"

PAPER = ("efficiency", "coco")
"""Where `reports.published` keeps the paper's Table 1."""

BASELINE = "sam_vit_h"

A100_TFLOP_S = 312.0
"""Nominal, dense fp16 (NVIDIA A100 data sheet): what the paper's speeds are a share of."""

SCOPES = {
    "E": "Encoder",
    "E2E": "End to end",
    "APP": "Application, file to run-length mask",
}
STATUS = {
    "invalid": "invalid",
    "failed": "failed",
    "not_applicable": "n/a",
    "unfinished": "unfinished",
}


@dataclass(frozen=True)
class Column:
    """One number of a table."""

    metric: str
    title: str
    about: str
    published: bool = False
    """Whether the paper has it too."""


@dataclass(frozen=True)
class Value:
    """One measured number, its interval, and the paper's."""

    measured: float | None
    interval: tuple[float, float] | None = None
    published: float | None = None


@dataclass(frozen=True)
class Row:
    """One cell, or a model of the paper that was not measured (``entry`` is ``None``)."""

    model: str
    name: str
    tags: tuple[str, ...] = ()
    values: tuple[Value, ...] = ()
    entry: Entry | None = None
    status: str = ""
    reason: str = ""
    notes: tuple[int, ...] = ()
    """Numbers of the doubts and explanations beneath the table."""


@dataclass(frozen=True)
class SpeedTable:
    """One scope in one mode on one device."""

    title: str
    device: str
    headline: bool
    """Whether the paper's speeds stand beside it: a whole model, transfers included and overlapped."""
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    order: str
    """How the order of the models compares with the paper's, in words; empty where there is nothing to."""

    @property
    def done(self) -> list[Row]:
        """The rows with measured numbers."""
        return [row for row in self.rows if row.entry and not row.status]


_COST = (
    Column("params_m", "Params, M", "Parameters of the whole model, millions.", True),
    Column("encoder_macs_g", "MACs, G", "Of the encoder and one image, as the paper counts.", True),
)
_SPEED = Column(
    "img_s", "img/s", "Images over time: the median of the rounds, lowest and highest beneath.", True
)
_RATIO = Column(
    "ratio_vit_h",
    "x SAM-ViT-H",
    "Times as fast as SAM-ViT-H with the same engine, precision and batch; beneath, the 95% interval of the "
    "rounds' ratios.",
    True,
)
_MORE_RATIOS = (
    Column("ratio_vit_h_released", "x as released", "Times as fast as SAM-ViT-H by eager PyTorch in fp32."),
    Column("ratio_vit_h_best", "x its best", "Times as fast as SAM-ViT-H by the fastest engine measured."),
)
_PROMPTS = Column("prompts_s", "prompts/s", "Prompts over time.")
_LATENCY = (
    Column("latency_ms_p50", "p50, ms", "Time of a batch: the median of the rounds' medians."),
    *(Column(f"latency_ms_p{p}", f"p{p}, ms", "Of the batches of all rounds.") for p in (90, 95, 99)),
)
_SHARE = (
    Column("tflop_s", "TFLOP/s", "Two for each product of the encoder, over time."),
    Column("ceiling_tflop_s", "Ceiling", "TFLOP/s of large products in the same processes."),
    Column("ceiling_share", "Share, %", "Of the ceiling; the paper's, of an A100's nominal 312.", True),
)
_MEMORY = Column("peak_memory_mb", "Peak, MB", "Memory: on a GPU torch's, on a CPU the process's.")


def speed_tables(entries: Sequence[Entry]) -> list[SpeedTable]:
    """Return a table for every device, scope and mode; the headlines first."""
    groups: dict[tuple[str, str, str], list[Entry]] = {}
    for entry in entries:
        place = (_device(entry), entry.cell.protocol["scope"], entry.cell.protocol["mode"])
        groups.setdefault(place, []).append(entry)
    tables = [_table(*place, its) for place, its in groups.items()]
    return sorted(tables, key=lambda table: not table.headline)


def _device(entry: Entry) -> str:
    return str(entry.cell.provenance.get("device") or entry.cell.device)


def _table(device: str, scope: str, mode: str, entries: Sequence[Entry]) -> SpeedTable:
    headline = scope in ("E", "E2E") and mode == "pipelined"
    columns = _columns(entries, headline)
    notes: list[str] = []
    rows = [_row(entry, entries, columns, notes) for entry in entries]
    if headline:
        measured = {entry.cell.model for entry in entries}
        rows += [_published_row(m, columns) for m in published.models_of(*PAPER) if m not in measured]
    name = SCOPES.get(scope) or f"Decoder, {scope[1:]} prompt{'s' * (scope != 'D1')}"
    order = _order(rows) if headline else ""
    return SpeedTable(f"{name}, {mode}", device, headline, columns, tuple(rows), tuple(notes), order)


def _columns(entries: Sequence[Entry], headline: bool) -> tuple[Column, ...]:
    measured = {metric for entry in entries for metric in entry.cell.metrics}
    wanted = [_SPEED, _PROMPTS, _RATIO, *_MORE_RATIOS, *_LATENCY, *_SHARE, _MEMORY]
    if headline:
        wanted = [*_COST, *wanted]
    else:
        wanted = [dataclasses.replace(column, published=False) for column in wanted]
    return tuple(c for c in wanted if c.metric in measured or c.published)


def _row(entry: Entry, peers: Sequence[Entry], columns: Sequence[Column], notes: list[str]) -> Row:
    cell = entry.cell
    tags = _tags(entry, peers)
    if cell.status != "done":
        status = STATUS.get(cell.status, cell.status)
        return Row(cell.model, entry.name, tags, (), entry, status, cell.reason or "no reason recorded")
    values = []
    for column in columns:
        low, high = cell.intervals.get(column.metric) or (None, None)
        interval = None if low is None or high is None else (low, high)
        paper = _published(cell.model, column.metric) if column.published else None
        values.append(Value(cell.metrics.get(column.metric), interval, paper))
    said = [*cell.provenance.get("marks", []), *_about_cost(entry, columns)]
    notes += [note for note in dict.fromkeys(said) if note not in notes]
    numbers = sorted(notes.index(note) + 1 for note in said)
    return Row(cell.model, entry.name, tags, tuple(values), entry, notes=tuple(numbers))


def _about_cost(entry: Entry, columns: Sequence[Column]) -> list[str]:
    """Return why a model's parameters or MACs are not quite the paper's, where the two stand side by side."""
    beside = any(column.metric in ("params_m", "encoder_macs_g") and column.published for column in columns)
    note = published.footnote(*PAPER, entry.cell.model) if beside else None
    return [f"{entry.name}: {note}"] if note else []


def _tags(entry: Entry, peers: Sequence[Entry]) -> tuple[str, ...]:
    """Return how a model was run, what departs from the plain case, and what else tells rows apart."""
    _, *others = _way(entry, peers)
    return (*naming.beside_speed(entry.cell), *others)


def _way(entry: Entry, peers: Sequence[Entry]) -> tuple[str, ...]:
    """Return what must be alike where models are compared by speed: engine, precision, batch, ..."""
    cell = entry.cell
    way = [naming.run_by(cell), f"batch {cell.protocol['batch']}"]
    if len({peer.protocol for peer in peers}) > 1:
        way.append(entry.protocol)
    if len({peer.cell.dataset for peer in peers}) > 1:
        way.append(cell.dataset)
    if len({peer.run for peer in peers}) > 1:
        way.append(f"run {entry.run}")
    return tuple(way)


def _published_row(model: str, columns: Sequence[Column]) -> Row:
    values = [Value(None, None, _published(model, c.metric) if c.published else None) for c in columns]
    return Row(model, naming.title(model), ("published, not run",), tuple(values))


def _published(model: str, metric: str) -> float | None:
    """Return the paper's number, or what follows from its numbers."""
    paper = published.lookup(*PAPER, model)
    base = published.lookup(*PAPER, BASELINE)
    if paper is None or base is None:
        return None
    if metric == "ratio_vit_h":
        return paper.values["img_s"] / base.values["img_s"]
    if metric == "ceiling_share":
        return 100 * 2 * paper.values["encoder_macs_g"] * paper.values["img_s"] / (1000 * A100_TFLOP_S)
    return paper.values.get(metric)


def _order(rows: Sequence[Row]) -> str:
    """Compare the order of the models by speed with the paper's, for each way of running them."""
    ways: dict[tuple[str, ...], list[tuple[Row, float, float]]] = {}
    peers = [row.entry for row in rows if row.entry]
    for row in rows:
        speed = row.entry and not row.status and row.entry.cell.metrics.get("img_s")
        paper = _published(row.model, "img_s")
        if row.entry and speed and paper:
            ways.setdefault(_way(row.entry, peers), []).append((row, speed, paper))
    found = [f"{', '.join(way)}: {text}" for way, its in ways.items() if (text := _swaps(its))]
    return "Order by speed, compared with the paper's. " + "; ".join(found) + "." if found else ""


def _swaps(measured: Sequence[tuple[Row, float, float]]) -> str:
    if len(measured) < 2:
        return ""
    swaps = [text for i, one in enumerate(measured) for text in _swapped(one, measured[i + 1 :])]
    return "other, " + ", ".join(swaps) if swaps else f"the same for all {len(measured)} models"


def _swapped(one: tuple[Row, float, float], others: Sequence[tuple[Row, float, float]]) -> Iterator[str]:
    row, speed, paper = one
    for other, its_speed, its_paper in others:
        if (speed - its_speed) * (paper - its_paper) < 0:
            faster, slower = (row, other) if speed > its_speed else (other, row)
            yield f"{faster.name} faster than {slower.name}"


def warnings(entries: Sequence[Entry]) -> list[str]:
    """Return what a reader must know before any speed."""
    found = []
    for status, word in STATUS.items():
        hit = [e for e in entries if e.cell.status == status and status != "not_applicable"]
        if hit:
            named = dict.fromkeys(e.label for e in hit)
            found.append(f"Throughput {word}: {'; '.join(named)}.")
    done = [e for e in entries if e.cell.status == "done"]
    disturbed = [
        e for e in done if any(m.startswith("disturbed") for m in e.cell.provenance.get("marks", []))
    ]
    if disturbed:
        found.append(
            f"Throughput: {len(disturbed)} of {len(done)} measurements were disturbed by other work on the "
            "machine; the notes beneath the tables name them. Ratios suffer less than speeds."
        )
    return found
