"""Runs of before results said what their suites measure are read as ever, to the byte."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command import call

from sambench.suites.results import load_results

ROOT = Path(__file__).parents[2]
SPEEDS = ROOT / "benchmarks" / "results" / "throughput-cpu"  # written before


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of today, all suites that need no detector."""
    folder = tmp_path_factory.mktemp("runs")
    assert call("data", "make", "shapes", "--out", folder / "data", "--images", "3").code == 0
    data = ["--images", folder / "data" / "images"]
    data += ["--annotations", folder / "data" / "annotations" / "instances.json"]
    suites = ["--suites", "gt_box,click", "--dataset", "shapes", *data]
    assert call("run", "--models", "box,ellipse", *suites, "--out", folder / "run").code == 0
    return folder / "run"


def test_a_run_without_suites_gives_the_same_pages(new: Path) -> None:
    file = new / "results.json"
    content = json.loads(file.read_text())
    assert content.pop("suites").keys() == {"gt_box", "click"}
    pages = {name: (new / name).read_bytes() for name in ("report.md", "report.html")}
    file.write_text(json.dumps(content))
    assert {cell.about for cell in load_results(new)} == {None}
    assert call("report", new).code == 0
    assert {name: (new / name).read_bytes() for name in pages} == pages


def test_speeds_that_were_measured_before_are_read(tmp_path: Path) -> None:
    assert "suites" not in json.loads((SPEEDS / "results.json").read_text())
    assert call("report", SPEEDS, "--out", tmp_path).code == 0
    page = (tmp_path / "report.md").read_text()
    assert "EfficientViT-SAM-L0" in page
    assert "3.90" in page  # images per second, as docs/performance.md has it
