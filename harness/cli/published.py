"""``sambench published``: what papers and repositories say of models, side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sambench.evsam.errors import SambenchError, did_you_mean
from sambench.harness.cli import complete, console, options

if TYPE_CHECKING:
    from sambench.reports.literature import Claim

SHOWN = ("model", "suite", "dataset", "metric", "value", "source", "table", "differs in")


def published(
    model: Annotated[
        str | None,
        typer.Option(autocompletion=complete.one(complete.published("model")), help="Of one model alone."),
    ] = None,
    suite: Annotated[
        str | None,
        typer.Option(autocompletion=complete.one(complete.published("suite")), help="Of one suite alone."),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            autocompletion=complete.one(complete.published("dataset")),
            help="On one data set alone: coco, or coco/vitdet with the boxes of one detector.",
        ),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(autocompletion=complete.one(complete.published("metric")), help="One metric alone."),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(autocompletion=complete.one(complete.published("source")), help="Of one paper alone."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """List published numbers of models, looked up in papers and repositories.

    What several sources say of one question stands together, and **differs in** says how each was made where
    they were not made alike: whose boxes, which of the masks, which machine (docs/literature.md).

    **Example**: sambench published --model mobile_sam --suite det_box --dataset coco --metric ap
    """
    from sambench.reports.literature import claims

    everything = claims()
    given = {"model": model, "suite": suite, "dataset": dataset, "metric": metric, "source": source}
    for key, word in given.items():
        _check(key, word, complete.published(key)())
    chosen = [
        claim
        for claim in claims(model, suite, dataset)
        if metric in (None, claim.metric) and source in (None, claim.source)
    ]
    if as_json:
        console.print_json([_object(claim, everything) for claim in chosen])
        return
    console.print_rows(_rows(chosen), False, shown=SHOWN)
    if not chosen:
        console.note("nothing is recorded of all these together; leave one of them out")
    for name in dict.fromkeys(sorted(claim.source for claim in chosen)):
        console.note(_cited(name))


def _check(key: str, word: str | None, known: Iterable[str]) -> None:
    """Refuse a word that no claim has."""
    names = list(known)
    if word is not None and word not in names:
        raise SambenchError(
            f"--{key} {word}: no source has a number of it.{did_you_mean(word, names)} "
            "'sambench published' lists all."
        )


def _cited(name: str) -> str:
    """Return who is behind a source's name, and where it is."""
    from sambench.reports.literature import sources

    found = sources()[name]
    first, *others = found.authors.split(", ")
    return f"{name}: {first}{' et al.' if others else ''}, {found.title} ({found.year}), {found.url}"


def _rows(claims: Sequence[Claim]) -> list[dict[str, Any]]:
    """Return the table's rows: of each question its claims, with what they do not have in common."""
    from sambench.reports.literature.claim import differing

    rows = []
    for _, found in groupby(claims, key=lambda claim: claim.question):
        same = list(found)
        axes = differing(same)
        for claim in same:
            rows.append(
                {
                    **{key: getattr(claim, key) for key in ("model", "suite", "metric", "source", "table")},
                    "dataset": claim.dataset or None,
                    "value": f"{claim.value:g} {claim.unit}",
                    "differs in": _how(claim, axes),
                }
            )
    return rows


def _how(claim: Claim, axes: Sequence[str]) -> str | None:
    """Return how a claim was made, as far as others were made otherwise; ``None`` where nothing differs."""
    stated = [f"{axis}: {claim.made[axis]}" for axis in axes if axis in claim.made]
    missing = [axis for axis in axes if axis not in claim.made]
    if missing:
        stated.append(f"not stated: {', '.join(missing)}")
    return "; ".join(stated) or None


def _object(claim: Claim, everything: Sequence[Claim]) -> dict[str, Any]:
    """Return all fields of a claim, and what other sources say of the same."""
    from sambench.reports.literature import differs

    also = [
        {
            "source": other.source,
            "table": other.table,
            "value": other.value,
            "differs_in": differs(claim, other),
        }
        for other in everything
        if other.question == claim.question and other.source != claim.source
    ]
    return {**asdict(claim), "also": also}
