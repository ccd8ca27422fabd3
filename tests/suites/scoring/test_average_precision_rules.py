"""Rules and choices of average precision, in worlds small enough to count by hand; and what is refused."""

import hashlib
import json
import logging

import numpy as np
import pytest
from toy_annotations import (
    OFFICIAL,
    SIZE,
    annotation,
    annotations,
    as_table,
    assert_perfect,
    in_one,
    perfect,
    results,
    square,
    text,
    with_column,
)

from sambench.evsam.errors import SambenchError
from sambench.suites.data.rle import encode
from sambench.suites.scoring.average_precision import (
    caveat,
    evaluate,
    used_evaluator,
)
from sambench.suites.scoring.evaluators import by_hotcoco, by_pycocotools, lvis_at_work
from sambench.suites.scoring.ground_truth import GroundTruth, read_whole


@pytest.fixture
def toy(tmp_path):
    """Write annotations, get the truth."""

    def make(content, **choices):
        file = tmp_path / "toy.json"
        file.write_text(json.dumps(content))
        return GroundTruth.open(file, **choices)

    return make


def test_without_settled_ties_the_order_of_results_would_matter(toy):
    truth = toy(annotations([annotation(1, (0, 0, 40, 40))]))
    rows = [(1, 1, 0.5, (0, 0, 40, 40)), (1, 1, 0.5, (60, 60, 40, 40))]
    unsettled = []
    for order in (rows, rows[::-1]):
        records = [
            {"image_id": i, "category_id": c, "score": s, "segmentation": square(*b)} for i, c, s, b in order
        ]
        unsettled.append(by_hotcoco(truth, in_one(truth, records), "segm")["ap"])
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
    boxes = [[0.0, 0, 60, 60], [60, 60, 40, 40]]
    found = as_table([1, 1], [1, 1], [0.8, 0.9], [right, miss], boxes)
    truth = toy(content)
    assert evaluate(truth, found, iou_type="segm", evaluator=evaluator)["ap_small"] == pytest.approx(50)
    leaking = [row | {"segmentation": json.loads(row["segmentation"])} for row in found.to_pylist()]
    run = {"hotcoco": by_hotcoco, "pycocotools": by_pycocotools}[evaluator]
    assert run(truth, in_one(truth, leaking), "segm")["ap_small"] == pytest.approx(
        1
    )  # the miss has left the bin


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
    as_given, from_one = GroundTruth.open(file), GroundTruth.open(file, ids="from_one")
    found = perfect(as_given)  # in the order of the file, best first: where the one miss stands matters
    found = with_column(found, "score", np.linspace(1, 0.5, found.num_rows))
    for evaluator in ("hotcoco", "pycocotools"):
        ap = evaluate(as_given, found, iou_type="segm", evaluator=evaluator)["ap"]
        assert round(ap / 100, 4) == quirky
        ap = evaluate(from_one, found, iou_type="segm", evaluator=evaluator)["ap"]
        assert ap == pytest.approx(100)
    assert used_evaluator(as_given, "hotcoco") == "pycocotools"
    assert used_evaluator(from_one, "hotcoco") == "hotcoco"


def test_who_computed_and_why_is_said(toy):
    content = annotations([annotation(i, (0, 0, 40, 40), image=1 + i) for i in (0, 1)], images=(1, 2))
    as_given = toy(content)
    said = caveat(as_given, "hotcoco")
    assert "toy.json has an annotation of the id 0" in said
    assert "computed by pycocotools" in said
    assert caveat(as_given.numbered("from_one"), "hotcoco") is None


def test_annotations_that_were_read_once_serve_both_ways_of_numbering(toy):
    content = annotations([annotation(0, (0, 0, 40, 40)), annotation(7, (60, 60, 40, 40))])
    as_given = toy(content)
    from_one = as_given.numbered("from_one")
    for truth, ids in ((as_given, [0, 2]), (from_one, [1, 2]), (from_one.numbered("as_given"), [0, 2])):
        assert [a["id"] for a in json.loads(truth.content)["annotations"]] == ids
        assert truth.quirk == (0 in ids)


