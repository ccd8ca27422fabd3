"""What was found in a data set, by kind (`checks.kinds`): counted, the first shown, refused at once."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from sambench.evsam.errors import SambenchError
from sambench.suites.data.checks.kinds import KINDS, Kind, Severity
from sambench.suites.data.ids import MARKS

EXAMPLES = 5
"""Listed of each kind: enough to see a pattern, few enough to read."""
FAULTS = 20
"""Listed in a refusal, of all kinds together."""
QUOTED = 60
"""Characters of a wrong value that a message quotes."""

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "mended")
Finding = tuple[str, str]
"""A name in `KINDS`, and which record it is about with the values that show it."""


@dataclass
class Problem:
    """All that was found of one kind."""

    name: str
    count: int = 0
    examples: list[str] = field(default_factory=list)
    """The first `FAULTS`."""
    tolerated: bool = False
    """Whether it is no error here, though it may be one elsewhere."""

    @property
    def kind(self) -> Kind:
        """What it is, how bad, and what to do."""
        return KINDS[self.name]

    @property
    def severity(self) -> Severity:
        """How bad it is here."""
        return "warning" if self.tolerated and self.kind.severity == "error" else self.kind.severity

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        first = self.examples[:EXAMPLES]
        about = vars(self.kind) | {"severity": self.severity}
        return {"kind": self.name, **about, "count": self.count, "examples": first}


class Problems:
    """What was found, by kind.

    Args:
        tolerated: kinds that are no errors here.
    """

    def __init__(self, tolerated: Collection[str] = ()) -> None:
        self._found: dict[str, Problem] = {}
        self._tolerated = frozenset(tolerated)

    def add(self, name: str, example: str) -> None:
        """Count a finding, and keep it if it is among the first of its kind."""
        problem = self._of(name)
        problem.count += 1
        if len(problem.examples) < FAULTS:
            problem.examples.append(printable(example))

    def tolerate(self, names: Collection[str]) -> None:
        """Take more kinds for no errors, those too that were found before."""
        self._tolerated |= frozenset(names)
        for problem in self._found.values():
            problem.tolerated = problem.name in self._tolerated

    def extend(self, findings: Iterable[Finding]) -> None:
        """Count findings."""
        for finding in findings:
            self.add(*finding)

    def join(self, others: Problems) -> None:
        """Add what was found elsewhere."""
        for problem in others.listed():
            mine = self._of(problem.name)
            mine.count += problem.count
            mine.examples += problem.examples[: FAULTS - len(mine.examples)]

    def _of(self, name: str) -> Problem:
        return self._found.setdefault(name, Problem(name, tolerated=name in self._tolerated))

    def __contains__(self, name: str) -> bool:
        return name in self._found

    def listed(self, *severities: Severity) -> tuple[Problem, ...]:
        """Return one problem a kind: errors first, what was mended last, each in the order of `KINDS`."""
        found = [self._found[name] for name in KINDS if name in self._found]
        wanted = [p for p in found if not severities or p.severity in severities]
        return tuple(sorted(wanted, key=lambda p: SEVERITIES.index(p.severity)))

    def counts(self, *severities: Severity) -> dict[str, int]:
        """Return how often each kind was found."""
        return {problem.name: problem.count for problem in self.listed(*severities)}

    def sentences(self) -> list[str]:
        """Say of each kind that is no error how often it was found, and what was done or is to be done."""
        found = self.listed("warning", "mended")
        return [f"{p.kind.what} ({p.count:,}; {p.examples[0]}). {p.kind.remedy}" for p in found]

    def refuse(self, where: str, more: str) -> None:
        """See that there is no error.

        Args:
            where: the data set, for the message.
            more: what the user can do to see or mend all of them.

        Raises:
            SambenchError: there are; the first of them are listed, each kind with its remedy.
        """
        errors = self.listed("error")
        if not errors:
            return
        total, left = sum(problem.count for problem in errors), FAULTS
        lines = [f"{where}: {total:,} {'fault' if total == 1 else 'faults'}; nothing was computed."]
        for problem in errors:
            lines.append(f"{problem.kind.what} ({problem.count:,}):")
            shown = problem.examples[: max(left, 1)]
            lines += [f"    {example}" for example in shown]
            if problem.count > len(shown):
                lines.append(f"    and {problem.count - len(shown):,} more")
            lines.append(f"  {problem.kind.remedy}")
            left -= len(shown)
        raise SambenchError("\n".join([*lines, more]))


MOST_PLAIN = 10**15
"""Whole numbers below are shorter than `QUOTED`."""


def quoted(value: object) -> str:
    """Return a value as JSON has it, cut where it is long."""
    if type(value) is int and -MOST_PLAIN < value < MOST_PLAIN:  # most ids, of which there are millions
        return str(value)
    if isinstance(value, bytes):
        text = value[: 4 * QUOTED].decode(errors="replace")
    else:
        text = json.dumps(value, ensure_ascii=False, default=str)
    for mark in MARKS:
        text = text.replace(f'"{mark}"', mark)
    text = printable(text)
    return text if len(text) <= QUOTED else text[:QUOTED] + "..."


def printable(text: str) -> str:
    """Return a text without what would move a terminal's cursor."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
