"""A difference from the paper only where it is one, and with what must be known of it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from fake_runs import SHA, cell, provenance, write_run

from sambench.reports.cells import Entry, read_runs
from sambench.reports.comparable import caveats, other_data, reasons
from sambench.reports.report import write_report
from sambench.reports.warnings import warnings
from sambench.suites.results import CellResult


def one(tmp_path, found: CellResult) -> Entry:
    (entry,) = read_runs([write_run(tmp_path / "run", [found])])
    return entry


def made_of(**parts: Any) -> CellResult:
    """A comparable cell with other parts of its provenance."""
    return cell(provenance={**provenance(), **parts})


def weights(sha256: str, path: str = "/w/last.pt") -> dict[str, Any]:
    return {"source": "file", "path": path, "sha256": sha256, "seed": None}


def test_official_weights_data_and_protocol_in_fp32_are_comparable(tmp_path):
    entry = one(tmp_path, cell())
    assert (reasons(entry), caveats(entry)) == ([], [])


def test_an_int8_run_of_unknown_weights_on_photos_called_coco_shows_no_difference(tmp_path):
    photos = {"path": "/data/holiday_photos.json", "sha256": SHA, "count": 9000}
    made = provenance() | {"weights": weights("0" * 64), "annotations": photos}
    run = write_run(tmp_path / "run", [cell(precision="int8", provenance=made)])
    (entry,) = read_runs([run])
    assert reasons(entry) == [
        "weights last.pt 00000000 not the official ones",
        "9,000 annotations in holiday_photos.json 01234567, where COCO val2017 has 36,781",
        "precision int8",
    ]
    files = write_report([run], tmp_path / "out")
    page, markdown = files.html.read_text(), files.markdown.read_text()
    assert "\u2260" not in page.partition("<script")[0]
    assert "| **70.0** (69.6-70.5), paper 79.9, not comparable |" in markdown
    assert "EfficientViT-SAM-XL1 (last.pt 00000000, eager int8) [1]" in markdown.replace("\\_", "_")
    assert any("holiday_photos.json" in warning for warning in warnings([entry]))


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (made_of(weights=weights(SHA)), "weights last.pt 01234567 not the official ones"),
        (made_of(weights=weights("", "/w/x.pt")), "weights x.pt not the official ones"),
        (cell(precision="bf16"), "precision bf16"),
        (made_of(annotations={"path": "a.json", "sha256": SHA}), "annotations a.json 01234567 not known"),
        (
            made_of(annotations={"path": "a.json", "sha256": SHA, "count": 36780}),
            "36,780 annotations in a.json",
        ),
        (made_of(annotations={}), "annotations of an unknown file not known to be those of COCO val2017"),
    ],
)
def test_each_thing_that_prevents_a_difference(tmp_path, found, reason):
    (said,) = reasons(one(tmp_path, found))
    assert said.startswith(reason)


def test_weights_without_a_known_checksum_are_not_compared(tmp_path):
    found = cell("efficient_sam_s", "det_box", dataset="coco/vitdet")
    (said,) = reasons(one(tmp_path, found))
    assert said == "weights model.pt 01234567, and no checksum of the official ones is known"


@pytest.mark.parametrize(
    ("found", "caveat"),
    [
        (cell(engine="openvino"), "run by openvino"),
        (
            made_of(annotations={"path": "again.json", "sha256": SHA, "count": 36781}),
            "data held to be COCO val2017 by counts",
        ),
        (
            cell(
                dataset="lvis",
                n_images=19809,
                provenance={
                    **provenance(),
                    "annotations": {"path": "l.json", "sha256": SHA, "count": 244707},
                },
            ),
            "data held to be LVIS v1 val by counts",
        ),
        (
            cell(
                suite="det_box",
                dataset="coco/vitdet",
                provenance={**provenance(), "detections": {"path": "/d/mine.json", "sha256": SHA}},
            ),
            "boxes of mine.json 01234567, and no checksum of the paper's is known",
        ),
        (
            cell(suite="det_box", dataset="coco/vitdet"),
            "boxes not recorded, and no checksum of the paper's is known",
        ),
    ],
)
def test_what_is_said_beside_a_fair_difference(tmp_path, found, caveat):
    entry = one(tmp_path, found)
    assert reasons(entry) == []
    (said,) = caveats(entry)
    assert said.startswith(caveat)


def test_the_difference_carries_the_number_of_its_note(tmp_path):
    run = write_run(tmp_path / "run", [cell(engine="openvino")])
    files = write_report([run], tmp_path / "out")
    page, markdown = files.html.read_text(), files.markdown.read_text()
    assert "paper 79.9, \u22129.9" in page
    assert "paper 79.9, -9.9, differs |" in markdown
    assert "EfficientViT-SAM-XL1 (openvino fp32) [1]" in markdown
    assert "1. Comparable, but mind: run by openvino." in markdown


def test_sginw_is_compared_when_all_data_sets_are_there(tmp_path):
    whole = cell("sam_vit_h", "sginw", dataset="sginw/gdino", counts={"data_sets": 25})
    assert other_data(whole) == []
    assert other_data(dataclasses.replace(whole, counts={"data_sets": 24})) == [
        "24 of 25 data sets, or a sample of them"
    ]
    assert caveats(one(tmp_path, whole)) == [
        "checksums of the official data are not known",
        "boxes not recorded, and no checksum of the paper's is known",
    ]


def test_other_annotations_of_the_right_number_of_images_are_warned_of_once(tmp_path):
    photos = {"path": "p.json", "sha256": SHA, "count": 1}
    cells = [made_of(annotations=photos), cell("sam_vit_h", "click", provenance={"annotations": photos})]
    found = warnings(read_runs([write_run(tmp_path / "run", cells)]))
    assert found == [
        "coco: 1 annotations in p.json 01234567, where COCO val2017 has 36,781. "
        "The published numbers are of other data."
    ]
