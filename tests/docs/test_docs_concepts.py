"""The page of concepts prints what the literature has."""

from __future__ import annotations

import re

from pages import ROOT

from sambench.reports.concepts import GOLD, MEANS
from sambench.reports.literature import claims
from sambench.reports.words import AXES
from sambench.suites.data.named import known

PAGE = (ROOT / "docs" / "concepts.md").read_text()


def table(head: str) -> list[list[str]]:
    """The fields of the rows of the table that begins so."""
    _, _, rest = PAGE.partition(f"| {head} |")
    rows = rest.partition("\n\n")[0].split("\n")[2:]
    return [[field.strip() for field in row.strip("|").split("|")] for row in rows]


def test_every_published_number_is_the_sources() -> None:
    columns = [*((GOLD.name, metric) for metric in MEANS), *((dataset, "cgf1") for dataset in GOLD.datasets)]
    printed = {
        (c.called, c.dataset, c.metric): c.value for c in claims(suite="concept") if c.table != "Table 1"
    }
    rows = table("SA-Co/Gold")
    assert len(rows) == 13
    for called, *numbers in rows:
        assert [float(number) for number in numbers] == [printed[called, *column] for column in columns], (
            called
        )


def test_the_prose_quotes_the_paper() -> None:
    found = {
        (c.dataset, c.metric, c.made.get("names")): c.value
        for c in claims("sam3", "concept")
        if c.source == "sam3" and c.dataset in ("lvis", "coco")
    }
    quoted = [
        ("lvis", "cgf1", None),
        ("lvis", "ap", None),
        ("coco", "box_ap", None),
        ("coco", "box_ap", "there"),
    ]
    words = " ".join(PAGE.partition("On LVIS the paper prints")[2].split())
    assert re.findall(r"\d\d\.\d", words) == [f"{found[key]}" for key in quoted]


def test_axes_and_data_sets_are_those_that_there_are() -> None:
    for axis, values, _ in table("axis"):
        assert set(re.findall(r"`(.+?)`", values)) == set(AXES[axis.strip("`")].values)
    named = set(re.findall(r"`(\w+)`", PAGE.partition("ten domains")[2].partition("|")[0]))
    assert {f"saco_silver_{domain}" for domain in named} == {
        n for n in known() if n.startswith("saco_silver_")
    }
    assert set(re.findall(r"- (saco_gold_\w+)", PAGE)) == set(GOLD.datasets)
