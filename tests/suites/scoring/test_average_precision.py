"""Average precision, judged by the official evaluators, by published numbers and by what must not matter."""

import contextlib
import io
import json
import math
import tracemalloc

import hotcoco
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as official
from toy_annotations import (
    OFFICIAL,
    annotation,
    annotations,
    assert_perfect,
    assert_same,
    columns,
    in_one,
    masks_of,
    numbered,
    perfect,
    results,
    square,
    text,
    with_column,
)

from sambench.suites.data.rle import encode
from sambench.suites.scoring import batches as batching
from sambench.suites.scoring import evaluators
from sambench.suites.scoring.average_precision import evaluate, evaluate_and_match
from sambench.suites.scoring.evaluators import by_hotcoco, by_pycocotools
from sambench.suites.scoring.ground_truth import GroundTruth

# Published numbers and real files


@pytest.mark.parametrize("run", [by_hotcoco, by_pycocotools])
@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
def test_the_numbers_that_coco_published_come_out(data_root, run, iou_type):
    folder = data_root / "cocoapi-oracle"
    published = (folder / "val2014_fake_eval_res.txt").read_text().partition(f"type={iou_type}\n")[2]
    want = [float(line.rpartition("=")[2]) for line in published.splitlines() if line.startswith(" Average")]
    truth = GroundTruth.open(folder / "instances_val2014_100.json")
    found = json.loads((folder / f"instances_val2014_fake{iou_type}100_results.json").read_text())
    assert [round(float(v), 3) for v in run(truth, in_one(truth, found), iou_type).values()] == want[:12]


@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
def test_settling_ties_moves_the_published_numbers_by_little(data_root, iou_type):
    folder = data_root / "cocoapi-oracle"
    want = json.loads((folder / "reproduced_with_pycocotools.json").read_text())["stats"][iou_type]
    truth = GroundTruth.open(folder / "instances_val2014_100.json")
    found = columns(folder / f"instances_val2014_fake{iou_type}100_results.json")
    by = {e: evaluate(truth, found, iou_type=iou_type, evaluator=e) for e in ("hotcoco", "pycocotools")}
    assert_same(by["hotcoco"], by["pycocotools"])
    assert np.abs(np.array(list(by["hotcoco"].values())) - 100 * np.array(want)).max() < 0.1


@pytest.mark.parametrize("evaluator", ["hotcoco", "pycocotools"])
@pytest.mark.parametrize("name", ["vitdet", "yolov8", "groundingdino"])
def test_box_ap_of_the_coco_files_is_as_their_readme_has_it(data_root, coco_mini, name, evaluator):
    quality = json.loads((data_root / "detections/quality.json").read_text())[f"coco-mini/{name}_like"]
    found = columns(data_root / f"detections/synthetic/coco-mini/coco_SYNTHETIC_{name}_like.json")
    assert found.num_rows == quality["n"]
    metrics = evaluate(GroundTruth.open(coco_mini.annotations), found, iou_type="bbox", evaluator=evaluator)
    assert [round(v / 100, 4) for v in list(metrics.values())[:6]] == quality["bbox_AP_AP50_AP75_S_M_L"]


@pytest.mark.parametrize("evaluator", ["hotcoco", "lvis"])
def test_box_ap_of_the_lvis_file_is_as_its_readme_has_it(data_root, lvis_mini, evaluator):
    want = json.loads((data_root / "detections/quality.json").read_text())["lvis-mini/vitdet_like"]["bbox"]
    found = columns(data_root / "detections/synthetic/lvis-mini/lvis_SYNTHETIC_vitdet_like.json")
    metrics = evaluate(
        GroundTruth.open(lvis_mini.annotations, style="lvis"), found, iou_type="bbox", evaluator=evaluator
    )
    values = [-1.0 if v is None else round(v / 100, 4) for v in list(metrics.values())[:9]]
    assert values == list(want.values())
    assert metrics["ap_r"] is None


