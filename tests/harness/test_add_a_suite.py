"""docs/add-a-suite.md works as written: a file and a line make a suite of everybody's tables and report."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from command import call, cell_of, cells_of, rows_of

from sambench.suites import registry

PAGE = (Path(__file__).parents[2] / "docs" / "add-a-suite.md").read_text()
SUITE, LINE = re.findall(r"```python\n(.*?)```", PAGE, re.S)


@pytest.fixture
def middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The file among the suites and the line in the registry, for one test."""
    import sambench.suites

    (tmp_path / "suites").mkdir()
    (tmp_path / "suites" / "middle.py").write_text(SUITE)
    monkeypatch.setattr(sambench.suites, "__path__", [*sambench.suites.__path__, str(tmp_path / "suites")])
    for name, entry in eval(f"{{{LINE}}}").items():
        monkeypatch.setitem(registry.SUITES, name, entry)
    yield
    sys.modules.pop("sambench.suites.middle", None)


def test_the_suite_is_some_twenty_lines() -> None:
    assert len([line for line in SUITE.splitlines() if line.strip()]) <= 20


def test_the_pages_suite_runs_beside_the_others(middle: None, shapes: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ["run", "--models", "ellipse,box", "--suites", "middle,gt_box", *shapes, "--out", out]
    done = call(*command)
    assert done.code == 0, done.err
    assert {(c["model"], c["suite"]) for c in cells_of(out)} == {
        (model, suite) for model in ("ellipse", "box") for suite in ("middle", "gt_box")
    }
    cell = cell_of(out, model="ellipse", suite="middle")
    rows = rows_of(out, cell)
    assert cell["metrics"]["miou"] == pytest.approx(100 * np.mean([row["iou"] for row in rows]))
    assert cell["metrics"]["miou"] < cell_of(out, model="ellipse", suite="gt_box")["metrics"]["miou"]
    low, high = cell["intervals"]["miou"]
    assert low < cell["metrics"]["miou"] < high
    assert "A click into the middle of the box, mIoU" in done.out
    for page in ("report.md", "report.html"):
        assert "A click into the middle of the box, mIoU" in (out / page).read_text()
    assert '"middle"' in call("suites", "--json").out
    assert call(*command).code == 0  # and goes on where it was


def test_results_are_shown_where_the_suite_is_not_known(
    middle: None, shapes: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    call("run", "--models", "ellipse", "--suites", "middle", *shapes, "--out", out)
    monkeypatch.delitem(registry.SUITES, "middle")
    (out / "report.md").unlink()
    assert call("report", out).code == 0
    page = (out / "report.md").read_text()
    assert "A click into the middle of the box, mIoU" in page
    assert "Medium" in page


def test_a_model_without_points_is_not_applicable_with_the_reason(
    middle: None, shapes: list[str], tmp_path: Path
) -> None:
    adapter = tmp_path / "deaf.py"
    adapter.write_text(
        "from sambench.adapters.base import Capabilities\n"
        "from sambench.adapters.families.baselines import Box\n"
        "class Deaf(Box):\n    capabilities = Capabilities(points=False, mask_input=False)\n"
    )
    out = tmp_path / "out"
    flags = ["--suites", "middle", *shapes, "--limit", "2", "--out", out]
    assert call("run", *flags, "--adapter", f"deaf={adapter}:Deaf").code == 0
    cell = cell_of(out, model="deaf")
    assert (cell["status"], cell["reason"]) == ("not_applicable", "deaf: it takes no points")
