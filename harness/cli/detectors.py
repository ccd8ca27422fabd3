"""``sambench detectors``: where boxes can come from."""

from __future__ import annotations

from sambench.harness.cli import options
from sambench.harness.cli.console import print_rows


def detectors(as_json: options.Json = False) -> None:
    """List the detectors, and the options of each.

    **Example**: sambench detectors --json
    """
    from sambench.adapters.detectors.registry import DETECTORS

    rows = [
        {
            "name": name,
            "title": entry.title,
            "weights": entry.weights,
            "licence": entry.licence,
            "source": entry.source,
            "options": {key: option.text for key, option in entry.options.items()},
        }
        for name, entry in DETECTORS.items()
    ]
    if not as_json:  # their names will do
        rows = [row | {"options": ", ".join(row["options"]) or "-"} for row in rows]
    print_rows(rows, as_json, shown=("name", "title", "weights", "options"))
