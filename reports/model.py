"""What a table is, whatever draws it: Markdown, LaTeX, CSV or the page (`reports.renderers`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sambench.reports import words
from sambench.reports.cells import Entry

Verdict = Literal["", "reproduced", "differs", "not comparable", "not run"]
"""What a measured number says of the published one beside it; empty where none is published."""


BOUNDS = (
    "\u00b1: by how much other threads, batches of images or batches of prompts may move a number, on one "
    "machine and in 99 of 100 runs; the same settings give the same bytes."
)
"""What stands beneath a table that has such bounds."""


@dataclass(frozen=True)
class Column:
    """One metric of a table."""

    metric: str
    title: str
    group: str = ""
    """The heading that it shares with its neighbours, if any."""
    published: str = ""
    """Who prints it for some model: ``paper``, ``script`` (the authors'), ``A100``, ``cited``, or nobody."""
    about: str = ""
    """What it is, in a sentence, where the title does not say it."""
    digits: int | None = 1
    """Decimals; ``None`` for three figures."""
    printed: int | None = None
    """Decimals of the published number, as it was printed; ``None`` for those of the measured one."""
    spread: str = "95% interval"
    """What an interval of it is."""
    higher_is_better: bool | None = True

    @property
    def heading(self) -> str:
        """Group and title on one line."""
        return ", ".join(filter(None, [self.group, self.title]))

    def write(self, value: float) -> str:
        """Write one of its numbers for people."""
        return words.figures(value) if self.digits is None else f"{value:,.{self.digits}f}"

    def write_published(self, value: float) -> str:
        """Write a published number as it was printed."""
        return self.write(value) if self.printed is None else f"{value:,.{self.printed}f}"

    def difference(self, value: float) -> str:
        """Write a difference with its sign; one that rounds to nothing has none."""
        text = f"{value:+.{1 if self.digits is None else self.digits}f}"
        return text if float(text) else text[1:]


@dataclass(frozen=True)
class Value:
    """One measured number and the published one beside it."""

    measured: float | None = None
    interval: tuple[float, float] | None = None
    published: float | None = None
    exact: float | None = None
    """The published number with the three decimals that the authors' script prints."""
    verdict: Verdict = ""
    why: str = ""
    """Why the two are not comparable, or why it was not run."""
    entry: Entry | None = None
    """The cell where it was measured."""
    bound: float | None = None
    """By how much other threads and batch sizes may move it (`suites.determinism`), where that is stated."""

    @property
    def compared(self) -> float | None:
        """The published number, where the measured one may be held against it."""
        return self.published if self.verdict in ("reproduced", "differs") else None

    @property
    def delta(self) -> float | None:
        """Measured minus published, where the two may be compared."""
        if self.compared is None or self.measured is None:
            return None
        return self.measured - self.compared


@dataclass(frozen=True)
class Row:
    """A cell of a run, a model of several cells, or a published model that no run has."""

    model: str
    name: str
    values: tuple[Value, ...] = ()
    """One a column; none where there is a ``status``."""
    departures: tuple[str, ...] = ()
    """What sets it apart from the plain case (`suites.naming`)."""
    tags: tuple[str, ...] = ()
    """What else tells it from its neighbours."""
    entry: Entry | None = None
    """Its cell, where it is of one."""
    status: str = ""
    """``n/a``, ``failed``, ``invalid`` or ``unfinished`` where there are no numbers."""
    reason: str = ""
    notes: tuple[int, ...] = ()
    """Numbers of the table's notes that concern it, from 1."""

    @property
    def said(self) -> tuple[str, ...]:
        """All that stands behind the name."""
        return self.departures + self.tags

    @property
    def measured(self) -> bool:
        """Whether a run has a number for it."""
        return any(value.measured is not None for value in self.values)


@dataclass(frozen=True)
class Table:
    """A table: of one suite on one data set, of speeds on one device, or one of the paper's."""

    kind: Literal["suite", "speed", "paper"]
    name: str
    """Of its files: letters, digits, hyphens."""
    title: str
    about: str
    """Where its numbers come from, in a sentence or two; empty where the title says all."""
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    suite: str = ""
    dataset: str = ""
    device: str = ""
    part: str = ""
    """What of a suite's numbers it has, where that is not the main ones."""
    headline: bool = False
    """Of speeds: whether the paper's stand beside it: a whole model, transfers included and overlapped."""
    source: str = ""
    """Where the published numbers come from; empty where there are none."""

    @property
    def on(self) -> str:
        """The data set or device, for the heading."""
        return self.device if self.kind == "speed" else self.dataset

    @property
    def done(self) -> list[Row]:
        """The rows with measured numbers."""
        return [row for row in self.rows if row.entry and not row.status]

    @property
    def groups(self) -> list[tuple[str, list[Column]]]:
        """Neighbouring columns under their shared heading."""
        names = dict.fromkeys(column.group for column in self.columns)
        return [(name, [c for c in self.columns if c.group == name]) for name in names]

    @property
    def bounds(self) -> str:
        """What the bounds beside its numbers are; empty where there are none."""
        return BOUNDS if any(value.bound is not None for row in self.rows for value in row.values) else ""

    @property
    def any_published(self) -> bool:
        """Whether a number is published."""
        return any(value.published is not None for row in self.rows for value in row.values)


class Notes:
    """The notes beneath a table while it is made; equal ones are one."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def number(self, text: str) -> int:
        """Return the number of a note, from 1, adding it where it is new."""
        if text not in self.texts:
            self.texts.append(text)
        return self.texts.index(text) + 1


def verdict(measured: float, published: float, decimals: int) -> Verdict:
    """Tell whether a measured number is the published one, as far as that was printed.

    Both ways of rounding a half are taken for right: nobody knows which one a paper used.

    Args:
        measured: unrounded.
        published: as printed.
        decimals: with which it was printed.
    """
    return "reproduced" if abs(measured - published) <= 0.5 * 10.0**-decimals + 1e-9 else "differs"
