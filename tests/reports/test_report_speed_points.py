"""An accuracy stands beside a speed only where both are of one artifact, and the caption says what is not."""

from __future__ import annotations

from typing import Any

import pytest
from fake_runs import STRICT, cell, mini, provenance, write_run
from test_report_speed import TRT, ap, fast

from sambench.reports.cells import read_runs
from sambench.reports.figures.speeds import draw_speed
from sambench.reports.figures.style import model_looks
from sambench.reports.speed import SUITE, speed_tables
from sambench.reports.speed_points import Points, best_points
from sambench.suites.results import CellResult

MINE = {"source": "file", "path": "/w/epoch_3.pt", "sha256": "9" * 64}
L0 = "efficientvit_sam_l0"
OTHER = {**MINE, "path": "/w/epoch_9.pt", "sha256": "7" * 64}


def split(tmp_path, *cells: CellResult):
    entries = read_runs([write_run(tmp_path / "run", list(cells))])
    (table,) = [t for t in speed_tables([e for e in entries if e.cell.suite == SUITE]) if t.headline]
    return table, [e for e in entries if e.cell.suite != SUITE]


def points(tmp_path, *cells: CellResult) -> Points:
    (found,) = best_points(*split(tmp_path, *cells))
    return found


def caption(tmp_path, *cells: CellResult) -> str:
    table, others = split(tmp_path, *cells)
    figures = draw_speed(table, others, "s", model_looks(row.model for row in table.rows))
    return figures[0].caption if figures else ""


def of(weights: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"provenance": {**provenance(), "weights": weights, **more}}


def test_the_same_artifact_is_filled(tmp_path):
    (point,) = points(tmp_path, ap(**TRT), fast()).shown
    assert (point.accuracy, point.speed, point.source is not None) == (44.0, 80.0, True)
    assert "Filled: accuracy measured too, of the same artifact on all of COCO, protocol paper." in caption(
        tmp_path, ap(**TRT), fast()
    )


@pytest.mark.parametrize(
    ("accuracy", "why"),
    [
        (ap(), "EfficientViT-SAM-L0 (weights, engine, precision or input size of no speed here)"),
        (
            ap(engine="onnxruntime", precision="int8"),
            "SAM-L0, onnxruntime int8 (weights, engine",
        ),
        (ap(**TRT, **of(MINE)), "EfficientViT-SAM-L0, epoch_3.pt 99999999, tensorrt fp16 (weights, engine"),
        (ap(**TRT, **of({"source": "random"})), "EfficientViT-SAM-L0, random weights, tensorrt fp16."),
        (
            ap(**TRT, n_images=3, partial={"limit": 3, "of": 5000, "seed": 0}),
            "EfficientViT-SAM-L0, tensorrt fp16, 3 of 5,000 images.",
        ),
        (ap(**TRT, protocol={**STRICT, "preset": "custom"}), "tensorrt fp16 (protocol custom)"),
        (
            ap(**TRT, provenance={**provenance(model=L0), "annotations": {}}),
            "(annotations",
        ),
        (ap(**TRT, provenance={}), "weights not recorded"),
        (mini("efficientvit_sam_l0"), "EfficientViT-SAM-L0, random weights, 10 of 117 images (10 of 5,000"),
    ],
)
def test_another_artifact_leaves_the_circle_open_and_the_caption_says_why(tmp_path, accuracy, why):
    (point,) = points(tmp_path, accuracy, fast()).shown
    assert (point.accuracy, point.source) == (45.7, None)  # the paper's
    said = caption(tmp_path, accuracy, fast())
    assert "Filled" not in said
    assert "Open markers: speed measured, accuracy the paper's, of another artifact." in said
    assert why in said.partition("Accuracies of another artifact or of other data: ")[2]


