"""What the terminal shows of cells: no number beside a bare name that is not the plain case's."""

from __future__ import annotations

import dataclasses
import io
import re
from typing import Any

import pytest
from command import Screen, call
from rich.console import Console
from tiny_coco import TinyCoco

from sambench.harness.cli.tables import show_results
from sambench.suites.det_box import DetBox
from sambench.suites.gt_box import GtBox
from sambench.suites.results import CellResult

OFFICIAL = "c4f994b01a16d48bcf2fbbb089448cfbf58fae5811edfa8113c953b8b8cc64b8"
NAMES = ("miou", "miou_small", "miou_medium", "miou_large")


def cell(weights: dict[str, Any], **changes: Any) -> CellResult:
    base = CellResult(
        model="efficientvit_sam_l0",
        engine="eager",
        precision="fp32",
        device="cpu",
        suite="gt_box",
        dataset="coco",
        protocol={"preset": "strict"},
        metrics=dict.fromkeys(NAMES, 4.2),
        intervals={name: [4.0, 4.4] for name in NAMES},
        n_instances=36335,
        provenance={"weights": weights},
        about=GtBox.about(),
    )
    return dataclasses.replace(base, **changes)


def file(name: str, sha256: str) -> dict[str, Any]:
    return {"source": "file", "path": f"/w/{name}", "sha256": sha256}


PLAIN = cell(file("efficientvit_sam_l0.pt", OFFICIAL))
CELLS = [
    PLAIN,
    cell({"source": "random", "seed": 0}, partial={"limit": 3, "of": 64, "seed": 0}),
    cell(file("epoch_3.pt", "3" * 64)),
    cell(file("epoch_9.pt", "9" * 64)),
    dataclasses.replace(PLAIN, engine="onnxruntime", precision="int8"),
]


@pytest.fixture(autouse=True)
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Someone sits at the terminal."""
    monkeypatch.delenv("CI", raising=False)


def shown(cells: list[CellResult], width: int) -> list[str]:
    out = Screen()
    show_results(cells, Console(file=out, width=width, color_system=None))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def names(lines: list[str]) -> list[str]:
    """Return the first column, which is at most so wide, up to the first gap."""
    return [re.split(r"\s{2,}", line[:24].strip())[0] for line in lines]


@pytest.mark.parametrize("width", [80, 120])
def test_each_row_says_beneath_its_name_what_departs_from_the_plain_case(width: int) -> None:
    lines = shown(CELLS, width)
    assert max(map(len, lines)) <= width
    assert names(lines[2:]) == [
        *("efficientvit_sam_l0", ""),  # and its intervals
        *("efficientvit_sam_l0", "random weights", "3 of 64 images"),
        *("efficientvit_sam_l0", "epoch_3.pt 33333333"),
        *("efficientvit_sam_l0", "epoch_9.pt 99999999"),
        *("efficientvit_sam_l0", "onnxruntime int8"),
    ]


def test_a_narrow_terminal_shows_fewer_metrics_and_whole_names() -> None:
    about = DetBox.about()
    metrics = {m.name: 44.4 for m in about.metrics}
    intervals = {name: [44.0, 45.0] for name in metrics}
    cells = [
        dataclasses.replace(
            c, suite="det_box", dataset="lvis/vitdet", about=about, metrics=metrics, intervals=intervals
        )
        for c in CELLS
    ]
    narrow, wide = shown(cells, 80), shown(cells, 120)
    assert max(map(len, narrow)) <= 80
    assert names(narrow[2:]) == names(wide[2:])
    assert ("Frequent" in wide[1], "Frequent" in narrow[1]) == (True, False)
    assert "All objects" in narrow[1]


def test_a_reason_names_the_cell_that_has_no_number() -> None:
    failed = dataclasses.replace(CELLS[4], status="failed", reason="out of memory", metrics={}, intervals={})
    assert shown([PLAIN, failed], 120)[-1] == ("efficientvit_sam_l0, onnxruntime int8; gt_box: out of memory")


def test_a_run_of_random_weights_on_a_sample_says_both(tiny: TinyCoco, tmp_path) -> None:
    weights = ["--weights", "efficientvit_sam_l0=random", "--limit", 1]
    run = ["run", "--models", "efficientvit_sam_l0", "--suites", "gt_box", *tiny.flags, *weights]
    plan = call(*run, "--out", tmp_path / "run", "--dry-run").out
    assert re.search(r"^efficientvit_sam_l0 +eager fp32 +random weights ", plan, re.MULTILINE)
    done = call(*run, "--out", tmp_path / "run")
    assert done.code == 0, done.err
    assert re.search("^efficientvit_sam_l0, random weights, 1 of 4 images  ", done.out, re.MULTILINE)


def test_a_pipe_has_a_row_for_each_cell_with_all_metrics_however_narrow() -> None:
    about = DetBox.about()
    metrics = {m.name: 44.4 for m in about.metrics}
    changes = {"suite": "det_box", "about": about, "metrics": metrics, "intervals": {"ap": [44.0, 45.0]}}
    cells = [dataclasses.replace(c, **changes) for c in CELLS]
    out = io.StringIO()
    show_results(cells, Console(file=out, width=20))
    _, header, *rows = out.getvalue().splitlines()
    assert [re.split(r"\s{2,}", row)[0] for row in rows] == [
        "efficientvit_sam_l0",
        "efficientvit_sam_l0, random weights, 3 of 64 images",
        "efficientvit_sam_l0, epoch_3.pt 33333333",
        "efficientvit_sam_l0, epoch_9.pt 99999999",
        "efficientvit_sam_l0, onnxruntime int8",
    ]
    assert "Frequent" in header
    assert all("44.4 (44.0-45.0)" in row for row in rows)


def test_images_that_failed_stand_with_the_name_and_are_named_beneath() -> None:
    images = [{"image_id": 1, "file_name": "a.jpg", "reason": "its logits are not finite"}]
    failed = dataclasses.replace(PLAIN, n_images=9, n_failed_images=1, failed_images=images)
    lines = shown([PLAIN, failed], 100)
    assert sum("1 of 9 images failed" in line for line in lines) == 2
    assert (
        "efficientvit_sam_l0; gt_box: 1 of 9 images failed and is not in these numbers: "
        "a.jpg: its logits are not finite."
    ) in lines
    assert not [line for line in shown([PLAIN], 100) if "failed" in line]
