"""``make docs``: no broken link, an API reference of the docstrings, and nothing asked of another host."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from pages import ROOT

pytestmark = pytest.mark.slow

NAMES = {  # one of each reference page, with words of its docstring
    "adapters": ("sambench.adapters.base.Segmenter.decode_batch", "all alternatives that the model has"),
    "evsam": ("sambench.evsam.zoo.create_model", "official"),
    "suites": ("sambench.suites.protocol.Protocol", "Every choice"),
    "harness": ("sambench.harness.events.Listener.cell_done", "final state"),
    "training": ("sambench.evsam.train.recipe.Finetune", "mirrored"),
}


class Page(HTMLParser):
    """What a page loads, and what it has for others to link to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        of = dict(attrs)
        self.ids |= {of["id"] or ""} if "id" in of else set()
        source = of.get("href") if tag == "link" and of.get("rel") != "canonical" else of.get("src")
        if source:
            self.loaded.append(source)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as by `make docs`, into a folder of its own."""
    if not list(Path(sys.prefix).glob("lib/*/site-packages/mkdocs")):
        reason = "mkdocs is not installed: pip install 'sambench[docs]'"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    root = tmp_path_factory.mktemp("docs")
    rules = (ROOT / "Makefile").read_text().split("\ndocs:")[1].split("\n\n")[0]
    assert "PYTHONPATH= NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict" in rules
    packages = re.search(r"^PACKAGES := (.*)$", (ROOT / "Makefile").read_text(), re.M)
    assert packages
    (root / "build" / "api" / "sambench").mkdir(parents=True)
    for package in packages[1].split():
        (root / "build" / "api" / "sambench" / package).symlink_to(ROOT / package)
    (root / "docs").symlink_to(ROOT / "docs")
    (root / "mkdocs.yml").write_text((ROOT / "mkdocs.yml").read_text())
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict"],
        cwd=root,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return root / "build" / "site"


def test_every_page_is_in_the_site_and_in_its_menu(site: Path) -> None:
    pages = [path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")]
    menu = (site / "index.html").read_text()
    for page in pages:
        assert (site / page.with_suffix(".html")).is_file(), page
        assert f'href="{page.with_suffix(".html").as_posix()}"' in menu, page


def test_nothing_is_asked_of_another_host(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    loaded = {source for page in pages for source in Page(page.read_text()).loaded}
    assert len(loaded) > len(pages) / 2
    assert [source for source in loaded if re.match(r"(https?:)?//", source)] == []
    styles = [
        text for path in site.rglob("*.css") for text in re.findall(r"url\(([^)]*)\)", path.read_text())
    ]
    assert [text for text in styles if re.match(r"[\"']?(https?:)?//", text)] == []


@pytest.mark.parametrize("page", NAMES)
def test_the_reference_is_made_of_the_docstrings(site: Path, page: str) -> None:
    text = (site / "reference" / f"{page}.html").read_text()
    name, words = NAMES[page]
    assert name in Page(text).ids
    assert words in re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", text))


def test_settings_are_those_that_the_successor_of_the_theme_reads() -> None:
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    assert "hooks" not in settings
    assert [next(iter(p)) if isinstance(p, dict) else p for p in settings["plugins"]] == [
        "search",
        "mkdocstrings",
    ]
    assert settings["theme"]["font"] is False
    assert "repo_url" not in settings
