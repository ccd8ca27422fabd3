"""``sambench suites``: what can be measured."""

from __future__ import annotations

from sambench.harness.cli import options
from sambench.harness.cli.console import print_rows


def suites(as_json: options.Json = False) -> None:
    """List the suites.

    **Example**: sambench suites --json
    """
    from sambench.suites.registry import SUITES

    print_rows([{"name": name, "measures": text} for name, (_, text) in SUITES.items()], as_json)
