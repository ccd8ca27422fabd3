"""Tables and figures as files of their own: what results.json says, and pictures that need no page."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from fake_runs import cell, mini, provenance, write_records, write_run

from sambench.reports.pieces import pieces
from sambench.suites.results import CellResult


def fast(model: str, device: str, scope: str = "E2E", **changes: Any) -> CellResult:
    """A cell of a throughput."""
    place = {"preset": "paper", "scope": scope, "mode": "pipelined", "batch": 16, "gate": "masks are right"}
    given: dict[str, Any] = {
        "metrics": {"img_s": 81.5, "latency_ms_p50": 196.25, "params_m": 34.8},
        "intervals": {"img_s": [80.5, 83.5]},
        "protocol": place,
        "provenance": provenance(model=model) | {"device": device},
    }
    return cell(model, "throughput", **{**given, **changes})


def rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode())))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    failed = {"status": "failed", "reason": 'out of memory, "CUDA"\nof 2', "metrics": {}, "intervals": {}}
    cells = [
        cell("efficientvit_sam_xl1", records="records/xl1"),
        cell("sam_vit_h", **failed),
        cell("mobile_sam", "click", records="records/clicks"),
        mini("box", dataset="数据", source="none"),
        mini("box", dataset="ü", source="none"),
        fast("efficientvit_sam_l0", "One GPU"),
        fast(
            "efficientvit_sam_l0", "Another GPU", metrics={"img_s": 40.0}, intervals={"img_s": [39.0, 42.0]}
        ),
        fast("efficientvit_sam_l0", "One GPU", "D1"),
    ]
    out = write_run(tmp_path_factory.mktemp("pieces") / "run", cells)
    write_records(out / "records" / "xl1", [0.5, 0.75, 0.875, 1.0])
    write_records(out / "records" / "clicks", np.linspace(0.4, 0.9, 20).reshape(4, 5))
    return out


@pytest.fixture(scope="module")
def made(run: Path) -> dict[str, bytes]:
    return pieces([run])


def test_a_table_says_what_the_results_say(run: Path, made: dict[str, bytes]) -> None:
    cells = json.loads((run / "results.json").read_text())["cells"]
    table = {row["model"]: row for row in rows(made["tables/gt_box-coco.csv"])}
    done, failed = table["efficientvit_sam_xl1"], table["sam_vit_h"]
    assert done["status"] == "done"
    for name, value in cells[0]["metrics"].items():
        low, high = cells[0]["intervals"][name]
        found = [float(done[f"{name}{part}"]) for part in ("", "_low", "_high")]
        assert found == [value, low, high]
    assert done["miou_published"] == "79.9"  # the paper's table of zero-shot masks from boxes
    assert (failed["status"], failed["reason"]) == ("failed", 'out of memory, "CUDA"\nof 2')
    assert not [v for k, v in failed.items() if v and k.endswith(("_low", "_high"))]
    (absent,) = [row for row in rows(made["tables/click-coco.csv"]) if row["model"] == "efficientvit_sam_xl1"]
    assert (absent["status"], absent["miou_3"], absent["miou_3_published"]) == ("published", "", "71.3")


def test_every_table_has_a_file_of_its_own_whatever_its_letters(made: dict[str, bytes]) -> None:
    tables = {name for name in made if name.endswith(".csv")}
    more = "-latency-share-of-the-ceiling-memory.csv"
    assert tables == {
        *(f"tables/table-{n}.csv" for n in (1, 2, 3)),
        f"tables/throughput-end-to-end-pipelined-one-gpu{more}",
        f"tables/throughput-decoder-1-prompt-pipelined-one-gpu{more}",
        "tables/gt_box-coco.csv",
        "tables/click-coco.csv",
        "tables/gt_box.csv",
        "tables/gt_box-2.csv",
        "tables/throughput-end-to-end-pipelined-one-gpu.csv",
        "tables/throughput-end-to-end-pipelined-another-gpu.csv",
        "tables/throughput-decoder-1-prompt-pipelined-one-gpu.csv",
    }
    assert all(name.isascii() for name in made)


def test_speeds_are_in_their_devices_table(made: dict[str, bytes]) -> None:
    for device, img_s, ends in (("one", 81.5, ["80.5", "83.5"]), ("another", 40.0, ["39.0", "42.0"])):
        (name,) = [name for name in made if name.endswith(f"pipelined-{device}-gpu.csv") and "end" in name]
        (row,) = [row for row in rows(made[name]) if row["status"] == "done"]
        assert float(row["img_s"]) == img_s
        assert [row["img_s_low"], row["img_s_high"]] == ends
        assert row["img_s_published"]
    assert made


def test_figures_are_whole_pictures_without_the_page(made: dict[str, bytes]) -> None:
    figures = {name: content for name, content in made.items() if name.endswith(".svg")}
    assert {name.rpartition("-")[0] for name in figures} >= {"figures/gt_box-coco", "figures/click-coco"}
    for content in figures.values():
        assert ElementTree.fromstring(content).tag == "{http://www.w3.org/2000/svg}svg"
        assert b"var(--" not in content
        assert b"currentColor" not in content


def test_the_same_results_make_the_same_bytes(run: Path, made: dict[str, bytes]) -> None:
    assert pieces([run]) == made


def test_without_the_extra_there_are_none(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    assert pieces([run]) == {}


def test_results_of_nothing_make_nothing(tmp_path: Path) -> None:
    assert pieces([write_run(tmp_path, [])]) == {}