def test_annotations_of_a_category_that_is_not_listed_are_passed_over(toy):
    content = annotations([annotation(1, (0, 0, 40, 40)), annotation(2, (60, 60, 40, 40), category=9)])
    found = results([(1, 1, 0.9, (0, 0, 40, 40))])
    for evaluator in ("hotcoco", "pycocotools"):
        metrics = evaluate(toy(content), found, iou_type="segm", evaluator=evaluator)
        assert metrics["ap"] == pytest.approx(100)


def test_annotations_that_changed_since_the_plan_are_refused(toy):
    content = annotations([annotation(1, (0, 0, 40, 40))])
    planned = toy(content)
    assert planned.sha256 == hashlib.sha256(planned.path.read_bytes()).hexdigest()
    assert read_whole(planned.path, planned.sha256).sha256 == planned.sha256
    toy(annotations([annotation(1, (0, 0, 40, 41))]))
    with pytest.raises(SambenchError, match=r"toy\.json: changed since this run was planned"):
        read_whole(planned.path, planned.sha256)


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
    found = as_table([1], [1], [0.5], small)
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
        (broken(images=lambda v: v * 2), {}, r"(?s)an image id is there twice.*image 1 "),
        (broken(annotations=lambda v: v * 2), {}, r"(?s)an annotation id is there twice.*annotation 1 "),
        (broken(categories=lambda v: v * 2), {}, r"(?s)a category id is there twice.*category 1 "),
        (broken(images=lambda v: []), {}, "annotation 1: image_id is 1"),
        (broken(images=lambda v: [{"id": 1}]), {}, "image 1 lacks its height or width"),
        (
            broken(images=lambda v: [{"id": 1, "height": 120, "width": 120}]),
            {"style": "lvis"},
            "not LVIS annot",
        ),
        (broken(categories=lambda v: [{"id": 1, "name": "x"}]), {"style": "lvis"}, "or a category its freq"),
        (
            broken(images=lambda v: [v[0] | {"neg_category_ids": [1, [2]]}]),
            {},
            "neg_category_ids has .*no category ids",
        ),
        (
            broken(images=lambda v: [v[0] | {"neg_category_ids": {"1": 2}}]),
            {},
            "neg_category_ids is .*no list",
        ),
        (broken(categories=lambda v: [v[0] | {"frequency": "x"}]), {}, "frequency of category 1 is 'x'"),
        (broken(categories=lambda v: None), {}, "has no categories, over which"),
        (broken(annotations=lambda v: [{"id": 1}]), {}, "annotation 1: image_id is null"),
        ([], {}, "not annotations in COCO's format"),
        (broken(), {"image_ids": [1, 5]}, "lists no image 5"),
        (broken(), {"style": "voc"}, "style 'voc'"),
        (broken(), {"ids": "zero"}, "ids 'zero'"),
    ],
)
def test_annotations_that_would_be_counted_wrong_are_refused(toy, content, choices, says):
    with pytest.raises(SambenchError, match=says):
        toy(content, **choices)


@pytest.mark.parametrize("segmentation", [[[0, 0, 1e12, 0, 1e12, 1e12]], [["1"] * 6]], ids=str)
def test_a_mask_without_end_is_refused_and_its_annotation_named(toy, segmentation):
    made = annotation(77, (0, 0, 40, 40)) | {"segmentation": segmentation}
    with pytest.raises(SambenchError, match=r"(?s)toy\.json: 1 fault.*annotation 77 of image 1: "):
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


@pytest.mark.parametrize("content", [b"", b"{", b'{"images": [', b"\xff\xfe"])
def test_a_damaged_annotation_file_is_refused(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(SambenchError, match=r"JSON|is empty"):
        GroundTruth.open(tmp_path / "a.json")
    with pytest.raises(SambenchError, match="no such annotation file"):
        GroundTruth.open(tmp_path / "b.json")