@pytest.mark.slow
def test_a_real_detector_scores_the_same_by_both_evaluators(data_root, coco_mini):
    truth = GroundTruth.open(coco_mini.annotations)
    found = columns(data_root / "detections/genuine_yolov8n_int8_coco-mini.json")
    by = [evaluate(truth, found, iou_type="bbox", evaluator=e) for e in ("hotcoco", "pycocotools")]
    assert_same(*by)
    assert round(by[0]["ap"] / 100, 3) == 0.400


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lvis_v0.5_val_100_full_annotations_only", "lvis_v1_val"])
def test_lvis_masks_score_the_same_by_both_evaluators(data_root, name):
    truth = GroundTruth.open(data_root / f"lvis-mini/annotations/{name}.json", style="lvis")
    found, rng = perfect(truth), np.random.default_rng(0)
    whole = evaluate(truth, found, iou_type="segm")
    assert_perfect(whole)
    # Half of them, and further masks of their images under the names of other categories
    n = found.num_rows
    half = rng.choice(n, n // 2, replace=False)
    rows = np.concatenate([half, np.arange(n)])
    noisy = found.take(rows)
    given = noisy["category_id"].to_numpy()
    category_ids = np.where(np.arange(len(rows)) < len(half), given, rng.permutation(given))
    both = with_column(noisy, "category_id", category_ids)
    both = with_column(both, "score", rng.random(len(rows)).round(1))
    by = [evaluate(truth, both, iou_type="segm", evaluator=e) for e in ("hotcoco", "lvis")]
    assert_same(*by)
    assert 5 < by[0]["ap"] < 95


def test_results_moved_about_score_the_same_by_both_evaluators_on_coco_mini(coco_mini):
    truth = GroundTruth.open(coco_mini.annotations)
    found, rng = perfect(truth), np.random.default_rng(0)
    moved = [
        encode(np.roll(official.decode(m), rng.integers(-9, 10), axis=1)[None].astype(bool))[0]
        for m in masks_of(found)
    ]
    noisy = with_column(found, "segmentation", [json.dumps(text(m)) for m in moved])
    noisy = with_column(noisy, "score", rng.random(found.num_rows).round(1))
    by = [evaluate(truth, noisy, iou_type="segm", evaluator=e) for e in ("hotcoco", "pycocotools")]
    assert_same(*by)
    assert 5 < by[0]["ap"] < 95


# Random worlds

boxes = st.tuples(*[st.integers(0, 3).map(lambda v: 6 * v)] * 2, *[st.sampled_from([6, 30, 40, 100])] * 2)
ids = st.integers(1, 3)
worlds = st.fixed_dictionaries(
    {
        "truth": st.lists(st.tuples(ids, st.integers(1, 3), st.booleans(), boxes), max_size=8),
        "found": st.lists(st.tuples(ids, ids, st.sampled_from([0.2, 0.5, 0.9]), boxes), max_size=14),
        "negative": st.sets(ids),
        "not_exhaustive": st.sets(ids),
        "frequency": st.lists(st.sampled_from("rcf"), min_size=4, max_size=4),
        "shuffled": st.randoms(use_true_random=False),
    }
)


def built(world, folder, style):
    """Write a random world; category 4 has neither objects nor results."""
    made = [
        annotation(i, box, image=image, category=category, crowd=int(crowd))
        for i, (image, category, crowd, box) in enumerate(world["truth"], start=1)
    ]
    content = annotations(made, images=(3, 1, 2), categories=(1, 2, 3, 4))
    for image in content["images"]:
        image["neg_category_ids"] = sorted(world["negative"])
        image["not_exhaustive_category_ids"] = sorted(world["not_exhaustive"])
    for category, frequency in zip(content["categories"], world["frequency"], strict=True):
        category["frequency"] = frequency
    file = folder / "world.json"
    file.write_text(json.dumps(content))
    return GroundTruth.open(file, style=style)


@pytest.mark.parametrize("iou_type", ["segm", "bbox"])
@pytest.mark.parametrize("style", ["coco", "lvis"])
@settings(max_examples=60)
@given(worlds)
def test_random_worlds_score_the_same_by_both_evaluators_in_any_order(
    tmp_path_factory, style, iou_type, world
):
    truth = built(world, tmp_path_factory.mktemp("world"), style)
    found = results(world["found"])
    first = evaluate(truth, found, iou_type=iou_type)
    assert_same(first, evaluate(truth, found, iou_type=iou_type, evaluator=OFFICIAL[style]))
    order = list(range(found.num_rows))
    world["shuffled"].shuffle(order)
    for evaluator in ("hotcoco", OFFICIAL[style]):
        again = evaluate(
            truth, found.take(pa.array(order, pa.int64())), iou_type=iou_type, evaluator=evaluator
        )
        same = evaluate(truth, found, iou_type=iou_type, evaluator=evaluator)
        assert again == same  # to the last digit
    assert all(v is None or (0 <= v <= 100 + 1e-9 and math.isfinite(v)) for v in first.values())


# Batches


def whole(truth, found, iou_type, folder):
    """All at once by hotcoco, from files: metrics as the library has them."""
    (folder / "truth.json").write_bytes(truth.content)
    region = "segmentation" if iou_type == "segm" else "bbox"
    rows = found.sort_by([("image_id", "ascending"), ("score", "descending"), ("category_id", "ascending")])
    records = rows.select(["image_id", "category_id", "score", region]).to_pylist()
    if iou_type == "segm":
        records = [r | {region: json.loads(r[region])} for r in records]
    records = numbered(truth, records)
    nothing = {"bbox": [-9.0, -9.0, 1.0, 1.0]} if iou_type == "bbox" else {"segmentation": empty(truth)}
    miss = [{"image_id": 1, "category_id": 1, "score": 0.0} | nothing]
    lvis = truth.style == "lvis"
    with contextlib.redirect_stdout(io.StringIO()):
        annotations = hotcoco.COCO(folder / "truth.json")
        given = records or miss
        taken = hotcoco.LVISResults(annotations, given, 300) if lvis else annotations.load_res(given)
        job = hotcoco.COCOeval(annotations, taken, iou_type, lvis_style=lvis)
        job.run()
    return {k: None if v < 0 else 100 * v for k, v in job.get_results().items()}


def empty(truth):
    return text(encode(np.zeros((1, *truth.sizes[min(truth.sizes)]), bool))[0])


def assert_as_whole(truth, found, iou_type, folder):
    """In batches as all at once, to the last digit; and what is made of the batches' own matches."""
    metrics = whole(truth, found, iou_type, folder)
    ours, evidence = evaluate_and_match(truth, found, iou_type=iou_type)
    names = {ours: theirs for theirs, ours in evaluators.LVIS_STATS.items() if theirs in metrics}
    assert {names[k]: v for k, v in ours.items() if k in names} == {k: metrics[k] for k in names.values()}
    assert_same(evidence.numbers(), {name: ours[name] for name in evidence.names})
    return ours


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(batching, "RESULTS_AT_ONCE", 7)
    monkeypatch.setattr(batching, "IMAGES_AT_ONCE", 3)


@pytest.mark.parametrize("iou_type", ["segm", "bbox"])
@pytest.mark.parametrize("files", ["coco", "lvis"])
def test_batches_score_as_all_at_once_to_the_last_digit(files, iou_type, request, tmp_path, small_batches):
    truth = GroundTruth.open(request.getfixturevalue(f"{files}_mini").annotations, style=files)
    found, rng = perfect(truth), np.random.default_rng(0)
    found = found.take(rng.permutation(np.tile(np.arange(found.num_rows), 2)))  # with others' masks of it
    boxes = [official.toBbox(m).tolist() for m in masks_of(found)]
    found = found.append_column("bbox", pa.array(boxes, pa.list_(pa.float64(), 4)))
    owners = found["category_id"].to_numpy()
    strange = rng.random(len(owners)) < 0.2
    found = with_column(found, "category_id", np.where(strange, rng.permutation(owners), owners))
    found = with_column(found, "score", rng.random(len(owners)))
    ours = assert_as_whole(truth, found, iou_type, tmp_path)
    assert 5 < ours["ap"] < 95


@pytest.mark.parametrize("iou_type", ["segm", "bbox"])
@pytest.mark.parametrize("style", ["coco", "lvis"])
@settings(max_examples=40)
@given(worlds)
def test_random_worlds_score_in_batches_as_all_at_once(tmp_path_factory, style, iou_type, world):
    folder = tmp_path_factory.mktemp("batches")
    truth, found = built(world, folder, style), results(world["found"])
    scores = np.random.default_rng(len(world["found"])).permutation(found.num_rows) / 20  # no ties
    found = with_column(found, "score", scores)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batching, "RESULTS_AT_ONCE", 2)
        patch.setattr(batching, "IMAGES_AT_ONCE", 1)
        assert_as_whole(truth, found, iou_type, folder)


