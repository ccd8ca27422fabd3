"""Records as others open them, and docs/records.md: it has all columns, and its code works as written."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from command import call, cell_of, cells_of, rows_of, shards_of
from tiny_coco import TinyCoco, make_tiny

from sambench.harness.config.run import load_run
from sambench.harness.plan import make_plan
from sambench.suites.registry import SUITES, suite_class

PAGE = (Path(__file__).parents[2] / "docs" / "records.md").read_text()
EXAMPLES = dict(
    zip(("pyarrow", "duckdb", "pandas"), re.findall(r"```python\n(.*?)```", PAGE, re.S), strict=True)
)
LABELS = ("model", "weights", "engine", "precision", "suite", "dataset", "protocol")
SMALL, MEDIUM, LARGE = 320.0, 2000.0, 10000.0  # square pixels of annotated areas


def _sized(tiny: TinyCoco) -> TinyCoco:
    """Annotate areas of all sizes, and a class without a name."""
    for annotation, area in zip(tiny.content["annotations"], (SMALL, MEDIUM, LARGE, SMALL), strict=True):
        annotation["area"] = area
    tiny.content["annotations"][3]["category_id"] = 7
    tiny.save()
    return tiny


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the paths that the page names: annotations, and a run of two models and four suites."""
    root = tmp_path_factory.mktemp("records")
    tiny = _sized(make_tiny(root / "data"))
    boxes = root / "boxes.json"
    found = {"image_id": 2, "category_id": 1, "bbox": [6.0, 6.0, 20.0, 16.0], "score": 0.5}
    boxes.write_text(json.dumps([found]))
    (root / "annotations").mkdir()
    (root / "annotations" / "instances_val2017.json").write_text(tiny.annotations.read_text())
    command = ["run", "--models", "box,ellipse", *tiny.flags, "--detections", f"mine={boxes}"]
    done = call(*command, "--suites", "gt_box,click,det_box", "--out", root / "runs" / "coco")
    assert done.code == 0, done.err
    return root


# --- what the page says --------------------------------------------------------------------------------


def page_columns(suite: str) -> list[str]:
    """The columns that the page gives a suite: of the tables under headings that name it, or name none."""
    columns = []
    for section in PAGE.split("\n### ")[1:]:
        named = re.findall(r"`(\w+)`", section.partition("\n")[0])
        if not named or suite in named:
            columns += re.findall(r"^\| `(\w+)` \|", section, re.M)
    return columns


@pytest.mark.parametrize("suite", SUITES)
def test_the_page_has_every_column_of_every_suite_and_no_other(suite: str) -> None:
    assert sorted(page_columns(suite)) == sorted([*suite_class(suite).schema.names, *LABELS])


def test_those_of_a_run_too(root: Path) -> None:
    for cell in cells_of(root / "runs" / "coco"):
        assert set(rows_of(root / "runs" / "coco", cell)[0]) == set(page_columns(cell["suite"]))


