"""Ids of any kind: evaluators get numbers of their own, results and evidence keep the ids they had."""

import json
import sys

import msgspec
import numpy as np
import pytest
from toy_annotations import OFFICIAL, annotation, annotations, as_table, assert_same, results

from sambench.evsam.errors import SambenchError
from sambench.suites.data.annotations import read_annotations
from sambench.suites.data.detections import Detections
from sambench.suites.scoring.average_precision import evaluate, evaluate_and_match
from sambench.suites.scoring.ground_truth import Dense, GroundTruth

BOXES = [(0, 0, 40, 40), (60, 60, 40, 40), (10, 50, 30, 30), (70, 5, 20, 50)]
ROWS = [  # image, category, score, box: two found well, one badly, one not, one that is not there
    (1, 1, 0.9, (0, 0, 40, 40)),
    (2, 2, 0.8, (60, 64, 40, 40)),
    (3, 1, 0.7, (12, 50, 40, 30)),
    (3, 2, 0.6, (0, 0, 9, 9)),
]
IMAGES = {1: -(2**63), 2: 0, 3: 2**63 - 1}
CATEGORIES = {1: -7, 2: 2**62}


def content(image=dict, category=dict):
    """Three images and two categories under other ids, which rise as they did."""
    image, category = ({i: i for i in (1, 2, 3)} if m is dict else m for m in (image, category))
    made = [
        annotation(i, box, image=image[own], category=category[named])
        for i, (box, own, named) in enumerate(zip(BOXES, (1, 2, 3, 3), (1, 2, 1, 2), strict=True), start=1)
    ]
    whole = annotations(made, images=image.values(), categories=category.values())
    for record in whole["images"]:
        record["neg_category_ids"] = list(category.values())
    return whole


@pytest.fixture
def opened(tmp_path):
    def make(whole, **choices):
        file = tmp_path / "toy.json"
        file.write_text(json.dumps(whole))
        return GroundTruth.open(file, **choices)

    return make


@pytest.mark.parametrize("iou_type", ["segm", "bbox"])
@pytest.mark.parametrize(
    ("style", "evaluator"), [*OFFICIAL.items(), ("coco", "hotcoco"), ("lvis", "hotcoco")]
)
def test_negative_and_huge_ids_score_as_small_ones(opened, style, evaluator, iou_type):
    plain, odd = opened(content(), style=style), opened(content(IMAGES, CATEGORIES), style=style)
    renamed = [(IMAGES[i], CATEGORIES[c], score, box) for i, c, score, box in ROWS]
    want, evidence = evaluate_and_match(plain, results(ROWS), iou_type=iou_type, evaluator=evaluator)
    found, same = evaluate_and_match(odd, results(renamed), iou_type=iou_type, evaluator=evaluator)
    assert 10 < want["ap"] < 90
    assert found == want
    assert same.images.tolist() == sorted(IMAGES.values())
    assert set(same.category.tolist()) == set(CATEGORIES.values())
    assert same.numbers() == evidence.numbers()
    assert_same(found, evaluate(odd, results(renamed), iou_type=iou_type, evaluator=OFFICIAL[style]))


@pytest.mark.parametrize("name", ["img", "ann"])
@pytest.mark.parametrize("evaluator", ["hotcoco", "pycocotools"])
def test_files_of_negative_ids_score_as_they_did(data_root, name, evaluator):
    """The same three images and boxes, under other ids; those of annotations run over 0."""
    folder = data_root / "odd-files"
    found = {}
    for ann, file in (
        (folder / "ann.json", folder / "dets.json"),
        (folder / f"21-negative-ids/{name}.json", folder / f"21-negative-ids/{name}-dets.json"),
    ):
        truth, detections = GroundTruth.open(ann, ids="from_one"), Detections(file)
        rows = [
            (i, c, s, b)
            for i in detections.image_ids.tolist()
            for c, s, b in zip(
                detections.of(i).category_ids.tolist(),
                detections.of(i).scores.tolist(),
                detections.of(i).xywh.tolist(),
                strict=True,
            )
        ]
        image_ids, category_ids, scores, boxes = zip(*rows, strict=True)
        table = as_table(image_ids, category_ids, scores, boxes=boxes)
        found[ann] = evaluate(truth, table, iou_type="bbox", evaluator=evaluator)
    base, other = found.values()
    assert base["ap"] == pytest.approx(100)
    assert other == base