def test_many_results_are_never_all_dictionaries(tmp_path):
    n, images = 60_000, 300
    file = tmp_path / "a.json"
    file.write_text(json.dumps(annotations([annotation(1, (0, 0, 9, 9))], images=range(1, images + 1))))
    truth, mask = GroundTruth.open(file), json.dumps(text(square(0, 0, 9, 9)))
    found = pa.table(
        {
            "image_id": np.arange(n) // (n // images) + 1,
            "category_id": np.ones(n, np.int64),
            "score": np.random.default_rng(0).random(n),
            "segmentation": pa.array([mask], pa.string()).take(pa.array(np.zeros(n, np.int64))),
        }
    )
    tracemalloc.start()
    evaluate_and_match(truth, found, iou_type="segm")
    _, peak = tracemalloc.get_traced_memory()  # of Python and numpy; Arrow's and hotcoco's own is not in it
    tracemalloc.stop()
    assert peak < n * 500  # a result's dictionary alone, with those of its mask, is 800 bytes


def test_a_batch_has_few_results_and_every_image_is_in_one(small_batches, coco_mini):
    truth = GroundTruth.open(coco_mini.annotations)
    found = perfect(truth)
    each = list(batching.batches(truth, found, "segm"))
    assert [i for batch in each for i in batch.images] == list(range(1, 1 + len(truth.sizes)))
    assert sum(len(batch.results) for batch in each) == found.num_rows
    for batch in each:
        assert len(batch.images) <= 3
        assert len(batch.results) <= 7 or len(batch.images) == 1
        assert {r["image_id"] for r in batch.results} <= set(batch.images)
