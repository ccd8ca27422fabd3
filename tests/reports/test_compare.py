"""Differences of made-up runs whose objects are known, against what a hand count gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fake_evidence import FILE, LARGE, SMALL, objects, scored
from fake_runs import PAPER, STRICT, cell, provenance, write_run

from sambench.evsam.errors import SambenchError
from sambench.reports.cells import read_runs
from sambench.reports.compare import Comparison, compare, compare_runs
from sambench.reports.differences import Difference
from sambench.reports.pairs import SUITE_AXES
from sambench.reports.speed_pairs import two_sided
from sambench.suites.protocol import PRESETS, Protocol
from sambench.suites.registry import suite_class
from sambench.suites.scoring.objects import Column, Objects

TEN = [0.90, 0.80, 0.70, 0.60, 0.50, 0.40, 0.30, 0.20, 0.75, 0.10]
OTHER = [0.90, 0.85, 0.76, 0.50, 0.45, 0.40, 0.36, 0.14, 0.70, 0.16]
"""Against `TEN`: three better by 0.06, three worse by 0.1, 0.06 and nothing more; three by exactly 0.05."""


def row(found: Comparison, metric: str = "miou", **wanted: Any) -> Difference:
    """The one row of a metric."""
    assert found.refused == ()
    same = {"metric": metric, **wanted}
    (one,) = [r for r in found.rows if all(getattr(r, key) == value for key, value in same.items())]
    return one


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return tmp_path / "run"


def test_a_difference_is_b_minus_a_with_its_objects_counted_by_hand(run: Path) -> None:
    write_run(run, [scored(run, objects(TEN)), scored(run, objects(OTHER), "mobile_sam")])
    found = row(compare_runs(run))
    assert (found.model_a, found.model_b) == ("sam_vit_b", "mobile_sam")  # as tables have them
    assert found.a == pytest.approx(52.5)
    assert found.b == pytest.approx(52.2)
    assert found.difference == pytest.approx(-0.3)
    assert (found.better, found.worse, found.within) == (3, 2, 5)  # exactly 0.05 is within
    assert (found.n_images, found.n_instances, found.note) == (10, 10, None)
    assert found.interval is not None
    assert found.interval[0] < found.difference < found.interval[1]


def test_counts_are_of_the_metrics_own_values_and_of_shares_of_objects_alone(run: Path) -> None:
    areas = [SMALL] * 4 + [LARGE] * 6
    mine, its = (objects(iou, area=areas) for iou in (TEN, OTHER))
    write_run(run, [scored(run, mine), scored(run, its, "mobile_sam")])
    found = compare_runs(run)
    small, large, medium = (row(found, f"miou_{size}") for size in ("small", "large", "medium"))
    assert (small.better, small.worse, small.within, small.n_instances) == (1, 1, 2, 4)
    assert (large.better, large.worse, large.within, large.n_instances) == (2, 1, 3, 6)
    assert large.title == "Large"
    assert (medium.a, medium.b, medium.difference, medium.interval, medium.p) == (None,) * 5
    assert medium.n_instances == 0
    near = row(found, "boundary_iou")  # half of it: only 0.1 is beyond 0.05, and half of that is not
    assert (near.better, near.worse, near.within, near.title) == (0, 0, 10, "Boundary IoU, All objects")
    error, mean = row(found, "pred_iou_error"), row(found, "miou_per_image")
    assert error.difference == pytest.approx(0.3)
    assert error.higher_is_better is False
    for other in (error, mean):
        assert (other.better, other.worse, other.within) == (None, None, None)
        assert other.n_instances == 10
    assert [r.metric for r in found.rows][:4] == ["miou", "miou_small", "miou_medium", "miou_large"]


def test_a_number_of_images_that_is_no_mean_of_means_counts_its_own(run: Path) -> None:
    def found(recalls: list[float], masks: list[float]) -> Objects:
        """Two objects of image 7, none of image 8, and a row of each image, as in `everything`."""
        return Objects(
            columns=(Column("ar_1000", 0, 0), Column("masks_per_image", 1, 1, scale=1.0)),
            image=np.array([7, 7, 7, 8]),
            ann_id=np.array([1, 2, -1, -1]),
            category=np.array([1, 1, -1, -1]),
            values=np.array([[*recalls, 0, 0], [0, 0, *masks]]).T,
            groups=np.array([[True, True, False, False], [False, False, True, True]]).T,
        )

    cells = [
        scored(run, found(recalls, masks), model, suite="everything")
        for model, recalls, masks in (("box", [0.1, 0.5], [10, 20]), ("ellipse", [0.4, 0.45], [12, 40]))
    ]
    result = compare_runs(write_run(run, cells))
    recall, masks = row(result, "ar_1000"), row(result, "masks_per_image")
    assert (recall.difference, recall.n_instances) == (pytest.approx(12.5), 2)
    assert (recall.better, recall.worse, recall.within) == (1, 0, 1)
    assert (masks.a, masks.b, masks.n_instances, masks.better) == (15, 26, 2, None)


def test_what_two_models_share_cancels_though_their_own_intervals_overlap(run: Path) -> None:
    rng = np.random.default_rng(1)
    hard = rng.uniform(0.1, 0.9, 200)
    a, b = objects(hard), objects(hard + 0.01 + rng.normal(0, 0.01, 200))
    write_run(run, [scored(run, a), scored(run, b, "mobile_sam")])
    own, its = a.intervals()["miou"], b.intervals()["miou"]
    assert own[1] > its[0] + 4  # an unpaired look sees nothing
    found = row(compare_runs(run))
    assert found.interval is not None
    assert 0.7 < found.interval[0] < 1.0 < found.interval[1] < 1.3
    assert found.p is not None
    assert found.p < 1e-6


def by_holm(p: dict[Any, float]) -> dict[Any, float]:
    """The step-down rule as its author has it: each times how many are left, never below one before it."""
    found, before = {}, 0.0
    for left, key in zip(range(len(p), 0, -1), sorted(p, key=lambda k: p[k]), strict=True):
        found[key] = before = max(before, min(1.0, p[key] * left))
    return found


def test_the_family_of_holm_is_the_pairs_of_one_metric_on_one_data_set(run: Path) -> None:
    rng = np.random.default_rng(0)
    cells = []
    for dataset in ("coco", "lvis"):
        for place, model in enumerate(("sam_vit_h", "sam_vit_b", "mobile_sam", "box")):
            iou = rng.uniform(0.3, 0.9, 30) + 0.02 * place
            cells.append(scored(run, objects(iou), model, dataset=dataset))
    write_run(run, cells)
    found = compare_runs(run)
    for dataset in ("coco", "lvis"):
        for metric in ("miou", "boundary_iou"):
            mine = {
                (r.model_a, r.model_b): r for r in found.rows if (r.dataset, r.metric) == (dataset, metric)
            }
            assert len(mine) == 6
            expected = by_holm({pair: r.p for pair, r in mine.items() if r.p is not None})
            assert {pair: r.p_holm for pair, r in mine.items()} == pytest.approx(expected)
    assert any(r.p_holm != r.p for r in found.rows)


def test_two_samples_are_compared_on_the_objects_that_both_have(run: Path) -> None:
    a = objects([0.5, 0.6, 0.7, 0.8], image=[1, 1, 2, 3], ann_id=[10, 11, 12, 13])
    b = objects([0.9, 0.5, 0.5, 0.1], image=[3, 2, 1, 9], ann_id=[13, 12, 10, 19])  # in another order
    part = {"limit": 3, "of": 9, "seed": 0}
    write_run(run, [scored(run, a), scored(run, b, "mobile_sam", partial=part)])
    found = row(compare_runs(run))
    assert (found.n_images, found.n_instances) == (3, 3)
    assert found.a == pytest.approx(100 * (0.5 + 0.7 + 0.8) / 3)
    assert found.b == pytest.approx(100 * (0.5 + 0.5 + 0.9) / 3)
    assert (found.better, found.worse, found.within) == (1, 1, 1)
    assert found.label_b == "MobileSAM, 3 of 9 images"
    assert found.note == (
        "left out of SAM-ViT-B: 1 object and 0 images; "
        "left out of MobileSAM, 3 of 9 images: 1 object and 1 image"
    )


def test_a_single_image_has_a_difference_and_no_interval(run: Path) -> None:
    write_run(run, [scored(run, objects([0.5])), scored(run, objects([0.7]), "mobile_sam")])
    found = row(compare_runs(run))
    assert found.difference == pytest.approx(20)
    assert (found.interval, found.p, found.p_holm) == (None, None, None)


# --- what is not subtracted -----------------------------------------------------------------------------

BOXES = {"path": "boxes.json", "sha256": "1" * 64}


def other_file(part: str) -> dict[str, Any]:
    return {"provenance": provenance(model="mobile_sam") | {part: {"path": "x.json", "sha256": "2" * 64}}}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (other_file("annotations"), "annotations differ: SHA-256 e8c7f790"),
        (other_file("detections"), "a detector's boxes differ: SHA-256 not recorded and 2222"),
        ({"status": "failed", "reason": "out of memory"}, "mobile_sam is failed: out of memory"),
        ({"status": "unfinished", "reason": "not run yet"}, "mobile_sam is unfinished"),
        (
            {"evidence": None},
            "not kept, as in runs of before. Run the same command again; it only scores",
        ),
        ({"evidence": "_evidence-gone.npz"}, "_evidence-gone.npz: no such file"),
        ({"evidence": "damaged.npz"}, "damaged.npz: cannot be read as evidence"),
    ],
    ids=["annotations", "boxes", "failed", "unfinished", "before", "gone", "damaged"],
)
def test_what_may_not_be_subtracted_is_refused_with_the_reason(
    run: Path, changes: dict[str, Any], words: str
) -> None:
    its = scored(run, objects(OTHER), "mobile_sam", **changes)
    assert its.records is not None
    (run / its.records / "damaged.npz").write_bytes(b"PK\x03\x04 not really")
    found = compare_runs(write_run(run, [scored(run, objects(TEN)), its]))
    assert found.rows == ()
    (refused,) = found.refused
    assert words in refused.reason
    assert (refused.model_a, refused.model_b, refused.suite) == ("sam_vit_b", "mobile_sam", "gt_box")


def test_objects_of_which_none_is_in_both_are_refused(run: Path) -> None:
    its = scored(run, objects(OTHER, image=range(100, 110)), "mobile_sam")
    found = compare_runs(write_run(run, [scored(run, objects(TEN)), its]))
    assert [refused.reason for refused in found.refused] == ["no image or object is in both"]


def test_protocols_that_differ_are_refused_in_two_runs_with_the_axis_and_both_choices(tmp_path: Path) -> None:
    runs = [tmp_path / name for name in ("a", "b")]
    for folder, protocol in zip(runs, (PAPER, PAPER | {"preset": "custom", "crowd": "drop"}), strict=True):
        write_run(folder, [scored(folder, objects(TEN), protocol=protocol)])
    found = compare_runs(*runs)
    assert found.rows == ()
    (refused,) = found.refused
    assert refused.reason == (
        "protocols differ. Crowd regions: kept, as the authors' script does / dropped and counted"
    )


def test_an_axis_that_the_suite_does_not_read_parts_nothing(tmp_path: Path) -> None:
    runs = [tmp_path / name for name in ("a", "b")]
    for folder, rule in zip(runs, ("stop", "click_on"), strict=True):  # of clicks, and these are boxes
        write_run(folder, [scored(folder, objects(TEN), protocol=STRICT | {"perfect": rule})])
    assert row(compare_runs(*runs)).difference == 0


def test_protocols_of_one_run_are_tables_of_their_own(run: Path) -> None:
    models = ("sam_vit_b", "mobile_sam")
    cells = [scored(run, objects(TEN), m, protocol=p) for p in (PAPER, STRICT) for m in models]
    found = compare_runs(write_run(run, cells), metrics=["miou"])
    assert [(r.model_a, r.model_b, r.protocol) for r in found.rows] == [
        ("sam_vit_b", "mobile_sam", "paper"),
        ("sam_vit_b", "mobile_sam", "strict"),
    ]
    (said,) = found.unpaired
    assert said.startswith(
        "gt_box on coco: protocols paper and strict are not subtracted. Crowd regions: kept"
    )


class Watched:
    """A protocol that notes which of its axes are read."""

    def __init__(self, protocol: Protocol) -> None:
        self._protocol, self.read = protocol, set()

    def __getattr__(self, axis: str) -> Any:
        self.read.add(axis)
        return getattr(self._protocol, axis)


@pytest.mark.parametrize("suite", SUITE_AXES)
def test_the_axes_that_part_a_suites_numbers_are_those_that_it_reads(suite: str) -> None:
    """Records' axes as the suites declare them; of scoring those that a suite asks for."""
    kind = suite_class(suite)
    assert set(kind.record_axes) <= set(SUITE_AXES[suite])
    if suite in ("gt_box", "click"):
        watched = Watched(PRESETS["strict"])
        filled: dict[str, Any] = {"iou": 0.5, "boundary_iou": 0.5, "pred_iou": 0.5}
        if suite == "click":
            filled = {name: [value] * 5 for name, value in filled.items()}
        numbers = {"image_id": 1, "ann_id": 1, "category_id": 1, "area": 5.0, "mask_area": 5}
        kind().score(pa.Table.from_pylist([numbers | filled] * 2), watched)  # type: ignore[call-arg, arg-type]
        assert watched.read
        assert watched.read <= set(SUITE_AXES[suite])


