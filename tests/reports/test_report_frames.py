"""Results and records in pandas, against what was written; docs/notebook.md has their columns."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fake_evidence import objects, scored
from fake_runs import cell, mini, write_records, write_run

import sambench.reports
from sambench.adapters.extras import MissingExtraError
from sambench.evsam.errors import SambenchError
from sambench.reports import frames

ORDER = ["efficientvit_sam_xl1", "mobile_sam", "box"]
PAGE = Path(__file__).resolve().parents[2] / "docs" / "notebook.md"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Boxes of one model, clicks of another, and a cell without a number."""
    run = tmp_path / "run"
    write_records(run / "boxes", [0.5, 0.25, 1.0])
    write_records(run / "clicks", [np.array([0.1, 0.2, 0.3]), np.array([0.4, 0.5, 0.6])])
    boxes = cell(
        records="boxes", metrics={"miou": 58.3, "miou_small": None}, intervals={"miou": [50.0, 60.0]}
    )
    clicks = mini("mobile_sam", "click", records="clicks", metrics={"miou_1": 25.0}, intervals={})
    failed = cell("box", status="failed", reason="out of memory", metrics={}, intervals={}, records=None)
    return write_run(run, [boxes, clicks, failed])


def test_results_are_a_row_a_metric_and_one_where_there_is_none(run: Path) -> None:
    results = frames(run).results.sort_values("model", key=lambda m: m.map(ORDER.index), kind="stable")
    assert results[["model", "metric", "status"]].fillna("-").values.tolist() == [
        ["efficientvit_sam_xl1", "miou", "done"],
        ["efficientvit_sam_xl1", "miou_small", "done"],
        ["mobile_sam", "miou_1", "done"],
        ["box", "-", "failed"],
    ]
    first, _, third, last = (row for _, row in results.iterrows())
    assert (first.value, first.low, first.high, first.n_images) == (58.3, 50.0, 60.0, 5000)
    assert len(first.weights) == 64
    assert (third.label, third.weights, third.partial) == (
        "MobileSAM, random weights, 10 of 117 images",
        "random",
        True,
    )
    assert pd.isna(third.low)
    assert last.reason == "out of memory"


def test_records_are_a_row_an_object_and_click(run: Path) -> None:
    records = frames(str(run), run / "results.json").records
    assert len(records) == 2 * (3 + 6)
    boxes = records[records["suite"] == "gt_box"].head(3)
    assert boxes["iou"].tolist() == [0.5, 0.25, 1.0]
    assert boxes["click"].isna().all()
    clicks = records[records["suite"] == "click"].head(6)
    assert clicks["click"].tolist() == [1, 2, 3, 1, 2, 3]
    assert clicks["iou"].tolist() == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    assert clicks["ann_id"].tolist() == [0, 0, 0, 1, 1, 1]
    assert clicks["area"].tolist() == [0.0] * 3 + [10.0] * 3
    assert clicks["boundary_iou"].isna().all()  # a run of before it was measured
    means = records.groupby(["model", "click"])["iou"].mean()
    assert means["mobile_sam"].tolist() == pytest.approx([0.25, 0.35, 0.45])


def test_the_page_has_the_columns_in_their_order(run: Path) -> None:
    parts = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.S | re.M))
    for part, frame in zip(("Results", "Records"), frames(run), strict=True):
        assert re.findall(r"^\| `(\w+)` \|", parts[part], re.M) == list(frame.columns)
    assert [*frames(run, masks=True).records.columns][-1] == "segmentation"


def test_the_function_stays_one_after_it_was_called(run: Path) -> None:
    frames(run)
    assert sambench.reports.frames is frames
    assert "sambench.reports.dataframes" in sys.modules  # which would have taken its name, had it that


def test_a_run_without_records_has_an_empty_table_with_the_same_columns(run: Path, tmp_path: Path) -> None:
    bare = write_run(tmp_path / "bare", [scored(tmp_path / "bare", objects([0.5]))])
    empty, full = frames(bare).records, frames(run).records
    assert len(empty) == 0
    assert list(empty.columns) == list(full.columns)
    assert empty.dtypes.equals(full.dtypes)


def test_what_cannot_be_read_is_said(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (run / "boxes" / "shard-001.parquet").write_bytes(b"torn")
    with pytest.raises(SambenchError, match=r"shard-001\.parquet: cannot be read as records"):
        frames(run)
    with pytest.raises(SambenchError, match="no run was given"):
        frames()
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match=r"sambench\[report\]"):
        frames(run)
