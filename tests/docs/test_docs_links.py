"""Links of README and pages lead somewhere, anchors too, as a browser of the repository follows them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pages import PAGES, ROOT

LINK = re.compile(r"(!?)\[[^\]]*\]\(([^)\s]+)\)")
MOST = 150_000  # bytes of a picture
TOP = [*PAGES, ROOT / "CONTRIBUTING.md"]


def prose(page: Path) -> str:
    """A page without its fenced blocks and code."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.S | re.M))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings: in lower case, without punctuation, dashes for spaces."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.S | re.M)
    titles = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", TOP, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for picture, link in LINK.findall(prose(page)):
        if link.startswith(("http://", "https://")):
            assert not picture, f"{link}: a picture from another host"
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_file(), f"{page.name}: {link}"
        assert not anchor or anchor in anchors(target), f"{page.name}: {link}"


@pytest.mark.parametrize("page", PAGES[1:], ids=lambda page: page.stem)
def test_pages_link_to_nothing_outside_of_docs(page: Path) -> None:
    """What lies elsewhere is not in the site."""
    for _, link in LINK.findall(prose(page)):
        if not link.startswith(("http", "#")):
            assert (page.parent / link).resolve().is_relative_to(ROOT / "docs"), link


@pytest.mark.parametrize("page", TOP, ids=lambda page: page.stem)
def test_files_named_in_code_are_there(page: Path) -> None:
    """`suites/base.py` and its like, which stand where a link would leave the site."""
    folders = "adapters|benchmarks|configs|docs|evsam|harness|reports|suites|tests"
    for name in re.findall(rf"`((?:{folders})/[\w./-]+)`", page.read_text()):
        assert (ROOT / name).exists() or name in MADE_BY_READERS, f"{page.name}: {name}"


MADE_BY_READERS = {"adapters/families/my_sam.py", "suites/middle.py"}


def test_pictures_are_small_and_all_are_shown() -> None:
    shown = {
        (page.parent / link).resolve()
        for page in PAGES
        for picture, link in LINK.findall(prose(page))
        if picture
    }
    pictures = set((ROOT / "docs" / "images").iterdir())
    assert shown == pictures
    assert all(picture.stat().st_size < MOST for picture in pictures)


def test_the_readme_shows_the_report_and_the_figure() -> None:
    shown = [Path(link).name for picture, link in LINK.findall(prose(ROOT / "README.md")) if picture]
    assert shown == ["report.png", "show.png"]
