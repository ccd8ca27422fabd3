"""Runs of before results said what their suites measure are read as ever, to the byte."""

from __future__ import annotations

import json
import shutil
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


def test_the_first_layout_of_records_and_results_is_read(new: Path, tmp_path: Path) -> None:
    old = tmp_path / "run"
    shutil.copytree(new, old)
    content = json.loads((old / "results.json").read_text())
    content.pop("suites", None)
    for cell in content["cells"]:
        made = cell["provenance"]
        cell["provenance"] = {"weights": made["weights"], "annotations": {"path": "instances.json"}}
        for field in ("partial", "timing", "counts", "reason"):
            del cell[field]
        (old / cell["records"] / "cell.json").write_text("{}")  # which lay among the shards
    trained = {**content["cells"][0], "model": "efficientvit_sam_l0", "dataset": "coco"}
    trained["provenance"] = {"weights": {"source": "file", "path": "/w/l0.pt"}}
    nothing = {**trained, "model": "sam_vit_h", "provenance": {}}
    content["cells"] += [trained, nothing]
    (old / "results.json").write_text(json.dumps(content))
    assert call("report", old).code == 0
    page = (old / "report.md").read_text()
    assert "| EfficientViT-SAM-L0 (l0.pt" in page
    assert "| SAM-ViT-H (weights not recorded" in page
    assert "Not comparable: weights not recorded; 3 of 5,000 images" in page
    assert "records were not found" not in (old / "report.html").read_text()


def test_results_that_cannot_be_read_say_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text('{"schema": 0, "cells": []}')
    done = call("report", tmp_path)
    assert done.code == 2
    assert "not a results file of schema 1; make it again with 'sambench run'" in done.err


def test_speeds_that_were_measured_before_are_read(tmp_path: Path) -> None:
    assert "suites" not in json.loads((SPEEDS / "results.json").read_text())
    assert call("report", SPEEDS, "--out", tmp_path).code == 0
    page = (tmp_path / "report.md").read_text()
    assert "EfficientViT-SAM-L0" in page
    assert "sam\\_vit\\_b\\_01ec64.pt" in page  # made here, under the official one's name
    assert "3.90" in page  # images per second, as docs/performance.md has it
