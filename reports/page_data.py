"""What the page holds as JSON: its tables and where each number was measured (keys: docs/report.md)."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any, get_args

from sambench.reports import words
from sambench.reports.cells import Entry, provenance
from sambench.reports.content import Content
from sambench.reports.gallery import Shown
from sambench.reports.model import Column, Row, Table, Value, Verdict
from sambench.suites import naming

SCHEMA = 1

FIELDS = ("measured", "low", "high", "published", "difference", "verdict", "why", "exact", "cell", "bound")
"""What a value's list has, in this order; what is empty at its end is left out."""

USUAL = {"about": "", "published": "", "digits": 1, "spread": "95% interval", "higher_is_better": True}
"""What a column has where the data do not say."""

VERDICTS: tuple[str, ...] = get_args(Verdict)


class Names:
    """Texts that many places share, each kept once."""

    def __init__(self) -> None:
        self.texts: list[Any] = []
        self._places: dict[Hashable, int] = {}

    def place(self, text: Any, key: Hashable = None) -> int:
        """Return where a text stands, adding it where it is new; what is no text needs a ``key``."""
        key = text if key is None else key
        if key not in self._places:
            self._places[key] = len(self.texts)
            self.texts.append(text)
        return self._places[key]


def data_of(content: Content, shown: Sequence[Shown]) -> dict[str, Any]:
    """Return what the page's script reads, and whoever wants the page's numbers."""
    whys, shared = (
        Names(),
        {name: Names() for name in ("protocols", "weights", "devices", "commands", "versions")},
    )
    cells = {id(entry): place for place, entry in enumerate(content.entries)}
    tables = [_table(section.table, cells, whys) for section in content.sections]
    return {
        "schema": SCHEMA,
        "fields": FIELDS,
        "verdicts": VERDICTS,
        "usual": USUAL,
        "tables": tables,
        "cells": [_cell(entry, shared) for entry in content.entries],
        "whys": whys.texts,
        **{name: names.texts for name, names in shared.items()},
        "gallery": [_object(one) for one in shown],
    }


def short(value: float | None, digits: int = 6) -> float | int | None:
    """Return a number with so many figures at most; ``None`` for one that JSON has not."""
    if value is None or not math.isfinite(value):
        return None
    rounded = float(f"{value:.{digits}g}")
    return int(rounded) if rounded == int(rounded) else rounded


def _table(table: Table, cells: dict[int, int], whys: Names) -> dict[str, Any]:
    return {
        "name": table.name,
        "kind": table.kind,
        "title": table.title,
        "on": table.on,
        "suite": table.suite,
        "columns": [_column(column) for column in table.columns],
        "rows": [_row(row, cells, whys) for row in table.rows],
        "notes": table.notes,
    }


def _column(column: Column) -> dict[str, Any]:
    """Return what is said of a column; what is as in most (`USUAL`) is left out."""
    found = {
        "metric": column.metric,
        "heading": column.heading,
        "about": column.about,
        "published": column.published,
        "digits": column.digits,
        "spread": column.spread,
        "higher_is_better": column.higher_is_better,
    }
    return {key: what for key, what in found.items() if key not in USUAL or what != USUAL[key]}


def _row(row: Row, cells: dict[int, int], whys: Names) -> dict[str, Any]:
    own = cells.get(id(row.entry))
    found = {
        "model": row.model,
        "name": row.name,
        "said": row.said,
        "status": row.status,
        "reason": row.reason,
        "notes": row.notes,
        "cell": own,
        "values": [_value(value, own, cells, whys) for value in row.values],
    }
    return {key: what for key, what in found.items() if what not in ((), "", None, [])}


def _value(value: Value, own: int | None, cells: dict[int, int], whys: Names) -> list[Any]:
    """Return `FIELDS`; its cell only where that is not its row's."""
    low, high = value.interval or (None, None)
    cell = cells.get(id(value.entry))
    published = value.published is not None
    fields = [
        short(value.measured),
        *(short(number, 5) for number in (low, high)),
        *(short(number) for number in (value.published, value.delta)),
        VERDICTS.index(value.verdict) if published else None,
        whys.place(value.why) if value.why else None,
        short(value.exact),
        None if cell == own else cell,
        short(value.bound, 3),
    ]
    return trimmed(fields)


def trimmed(fields: list[Any]) -> list[Any]:
    """Leave out what is empty at the end."""
    while fields and fields[-1] is None:
        fields.pop()
    return fields


def _cell(entry: Entry, shared: dict[str, Names]) -> dict[str, Any]:
    """Return where a number was measured, and of what."""
    cell = entry.cell
    said, sha256 = _weights(entry), provenance(cell, "weights").get("sha256")
    versions = ", ".join(f"{name} {version}" for name, version in provenance(cell, "versions").items())
    command = cell.provenance.get("command")
    found = {
        "label": entry.label,
        "model": cell.model,
        "run": entry.run,
        "suite": cell.suite,
        "dataset": cell.dataset,
        "status": cell.status,
        "protocol": shared["protocols"].place(*_protocol(entry)),
        "weights": shared["weights"].place({"text": said, "sha256": sha256}, (said, sha256)),
        "engine": cell.engine,
        "precision": cell.precision,
        "device": shared["devices"].place(str(cell.provenance.get("device") or cell.device)),
        "images": cell.n_images,
        "objects": cell.n_instances,
        "failed_images": cell.n_failed_images or None,
        "command": shared["commands"].place(str(command)) if command else None,
        "versions": shared["versions"].place(versions) if versions else None,
        "evidence": f"{cell.records}/{cell.evidence}" if cell.records and cell.evidence else None,
    }
    return {key: what for key, what in found.items() if what is not None}


def _weights(entry: Entry) -> str:
    weights = provenance(entry.cell, "weights")
    named = naming.checkpoint(entry.cell.model, weights)
    known = {
        "random": f"random, seed {weights.get('seed', '?')}",
        "none": "none",
        "file": named or "official",
    }
    return known.get(str(entry.weights), "not recorded")


def _protocol(entry: Entry) -> tuple[dict[str, Any], Hashable]:
    """Return a protocol in words, and what tells it from others."""
    axes = {
        words.AXES[axis].title if axis in words.AXES else axis: words.axis_value(axis, value)
        if axis in words.AXES
        else str(value)
        for axis, value in entry.cell.protocol.items()
        if axis != "preset"
    }
    return {"name": entry.protocol, "axes": axes}, (entry.protocol, tuple(axes.items()))


def _object(shown: Shown) -> dict[str, Any]:
    """Return an object of the gallery without its picture and outlines, which the page has once."""
    return {
        "kind": shown.kind,
        "suite": shown.suite,
        "dataset": shown.dataset,
        "file_name": shown.file_name,
        "ann_id": shown.ann_id,
        "category": shown.category,
        "size": shown.size,
        "view": shown.view,
        "answers": [[answer.label, short(answer.iou, 4)] for answer in shown.answers],
    }
