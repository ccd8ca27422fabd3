"""All sources at once, and what they say of a question."""

from __future__ import annotations

import functools
from pathlib import Path

from sambench.reports.literature.claim import Claim, base
from sambench.reports.literature.source import Source, read


@functools.cache
def sources() -> dict[str, Source]:
    """Return the sources by name."""
    files = sorted(Path(__file__).parent.glob("*.yaml"))
    return {file.stem: read(file) for file in files}


def claims(model: str | None = None, suite: str | None = None, dataset: str | None = None) -> list[Claim]:
    """Return what is published of a model, in a suite, on a data set, or of all, in the order of tables.

    ``coco`` is COCO with the boxes of any detector, ``coco/vitdet`` with those of one. The order is by model,
    suite, data, metric and value, so that what several sources say of one question stands together.
    """
    found = [
        claim
        for source in sources().values()
        for claim in source.claims
        if model in (None, claim.model)
        and suite in (None, claim.suite)
        and dataset in (None, claim.dataset, base(claim.dataset))
    ]
    return sorted(found, key=lambda claim: (*claim.question, claim.value, claim.source, claim.table))


def beside(model: str, suite: str, dataset: str) -> list[Claim]:
    """Return what there is to stand beside a measured number: same model and suite, on the same data.

    A detector in ``dataset`` (``coco/vitdet``) does not matter: `Claim.prompt` says whose boxes it were.
    """
    return claims(model, suite, base(dataset))
