"""The page of thirteen models in a real browser: what a reader does with it, and what it must not do."""

from __future__ import annotations

import csv
import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_runs import write_records, write_run
from fake_thirteen import MODELS, cells, differences, objects

from sambench.reports import page
from sambench.reports.cells import read_runs
from sambench.reports.compare import Comparison, Refusal
from sambench.reports.content import content_of
from sambench.reports.page_pairs import compared_metrics
from tests.conftest import missing

pytestmark = pytest.mark.slow

BOXES = "#gt_box-coco"
SECONDS = 10
"""In which the page is loaded, on a machine that does much else; a reader's takes a tenth of that."""
MILLION = 1_000_000
THREE = ("sam_vit_h", "efficientvit_sam_l0", "efficientvit_sam_xl1")


def written(folder: Path, models: tuple[str, ...], records: dict[str, str]) -> Path:
    """Write the page of some models on all suites, with paired differences, objects and one refusal."""
    made = cells(records, models)
    content = content_of(read_runs([write_run(folder / "run", made)]))
    asked = compared_metrics(content)
    rows = tuple(row for row in differences(made) if row.metric in asked)
    refused = Refusal("a", "b", rows[0].label_a, rows[0].label_b, "gt_box", "photos", "annotations differ")
    compared = Comparison(rows, (refused,), ("One: nothing to compare it with.",))
    file = folder / "report.html"
    file.write_text(page.render(content, objects(models), compared), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirteen models."""
    return written(tmp_path_factory.mktemp("thirteen"), MODELS, {})


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three models, with all figures."""
    folder = tmp_path_factory.mktemp("three")
    rng = np.random.default_rng(0)
    write_records(folder / "run/records/box", rng.beta(5, 2, 500))
    write_records(folder / "run/records/click", list(np.sort(rng.beta(5, 2, (500, 5)), axis=1)))
    return written(folder, THREE, {"gt_box": "records/box", "click": "records/click"})


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright is not installed: pip install 'sambench[dev]'")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        missing("no Chromium is installed: apt-get install chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


@pytest.fixture
def opened(browser: Any, report: Path) -> Iterator[Any]:
    """Opens the page; nothing may be said on the console, and nothing asked of any other address."""
    said: list[str] = []
    asked: list[str] = []
    contexts = []

    def start(width: int = 1400, file: Path = report, **options: Any) -> Any:
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, **options))
        tab = contexts[-1].new_page()
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(file.as_uri())
        tab.wait_for_selector("html.ready", state="attached")
        return tab

    yield start
    for context in contexts:
        context.close()
    assert said == []
    assert {url.rpartition("/")[2] for url in asked if not url.startswith("data:")} == {"report.html"}


def numbers(tab: Any, column: int) -> list[float]:
    """What one column of the boxes' table shows, from above."""
    shown = tab.locator(f"{BOXES} tbody tr:visible td:nth-of-type({column}) b").all_inner_texts()
    return [float(text) for text in shown]


@pytest.mark.parametrize("width", [1400, 390])
def test_thirteen_models_load_and_fit_wide_and_narrow_screens(opened: Any, large: Path, width: int) -> None:
    assert large.stat().st_size < MILLION  # its one image is small
    tab = opened(width, large)
    assert tab.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd") < 1000 * SECONDS
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    scrolled = tab.locator("table.results").evaluate_all(
        "all => all.filter(t => t.parentElement.scrollWidth > t.parentElement.clientWidth + 1).length"
    )
    assert tab.locator(".scroll.more > table.results").count() == scrolled
    assert (scrolled == 0) if width == 1400 else (scrolled > 10)
    name = tab.locator(f"{BOXES} tbody th").first
    before = name.bounding_box()
    tab.locator(f"{BOXES} .scroll").evaluate("box => { box.scrollLeft = 200; }")
    assert name.bounding_box() == before  # it stays where it is


@pytest.mark.parametrize("width", [1400, 420])
def test_figures_can_be_read(opened: Any, width: int) -> None:
    tab = opened(width)
    sizes = tab.locator(".canvas svg text").evaluate_all(
        "all => all.map(t => [parseFloat(getComputedStyle(t).fontSize), t.getScreenCTM()])"
        ".map(([size, m]) => size * Math.hypot(m.a, m.b))"
    )
    assert len(sizes) > 100
    assert min(sizes) > 9.9
    cut = tab.locator(".canvas").evaluate_all(
        "all => all.filter(c => c.scrollWidth > c.clientWidth + 1 && !c.classList.contains('more')).length"
    )
    assert cut == 0


def test_columns_are_sorted_best_first_then_worst_then_as_they_were(opened: Any) -> None:
    tab = opened()
    before = numbers(tab, 2)
    head = tab.locator(f"{BOXES} thead th").nth(2)
    for order in ("descending", "ascending"):
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == order
        assert numbers(tab, 2) == sorted(before, reverse=order == "descending")
    head.locator("button").click()
    assert head.get_attribute("aria-sort") is None
    assert numbers(tab, 2) == before
    tab.locator("#table-4 thead button").nth(5).click()  # of LVIS, which only the paper has
    names = tab.locator("#table-4 tbody th").all_inner_texts()
    assert len(names) == len(set(names)) >= len(THREE)


def test_rows_are_filtered_by_words_and_by_verdict(opened: Any) -> None:
    tab = opened()
    rows = tab.locator(f"{BOXES} tbody tr:visible")
    every = tab.locator("#count").inner_text()
    tab.fill("#filter", "efficientvit xl")
    assert rows.locator("th").all_inner_texts() == ["EfficientViT-SAM-XL1"]
    assert re.fullmatch(r"\d+ of \d+ rows", tab.locator("#count").inner_text())
    tab.select_option("#verdict", "reproduced")
    assert [text.split("\n")[0] for text in rows.all_inner_texts()] in (
        ["EfficientViT-SAM-XL1"],
        ["no row fits"],
    )
    tab.fill("#filter", "nobody")
    assert rows.all_inner_texts() == ["no row fits"]
    tab.press("#filter", "Escape")
    assert tab.locator("#count").inner_text() == every
    assert rows.count() == len(THREE)