# --- who stands against whom ----------------------------------------------------------------------------


def two(tmp_path: Path, a: list[dict[str, Any]], b: list[dict[str, Any]]) -> Comparison:
    runs = []
    for name, cells in (("a", a), ("b", b)):
        runs.append(write_run(tmp_path / name, [scored(tmp_path / name, objects(TEN), **c) for c in cells]))
    return compare_runs(*runs, metrics=["miou"])


def weights(letter: str) -> dict[str, Any]:
    found = {"source": "file", "path": f"/w/epoch_{letter}.pt", "sha256": letter * 64}
    return {"provenance": provenance() | {"weights": found}}


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (
            [{"model": "sam_vit_b"}, {"model": "mobile_sam"}],
            [{"model": "mobile_sam"}, {"model": "sam_vit_b"}],
            [("SAM-ViT-B, a", "SAM-ViT-B, b"), ("MobileSAM, a", "MobileSAM, b")],
        ),
        (
            [{"model": "sam_vit_b"}, {"model": "box"}],
            [{"model": "sam_vit_b"}, {"model": "ellipse"}],
            [("SAM-ViT-B, a", "SAM-ViT-B, b"), ("Box (baseline)", "Ellipse (baseline)")],
        ),
        (
            [{"model": "sam_vit_b"}, {"model": "sam_vit_b", "engine": "onnxruntime"}],
            [{"model": "sam_vit_b"}, {"model": "sam_vit_b", "engine": "openvino"}],
            [
                ("SAM-ViT-B, a", "SAM-ViT-B, b"),
                ("SAM-ViT-B, onnxruntime fp32", "SAM-ViT-B, openvino fp32"),
            ],
        ),
        (
            [{"model": "sam_vit_b", **weights("1")}],
            [{"model": "sam_vit_b", **weights("2")}],
            [("SAM-ViT-B, epoch_1.pt 11111111", "SAM-ViT-B, epoch_2.pt 22222222")],
        ),
        (
            [{"model": "sam_vit_b", "device": "cpu"}],
            [{"model": "sam_vit_b", "device": "cuda"}],
            [("SAM-ViT-B, cpu", "SAM-ViT-B, cuda")],
        ),
    ],
    ids=["the same models", "another beside it", "engines", "checkpoints", "devices"],
)
def test_two_runs_pair_what_is_in_both_and_then_what_is_left(
    tmp_path: Path, a: list[dict[str, Any]], b: list[dict[str, Any]], expected: list[tuple[str, str]]
) -> None:
    found = two(tmp_path, a, b)
    assert {(r.label_a, r.label_b) for r in found.rows} == set(expected)
    assert (found.refused, found.unpaired) == ((), ())
    assert {(r.run_a, r.run_b) for r in found.rows} == {("a", "b")}