def run_example(name: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    pytest.importorskip(name)
    monkeypatch.chdir(root)
    names: dict[str, Any] = {}
    exec(EXAMPLES[name], names)
    return names


def rows_by(root: Path, model: str, suite: str = "gt_box") -> list[dict[str, Any]]:
    out = root / "runs" / "coco"
    return rows_of(out, cell_of(out, model=model, suite=suite))


def test_the_pages_lines_of_pyarrow(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = run_example("pyarrow", root, monkeypatch)["by_size"].to_pylist()
    found = {(row["model"], row["size"]): row["iou_mean"] for row in rows}
    for model in ("box", "ellipse"):
        first, second, third, fourth = (row["iou"] for row in rows_by(root, model))
        want = {"small": (first + fourth) / 2, "medium": second, "large": third}
        assert {size: found[model, size] for size in want} == pytest.approx(want)
    assert len(found) == 6


def test_the_pages_lines_of_duckdb(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    errors = run_example("duckdb", root, monkeypatch)["errors"]
    assert [row[:2] for row in errors] == [(m, k) for m in ("box", "ellipse") for k in range(1, 6)]
    for model in ("box", "ellipse"):
        rows = rows_by(root, model, "click")
        want = [sum(r["pred_iou"][k] - r["iou"][k] for r in rows) / len(rows) for k in range(5)]
        assert [row[2] for row in errors if row[0] == model] == pytest.approx(want)


def test_the_pages_lines_of_pandas(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dices = run_example("pandas", root, monkeypatch)["dices"]
    for model in ("box", "ellipse"):
        each = [2 * row["iou"] / (1 + row["iou"]) for row in rows_by(root, model)]
        assert dices[model] == pytest.approx(sum(each) / len(each))


# --- a folder as it lies -------------------------------------------------------------------------------


def by_pyarrow(folder: Path) -> list[str]:
    found: list[str] = ds.dataset(folder).to_table()["file_name"].to_pylist()
    return found


def by_duckdb(folder: Path) -> list[str]:
    duckdb = pytest.importorskip("duckdb")
    return [name for (name,) in duckdb.sql(f"SELECT file_name FROM '{folder}/*.parquet'").fetchall()]


def by_pandas(folder: Path) -> list[str]:
    found: list[str] = pytest.importorskip("pandas").read_parquet(folder)["file_name"].tolist()
    return found


@pytest.mark.parametrize("suite", SUITES)
def test_what_may_be_missing_can_be_read_by_every_pyarrow(suite: str) -> None:
    """25 cannot read a null of a list of fixed size."""
    fixed = [field for field in suite_class(suite).schema if pa.types.is_fixed_size_list(field.type)]
    assert not [field.name for field in fixed if field.nullable]


def test_what_is_no_record_has_a_name_that_readers_skip(root: Path) -> None:
    others = [f.name for f in root.glob("runs/coco/records/*/*") if f.suffix != ".parquet"]
    assert others
    assert {name[0] for name in others} == {"_"}


@pytest.mark.parametrize("read", [by_pyarrow, by_duckdb, by_pandas])
def test_a_cells_folder_opens_as_it_lies(read: Callable[[Path], list[str]], root: Path) -> None:
    for suite, images in (("gt_box", [1, 2, 3, 4]), ("click", [1, 2, 3, 4]), ("det_box", [2])):
        cell = cell_of(root / "runs/coco", model="box", suite=suite)
        assert read(root / "runs/coco" / cell["records"]) == [f"{i:03d}.jpg" for i in images]


def test_rows_of_all_cells_in_one_table_are_told_apart(root: Path) -> None:
    files = sorted(map(str, root.glob("runs/coco/records/*/*.parquet")))
    rows = ds.dataset(files).to_table(columns=[*LABELS, "file_name"]).to_pylist()
    found = {tuple(row[name] for name in LABELS[:-1]) for row in rows}
    how = ("none", "eager", "fp32")
    assert found == {
        (model, *how, suite, dataset)
        for model in ("box", "ellipse")
        for suite, dataset in (("gt_box", "tiny"), ("click", "tiny"), ("det_box", "tiny/mine"))
    }
    assert all("select=pred_iou" in row["protocol"] for row in rows)


# --- what the rows say ---------------------------------------------------------------------------------


@pytest.mark.parametrize("suite", ["gt_box", "click"])
def test_rows_name_file_category_and_size(suite: str, root: Path) -> None:
    rows = rows_by(root, "box", suite)
    assert [row["file_name"] for row in rows] == ["001.jpg", "002.jpg", "003.jpg", "004.jpg"]
    assert [row["category"] for row in rows] == ["thing", "thing", "thing", None]
    assert [row["size"] for row in rows] == ["small", "medium", "large", "small"]


def test_a_detection_has_its_category_by_name(root: Path) -> None:
    (row,) = rows_by(root, "box", "det_box")
    assert (row["file_name"], row["category_id"], row["category"]) == ("002.jpg", 1, "thing")


def test_weights_are_said_by_their_checksum(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "efficientvit_sam_l0.pt").write_bytes(b"weights")
    monkeypatch.setenv("SAMBENCH_WEIGHTS", str(tmp_path))
    content = {"models": "efficientvit_sam_l0,box", "suites": "gt_box", "dataset": "tiny", "out": tmp_path}
    paths = {"images": root / "data" / "images", "annotations": root / "data" / "instances.json"}
    for given, said in (
        ({}, hashlib.sha256(b"weights").hexdigest()),
        ({"efficientvit_sam_l0": "random"}, "random"),
    ):
        plan = make_plan(load_run(None, {**content, **paths, "weights": given})[0])
        assert [group.cells[0].suite.labels["weights"] for group in plan.groups] == [said, "none"]


def test_the_protocol_is_said_by_the_axes_that_decide_records(root: Path) -> None:
    (row,) = rows_by(root, "box", "det_box")
    assert row["protocol"] == "select=pred_iou threshold=upsample_first"


def test_records_name_no_folder_of_the_machine(root: Path, tmp_path: Path) -> None:
    tiny = _sized(make_tiny(tmp_path / "elsewhere"))
    command = ["run", "--models", "box", "--suites", "gt_box,click", *tiny.flags]
    assert call(*command, "--out", tmp_path / "out").code == 0
    assert shards_of(tmp_path / "out").items() <= shards_of(root / "runs" / "coco").items()
