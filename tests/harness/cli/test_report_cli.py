"""``sambench report``: what it writes, what it removes of its own, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import call
from fake_runs import cell, write_run
from paper_runs import measured, speed

from sambench.reports.report import write_report

MODELS = ("sam_vit_h", "efficientvit_sam_xl1")
EAGER = {"engine": "eager", "precision": "fp32"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of the paper with speeds of the same artifacts, and a data set of one's own."""
    cells = [*(measured("gt_box", "coco", m) for m in MODELS), *(speed(m, **EAGER) for m in MODELS)]
    return write_run(tmp_path_factory.mktemp("runs") / "run", [*cells, cell(dataset="mine")])


@pytest.fixture(scope="module")
def out(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where its report is, with one figure more than usual."""
    out = tmp_path_factory.mktemp("out")
    done = call("report", run, "--out", out, "--figure", "params_m,gt_box:coco.miou_small")
    assert done.code == 0, done.err
    figures, tables = names(out / "figures"), names(out / "tables")
    assert f"{len(tables) // 2} tables" in done.err
    assert f"{len(figures) // 3} figures" in done.err
    return out


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir() if not file.name.startswith((".", "_"))}


def test_page_markdown_tables_and_figures(out: Path) -> None:
    assert names(out) >= {"report.html", "report.md", "tables", "figures"}
    tables = names(out / "tables")
    assert {"table-1.tex", "table-1.csv", "table-3.tex", "gt_box-mine.csv"} <= tables
    assert {Path(name).stem for name in tables if name.endswith(".tex")} == {
        Path(name).stem for name in tables if name.endswith(".csv")
    }
    assert {Path(name).suffix for name in names(out / "figures")} == {".pdf", ".svg", ".png"}


def test_a_figure_that_is_asked_for_is_drawn(out: Path) -> None:
    assert "parameters, million" in (out / "report.html").read_text()
    drawn = [name for name in names(out / "figures") if name.startswith("throughput-") and "pdf" in name]
    assert drawn


def test_what_an_earlier_report_wrote_goes_and_what_others_wrote_stays(run: Path, tmp_path: Path) -> None:
    write_report([run], tmp_path)
    mine = tmp_path / "tables" / "mine.csv"
    mine.write_text("1\n")
    write_report([write_run(tmp_path / "other", [cell(dataset="mine")])], tmp_path)
    tables = names(tmp_path / "tables")
    assert {"mine.csv", "gt_box-mine.csv"} <= tables
    assert not any(name.startswith("table-") for name in tables)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("img_s", "not X,SUITE:DATASET.METRIC"),
        ("speed,gt_box:coco.miou", "speeds have no number 'speed'"),
        ("img_s,gt_box:lvis.miou", "lvis"),
        ("img_s,gt_box:coco.iou", "miou"),
    ],
)
def test_a_figure_of_what_was_not_measured_is_refused(
    run: Path, tmp_path: Path, asked: str, said: str
) -> None:
    done = call("report", run, "--out", tmp_path, "--figure", asked)
    assert done.code == 2
    assert said in done.err
    assert not (tmp_path / "report.html").exists()


def test_a_gallery_without_records_says_what_to_do(tmp_path: Path) -> None:
    kept = write_run(tmp_path / "kept", [cell(records="records/gone")])
    done = call("report", kept, "--out", tmp_path / "out", "--gallery", "2")
    assert done.code == 2
    assert "without --gallery" in done.err
    assert not (tmp_path / "out" / "report.html").exists()
