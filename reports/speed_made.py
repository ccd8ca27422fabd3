"""How speeds were made: the choices of the protocol, and what the machine did meanwhile, as plain tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sambench.reports import words
from sambench.reports.cells import Entry
from sambench.reports.made import Grid, Text

_CHOICES = {
    "inputs": "Inputs",
    "io_dtype": "In and out",
    "warm_up": "Warm-up",
    "measure": "Measured",
    "statistic": "Numbers",
    "gate": "Before any speed",
}
_SENSORS = {
    "sm_mhz": "SM clock, MHz",
    "mem_mhz": "memory clock, MHz",
    "power_w": "power, W",
    "temperature_c": "temperature, C",
    "mhz": "clock, MHz",
    "load": "load average",
    "others": "others' share of the processors",
}


def describe(entries: Sequence[Entry]) -> list[Grid]:
    """Return the tables, those without rows left out."""
    return [grid for grid in (_protocol(entries), _machine(entries)) if grid.rows]


def _protocol(entries: Sequence[Entry]) -> Grid:
    rows = [
        (Text(title), Text(value))
        for key, title in _CHOICES.items()
        for value in dict.fromkeys(str(e.cell.protocol[key]) for e in entries if key in e.cell.protocol)
    ]
    return Grid("How speeds were measured", ("Choice", "Value"), tuple(rows))


def _machine(entries: Sequence[Entry]) -> Grid:
    """The machine while the clock ran: the range over all measurements of a run."""
    runs: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for entry in entries:
        if (found := entry.cell.provenance.get("monitor")) is not None:
            device = str(entry.cell.provenance.get("device") or entry.cell.device)
            runs.setdefault((entry.run, device), []).append(found)
    rows = []
    for (run, device), found in runs.items():
        for key, title in _SENSORS.items():
            values = [one[key] for one in found if key in one]
            if values:
                span = _span(min(v[0] for v in values), max(v[2] for v in values))
                rows.append((Text(run), Text(device), Text(title), Text(span, number=True)))
        rows += [(Text(run), Text(device), Text(text), Text("")) for text in _absent(found)]
    head = ("Run", "Device", "Meanwhile", "Lowest to highest")
    return Grid("The machine while speeds were measured", head, tuple(rows))


def _span(low: float, high: float) -> str:
    """Write a range; one number where both ends print the same."""
    return " to ".join(dict.fromkeys([words.figures(low), words.figures(high)]))


def _absent(found: Sequence[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(one["absent"] for one in found if one.get("absent")))
