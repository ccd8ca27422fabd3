"""A figure is drawn only where it is wanted, and as a file it needs no page, no font and no date."""

from __future__ import annotations

import io
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from sambench.reports.figures.figure import Drawing, Figure
from sambench.reports.figures.style import INK, SERIES, SMALL, WIDTH

NAME = "m_0.123456 #0a0a0a <b> $x$"
"""A name with what is shortened, coloured or markup elsewhere in a file."""


@pytest.fixture
def drawn() -> tuple[Figure, list[int]]:
    """A figure, and a mark for each time it was drawn."""
    times: list[int] = []

    def paint(canvas):
        times.append(1)
        axes = canvas.subplots()
        axes.plot([0.123456, 2.2], [1.3, 4.9], color=SERIES[2], marker="s")
        axes.text(1, 2, NAME, color=INK)

    return Figure("A title", 'a "caption"', drawing=Drawing(paint, (3.0, 2.0), "salt")), times


def test_nothing_is_drawn_until_it_is_looked_at_and_then_once(drawn):
    figure, times = drawn
    assert times == []
    assert figure.svg == figure.svg
    assert len(times) == 1


def test_on_a_page_it_has_the_pages_colours_and_its_names_as_they_are(drawn):
    svg = drawn[0].svg
    root = ElementTree.fromstring(svg)
    assert [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")].count(NAME) == 1
    assert "var(--series-2)" in svg
    assert not {INK, SERIES[2]} & set(re.findall("#[0-9a-f]{6}", svg))
    assert root.get("aria-label") == 'A title. a "caption"'
    assert "<style" not in svg  # one within a picture would be the whole page's
    assert " id=" not in svg.replace("<clipPath id=", "").replace("<path id=", "")


def test_it_says_how_wide_it_must_be_to_be_read(drawn):
    figure = drawn[0]
    root = ElementTree.fromstring(figure.svg)
    assert float(root.get("width").removesuffix("pt")) == 3 * 72
    scale = figure.min_width / (3 * 96)  # a CSS pixel is a 96th of an inch
    assert root.get("data-min-width") == str(figure.min_width)
    assert SMALL * 96 / 72 * scale == pytest.approx(10, abs=0.05)
    assert SMALL * 6.0 / WIDTH > 7  # print on a column of six inches


@pytest.mark.parametrize("form", ["svg", "pdf", "png"])
def test_files_are_whole_and_the_same_each_time(drawn, form, monkeypatch):
    figure, _ = drawn
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    made = figure.file(form)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    assert figure.file(form) == made
    if form == "png":
        image = Image.open(io.BytesIO(made))
        assert (image.size, image.convert("RGB").getpixel((0, 0))) == ((600, 400), (255, 255, 255))
    elif form == "pdf":
        assert made.startswith(b"%PDF")
        assert b"/FontFile2" in made  # the letters themselves, as TrueType
        assert b"/Type3" not in made
        assert b"CreationDate" not in made
    else:
        assert ElementTree.fromstring(made).tag == "{http://www.w3.org/2000/svg}svg"
        assert b"var(--" not in made
        assert b"<text" not in made  # outlines, which need no font
        assert SERIES[2].encode() in made


def test_without_a_drawing_there_is_nothing_to_see():
    figure = Figure("A title", "", "Why.")
    assert (figure.svg, figure.min_width, figure.missing) == ("", 0, "Why.")


def test_the_pages_light_colours_are_those_of_the_files():
    css = (Path(__file__).parents[3] / "reports" / "templates" / "page.css").read_text(encoding="utf-8")
    for n, color in enumerate(SERIES):
        assert f"--series-{n}: light-dark({color}, #" in css
