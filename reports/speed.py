"""Tables of throughput: speeds, their spread and share of the ceiling, the paper's beside them in grey."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from sambench.reports import published
from sambench.reports.cells import Entry
from sambench.reports.model import Column, Notes, Row, Table, Value, verdict
from sambench.reports.tables import unused_name
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


ROUNDS = "lowest and highest round"
RATIOS = "95% interval of the rounds' ratios"

_COST = (
    Column("params_m", "Params, M", published="paper", about="Parameters of the whole model, millions."),
    Column(
        "encoder_macs_g",
        "MACs, G",
        published="paper",
        about="Of the encoder and one image, as the paper counts.",
        digits=None,
        printed=0,
        higher_is_better=False,
    ),
)
_SPEED = Column(
    "img_s",
    "img/s",
    published="A100",
    about="Images over time: the median of the rounds.",
    digits=None,
    printed=0,
    spread=ROUNDS,
)
_RATIO = Column(
    "ratio_vit_h",
    "x SAM-ViT-H",
    published="A100",
    about="Times as fast as SAM-ViT-H with the same engine, precision and batch.",
    digits=None,
    spread=RATIOS,
)
_MORE_RATIOS = (
    Column(
        "ratio_vit_h_released",
        "x as released",
        about="Times as fast as SAM-ViT-H by eager PyTorch in fp32.",
        digits=None,
        spread=RATIOS,
    ),
    Column(
        "ratio_vit_h_best",
        "x its best",
        about="Times as fast as SAM-ViT-H by the fastest engine measured.",
        digits=None,
        spread=RATIOS,
    ),
)
_PROMPTS = Column("prompts_s", "prompts/s", about="Prompts over time.", digits=None, spread=ROUNDS)
_LATENCY = tuple(
    Column(
        f"latency_ms_p{p}",
        f"p{p}, ms",
        about="Time of a batch: the median of the rounds' medians."
        if p == 50
        else "Of the batches of all rounds.",
        digits=None,
        spread=ROUNDS,
        higher_is_better=False,
    )
    for p in (50, 90, 95, 99)
)
_SHARE = (
    Column("tflop_s", "TFLOP/s", about="Two for each product of the encoder, over time.", digits=None),
    Column(
        "ceiling_tflop_s", "Ceiling", about="TFLOP/s of large products in the same processes.", digits=None
    ),
    Column(
        "ceiling_share",
        "Share, %",
        published="A100",
        about="Of the ceiling; the paper's, of an A100's nominal 312.",
        digits=None,
    ),
)
_MEMORY = Column(
    "peak_memory_mb",
    "Peak, MB",
    about="Memory: on a GPU torch's, on a CPU the process's.",
    digits=None,
    higher_is_better=False,
)
PARTS = {
    "": (*_COST, _SPEED, _PROMPTS, _RATIO, *_MORE_RATIOS),
    "Latency, share of the ceiling, memory": (*_LATENCY, *_SHARE, _MEMORY),
}
"""The tables of one measurement, by title: in one no page would be wide enough."""


def speed_tables(entries: Sequence[Entry], names: set[str] | None = None) -> list[Table]:
    """Return the tables of every device, scope and mode; the headlines first.

    Args:
        entries: cells of throughputs.
        names: of other tables, which these must not have.
    """
    names = set() if names is None else names
    groups: dict[tuple[str, str, str], list[Entry]] = {}
    for entry in entries:
        place = (_device(entry), entry.cell.protocol["scope"], entry.cell.protocol["mode"])
        groups.setdefault(place, []).append(entry)
    ordered = sorted(groups.items(), key=lambda item: not is_headline(*item[0][1:]))
    return [
        table
        for place, its in ordered
        for part, columns in PARTS.items()
        if (table := _table(*place, its, part, columns, names)) is not None
    ]


def is_headline(scope: str, mode: str) -> bool:
    """Tell whether the paper's speeds stand beside it."""
    return scope in ("E", "E2E") and mode == "pipelined"


def _device(entry: Entry) -> str:
    return str(entry.cell.provenance.get("device") or entry.cell.device)


def _table(
    device: str,
    scope: str,
    mode: str,
    entries: Sequence[Entry],
    part: str,
    wanted: Sequence[Column],
    names: set[str],
) -> Table | None:
    """Return one part of what was measured; ``None`` where nothing of it was."""
    headline = is_headline(scope, mode)
    if not headline:
        wanted = [dataclasses.replace(column, published="") for column in wanted]
    measured = {metric for entry in entries for metric in entry.cell.metrics}
    columns = tuple(c for c in wanted if c.metric in measured or (c.published and not part))
    if part and not columns:
        return None
    notes = Notes()
    rows = [_row(entry, entries, columns, notes) for entry in entries]
    if headline and not part:
        known = {entry.cell.model for entry in entries}
        rows += [_published_row(m, columns) for m in published.models_of(*PAPER) if m not in known]
    title = SCOPES.get(scope) or f"Decoder, {scope[1:]} prompt{'s' * (scope != 'D1')}"
    title = f"{title}, {mode}"
    return Table(
        kind="speed",
        name=unused_name(" ".join(filter(None, ["throughput", title, device, part])), names),
        title=f"Throughput: {title}" + (f": {part[0].lower()}{part[1:]}" if part else ""),
        about=ABOUT[headline] + (f" {_order(rows)}".rstrip() if headline and not part else ""),
        columns=columns,
        rows=tuple(rows),
        notes=tuple(notes.texts),
        suite=SUITE,
        device=device,
        part=part,
        headline=headline and not part,
        source="the paper's Table 1" if headline else "",
    )