@pytest.mark.parametrize(
    ("one", "other", "joined"),
    [
        (
            {"inputs": {"shapes": ["float32 [3, 512, 512]"]}},
            {"inputs": {"shapes": ["float32 [3, 512, 512]"]}},
            True,
        ),
        (
            {"inputs": {"shapes": ["float32 [3, 512, 512]"]}},
            {"inputs": {"shapes": ["float32 [3, 1024, 1024]"]}},
            False,
        ),
        (
            {"inputs": {"shapes": ["uint8 [3, 4, 5]", "uint8 [3, 5, 4]"]}},
            {"inputs": {"shapes": ["uint8 [3, 4, 5]", "uint8 [3, 6, 6]"]}},
            True,
        ),
        ({"loaded": {"files": [["mine.py", "aa"]]}}, {"loaded": {"files": [["mine.py", "bb"]]}}, False),
    ],
    ids=["same size", "another size", "sizes of images", "another file"],
)
def test_input_size_and_files_of_ones_own_are_of_the_artifact_too(tmp_path, one, other, joined):
    accuracy, speed = ({"provenance": {**provenance(model=L0), **more}} for more in (one, other))
    (point,) = points(tmp_path, ap(**TRT, **accuracy), fast(**speed)).shown
    assert (point.source is not None) == joined


def test_speeds_of_int8_and_of_other_checkpoints_are_never_at_the_papers_accuracy(tmp_path):
    plain = {"engine": "eager", "precision": "fp32"}
    cells = [fast(precision="int8"), fast("sam_vit_h", 2.0, **plain, **of(MINE)), fast("mobile_sam", **plain)]
    found = points(tmp_path, *cells)
    assert [p.row.model for p in found.shown] == ["mobile_sam"]
    assert found.left_out == (
        "SAM-ViT-H, epoch_3.pt 99999999, eager fp32, batch 16",
        "EfficientViT-SAM-L0, tensorrt int8, batch 16",
    )
    assert "Left out, accuracy neither measured nor the paper's: SAM-ViT-H" in caption(tmp_path, *cells)


def test_random_weights_have_a_speed_and_an_open_circle(tmp_path):
    cells = [fast(**of({"source": "random", "seed": 0}))]
    (point,) = points(tmp_path, *cells).shown
    assert point.source is None
    assert "random weights" in caption(tmp_path, *cells)


def test_two_checkpoints_of_a_model_are_two_points(tmp_path):
    accuracies = [ap(metrics={"ap": 10.0 * n}, **TRT, **of(w)) for n, w in ((3, MINE), (4, OTHER))]
    speeds = [fast(img_s=50.0 + n, batch=b, **of(w)) for n, w in ((1, MINE), (2, OTHER)) for b in (1, 16)]
    found = points(tmp_path, *accuracies, *speeds)
    assert [(p.accuracy, p.speed) for p in found.shown] == [(30.0, 51.0), (40.0, 52.0)]
    assert found.unmatched == found.left_out == ()


def test_what_was_measured_comes_before_a_faster_way_that_was_not(tmp_path):
    eager = {"engine": "eager", "precision": "fp32"}
    (point,) = points(tmp_path, ap(), fast(), fast(img_s=9.0, **eager)).shown
    assert (point.speed, point.accuracy) == (9.0, 44.0)


def test_the_papers_protocol_comes_before_the_strict_one(tmp_path):
    cells = [ap(metrics={"ap": 43.0}, protocol=STRICT, **TRT), ap(**TRT), fast()]
    assert [p.accuracy for p in points(tmp_path, *cells).shown] == [44.0]
    strict = [cells[0], fast()]
    assert "on all of COCO, protocol strict." in caption(tmp_path, *strict)


def test_boxes_take_the_place_where_no_detectors_are_measured(tmp_path):
    boxes = cell("efficientvit_sam_l0", **TRT)
    found = points(tmp_path, boxes, fast(), fast("sam_vit_h", 2.0))
    assert (found.wanted.metric, [p.accuracy for p in found.shown]) == ("miou", [70.0])
    assert found.left_out == ("SAM-ViT-H, tensorrt fp16, batch 16",)
