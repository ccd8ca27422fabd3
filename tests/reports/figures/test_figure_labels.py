"""Names in figures stand apart, however many there are."""

from __future__ import annotations

import itertools
import random

from matplotlib.figure import Figure as Canvas
from matplotlib.text import Text

from sambench.reports.figures.labels import Name, label, name_points, spread, without_common
from sambench.reports.model import Row


def test_labels_at_the_ends_of_lines_stand_apart_and_below_the_top():
    assert spread([1.0, 5.0], [1, 1], top=9) == [1, 5]
    assert spread([1.0, 1.1, 1.2], [1, 2, 1], top=9) == [1, 2.5, 4]
    assert spread([8.0, 8.5, 9.0], [1, 1, 1], top=9) == [7, 8, 9]


def test_names_do_not_cover_each_other():
    canvas = Canvas(figsize=(6, 4))
    axes = canvas.subplots()
    draw = random.Random(0)
    names = [Name(f"model {n}", draw.random(), draw.random(), "black", 8) for n in range(20)]
    canvas.draw_without_rendering()
    name_points(axes, names)
    canvas.draw_without_rendering()
    boxes = [Text.get_window_extent(text) for text in axes.texts]  # without their arrows
    assert [text.get_text() for text in axes.texts] == [name.text for name in names]
    assert not [1 for a, b in itertools.combinations(boxes, 2) if a.overlaps(b)]
    assert all(axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1 for box in boxes)


def test_what_is_said_of_every_row_is_said_once():
    rows = [Row("a", "A", departures=("x y",), tags=("eager", "batch 16")), Row("b", "B", tags=("batch 16",))]
    shorter, common = without_common(rows)
    assert [row.said for row in shorter] == [("x y", "eager"), ()]
    assert common == " (batch 16)"
    assert without_common([]) == ([], "")


def test_a_label_breaks_between_what_is_said():
    row = Row("m", "A model", tags=("weights.pt 0123", "eager fp32", "batch 16"))
    assert label(row).split("\n") == ["A model", "weights.pt 0123, eager fp32,", "batch 16"]
    assert label(Row("m", "n" * 40)) == "n" * 27 + "\u2026"
