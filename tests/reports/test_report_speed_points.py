"""An accuracy stands beside a speed only where both are of one artifact, and the caption says what is not."""

from __future__ import annotations

import re
from typing import Any

import pytest
from fake_runs import STRICT, cell, mini, provenance, write_run
from test_report_speed import TRT, ap, fast

from sambench.reports.cells import read_runs
from sambench.reports.figures.speeds import draw_speed
from sambench.reports.figures.style import model_looks
from sambench.reports.speed import SUITE, speed_tables
from sambench.reports.speed_points import Points, accuracy_against, best_points, pareto
from sambench.reports.wanted import Wanted
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


OWN = {"dataset": "leaves", "n_images": 30, "n_instances": 90}
EAGER = {"engine": "eager", "precision": "fp32"}


def own(model: str = L0, miou: float = 60.0, **changes: Any) -> CellResult:
    """mIoU from boxes on a data set of one's own."""
    said = provenance(model=model) | {"annotations": {"sha256": "a" * 64, "count": 90}}
    metrics = {"miou": miou, "miou_small": miou - 9}
    given = {**OWN, "metrics": metrics, "intervals": {"miou": [miou - 1, miou + 2]}, "provenance": said}
    return cell(model, **{**given, **changes})


def speeds(*models: str) -> list[CellResult]:
    return [fast(model, 80.0 - 10 * n, dataset="leaves", **EAGER) for n, model in enumerate(models)]


def test_a_data_set_of_ones_own_stands_beside_the_speeds(tmp_path):
    table, entries = split(tmp_path, own(), own("mobile_sam", 55.0), *speeds(L0, "mobile_sam", "sam_vit_h"))
    (found,) = best_points(table, entries)
    assert (found.of_paper, str(found.wanted)) == (False, "img_s,gt_box:leaves.miou")
    shown = {p.row.model: (p.speed, p.accuracy, p.rounds, p.interval) for p in found.shown}
    assert shown == {
        L0: (80.0, 60.0, (79.0, 82.0), (59.0, 62.0)),
        "mobile_sam": (70.0, 55.0, (69.0, 72.0), (54.0, 57.0)),
    }
    assert found.left_out == ("SAM-ViT-H, eager fp32, batch 16",)
    assert [point.row.model for point in found.front] == [L0]
    (figure,) = draw_speed(table, entries, "s", model_looks(row.model for row in table.rows))
    assert "on 30 images of leaves, protocol paper." in figure.caption
    assert "A100" not in figure.caption


def test_a_single_point_is_no_figure(tmp_path):
    table, entries = split(tmp_path, own(), *speeds(L0))
    stand_in = best_points(table, entries)
    assert [(points.of_paper, len(points.shown)) for points in stand_in] == [(True, 1)]  # beside the paper's
    unpublished = {"model": "tiny_sam", **EAGER}
    assert best_points(*split(tmp_path, own("tiny_sam"), fast(**unpublished))) == []


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"n_images": 29}, "MobileSAM (other images)"),
        ({"partial": {"limit": 30, "of": 99, "seed": 1}}, "MobileSAM, 30 of 99 images (other images)"),
        ({"protocol": STRICT}, "MobileSAM (another protocol)"),
        (
            {"provenance": provenance(model="mobile_sam") | {"annotations": {"sha256": "b" * 64}}},
            "MobileSAM (other annotations)",
        ),
        ({"provenance": provenance("random")}, "MobileSAM, random weights"),
    ],
)
def test_what_was_measured_on_something_else_is_left_out_and_said(tmp_path, changes, why):
    models = (L0, "mobile_sam", "sam_vit_h")
    cells = [own(L0), own("mobile_sam", 61.0, **changes), own("sam_vit_h", 62.0), *speeds(*models)]
    (found,) = best_points(*split(tmp_path, *cells))
    assert [p.row.model for p in found.shown] == ["sam_vit_h", L0]
    assert found.unmatched == (why,)


