"""Average precision, judged by the official evaluators, by published numbers and by what must not matter."""

import dataclasses
import json
import logging
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as official

from evsam.errors import SambenchError
from suites.ap_evaluators import by_hotcoco, by_pycocotools, lvis_at_work
from suites.average_precision import Results, Truth, evaluate, used_evaluator
from suites.rle import encode

SIZE = 120  # the side of toy images; masks of all three sizes fit
OFFICIAL = {"coco": "pycocotools", "lvis": "lvis"}
AREAS = {"ap_small": 20, "ap_medium": 60, "ap_large": 110}  # the side of a square of that size


def square(x, y, width, height):
    mask = np.zeros((1, SIZE, SIZE), bool)
    mask[0, y : y + height, x : x + width] = True
    return encode(mask)[0]


def text(rle):
    return {"size": rle["size"], "counts": rle["counts"].decode()}


def annotation(i, box, *, image=1, category=1, crowd=0):
    return {
        "id": i,
        "image_id": image,
        "category_id": category,
        "bbox": list(box),
        "area": float(box[2] * box[3]),
        "iscrowd": crowd,
        "segmentation": text(square(*box)),
    }


def annotations(made, *, images=(1,), categories=(1,), frequency="f"):
    """The content of an annotation file that is COCO's and LVIS's at once."""
    return {
        "info": {"year": "2023"},  # a string, as Roboflow writes it
        "images": [
            {
                "id": i,
                "height": SIZE,
                "width": SIZE,
                "neg_category_ids": [],
                "not_exhaustive_category_ids": [],
            }
            for i in images
        ],
        "annotations": made,
        "categories": [{"id": c, "name": f"thing {c}", "frequency": frequency} for c in categories],
    }


def results(rows):
    """Results of (image, category, score, box), the mask being the box filled."""
    image, category, score, box = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Results(
        np.array(image, np.int64),
        np.array(category, np.int64),
        np.array(score, np.float64),
        [square(*b) for b in box],
        np.array(box, np.float64).reshape(-1, 4),
    )


def taken(found, order):
    return Results(
        found.image_ids[order],
        found.category_ids[order],
        found.scores[order],
        [found.masks[i] for i in order] if found.masks is not None else None,
        found.boxes[order] if found.boxes is not None else None,
    )


@pytest.fixture
def toy(tmp_path):
    """Write annotations, get the truth."""

    def make(content, **choices):
        file = tmp_path / "toy.json"
        file.write_text(json.dumps(content))
        return Truth(file, **choices)

    return make


def columns(file):
    """Read a result file of masks or boxes."""
    loaded = json.loads(file.read_text())
    masks = [r["segmentation"] for r in loaded] if "segmentation" in loaded[0] else None
    boxes = np.array([r["bbox"] for r in loaded], np.float64) if "bbox" in loaded[0] else None
    image, category, score = (np.array([r[k] for r in loaded]) for k in ("image_id", "category_id", "score"))
    return Results(image, category, score, masks, boxes)


def perfect(truth):
    """The annotations themselves as results of the score 1, crowds too."""
    content = json.loads(truth.content)
    masks = []
    for a in content["annotations"]:
        encoded = official.frPyObjects(a["segmentation"], *truth.sizes[a["image_id"]])
        masks.append(official.merge(encoded) if isinstance(encoded, list) else encoded)
    image, category = (np.array([a[k] for a in content["annotations"]]) for k in ("image_id", "category_id"))
    return Results(image, category, np.ones(len(image)), masks)


def assert_perfect(metrics):
    values = [v for v in metrics.values() if v is not None]
    assert values == pytest.approx([100] * len(values))


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert (value is None) == (other[name] is None), name
        assert value is None or abs(value - other[name]) < 1e-6, name


# Published numbers and real files


