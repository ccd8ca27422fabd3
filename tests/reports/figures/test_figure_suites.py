"""The figures of suites' tables: what they show, and that records of any kind leave a page whole."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fake_runs import cell, write_run

from sambench.reports.cells import read_runs
from sambench.reports.figures.figure import Figure
from sambench.reports.figures.style import model_looks
from sambench.reports.figures.suites import draw_figures
from sambench.reports.tables import build_tables
from sambench.suites.results import CellResult

FURTHER = {
    "gt_box": {"boundary_iou": 60.0, "boundary_iou_large": 61.0, "pred_iou_error": 5.0},
    "click": {"noc_80": 2.0, "pred_iou_error_1": 4.0},
}


def write(folder: Path, **columns: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), folder / "00000-of-00001.parquet")


def scored(folder: Path, clicks: int = 0, objects: int = 60) -> None:
    """Records as runs leave them."""
    rng = np.random.default_rng(objects + clicks)
    iou = np.sort(rng.random((objects, clicks or 1)), axis=1)
    own = np.clip(iou + 0.1, 0, 1.02)
    lists = {"iou": iou, "pred_iou": own} if clicks else {"iou": iou[:, 0], "pred_iou": own[:, 0]}
    columns = {name: [*map(list, values)] if clicks else values for name, values in lists.items()}
    write(folder, image_id=np.arange(objects) // 4, area=rng.uniform(20, 300, objects) ** 2, **columns)


def figures(run: Path, *cells: CellResult) -> dict[str, Figure]:
    tables = build_tables(read_runs([write_run(run, list(cells))]))
    looks = model_looks(row.model for table in tables for row in table.done)
    found = [figure for table in tables for figure in draw_figures(table, table.name, looks)]
    assert len({figure.title for figure in found}) == len(found)
    return {figure.title: figure for figure in found}


def measured(suite: str, model: str = "sam_vit_h", **changes: Any) -> CellResult:
    plain = cell(model, suite)
    return cell(model, suite, metrics={**plain.metrics, **FURTHER[suite]}, **changes)


def texts(figure: Figure) -> list[str]:
    return re.findall("<text[^>]*>([^<]*)<", figure.svg)


def test_boxes_have_sizes_distribution_boundary_and_calibration(tmp_path):
    scored(tmp_path / "run/records/one")
    found = figures(
        tmp_path / "run", measured("gt_box", records="records/one"), measured("gt_box", "mobile_sam")
    )
    assert [*found] == [
        "mIoU by size of the object",
        "IoU against the size of the object",
        "IoU of single objects",
        "Boundary IoU by size of the object",
        "IoU against predicted IoU",
    ]
    dots = found["mIoU by size of the object"]
    assert {"SAM-ViT-H", "MobileSAM", "All objects", "Small", "Medium", "Large"} <= {*texts(dots)}
    assert dots.caption == "Mean IoU over objects, percent, with its 95% interval. Hollow markers: published."
    assert "Upright strokes: IoU." in found["Boundary IoU by size of the object"].caption
    absent = "Left out, because their records were not found: MobileSAM."
    for title in ("IoU of single objects", "IoU against predicted IoU", "IoU against the size of the object"):
        assert found[title].missing == absent
        assert "SAM-ViT-H" in texts(found[title])
        assert "MobileSAM" not in texts(found[title])


def test_calibration_says_its_error(tmp_path):
    iou = np.repeat([0.3, 0.7], [30, 10])
    write(tmp_path / "run/one", iou=iou, pred_iou=iou + 0.25)
    figure = figures(tmp_path / "run", measured("gt_box", records="one"))["IoU against predicted IoU"]
    assert "error 0.250" in texts(figure)  # both bins are off by as much


def test_clicks_have_their_course_and_the_shares_that_reached_a_quality(tmp_path):
    scored(tmp_path / "run/one", clicks=5)
    scored(tmp_path / "run/two", clicks=3)
    cells = [measured("click", records="one"), measured("click", "mobile_sam", records="two")]
    found = figures(tmp_path / "run", *cells)
    assert [*found] == [
        "mIoU by number of clicks",
        "Objects that reached a quality, by number of clicks",
        "IoU against predicted IoU",
    ]
    last = np.sort(np.random.default_rng(65).random((60, 5)), axis=1)[:, -1].mean()
    assert f"SAM-ViT-H {100 * last:.1f}" in texts(found["mIoU by number of clicks"])
    shares = texts(found["Objects that reached a quality, by number of clicks"])
    assert [text for text in shares if text.startswith("IoU ")] == [
        f"IoU {quality}% or better" for quality in (80, 85, 90)
    ]
    assert shares.count("MobileSAM") == 1
    (errors,) = [text for text in texts(found["IoU against predicted IoU"]) if text.count(",") == 2]
    assert re.fullmatch(r"error 0\.\d{3}, 0\.\d{3}, 0\.\d{3}", errors)


@pytest.mark.parametrize("models", [2, 5])
def test_many_models_have_a_panel_each(tmp_path, models):
    scored(tmp_path / "run/one")
    cells = [measured("gt_box", f"model_{n}", records="one") for n in range(models)]
    figure = figures(tmp_path / "run", *cells)["IoU against the size of the object"]
    assert all(texts(figure).count(f"model_{n}") == 1 for n in range(models))
    assert ("Grey: the other models." in figure.caption) == (models == 5)
    panels = len(set(re.findall(r'<clipPath id="([^"]+)"', figure.svg)))
    assert panels == (1 if models == 2 else models)


ODD = {
    "no rows": {"iou": pa.array([], pa.float64()), "pred_iou": pa.array([], pa.float64())},
    "not numbers": {"iou": [float("nan")] * 3, "pred_iou": [0.5] * 3, "area": [9.0] * 3},
    "nulls": {"iou": pa.array([None, None], pa.float64())},
    "one object": {"iou": [0.5], "pred_iou": [0.5], "area": [100.0], "image_id": [1]},
    "no area, no opinion": {"iou": [0.5] * 20},
    "area of nothing": {"iou": [0.5] * 20, "area": [0.0] * 10 + [-1.0] * 10, "pred_iou": [None] * 19 + [0.5]},
    "opinions beyond bounds": {"iou": [0.5] * 20, "pred_iou": [float("inf")] * 10 + [-3.0] * 10},
    "all alike": {"iou": [1.0] * 20, "pred_iou": [1.0] * 20, "area": [64.0] * 20, "image_id": [1] * 20},
    "empty lists": {"iou": pa.array([[], []], pa.list_(pa.float64()))},
    "lists of a click": {"iou": [[0.5], [0.25]], "pred_iou": [[0.5, 0.5], [0.5, 0.5]]},
    "lists with nulls": {"iou": [[0.5, None], [0.25, 0.5]], "pred_iou": [[0.5, 0.5], None]},
}


NOTHING = ["no rows", "not numbers", "nulls", "empty lists"]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kinds", [[*ODD], ["one object"], *([kind] for kind in NOTHING)], ids=" ".join)
def test_odd_records_are_drawn_or_named(tmp_path, kinds):
    for kind in kinds:
        write(tmp_path / "run" / kind, **ODD[kind])
    for suite in FURTHER:
        found = figures(tmp_path / "run", *(measured(suite, kind, records=kind) for kind in kinds))
        for figure in (found[title] for title in found if "by size" not in title):  # those read no records
            assert all(kind in texts(figure) or kind in figure.missing for kind in kinds if kind in NOTHING)
            assert bool(figure.svg) == (figure.drawing is not None)
            assert figure.svg or figure.missing, figure.title


def test_what_is_no_parquet_is_named(tmp_path):
    (tmp_path / "run/one").mkdir(parents=True)
    (tmp_path / "run/one/00000-of-00001.parquet").write_bytes(b"no parquet")
    found = figures(tmp_path / "run", measured("gt_box", records="one"))
    assert found["IoU of single objects"].missing == (
        "Left out, because their records were not found: SAM-ViT-H."
    )
