"""``sambench models``: which models there are."""

from __future__ import annotations

from sambench.harness.cli import options
from sambench.harness.cli.console import print_rows


def models(as_json: options.Json = False) -> None:
    """List the models: those that come with sambench, and those of installed packages."""
    from sambench.adapters.registry import known
    from sambench.adapters.weights.upstream import upstream

    rows = []
    for name, entry in known().items():
        weights = upstream(name)
        rows.append(
            {
                "name": name,
                "title": entry.title,
                "weights": str(weights.location) if weights else None,
                "licence": weights.licence if weights else None,
                "source": entry.source,
            }
        )
    print_rows(rows, as_json, shown=("name", "title", "weights"))