@pytest.mark.parametrize("run", [by_hotcoco, by_pycocotools])
@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
def test_the_numbers_that_coco_published_come_out(data_root, run, iou_type):
    folder = data_root / "cocoapi-oracle"
    published = (folder / "val2014_fake_eval_res.txt").read_text().partition(f"type={iou_type}\n")[2]
    want = [float(line.rpartition("=")[2]) for line in published.splitlines() if line.startswith(" Average")]
    truth = Truth(folder / "instances_val2014_100.json")
    found = json.loads((folder / f"instances_val2014_fake{iou_type}100_results.json").read_text())
    assert [round(float(v), 3) for v in run(truth, found, iou_type).values()] == want[:12]


@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
def test_settling_ties_moves_the_published_numbers_by_little(data_root, iou_type):
    folder = data_root / "cocoapi-oracle"
    want = json.loads((folder / "reproduced_with_pycocotools.json").read_text())["stats"][iou_type]
    truth = Truth(folder / "instances_val2014_100.json")
    found = columns(folder / f"instances_val2014_fake{iou_type}100_results.json")
    by = {e: evaluate(truth, found, iou_type=iou_type, evaluator=e) for e in ("hotcoco", "pycocotools")}
    assert_same(by["hotcoco"], by["pycocotools"])
    assert np.abs(np.array(list(by["hotcoco"].values())) - 100 * np.array(want)).max() < 0.1


@pytest.mark.parametrize("evaluator", ["hotcoco", "pycocotools"])
@pytest.mark.parametrize("name", ["vitdet", "yolov8", "groundingdino"])
def test_box_ap_of_the_coco_files_is_as_their_readme_has_it(data_root, coco_mini, name, evaluator):
    quality = json.loads((data_root / "detections/quality.json").read_text())[f"coco-mini/{name}_like"]
    found = columns(data_root / f"detections/synthetic/coco-mini/coco_SYNTHETIC_{name}_like.json")
    assert len(found) == quality["n"]
    metrics = evaluate(Truth(coco_mini.annotations), found, iou_type="bbox", evaluator=evaluator)
    assert [round(v / 100, 4) for v in list(metrics.values())[:6]] == quality["bbox_AP_AP50_AP75_S_M_L"]


@pytest.mark.parametrize("evaluator", ["hotcoco", "lvis"])
def test_box_ap_of_the_lvis_file_is_as_its_readme_has_it(data_root, lvis_mini, evaluator):
    want = json.loads((data_root / "detections/quality.json").read_text())["lvis-mini/vitdet_like"]["bbox"]
    found = columns(data_root / "detections/synthetic/lvis-mini/lvis_SYNTHETIC_vitdet_like.json")
    metrics = evaluate(
        Truth(lvis_mini.annotations, style="lvis"), found, iou_type="bbox", evaluator=evaluator
    )
    values = [-1.0 if v is None else round(v / 100, 4) for v in list(metrics.values())[:9]]
    assert values == list(want.values())
    assert metrics["ap_r"] is None


def test_a_real_detector_scores_the_same_by_both_evaluators(data_root, coco_mini):
    truth = Truth(coco_mini.annotations)
    found = columns(data_root / "detections/genuine_yolov8n_int8_coco-mini.json")
    by = [evaluate(truth, found, iou_type="bbox", evaluator=e) for e in ("hotcoco", "pycocotools")]
    assert_same(*by)
    assert round(by[0]["ap"] / 100, 3) == 0.400


