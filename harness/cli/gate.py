"""``--fail-if "miou < -0.2"``: when a difference ends a command with an error, for other people's CI."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sambench.evsam.errors import SambenchError
from sambench.reports.compare import Refusal
from sambench.reports.differences import Difference

FORM = re.compile(
    r"(?:(?P<suite>[\w-]+)\.)?(?P<metric>[\w-]+)\s*(?P<sign><=|>=|<|>)\s*(?P<bound>[-+]?(?:\d+\.?\d*|\.\d+))"
)
SIGNS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Gate:
    """A condition on differences that must hold for none."""

    text: str
    """As it was given."""
    suite: str | None
    """Whose metric it is; ``None`` for all suites that have it."""
    metric: str
    sign: str
    bound: float
    """In the metric's unit."""

    @classmethod
    def parse(cls, text: str) -> Gate:
        """Read ``[SUITE.]METRIC SIGN NUMBER``.

        Raises:
            SambenchError: it is something else.
        """
        found = FORM.fullmatch(text.strip())
        if not found:
            raise SambenchError(
                f"--fail-if {text!r}: say METRIC or SUITE.METRIC, then <, <=, > or >=, then a number, as "
                "'miou < -0.2' or 'click.miou_5 < -0.5'. It is held against b minus a."
            )
        return cls(text, found["suite"], found["metric"], found["sign"], float(found["bound"]))

    def watches(self, suite: str, metric: str) -> bool:
        """Tell whether it is about a metric of a suite."""
        return metric == self.metric and self.suite in (None, suite)

    def met(self, rows: Sequence[Difference], refused: Sequence[Refusal]) -> list[Difference]:
        """Return the differences that meet the condition.

        Args:
            rows: of all differences.
            refused: pairs whose suite has the metric, for which there is no difference.

        Raises:
            SambenchError: there is no difference to hold against it, or one that it should see is not there:
                a gate that cannot see must not let pass.
        """
        mine = [row for row in rows if self.watches(row.suite, row.metric)]
        if refused:
            one = refused[0]
            raise self._blind(
                f"{one.label_a} and {one.label_b} were not compared ({one.reason}). Leave them out with "
                "--models or --suite, or make them comparable"
            )
        if not mine:
            metrics = ", ".join(sorted({f"{row.suite}.{row.metric}" for row in rows}))
            raise self._blind(f"there is no such difference, but of {metrics}")
        met = []
        for row in mine:
            if row.difference is None or not math.isfinite(row.difference):
                names = f"{row.label_a} and {row.label_b}"
                raise self._blind(f"{row.suite} on {row.dataset} has no {row.metric} of {names}")
            if SIGNS[self.sign](row.difference, self.bound):
                met.append(row)
        return met

    def _blind(self, why: str) -> SambenchError:
        return SambenchError(f"--fail-if {self.text!r} cannot be judged: {why}.")
