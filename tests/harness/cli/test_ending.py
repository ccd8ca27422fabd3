"""What a run leaves where the report's extra is not installed: everything but the report."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from command import call
from tiny_coco import TinyCoco


@pytest.mark.parametrize("library", ["jinja2", "matplotlib"])
def test_a_run_without_the_extra_is_done_and_says_how_to_have_its_report(
    tiny: TinyCoco, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    out = tmp_path / "run"
    monkeypatch.setitem(sys.modules, library, None)
    done = call("run", "--models", "box", "--suites", "gt_box", *tiny.flags, "--out", out)
    assert done.code == 0, done.err
    line = (
        f"warning: report needs {library}, which is not installed. Say: pip install 'sambench[report]'; "
        f"then 'sambench report {out}' writes it. Results and records do not need it."
    )
    assert [one for one in done.err.splitlines() if "needs" in one] == [line, line]  # before, and at the end
    assert done.err.splitlines()[0] == line
    (cell,) = json.loads((out / "results.json").read_text())["cells"]
    assert cell["status"] == "done"
    annotations = cell["provenance"]["annotations"]
    assert annotations["count"] == len(tiny.content["annotations"])  # by which a report knows a data set
    assert list((out / cell["records"]).glob("*.parquet"))
    assert not (out / "report.html").exists()
    assert "report " not in done.out
    assert call("report", out).code == 2
    monkeypatch.undo()
    assert call("report", out).code == 0
    assert (out / "report.html").exists()