@pytest.mark.parametrize("name", ["lvis_v0.5_val_100_full_annotations_only", "lvis_v1_val"])
def test_lvis_masks_score_the_same_by_both_evaluators(data_root, name):
    truth = Truth(data_root / f"lvis-mini/annotations/{name}.json", style="lvis")
    found, rng = perfect(truth), np.random.default_rng(0)
    whole = evaluate(truth, found, iou_type="segm")
    assert_perfect(whole)
    # Half of them, and further masks of their images under the names of other categories
    half = rng.choice(len(found), len(found) // 2, replace=False)
    rows = np.concatenate([half, np.arange(len(found))])
    noisy = taken(found, rows)
    category_ids = np.where(
        np.arange(len(rows)) < len(half), noisy.category_ids, rng.permutation(noisy.category_ids)
    )
    both = Results(noisy.image_ids, category_ids, rng.random(len(rows)).round(1), noisy.masks)
    by = [evaluate(truth, both, iou_type="segm", evaluator=e) for e in ("hotcoco", "lvis")]
    assert_same(*by)
    assert 5 < by[0]["ap"] < 95


def test_results_moved_about_score_the_same_by_both_evaluators_on_coco_mini(coco_mini):
    truth = Truth(coco_mini.annotations)
    found, rng = perfect(truth), np.random.default_rng(0)
    moved = [
        encode(np.roll(official.decode(m), rng.integers(-9, 10), axis=1)[None].astype(bool))[0]
        for m in found.masks
    ]
    noisy = Results(found.image_ids, found.category_ids, rng.random(len(found)).round(1), moved)
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
    return Truth(file, style=style)


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
    order = list(range(len(found)))
    world["shuffled"].shuffle(order)
    for evaluator in ("hotcoco", OFFICIAL[style]):
        again = evaluate(truth, taken(found, order), iou_type=iou_type, evaluator=evaluator)
        same = evaluate(truth, found, iou_type=iou_type, evaluator=evaluator)
        assert again == same  # to the last digit
    assert all(v is None or (0 <= v <= 100 + 1e-9 and math.isfinite(v)) for v in first.values())


def test_without_settled_ties_the_order_of_results_would_matter(toy):
    truth = toy(annotations([annotation(1, (0, 0, 40, 40))]))
    rows = [(1, 1, 0.5, (0, 0, 40, 40)), (1, 1, 0.5, (60, 60, 40, 40))]
    unsettled = []
    for order in (rows, rows[::-1]):
        records = [
            {"image_id": i, "category_id": c, "score": s, "segmentation": square(*b)} for i, c, s, b in order
        ]
        unsettled.append(by_hotcoco(truth, records, "segm")["ap"])
    assert sorted(unsettled) == pytest.approx([0.5, 1.0])
    assert evaluate(truth, results(rows), iou_type="segm") == evaluate(
        truth, results(rows[::-1]), iou_type="segm"
    )


# The rules of the two styles


@pytest.mark.parametrize("evaluator", ["hotcoco", "pycocotools"])
def test_a_box_beside_a_mask_does_not_decide_its_size_bin(toy, evaluator):
    diagonal, stray = np.zeros((2, SIZE, SIZE), bool)
    np.fill_diagonal(diagonal[:60, :60], True)  # 60 pixels, small, in a box of medium size
    np.fill_diagonal(stray[60:100, 60:100], True)
    right, miss = encode(np.stack([diagonal, stray]))
    content = annotations([annotation(1, (0, 0, 60, 60)) | {"area": 60.0, "segmentation": text(right)}])
    found = Results(
        *(np.array(v) for v in ([1, 1], [1, 1], [0.8, 0.9])),
        [right, miss],
        np.array([[0.0, 0, 60, 60], [60, 60, 40, 40]]),
    )
    truth = toy(content)
    assert evaluate(truth, found, iou_type="segm", evaluator=evaluator)["ap_small"] == pytest.approx(50)
    leaking = [
        {"image_id": 1, "category_id": 1, "score": s, "segmentation": m, "bbox": b}
        for s, m, b in zip(found.scores.tolist(), found.masks, found.boxes.tolist(), strict=True)
    ]
    run = {"hotcoco": by_hotcoco, "pycocotools": by_pycocotools}[evaluator]
    assert run(truth, leaking, "segm")["ap_small"] == pytest.approx(1)  # the miss has left the bin


@pytest.mark.parametrize("evaluator", ["hotcoco", "pycocotools"])
def test_a_crowd_neither_rewards_nor_punishes(toy, evaluator):
    crowd = annotation(2, (50, 50, 60, 60), crowd=1)
    rows = [(1, 1, 0.9, (60, 60, 10, 10)), (1, 1, 0.8, (80, 80, 10, 10)), (1, 1, 0.7, (0, 0, 40, 40))]
    with_crowd = toy(annotations([annotation(1, (0, 0, 40, 40)), crowd]))
    assert evaluate(with_crowd, results(rows), iou_type="segm", evaluator=evaluator)["ap"] == pytest.approx(
        100
    )
    without = toy(annotations([annotation(1, (0, 0, 40, 40))]))
    assert evaluate(without, results(rows), iou_type="segm", evaluator=evaluator)["ap"] < 50


@pytest.mark.parametrize("evaluator", ["hotcoco", "pycocotools", "lvis"])
def test_coco_takes_a_hundred_results_a_category_and_lvis_three_hundred_an_image(toy, evaluator):
    style = "lvis" if evaluator == "lvis" else "coco"
    box, miss = (0, 0, 40, 40), (60, 60, 20, 20)
    truth = toy(annotations([annotation(1, box)], categories=(1, 2)), style=style)
    found = {
        "100th of its category": [(1, 1, 0.9, miss)] * 99 + [(1, 1, 0.1, box)],
        "101st of its category": [(1, 1, 0.9, miss)] * 100 + [(1, 1, 0.1, box)],
        "300th of the image": [(1, 2, 0.9, miss)] * 299 + [(1, 1, 0.1, box)],
        "301st of the image": [(1, 2, 0.9, miss)] * 300 + [(1, 1, 0.1, box)],
    }
    seen = {
        name: evaluate(truth, results(rows), iou_type="bbox", evaluator=evaluator)["ap"] > 0
        for name, rows in found.items()
    }
    assert list(seen.values()) == (
        [True, True, True, False] if style == "lvis" else [True, False, True, True]
    )
    if style == "lvis":
        by_default = [evaluate(truth, results(rows), iou_type="bbox")["ap"] > 0 for rows in found.values()]
        assert by_default == list(seen.values())


@pytest.mark.parametrize("evaluator", ["hotcoco", "lvis"])
def test_lvis_punishes_only_where_it_knows_better(toy, evaluator):
    content = annotations([annotation(1, (0, 0, 40, 40))], images=(1, 2))
    rows = results([(2, 1, 0.9, (0, 0, 40, 40)), (1, 1, 0.8, (0, 0, 40, 40))])

    def ap(**field):
        content["images"][1] |= {"neg_category_ids": [], "not_exhaustive_category_ids": []} | field
        return evaluate(toy(content, style="lvis"), rows, iou_type="segm", evaluator=evaluator)["ap"]

    assert ap() == pytest.approx(100)  # image 2 was never searched for the category
    assert ap(neg_category_ids=[1]) == pytest.approx(50)
    assert ap(neg_category_ids=[1], not_exhaustive_category_ids=[1]) == pytest.approx(100)


@pytest.mark.parametrize("evaluator", ["hotcoco", "lvis"])
def test_lvis_does_not_look_at_iscrowd(toy, evaluator):
    truth = toy(annotations([annotation(1, (0, 0, 40, 40), crowd=1)]), style="lvis")
    found = results([(1, 1, 0.8, (0, 0, 40, 40))])
    assert evaluate(truth, found, iou_type="segm", evaluator=evaluator)["ap"] == pytest.approx(100)


@pytest.mark.parametrize(
    ("style", "evaluator"), [(s, e) for s, o in OFFICIAL.items() for e in ("hotcoco", o)]
)
@pytest.mark.parametrize("iou_type", ["segm", "bbox"])
class TestNothing:
    """Nothing to average is None, nothing found is zero."""

    def test_a_category_or_size_without_objects_is_no_number(self, toy, style, evaluator, iou_type):
        truth = toy(annotations([annotation(1, (0, 0, 20, 20))], categories=(1, 2)), style=style)
        found = results([(1, 1, 0.9, (0, 0, 20, 20)), (1, 2, 0.9, (0, 0, 20, 20))])
        metrics = evaluate(truth, found, iou_type=iou_type, evaluator=evaluator)
        assert {k for k, v in metrics.items() if v is None} == {
            *("ap_medium", "ap_large", "ar_medium", "ar_large"),
            *(("ap_r", "ap_c") if style == "lvis" else ()),
        }
        assert_perfect(metrics)

    def test_no_results_score_zero(self, toy, style, evaluator, iou_type):
        truth = toy(annotations([annotation(1, (0, 0, 20, 20))]), style=style)
        metrics = evaluate(truth, results([]), iou_type=iou_type, evaluator=evaluator)
        assert (metrics["ap"], metrics["ap_small"], metrics["ap_large"]) == (0, 0, None)

    def test_no_annotations_give_no_numbers(self, toy, style, evaluator, iou_type):
        for content in (annotations([]), annotations([], images=()), annotations([], categories=())):
            metrics = evaluate(toy(content, style=style), results([]), iou_type=iou_type, evaluator=evaluator)
            assert set(metrics.values()) == {None}
            assert "ap" in metrics


# Choices


SGINW = {"Elephants": 0.2525, "Cows": 0.8109, "Fruits": 0.9343, "HouseHold-Items": 0.8977}


@pytest.mark.parametrize(("name", "quirky"), SGINW.items())
def test_an_annotation_of_id_zero_is_unmatchable_as_given_and_ordinary_from_one(data_root, name, quirky):
    file = data_root / "sginw-mini/seginw" / name / "valid/_annotations_min1cat.coco.json"
    as_given, from_one = Truth(file), Truth(file, ids="from_one")
    found = perfect(as_given)  # in the order of the file, best first: where the one miss stands matters
    found = dataclasses.replace(found, scores=np.linspace(1, 0.5, len(found)))
    for evaluator in ("hotcoco", "pycocotools"):
        ap = evaluate(as_given, found, iou_type="segm", evaluator=evaluator)["ap"]
        assert round(ap / 100, 4) == quirky
        ap = evaluate(from_one, found, iou_type="segm", evaluator=evaluator)["ap"]
        assert ap == pytest.approx(100)
    assert used_evaluator(as_given, "hotcoco") == "pycocotools"
    assert used_evaluator(from_one, "hotcoco") == "hotcoco"


def test_lvis_has_the_quirk_too(toy):
    content = annotations([annotation(0, (0, 0, 40, 40)), annotation(1, (60, 60, 40, 40))])
    found = results([(1, 1, 0.9, (0, 0, 40, 40)), (1, 1, 0.8, (60, 60, 40, 40))])
    truth = toy(content, style="lvis")
    assert used_evaluator(truth, "hotcoco") == "lvis"
    by = [evaluate(truth, found, iou_type="segm", evaluator=e) for e in ("hotcoco", "lvis")]
    assert by[0] == by[1]
    assert by[0]["ap"] < 60
    truth = toy(content, style="lvis", ids="from_one")
    assert evaluate(truth, found, iou_type="segm")["ap"] == pytest.approx(100)


@pytest.mark.parametrize("evaluator", ["hotcoco", "pycocotools"])
def test_only_the_images_asked_for_count(toy, evaluator):
    content = annotations([annotation(i, (0, 0, 40, 40), image=i) for i in (1, 2, 3)], images=(1, 2, 3))
    found = results([(1, 1, 0.9, (0, 0, 40, 40)), (2, 1, 0.8, (60, 60, 40, 40))])

    def ap(image_ids):
        return evaluate(toy(content, image_ids=image_ids), found, iou_type="segm", evaluator=evaluator)["ap"]

    assert ap([1]) == pytest.approx(100)
    assert ap([2]) == ap([3]) == 0
    assert ap([1, 2, 3]) == ap(None)
    assert 0 < ap(None) < 100
    assert ap([]) is None


def test_a_truth_serves_many_evaluations(toy):
    truth = toy(annotations([annotation(1, (0, 0, 40, 40)), annotation(2, (10, 0, 40, 40))]))
    found = results([(1, 1, 0.9, (1, 0, 40, 40)), (1, 1, 0.8, (60, 60, 40, 40))])
    runs = [(kind, e) for kind in ("segm", "bbox") for e in ("hotcoco", "pycocotools")]
    first = [evaluate(truth, found, iou_type=kind, evaluator=e) for kind, e in runs]
    assert [evaluate(truth, found, iou_type=kind, evaluator=e) for kind, e in runs] == first
    assert truth.hotcoco is truth.hotcoco


def test_the_libraries_are_silent_and_leave_no_trace(toy, capfd, caplog, recwarn):
    root = logging.getLogger()
    before = (list(root.handlers), root.level, vars(np).get("float"))
    found = results([(1, 1, 0.9, (0, 0, 40, 40))])
    content = annotations([annotation(1, (0, 0, 40, 40))])
    truths = {style: toy(content, style=style) for style in OFFICIAL}
    recwarn.clear()
    for style, official_one in OFFICIAL.items():
        for evaluator in ("hotcoco", official_one):
            evaluate(truths[style], found, iou_type="segm", evaluator=evaluator)
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []
    assert [str(w.message) for w in recwarn] == []
    assert (list(root.handlers), root.level, vars(np).get("float")) == before


def test_what_lvis_needs_of_numpy_is_there_while_it_runs_and_gone_after_a_failure():
    seen = []

    def fail():
        with lvis_at_work():
            seen.append(np.float)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert seen == [float]
    assert "float" not in vars(np)


# Refusals


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ((9, 1, 0.5, (0, 0, 9, 9)), "image 9 is not in"),
        ((1, 9, 0.5, (0, 0, 9, 9)), "category 9 is not in"),
        ((1, 1, float("nan"), (0, 0, 9, 9)), "score of result 1 .image 1. is nan"),
        ((1, 1, float("inf"), (0, 0, 9, 9)), "is inf. Scores must be finite"),
    ],
)
def test_results_that_do_not_belong_are_refused(toy, row, says):
    truth = toy(annotations([annotation(1, (0, 0, 40, 40))]))
    with pytest.raises(SambenchError, match=says):
        evaluate(truth, results([(1, 1, 0.9, (0, 0, 40, 40)), row]), iou_type="segm")


