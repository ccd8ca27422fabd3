"""What a reader must know before any number of a report."""

from __future__ import annotations

from collections.abc import Sequence

from sambench.reports import comparable, published
from sambench.reports.cells import Entry
from sambench.suites import naming


def warnings(entries: Sequence[Entry]) -> list[str]:
    """Return what a reader must know before any number."""
    found = []
    done = [entry for entry in entries if entry.cell.status == "done"]
    if untrained := dict.fromkeys(entry.name for entry in done if entry.weights == "random"):
        found.append(f"Random weights: {', '.join(untrained)}. Numbers so marked say nothing about a model.")
    failed: dict[str, list[str]] = {}
    for entry in done:
        if said := naming.failures_named(entry.cell):
            failed.setdefault(f"{entry.name}: {said}", []).append(
                f"{entry.cell.suite} on {entry.cell.dataset}"
            )
    found += [f"{', '.join(dict.fromkeys(where))}, {said}" for said, where in failed.items()]
    whole = [
        entry.cell for entry in done if not entry.cell.partial and published.full_set(entry.cell.dataset)
    ]
    other = dict.fromkeys(
        f"{c.dataset.partition('/')[0]}: {what}" for c in whole for what in comparable.other_data(c)
    )
    found += [f"{what}. The published numbers are of other data." for what in other]
    samples: dict[str, list[str]] = {}
    for entry in done:
        if part := entry.cell.partial:
            sample = f"partial, {naming.sample(entry.cell)} (seed {part.get('seed', '?')})."
            where = samples.setdefault(sample, [])
            where.append(f"{entry.cell.suite} on {entry.cell.dataset}")
    found += [f"{', '.join(dict.fromkeys(where))}: {sample}" for sample, where in samples.items()]
    for status in ("failed", "unfinished"):
        hit: dict[str, list[str]] = {}
        for entry in entries:
            if entry.cell.status == status:
                hit.setdefault(entry.label, []).append(f"{entry.cell.suite} on {entry.cell.dataset}")
        if hit:
            named = "; ".join(f"{label} ({', '.join(where)})" for label, where in hit.items())
            found.append(f"{status.capitalize()}: {named}.")
    return found