ABOUT = {
    False: "Medians of fresh processes.",
    True: "Medians of fresh processes. A100: the paper's, one A100, TensorRT, fp16, batch 16, transfers "
    "included; another device is compared by order and ratio alone.",
}


def _row(entry: Entry, peers: Sequence[Entry], columns: Sequence[Column], notes: Notes) -> Row:
    cell = entry.cell
    departures, tags = naming.beside_speed(cell)[1:], _way(entry, peers)
    if cell.status != "done":
        status = STATUS.get(cell.status, cell.status)
        reason = cell.reason or "no reason recorded"
        return Row(cell.model, entry.name, (), departures, tags, entry, status, reason)
    values = tuple(speed_value(entry, column) for column in columns)
    said = dict.fromkeys([*cell.provenance.get("marks", []), *_about_cost(entry, columns)])
    numbers = tuple(sorted(notes.number(text) for text in said))
    return Row(cell.model, entry.name, values, departures, tags, entry, notes=numbers)


def speed_value(entry: Entry, column: Column) -> Value:
    """Return a cell's number beside the paper's."""
    cell = entry.cell
    low, high = cell.intervals.get(column.metric) or (None, None)
    interval = None if low is None or high is None or low == high else (low, high)
    measured = cell.metrics.get(column.metric)
    paper = paper_value(cell.model, column.metric) if column.published else None
    if paper is None:
        return Value(measured, interval, entry=entry)
    if measured is None:
        return Value(published=paper, verdict="not run", why="not measured", entry=entry)
    if column.published == "paper":  # of the model itself, whatever runs it
        decimals = published.decimals(*PAPER, column.metric)
        return Value(measured, interval, paper, verdict=verdict(measured, paper, decimals), entry=entry)
    if why := _other_way(entry):
        return Value(measured, interval, paper, verdict="not comparable", why=why, entry=entry)
    decimals = published.decimals(*PAPER, "img_s") if column.metric == "img_s" else 1
    return Value(measured, interval, paper, verdict=verdict(measured, paper, decimals), entry=entry)


def _other_way(entry: Entry) -> str:
    """Say in what a speed was not measured as the paper's: one A100, TensorRT, fp16, batch 16."""
    cell = entry.cell
    found = [] if "A100" in _device(entry) else [f"on {_device(entry)}, not an A100"]
    if (cell.engine, cell.precision) != ("tensorrt", "fp16"):
        found.append(f"by {naming.run_by(cell)}, not TensorRT fp16")
    if cell.protocol.get("batch") != 16:
        found.append(f"batch {cell.protocol.get('batch')}, not 16")
    return "; ".join(found)


def _about_cost(entry: Entry, columns: Sequence[Column]) -> list[str]:
    """Return why a model's parameters or MACs are not quite the paper's, where the two stand side by side."""
    beside = any(column.published == "paper" for column in columns)
    note = published.footnote(*PAPER, entry.cell.model) if beside else None
    return [f"{entry.name}: {note}"] if note else []


def _way(entry: Entry, peers: Sequence[Entry]) -> tuple[str, ...]:
    """Return how a model was run: what must be alike where speeds are compared."""
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
    papers = [paper_value(model, c.metric) if c.published else None for c in columns]
    values = [
        Value() if paper is None else Value(published=paper, verdict="not run", why="not run")
        for paper in papers
    ]
    return Row(model, naming.title(model), tags=("published, not run",), values=tuple(values))


def paper_value(model: str, metric: str) -> float | None:
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
    for row in rows:
        speed = row.entry and not row.status and row.entry.cell.metrics.get("img_s")
        paper = paper_value(row.model, "img_s")
        if speed and paper:
            ways.setdefault(row.tags, []).append((row, speed, paper))
    return " ".join(f"{text} ({', '.join(way)})." for way, its in ways.items() if (text := _swaps(its)))


def _swaps(measured: Sequence[tuple[Row, float, float]]) -> str:
    models = len({row.model for row, _, _ in measured})  # of which one may have several checkpoints
    if models < 2:
        return ""
    swaps = dict.fromkeys(text for i, one in enumerate(measured) for text in _swapped(one, measured[i + 1 :]))
    if swaps:
        return f"Unlike in the paper: {', '.join(swaps)}"
    return f"{'Both' if models == 2 else f'All {models}'} models stand in the paper's order by speed"


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