def test_what_finds_no_partner_is_said(tmp_path: Path) -> None:
    none = {"status": "not_applicable", "reason": "it takes no points"}
    found = two(
        tmp_path,
        [{"model": "sam_vit_b"}, {"model": "box", **none}],
        [{"model": "sam_vit_b"}, {"model": "mobile_sam"}, {"model": "sam_vit_b", "dataset": "lvis"}],
    )
    assert len(found.rows) == 1
    assert set(found.unpaired) == {
        "gt_box on coco: box: not applicable (it takes no points).",
        "gt_box on coco: mobile_sam: only in b, without a partner.",
        "gt_box on lvis: sam_vit_b: only in b, without a partner.",
    }


def test_a_run_against_itself_differs_by_nothing(run: Path) -> None:
    write_run(run, [scored(run, objects(TEN)), scored(run, objects(OTHER), "mobile_sam")])
    found = compare_runs(run, run / "results.json", metrics=["miou"])
    assert [(r.model_a, r.model_b, r.difference) for r in found.rows] == [
        ("sam_vit_b", "sam_vit_b", 0),
        ("mobile_sam", "mobile_sam", 0),
    ]


def test_only_what_was_asked_for_is_compared_and_must_be_there(run: Path) -> None:
    models = ("sam_vit_h", "sam_vit_b", "mobile_sam")
    entries = read_runs([write_run(run, [scored(run, objects(TEN), m) for m in models])])
    found = compare(entries, models=["sam_vit_b", "mobile_sam"], suites=["gt_box"], metrics=["miou"])
    assert [(r.model_a, r.model_b, r.metric) for r in found.rows] == [("sam_vit_b", "mobile_sam", "miou")]
    for wrong in ({"models": ["sam_vit_x"]}, {"suites": ["click"]}, {"metrics": ["miuo"]}):
        with pytest.raises(SambenchError, match="in what is compared"):
            compare(entries, **wrong)  # type: ignore[arg-type]


