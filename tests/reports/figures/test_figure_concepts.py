"""The two factors of cgF1: every point where its numbers are, lines on which the product is what they say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_concepts import concept, gold
from fake_runs import write_run
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from sambench.reports.cells import read_runs
from sambench.reports.concepts import mean_tables
from sambench.reports.figures.concepts import factors
from sambench.reports.figures.figure import Figure
from sambench.reports.figures.style import GRID, PUBLISHED, model_looks
from sambench.reports.model import Table
from sambench.reports.tables import build_tables
from sambench.suites.results import CellResult


def subset(tmp_path: Path, *cells: CellResult) -> Table:
    return build_tables(read_runs([write_run(tmp_path / "run", list(cells))]))[0]


def made(table: Table) -> tuple[Figure, Axes]:
    figure = factors(table, "s", model_looks(row.model for row in table.rows))
    assert figure is not None
    assert figure.drawing is not None
    canvas = Canvas(figsize=figure.drawing.size, layout="constrained")
    figure.drawing.paint(canvas)
    return figure, canvas.axes[0]


def points(axes: Axes, *, published: bool) -> set[tuple[float, float]]:
    marks = [
        line for line in axes.lines if line.get_marker() not in ("None", "") and len(line.get_xdata()) == 1
    ]
    return {
        (round(float(line.get_xdata()[0]), 6), round(float(line.get_ydata()[0]), 6))
        for line in marks
        if (line.get_marker() == PUBLISHED) == published
    }


def test_a_point_is_where_its_factors_are_and_its_bars_are_their_intervals(tmp_path: Path) -> None:
    cells = [concept("sam3", "coco", 60), concept("sam3_litetext_s0", "coco", 40)]
    figure, axes = made(subset(tmp_path, *cells))
    assert points(axes, published=False) == {(0.75, 60), (0.5, 40)}
    assert points(axes, published=True) == set()
    bars = [line.get_xydata().tolist() for line in axes.lines if len(line.get_xdata()) == 2]
    assert [[0.75 - 0.015, 60], [0.75 + 0.01875, 60]] in [np.round(bar, 6).tolist() for bar in bars]
    assert "published" not in figure.caption


def test_on_a_line_the_product_is_what_stands_at_its_end(tmp_path: Path) -> None:
    _, axes = made(subset(tmp_path, concept("sam3", "coco", 60), concept("sam3_litetext_s0", "coco", 30)))
    lines = [line for line in axes.lines if line.get_color() == GRID]
    products = [np.unique(np.round(line.get_xdata() * line.get_ydata(), 6)) for line in lines]
    assert all(len(product) == 1 for product in products)
    said = {text.get_text(): np.prod(text.xy) for text in axes.texts if text.get_text().isdigit()}
    assert len(said) >= 5
    assert said == {f"{product[0]:g}": pytest.approx(product[0]) for product in products}
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    for line in lines:
        assert left - 1e-9 <= line.get_xdata().min() <= line.get_xdata().max() <= right + 1e-9
        assert low - 1e-6 <= line.get_ydata().min() <= line.get_ydata().max() <= high + 1e-6


def test_published_models_are_grey_and_named(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", gold("sam3", 40))
    figure, axes = made(mean_tables(read_runs([run]), set())[0])
    assert points(axes, published=False) == {(43 / 80, 43)}
    assert {(0.82, 66.11), (0.57, 42), (0.15, 16.2)} <= points(axes, published=True)
    assert len(points(axes, published=True)) > 8
    names = [text.get_text().partition("\n")[0] for text in axes.texts]
    assert names.count("DINO-X") == 1
    assert names.count("Human") == 1
    assert sum(name.endswith(", published") for name in names) == 1  # of the model that was measured
    assert "Grey diamonds" in figure.caption


@pytest.mark.parametrize(
    ("mcc", "pmf1"),
    [(1.0, 100.0), (0.0, 0.0), (-0.3, 5.0), (-1.0, 0.0)],
    ids=["all", "none", "worse", "worst"],
)
def test_models_at_the_ends_are_drawn_too(tmp_path: Path, mcc: float, pmf1: float) -> None:
    metrics: dict[str, Any] = {"il_mcc": mcc, "pmf1": pmf1, "cgf1": mcc * pmf1}
    _, axes = made(subset(tmp_path, concept("sam3", "coco", metrics=metrics, intervals={})))
    assert points(axes, published=False) == {(mcc, pmf1)}
    assert axes.get_xlim()[1] <= 1
    assert axes.get_ylim()[1] <= 100


def test_without_both_factors_there_is_no_figure(tmp_path: Path) -> None:
    metrics: dict[str, Any] = {"il_mcc": 0.0, "pmf1": None, "cgf1": None}
    table = subset(tmp_path, concept("sam3", "coco", metrics=metrics, intervals={}))
    assert factors(table, "s", model_looks(["sam3"])) is None
