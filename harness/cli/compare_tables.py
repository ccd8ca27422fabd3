"""Differences as tables on the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console
from rich.table import Table

from sambench.harness.cli.console import plain_table, print_table
from sambench.harness.terminal import watched
from sambench.reports.compare import Refusal
from sambench.reports.differences import WITHIN, Difference
from sambench.reports.words import figures
from sambench.suites.naming import title
from sambench.suites.scoring.bootstrap import RESAMPLES

NUMBERS = ("a", "b", "b - a", "p, Holm", "better", "worse", "equal", "objects")
"""Columns that stand at the right."""

FOLDED = ("value", "b - a", "p, Holm", "+better -worse =equal")
"""The same on a terminal, which has not room for so many."""


def show_differences(rows: Sequence[Difference], titles: Mapping[str, str], console: Console) -> None:
    """Print a table a suite, data set and protocol, and beneath it what its numbers are.

    Args:
        rows: of all tables.
        titles: of the suites.
        console: where to.
    """
    tables: dict[tuple[str, str, str], list[Difference]] = {}
    for row in rows:
        tables.setdefault((row.suite, row.dataset, row.protocol), []).append(row)
    for (suite, dataset, protocol), mine in tables.items():
        heading = ": ".join(filter(None, (suite, titles.get(suite))))
        console.print(f"{heading}; {dataset}, {protocol}", style="italic", soft_wrap=True)
        print_table(_folded(mine) if watched(console) else _table(mine), console)
        for line in _beneath(mine):
            console.print(line, soft_wrap=True)


def refusals(refused: Sequence[Refusal]) -> Iterator[str]:
    """Say what is not subtracted, and why; pairs with one reason on one line."""
    alike: dict[tuple[str, str, str], list[Refusal]] = {}
    for one in refused:
        alike.setdefault((one.suite, one.dataset, one.reason), []).append(one)
    for (suite, dataset, reason), some in alike.items():
        who = f"{some[0].label_a} and {some[0].label_b}" if len(some) == 1 else f"{len(some)} pairs"
        yield f"{suite} on {dataset}: {who} not compared: {reason}."


def shown(value: float | None, unit: str, *, signed: bool = False) -> str:
    """Write a number in its unit: shares in percent and clicks with two decimals."""
    if value is None:
        return "-"
    text = f"{value:.2f}" if unit in ("percent", "clicks") else figures(value)
    return f"+{text}" if signed and value > 0 else text


def with_interval(row: Difference) -> str:
    """Write a difference with its interval."""
    difference = shown(row.difference, row.unit, signed=True)
    if row.interval is None:
        return difference
    low, high = (shown(end, row.unit, signed=True) for end in row.interval)
    return f"{difference} ({low} to {high})"


def _table(rows: Sequence[Difference]) -> Table:
    """Return a line a row, for files and pipes."""
    table = plain_table("model a", "model b", "metric", *NUMBERS, right=NUMBERS)
    for row in rows:
        values = (shown(row.a, row.unit), shown(row.b, row.unit), with_interval(row), _p(row.p_holm))
        counts = (row.better, row.worse, row.within, row.n_instances or None)
        counted = ("-" if count is None else f"{count:,}" for count in counts)
        table.add_row(*_models(row), _metric(row), *values, *counted)
    return table


def _folded(rows: Sequence[Difference]) -> Table:
    """Return two lines a row, for a terminal; the models of a pair once."""
    table = plain_table("model", "metric", *FOLDED, right=FOLDED[1:])
    for column in table.columns[2:]:
        column.no_wrap = True
    table.columns[5].header = "+better -worse\n=equal"
    before = ""
    for row in rows:
        pair = "a {}\nb {}".format(*_models(row))
        values = f"a {shown(row.a, row.unit)}\nb {shown(row.b, row.unit)}"
        counts = "-" if row.better is None else f"+{row.better:,} -{row.worse:,} ={row.within:,}"
        difference = with_interval(row).replace(" (", "\n").rstrip(")")
        table.add_row(
            "" if pair == before else pair, _metric(row), values, difference, _p(row.p_holm), counts
        )
        before = pair
    return table


def _models(row: Difference) -> tuple[str, str]:
    """Return the labels of both, with the names that flags have."""
    both = (row.model_a, row.label_a), (row.model_b, row.label_b)
    first, second = (model + label.removeprefix(title(model)) for model, label in both)
    return first, second


def _metric(row: Difference) -> str:
    return row.metric if row.unit == "percent" else f"{row.metric}, {row.unit}"


def _p(value: float | None) -> str:
    if value is None:
        return "-"
    return "<0.0001" if value < 0.0001 else f"{value:.4f}"


def _beneath(rows: Sequence[Difference]) -> Iterator[str]:
    """Say how the numbers of a table were made, and what must be known of them."""
    pairs = {_models(row): row for row in rows}
    images = _span([row.n_images for row in pairs.values()])
    if any(row.interval is not None and row.n_instances for row in rows):
        yield (
            f"{images} images with objects that both have, resampled {RESAMPLES:,} times together: 95% "
            f"intervals of b - a; p adjusted by Holm for {_many(len(pairs), 'pair')} of models."
        )
    if any(row.better is not None for row in rows):
        yield f"better, worse: objects whose IoU in b is over {WITHIN} higher or lower; equal: the others."
    times = {label: s for row in rows for label, s in _seconds(row) if s is not None}
    if times:
        said = ", ".join(f"{label} {figures(seconds)}" for label, seconds in times.items())
        yield f"Seconds of a prediction an image, by the runs' own stopwatches (no benchmark): {said}."
    said_of: dict[tuple[str, str], dict[str, None]] = {}
    for row in rows:
        said_of.setdefault(_models(row), {}).update(dict.fromkeys((row.note or "").split("; ")))
    for (a, b), notes in said_of.items():
        if text := "; ".join(filter(None, notes)):
            yield f"{a} and {b}: {text}."


def _seconds(row: Difference) -> tuple[tuple[str, float | None], ...]:
    a, b = _models(row)
    return (a, row.seconds_per_image_a), (b, row.seconds_per_image_b)


def _span(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