def test_a_mask_of_another_size_is_refused(toy):
    truth = toy(annotations([annotation(1, (0, 0, 40, 40))]))
    small = encode(np.ones((1, 60, 60), bool))
    found = Results(np.array([1]), np.array([1]), np.array([0.5]), small)
    with pytest.raises(SambenchError, match=r"is of size \[60, 60\], the image of \[120, 120\]"):
        evaluate(truth, found, iou_type="segm")


@pytest.mark.parametrize(
    ("style", "evaluator"), [("coco", "lvis"), ("lvis", "pycocotools"), ("coco", "faster")]
)
def test_an_evaluator_of_another_style_is_refused(toy, style, evaluator):
    with pytest.raises(SambenchError, match=f"'{evaluator}' does not evaluate in {style} style"):
        evaluate(toy(annotations([]), style=style), results([]), iou_type="segm", evaluator=evaluator)


def broken(**changes):
    content = annotations([annotation(1, (0, 0, 40, 40))]) | {"extra": 1}
    for key, change in changes.items():
        content[key] = change(content[key])
    return content


@pytest.mark.parametrize(
    ("content", "choices", "says"),
    [
        (broken(images=lambda v: v * 2), {}, "image id 1 is there twice"),
        (broken(annotations=lambda v: v * 2), {}, "annotation id 1 is there twice"),
        (broken(categories=lambda v: v * 2), {}, "category id 1 is there twice"),
        (broken(images=lambda v: []), {}, "annotation 1 belongs to image 1, which"),
        (broken(images=lambda v: [{"id": 1}]), {}, "missing required field `height`"),
        (broken(images=lambda v: [{"id": 1, "height": 9, "width": 9}]), {"style": "lvis"}, "not LVIS annot"),
        (broken(categories=lambda v: [{"id": 1, "name": "x"}]), {"style": "lvis"}, "or a category its freq"),
        (broken(annotations=lambda v: [{"id": 1}]), {}, "not annotations to evaluate against"),
        ([], {}, "not annotations to evaluate against"),
        (broken(), {"image_ids": [1, 5]}, "lists no image 5"),
        (broken(), {"style": "voc"}, "style 'voc'"),
        (broken(), {"ids": "zero"}, "ids 'zero'"),
    ],
)
def test_annotations_that_would_be_counted_wrong_are_refused(toy, content, choices, says):
    with pytest.raises(SambenchError, match=says):
        toy(content, **choices)