def test_a_number_says_what_stands_behind_it(opened: Any) -> None:
    tab = opened()
    cell = tab.locator(f"{BOXES} tbody tr", has_text="SAM-ViT-H").locator("td").first
    cell.hover()
    pop = tab.locator("#pop")
    text = pop.inner_text()
    for word in ("measured", "95% interval", "77.4 (paper)", "+0.012", "reproduced", "SHA-256", "eager fp32"):
        assert word in text
    assert "36,781 objects, 5,000 images" in text
    assert "Made-up GPU" in text
    tab.keyboard.press("Escape")
    assert pop.is_hidden()
    tab.locator(f"{BOXES} thead button").first.focus()
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("ArrowRight")
    assert "SAM-ViT-H: Small" in pop.inner_text()
    assert tab.evaluate("document.activeElement.getAttribute('aria-describedby')") == "pop"
    tab.keyboard.press("Tab")
    tab.wait_for_selector("#pop", state="hidden")
    assert tab.locator(f"{BOXES} table [tabindex='0']").count() == 1
    touched = opened(390, has_touch=True)
    touched.locator(f"{BOXES} tbody td").first.tap()
    assert "SAM-ViT-H: All objects" in touched.locator("#pop").inner_text()
    touched.locator("h1").tap()
    assert touched.locator("#pop").is_hidden()


def test_two_models_are_compared_either_way_round(opened: Any) -> None:
    tab = opened()
    rows = tab.locator("#pair tbody tr:not(.under)")
    assert "annotations differ" in tab.locator("#pair").inner_text()
    tab.select_option("#pair-a", label="EfficientViT-SAM-XL1")
    tab.select_option("#pair-b", label="SAM-ViT-H")
    first = rows.first.locator("td").all_inner_texts()
    own, its, difference = (float(text.replace("\u2212", "-")) for text in first[:3])
    assert difference == pytest.approx(its - own, abs=0.011)
    tab.click("#swap")
    turned = rows.first.locator("td").all_inner_texts()
    assert [turned[0], turned[1]] == [first[1], first[0]]
    assert float(turned[2].replace("\u2212", "-")) == -difference
    ends = [[float(n) for n in text[3].replace("\u2212", "-").split(" to ")] for text in (first, turned)]
    assert ends[1] == [-ends[0][1], -ends[0][0]]
    assert turned[6:8] == first[7:5:-1]  # better and worse
    assert turned[8:] == first[8:]
    tab.select_option("#pair-b", label="SAM-ViT-H")
    assert tab.locator("#pair").inner_text() == "Choose two models."


def test_a_table_is_copied_with_a_clipboard_and_without(opened: Any) -> None:
    tab = opened(permissions=["clipboard-read", "clipboard-write"])
    button = tab.locator(f"{BOXES} [data-copy=csv]")
    button.click()
    tab.wait_for_function("button => button.textContent === 'copied'", arg=button.element_handle())
    rows = list(csv.DictReader(io.StringIO(tab.evaluate("navigator.clipboard.readText()"))))
    assert [row["model"] for row in rows] == list(THREE)
    denied = opened(permissions=["clipboard-read"])
    denied.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('denied')); }")
    button = denied.locator(f"{BOXES} [data-copy=latex]")
    button.click()
    denied.wait_for_function("button => button.textContent === 'copied'", arg=button.element_handle())
    assert "\\begin{table}" in denied.evaluate("navigator.clipboard.readText()")
    assert denied.locator("textarea").count() == 0


def test_objects_have_masks_and_clicks_that_can_be_hidden(opened: Any) -> None:
    tab = opened()
    drawn = tab.locator(".object svg")
    assert drawn.count() == 3 * len(THREE)
    picture = drawn.first.locator("use").bounding_box()
    assert picture["width"] > drawn.first.bounding_box()["width"]  # of a part, the image goes on beyond it
    for box, what in (("#masks", ".object .mask"), ("#prompts", ".object .click")):
        assert tab.locator(what).first.is_visible()
        tab.uncheck(box)
        assert not tab.locator(what).first.is_visible()


def test_dark_light_and_print(opened: Any) -> None:
    tab = opened(color_scheme="dark")
    background = "getComputedStyle(document.body).backgroundColor"
    dark = tab.evaluate(background)
    tab.click("#theme")
    light = tab.evaluate(background)
    assert (dark, light) == ("rgb(17, 20, 24)", "rgb(255, 255, 255)")
    tab.click("#theme")
    assert tab.evaluate(background) == dark
    tab.emulate_media(media="print", color_scheme="dark")
    assert tab.evaluate(background) == light
    for hidden in (".bar", ".contents", ".copy", ".pick"):
        assert not tab.locator(hidden).first.is_visible()
    assert tab.locator("details:not([open])").count() == 0
    tab.emulate_media(media="screen")
    tab.wait_for_selector("td details:not([open])", state="attached")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_serious_stands_in_anybodys_way(opened: Any, scheme: str) -> None:
    try:
        from axe_playwright_python.sync_playwright import Axe
    except ImportError:
        missing("axe-playwright-python is not installed: pip install 'sambench[dev]'")
    tab = opened(color_scheme=scheme)
    found = Axe().run(tab).response["violations"]
    serious = [
        (rule["id"], rule["nodes"][0]["html"]) for rule in found if rule["impact"] in ("serious", "critical")
    ]
    assert serious == []
