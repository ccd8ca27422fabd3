"""What other settings may move a number by stands beside it, in every form, and only where it is stated."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest
from fake_runs import cell, mini, write_run

from sambench.reports import frames, markdown, page, words
from sambench.reports.cells import read_runs
from sambench.reports.content import Content, content_of
from sambench.reports.model import BOUNDS, Table
from sambench.reports.renderers import csv_file, latex
from sambench.suites.determinism import SHIFT, bound

ONE = {"n_instances": 1, "metrics": {"miou": 70.0, "miou_small": None}, "intervals": {"miou": [69.6, 70.5]}}
"""99 of 100 objects keep to `SHIFT`, so that is the bound of the mean of one."""


@pytest.fixture
def content(tmp_path: Path) -> Content:
    cells = [
        mini("efficientvit_sam_l0", **ONE),
        cell("edge_sam", metrics={"miou": 71.0}),
    ]  # the other by a GPU
    return content_of(read_runs([write_run(tmp_path / "run", cells)]))


def table_of(content: Content) -> Table:
    (table,) = [s.table for s in content.sections if s.table.kind == "suite" and not s.table.part]
    return table


def test_the_bound_is_that_of_the_cell_and_metric(content: Content) -> None:
    table = table_of(content)
    found = {
        (row.model, c.metric): v
        for row in table.rows
        for c, v in zip(table.columns, row.values, strict=False)
    }
    assert found["efficientvit_sam_l0", "miou"].bound == SHIFT
    assert found["efficientvit_sam_l0", "miou_small"].bound is None
    assert found["edge_sam", "miou"].bound is None


def test_every_form_shows_it_behind_the_interval_and_says_what_it_is(content: Content) -> None:
    table = table_of(content)
    text = markdown.render(content)
    assert "**70.0** (69.6-70.5; \u00b10.010)" in text
    assert "**71.0**" in text
    assert text.count("\u00b1") == 4  # the number and the legend, in the paper's table and the suite's
    assert BOUNDS in text
    tex = latex.render(table)
    assert r"{\scriptsize 69.6--70.5, $\pm$0.010}" in tex
    assert latex.escape(BOUNDS) in tex
    lines = {line["model"]: line for line in csv.DictReader(io.StringIO(csv_file.render(table)))}
    assert (lines["efficientvit_sam_l0"]["miou_bound"], lines["edge_sam"]["miou_bound"]) == (str(SHIFT), "")
    html = page.render(content, [])
    assert re.search(r"<b>70\.0</b><small>69\.6.70\.5</small><small>\u00b10\.010</small>", html)
    assert BOUNDS in html


def test_a_table_without_bounds_has_no_legend_of_them(tmp_path: Path) -> None:
    content = content_of(read_runs([write_run(tmp_path / "run", [cell()])]))
    assert "\u00b1" not in markdown.render(content)
    assert "pm$" not in latex.render(table_of(content))


def test_frames_have_it_as_a_column(tmp_path: Path) -> None:
    one, other = mini("efficientvit_sam_l0", **ONE), cell("edge_sam", metrics={"miou": 71.0})
    results = frames(write_run(tmp_path / "run", [one, other])).results
    found = results[results["metric"] == "miou"].set_index("model")["bound"]
    assert found["efficientvit_sam_l0"] == bound(one, "miou")
    assert found.isna()["edge_sam"]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.01, "0.010"),
        (0.0301, "0.031"),
        (0.2, "0.20"),
        (1.0, "1.0"),
        (12.3, "13"),
        (100.0, "100"),
        (0.996, "1.00"),
    ],
)
def test_a_bound_is_rounded_up(value: float, written: str) -> None:
    assert words.bound(value) == f"\u00b1{written}"
    assert float(written) >= value