@pytest.mark.parametrize(
    "segmentation",
    [
        *([], [[]], [[1, 2, 3, 4]], [[1, 2, 3, 4, 5, 6, 7]], [[0, 0, 1e12, 0, 1e12, 1e12]], [["1"] * 6]),
        *(None, "abc", 5, {"size": [9, 9], "counts": [81]}, {"size": [SIZE, SIZE], "counts": "zzz!"}),
        *({"size": [SIZE, SIZE], "counts": [5, 5]}, {"counts": "1"}),
    ],
    ids=str,
)
def test_a_damaged_mask_is_refused_and_its_annotation_named(toy, segmentation):
    made = annotation(77, (0, 0, 40, 40)) | {"segmentation": segmentation}
    with pytest.raises(SambenchError, match=r"toy\.json: annotation 77: its segmentation "):
        toy(annotations([made]))


@pytest.mark.parametrize("evaluator", ["hotcoco", "pycocotools"])
@pytest.mark.parametrize("kind", ["polygon", "runs", "compressed"])
def test_all_three_encodings_of_a_mask_are_the_same_object(toy, kind, evaluator):
    box = (20, 30, 40, 50)
    corners = [20, 30, 60, 30, 60, 80, 20, 80]
    runs = [20 * SIZE + 30, 50, *[SIZE - 50, 50] * 39, SIZE - 80 + SIZE * (SIZE - 60)]
    forms = {"polygon": [corners], "runs": {"size": [SIZE, SIZE], "counts": runs}}
    made = annotation(1, box)
    made["segmentation"] = forms.get(kind, made["segmentation"])
    metrics = evaluate(
        toy(annotations([made])), results([(1, 1, 0.5, box)]), iou_type="segm", evaluator=evaluator
    )
    assert metrics["ap"] == pytest.approx(100)


def test_annotations_with_an_id_twice_can_be_numbered_anew(toy):
    content = broken(annotations=lambda v: [*v, v[0] | {"bbox": [60, 60, 40, 40]}])
    found = results([(1, 1, 0.9, (0, 0, 40, 40)), (1, 1, 0.8, (60, 60, 40, 40))])
    assert evaluate(toy(content, ids="from_one"), found, iou_type="bbox")["ap"] == pytest.approx(100)


@pytest.mark.parametrize("content", [b"", b"{", b'{"images": [', b"\xff\xfe"])
def test_a_damaged_annotation_file_is_refused(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(SambenchError, match="not valid JSON"):
        Truth(tmp_path / "a.json")
    with pytest.raises(SambenchError, match="no such annotation file"):
        Truth(tmp_path / "b.json")