def test_the_time_of_a_prediction_is_the_runs_own(run: Path) -> None:
    timing = {"images": 10.0, "read_s": 99.0, "encode_s": 6.0, "decode_s": 3.0, "upsample_s": 1.0}
    write_run(run, [scored(run, objects(TEN), timing=timing), scored(run, objects(TEN), "mobile_sam")])
    found = row(compare_runs(run))
    assert (found.seconds_per_image_a, found.seconds_per_image_b) == (pytest.approx(1.0), None)


# --- speeds ---------------------------------------------------------------------------------------------


def timed(run: Path, model: str, seconds: list[float], **changes: Any) -> Any:
    """A cell of a throughput, batch 2, with a round of three equal batches for each time."""
    folder = run / "rounds" / model
    folder.mkdir(parents=True, exist_ok=True)
    for place, second in enumerate(seconds):
        result = {"status": "done", "facts": {"images_per_batch": 2}, "modes": {"serial": {"status": "done"}}}
        (folder / f"round-{place:02d}.json").write_text(json.dumps(result))
        rows = [
            {"mode": m, "audit": a, "seconds": s}
            for m, a, s in [("serial", False, second)] * 3 + [("serial", True, 9.0), ("compute", False, 7.0)]
        ]
        pq.write_table(pa.Table.from_pylist(rows), folder / f"round-{place:02d}.parquet")
    speed = float(np.median([2 / second for second in seconds]))
    base = {
        "suite": "throughput",
        "protocol": {"preset": "paper", "scope": "E", "mode": "serial", "batch": 2},
        "metrics": {"img_s": speed, "latency_ms_p50": 2000 / speed, "cov": 0.1},
        "records": f"rounds/{model}",
        "n_images": 64,
        "provenance": provenance("none", model),
    }
    return cell(model, **{**base, **changes})