def test_two_protocols_of_the_same_models_are_one_figure_of_one_of_them(tmp_path):
    models = (L0, "mobile_sam")
    strict = [own(model, 40.0, protocol=STRICT) for model in models]
    (found,) = best_points(*split(tmp_path, *(own(model) for model in models), *strict, *speeds(*models)))
    assert [p.accuracy for p in found.shown] == [60.0, 60.0]
    assert found.unmatched == ()


def test_any_number_goes_across_and_the_better_one_is_that_of_its_kind(tmp_path):
    cells = [own(), fast(dataset="leaves", **EAGER), fast(img_s=40.0, batch=1, dataset="leaves", **EAGER)]
    table, entries = split(tmp_path, *cells)
    wanted = Wanted("latency_ms_p50", "gt_box", "leaves", "miou_small")
    (point,) = accuracy_against(table, entries, wanted).shown
    assert (point.speed, point.accuracy, point.interval, point.rounds) == (25.0, 51.0, None, None)
    figures = draw_speed(table, entries, "s", model_looks([L0]), [wanted])
    assert figures[-1].title.startswith(
        "gt_box: miou_small on leaves against median latency of a batch, ms ("
    )
    assert "median latency of a batch, ms (logarithmic)" in figures[-1].svg


def test_what_was_asked_for_and_cannot_be_joined_says_so(tmp_path):
    table, entries = split(tmp_path, own(engine="onnxruntime"), *speeds(L0))
    wanted = Wanted("params_m", "gt_box", "leaves", "miou")
    figure = draw_speed(table, entries, "s", model_looks([L0]), [wanted])[-1]
    assert figure.svg == ""
    assert "EfficientViT-SAM-L0, onnxruntime fp32 (weights, engine, precision" in figure.missing


def test_a_speed_without_rounds_or_with_none_at_all_is_no_fault(tmp_path):
    bare = fast(intervals={}, dataset="leaves", **EAGER)
    dead = fast("mobile_sam", 1.0, metrics={"img_s": None}, dataset="leaves", **EAGER)
    found = accuracy_against(
        *split(tmp_path, own(), own("mobile_sam"), bare, dead), Wanted("img_s", "gt_box", "leaves", "miou")
    )
    assert [(p.row.model, p.rounds) for p in found.shown] == [(L0, None)]
    assert len(found.left_out) == 1


@pytest.mark.parametrize(
    ("x_up", "y_up", "kept"),
    [
        (True, True, [1, 3, 4]),
        (False, True, [0, 1]),
        (True, False, [2, 4]),
        (False, False, [0, 2]),
    ],
)
def test_the_front_is_what_no_other_point_beats(x_up, y_up, kept):
    #         0       1       2       3       4       5
    points = [(1, 4), (2, 9), (3, 1), (5, 7), (9, 3), (4, 6)]
    assert pareto(points, x_up, y_up) == kept


def test_equal_points_are_on_the_front_together_and_a_tie_one_way_is_decided_the_other():
    assert pareto([(2, 2), (2, 2), (2, 1), (1, 2)], x_up=True, y_up=True) == [0, 1]
    assert pareto([], x_up=True, y_up=True) == []


def test_the_front_is_drawn_of_what_was_measured_alone(tmp_path):
    cells = [own(L0, 60.0), own("mobile_sam", 65.0), own("sam_vit_h", 50.0)]
    table, entries = split(tmp_path, *cells, *speeds(L0, "mobile_sam", "sam_vit_h"))
    (figure,) = draw_speed(table, entries, "s", model_looks(row.model for row in table.rows))
    assert "Dashed: the Pareto front of what was measured." in figure.caption
    (path,) = re.findall(r'd="M([^"]*)"[^>]*stroke-dasharray', figure.svg)
    (x0, y0), (x1, y1), (x2, y2) = (map(float, place.split()) for place in path.split("L"))
    assert (x0 == x1 < x2, y0 < y1 == y2) == (
        True,
        True,
    )  # down first: at a speed in between, the slower fails
    stand_in = points(tmp_path, ap(**TRT), fast(), fast("mobile_sam", 90.0))
    assert [len(stand_in.shown), len(stand_in.front)] == [2, 1]