@pytest.mark.parametrize("iou_type", ["segm", "bbox"])
@pytest.mark.parametrize(
    ("style", "evaluator"), [*OFFICIAL.items(), ("coco", "hotcoco"), ("lvis", "hotcoco")]
)
def test_a_detector_that_found_nothing_has_0(opened, style, evaluator, iou_type):
    truth = opened(content(IMAGES, CATEGORIES), style=style)
    numbers, evidence = evaluate_and_match(truth, results([]), iou_type=iou_type, evaluator=evaluator)
    assert numbers["ap"] == evidence.numbers()["ap"] == 0


@pytest.mark.parametrize("iou_type", ["segm", "bbox"])
@pytest.mark.parametrize("rows", [ROWS, []])
def test_pycocotools_and_its_intervals_need_no_hotcoco(opened, monkeypatch, iou_type, rows):
    truth, found = opened(content()), results(rows)
    monkeypatch.setitem(sys.modules, "hotcoco", None)
    numbers, evidence = evaluate_and_match(truth, found, iou_type=iou_type, evaluator="pycocotools")
    assert_same(evidence.numbers(), {name: numbers[name] for name in evidence.names})
    with pytest.raises(ImportError):
        evaluate_and_match(truth, found, iou_type=iou_type, evaluator="hotcoco")


def test_annotations_are_left_as_they_were_read(tmp_path):
    file = tmp_path / "toy.json"
    file.write_text(json.dumps(content(IMAGES, CATEGORIES)))
    read = read_annotations(file)
    before = msgspec.json.encode([read.images, read.annotations, read.categories])
    truth = GroundTruth(read, style="lvis", image_ids=[0])
    assert msgspec.json.encode([read.images, read.annotations, read.categories]) == before
    assert (truth.path, truth.sha256, set(truth.sizes)) == (file, read.sha256, {0})
    assert truth.listed == set(IMAGES.values())


@pytest.mark.parametrize("empty", ["absent", None, []])
def test_what_has_no_mask_is_no_object_of_boxes_or_masks(tmp_path, empty):
    whole = content()
    file = tmp_path / "toy.json"
    if empty == "absent":
        del whole["annotations"][3]["segmentation"]
    else:
        whole["annotations"][3]["segmentation"] = empty
    file.write_text(json.dumps(whole))
    truth = GroundTruth.open(file)
    del whole["annotations"][3]
    file.write_text(json.dumps(whole))
    want = GroundTruth.open(file)
    for iou_type in ("segm", "bbox"):
        assert evaluate(truth, results(ROWS), iou_type=iou_type) == evaluate(
            want, results(ROWS), iou_type=iou_type
        )


def test_a_size_is_only_needed_of_images_that_are_evaluated(opened):
    whole = content()
    del whole["images"][0]["height"]
    whole["images"][1]["width"] = 0
    assert opened(whole, image_ids=[3]).sizes == {3: (120, 120)}
    for lacking in (1, 2):
        with pytest.raises(SambenchError, match=f"image {lacking} lacks its height or width"):
            opened(whole, image_ids=[lacking, 3])


def test_boxes_of_an_image_are_those_of_its_objects(opened):
    whole = content(IMAGES, CATEGORIES)
    whole["annotations"].append(annotation(9, (1, 1, 5, 5), image=IMAGES[3], category=CATEGORIES[1], crowd=1))
    whole["annotations"].append(annotation(10, (1, 1, 5, 5), image=IMAGES[3], category=4))
    boxes, categories = opened(whole).boxes_of(IMAGES[3])
    assert boxes.tolist() == [list(map(float, box)) for box in BOXES[2:]]
    assert categories.tolist() == [CATEGORIES[1], CATEGORIES[2]]
    assert opened(content(IMAGES)).boxes_of(IMAGES[1])[0].shape == (1, 4)


def test_numbers_rise_with_the_ids():
    dense = Dense([5, -3, 2**62])
    assert [dense[i] for i in (-3, 5, 2**62)] == [1, 2, 3]
    assert dense.given(np.array([3, 1, 1])).tolist() == [2**62, -3, -3]
    assert dense.numbers(np.array([5, 2**62])).tolist() == [2, 3]
    assert (dense.get(4), 5 in dense, 4 in dense) == (None, True, False)