def test_speeds_of_one_run_are_compared_by_the_rounds_that_both_ran(run: Path) -> None:
    marked = {"provenance": provenance(model="sam_vit_h") | {"marks": ["unsteady: batches vary by 9%"]}}
    a = timed(run, "sam_vit_h", [0.5, 1.0, 0.5], **marked)
    b = timed(run, "mobile_sam", [0.1, 0.125, 0.1], provenance=provenance(model="mobile_sam"))
    found = compare_runs(write_run(run, [a, b]))
    speed = row(found, "img_s")
    assert (speed.a, speed.b, speed.difference) == pytest.approx((4, 20, 16))  # 2/0.5 and 2/0.1
    off = np.array([20 - 4, 16 - 2, 20 - 4])
    reach = 4.303 * off.std(ddof=1) / 3**0.5  # Student's t of 2 degrees of freedom, of any table
    assert speed.interval == pytest.approx([16 - reach, 16 + reach])
    assert speed.p == pytest.approx(two_sided(off.mean() / (off.std(ddof=1) / 3**0.5), 2))
    assert speed.protocol == "E, serial, batch 2"
    assert (speed.better, speed.n_images) == (None, 64)
    assert speed.note == "interval and p by 3 rounds that both ran; SAM-ViT-H, eager fp32 is unsteady"
    assert row(found, "latency_ms_p50").difference == pytest.approx(100 - 500)
    assert row(found, "cov").interval is None


