"""``sambench models``: which models there are."""

from __future__ import annotations

from sambench.harness.cli import options
from sambench.harness.cli.console import print_rows, say

OURS, LICENCE = "come with sambench", "Apache-2.0"
"""What is said of weights that the package has."""


def models(as_json: options.Json = False) -> None:
    """List the models: those that come with sambench, and those of installed packages.

    Not listed are models of libraries, hf:OWNER/NAME and ultralytics:FILE, and those of two parts that take
    phrases: a detector of phrases before any segmenter that takes boxes, such as
    grounding_dino_t+efficientvit_sam_l0.

    **Example**: sambench models --json
    """
    from sambench.adapters.models import LIBRARIES, PHRASE_DETECTORS
    from sambench.adapters.registry import known
    from sambench.adapters.weights.shipped import shipped
    from sambench.adapters.weights.upstream import upstream

    rows = []
    for name, entry in known().items():
        weights = upstream(name)
        rows.append(
            {
                "name": name,
                "title": entry.title,
                "weights": str(weights.location) if weights else OURS if shipped(name) else None,
                "licence": weights.licence if weights else LICENCE if shipped(name) else None,
                "source": entry.source,
            }
        )
    print_rows(rows, as_json, shown=("name", "title", "weights"))
    if not as_json:
        say(f"\nOf libraries: {', '.join(f'{library}:...' for library in LIBRARIES)}")
        say(f"For phrases: DETECTOR+SEGMENTER, with one of {', '.join(PHRASE_DETECTORS)}")
