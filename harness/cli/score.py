"""``sambench score``: predictions of anybody, by a suite's rules."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from sambench.evsam.errors import SambenchError, did_you_mean
from sambench.harness.cli import complete, console, options
from sambench.harness.cli.bars import status

if TYPE_CHECKING:
    from sambench.harness.score import Scored


def score(
    suite: Annotated[
        str,
        typer.Option(
            metavar="concept|det_box",
            autocompletion=complete.one(complete.given("concept", "det_box")),
            help="concept: cgF1 of phrases, and AP by categories; det_box: AP of masks, and of their boxes.",
        ),
    ],
    annotations: Annotated[
        list[Path],
        typer.Option(
            metavar="FILE",
            help="JSON in COCO's, LVIS's or SA-Co's format; of SA-Co/Gold's three annotators give all.",
        ),
    ],
    predictions: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="JSON in COCO's result format, with masks; of pairs image_id is the pair's. An image "
            "without an entry is one where nothing was found.",
        ),
    ],
    protocol: Annotated[
        str,
        typer.Option(autocompletion=complete.one(complete.protocols), help="strict (default) or paper."),
    ] = "strict",
    names: Annotated[
        str | None,
        typer.Option(
            metavar="all|there",
            autocompletion=complete.one(complete.given("all", "there")),
            help="Of data with categories: which were asked of an image, all (default) or those there.",
        ),
    ] = None,
    rules: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="coco|lvis",
            autocompletion=complete.one(complete.given("coco", "lvis")),
            help="Whose rules AP follows; by default as the annotations look. Pairs have no AP.",
        ),
    ] = None,
    evaluator: Annotated[
        str,
        typer.Option(
            autocompletion=complete.one(complete.given(*complete.EVALUATORS)),
            help="What computes AP: hotcoco (default), pycocotools or lvis.",
        ),
    ] = "hotcoco",
    as_json: options.Json = False,
) -> None:
    """Score a result file against annotations: no model and no images needed, the numbers are a run's.

    **Example**: sambench score --suite concept --annotations a.json --annotations b.json
    --annotations c.json --predictions mine.json

    **Example**: sambench score --suite det_box --annotations instances_val2017.json
    --predictions masks.json --json
    """
    from sambench.harness.score import score as score_file
    from sambench.suites.protocol import make_protocol
    from sambench.suites.scoring.average_precision import Evaluator
    from sambench.suites.scoring.ground_truth import Style

    for what, value, known in (
        ("--evaluator", evaluator, get_args(Evaluator)),
        ("--format", rules, (None, *get_args(Style))),
    ):
        if value not in known:
            there = [str(one) for one in known if one]
            near = did_you_mean(str(value), there)
            raise SambenchError(f"{what} {value!r}; there is {', '.join(there)}.{near}")
    chosen = make_protocol({"preset": protocol} | ({"names": names} if names else {}))
    with status("Reading and scoring"):
        found = score_file(
            suite,
            annotations,
            predictions,
            protocol=chosen,
            evaluator=evaluator,  # type: ignore[arg-type]  # looked at above
            style=rules,  # type: ignore[arg-type]
        )
    for text in found.warnings:
        console.warn(text)
    if as_json:
        console.print_json(found.to_json())
    else:
        _show(found)


def _show(found: Scored) -> None:
    """Print each number with its interval, and what was counted."""
    from sambench.harness.cli.tables import decimals

    scores = found.scores
    table = console.plain_table("metric", "value", "95% interval", right=("value", "95% interval"))
    for metric in found.about.metrics:
        value, ends = scores.metrics.get(metric.name), scores.intervals.get(metric.name)
        if metric.name in scores.metrics:
            digits = decimals(metric)
            interval = f"{ends[0]:.{digits}f} to {ends[1]:.{digits}f}" if ends else ""
            unit = {"percent": "%"}.get(metric.unit, "")
            shown = "-" if value is None else f"{value:.{digits}f}{unit}"
            table.add_row(metric.full_title, shown, interval)
    console.print_table(table, console.out)
    counts = ", ".join(f"{name} {count:,}" for name, count in scores.counts.items())
    console.out.print(f"{found.suite}: {counts}", soft_wrap=True)