def test_speeds_of_two_runs_or_of_other_settings_have_no_interval_or_no_difference(tmp_path: Path) -> None:
    runs = [tmp_path / name for name in ("a", "b", "c")]
    quick = {"preset": "quick", "scope": "E", "mode": "serial", "batch": 2, "measure": "at least 3 batches"}
    large = {"preset": "paper", "scope": "E", "mode": "serial", "batch": 16}
    write_run(runs[0], [timed(runs[0], "box", [0.5, 0.4])])
    write_run(runs[1], [timed(runs[1], "box", [0.5, 0.4]), timed(runs[1], "box", [0.5], protocol=large)])
    write_run(runs[2], [timed(runs[2], "box", [0.5, 0.4], protocol=quick)])
    found = compare_runs(runs[0], runs[1])
    assert row(found, "img_s").interval is None
    assert found.unpaired == ("throughput on coco, E, serial, batch 16: box: only in b, without a partner.",)
    (refused,) = compare_runs(runs[0], runs[2]).refused
    assert refused.reason == "protocols differ. measure: not recorded / at least 3 batches"


@pytest.mark.parametrize(
    ("freedom", "t"), [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (9, 2.262), (10, 2.228), (30, 2.042)]
)
def test_students_p_is_that_of_the_printed_tables(freedom: int, t: float) -> None:
    assert two_sided(t, freedom) == pytest.approx(0.05, abs=5e-5)
    assert two_sided(-t, freedom) == two_sided(t, freedom)
    assert two_sided(0, freedom) == pytest.approx(1)
    assert two_sided(float("inf"), freedom) == 0
    assert FILE.startswith("_")  # readers of folders skip it
