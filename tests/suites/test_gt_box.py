"""Boxes: what is asked, what is recorded, what is left out, and what it scores."""

import json
from collections import Counter

import numpy as np
import pytest
from fakes import Fake, as_logits, evaluate, in_order, rectangle, sample_of, table, target
from pycocotools import mask as rle

from sambench.adapters import create
from sambench.adapters.base import Capabilities
from sambench.suites.base import kept, left_out
from sambench.suites.data.coco import CocoDataset
from sambench.suites.data.sample import load_sample
from sambench.suites.gt_box import GtBox
from sambench.suites.protocol import make_protocol
from sambench.suites.registry import suite_class

SIZE = (40, 60)
SUITE = GtBox()
STRICT, PAPER = make_protocol("strict"), make_protocol("paper")


def square(n, **more):
    """Object number n of six: a square of 4 pixels a side, apart from the others."""
    return target(rectangle(SIZE, 8 * n, 3, 8 * n + 4, 7), ann_id=n, **more)


def fill_box(prompt, size):
    """The whole box and nothing else."""
    return as_logits(rectangle(size, *(int(v) for v in prompt.boxes[0].tolist()))), [0.5]


def test_the_registry_knows_it():
    assert suite_class("gt_box") is GtBox
    assert GtBox().name == "gt_box"


@pytest.mark.parametrize("preset", [STRICT, PAPER])
def test_perfect_masks_score_100_on_real_images(coco_mini, preset):
    records = []
    for entry in CocoDataset(*coco_mini).entries[:40:4]:
        sample = load_sample(entry)
        masks = [t.mask.full() for t in kept(sample.targets, preset)]
        records += evaluate(SUITE, Fake(in_order(masks)), sample, preset)
    assert len(records) > 50
    scores = SUITE.score(table(SUITE, records), preset)
    assert {v for k, v in scores.metrics.items() if not k.startswith("pred_iou")} == {100.0}
    assert scores.intervals["miou"] == [100.0, 100.0]
    assert scores.counts["all"] == len(records)


def test_a_mask_half_wrong_scores_what_it_covers():
    half = target(rectangle(SIZE, 0, 0, 4, 8), ann_id=1, box=(0, 0, 8, 8))
    quarter = target(rectangle(SIZE, 20, 20, 24, 24), ann_id=2, box=(20, 20, 28, 28))
    records = evaluate(SUITE, Fake(fill_box), sample_of(half, quarter), STRICT)
    assert [r["iou"] for r in records] == [0.5, 0.25]
    scores = SUITE.score(table(SUITE, records), STRICT)
    assert scores.metrics["miou"] == scores.metrics["miou_small"] == pytest.approx(37.5)


@pytest.mark.parametrize("prompt_batch", [1, 4, 16])
def test_records_keep_the_order_of_the_objects_for_any_batch(prompt_batch):
    objects = [square(n, box=(8 * n, 3, 8 * n + 4 + n, 7)) for n in (5, 0, 3, 1, 4, 2)]
    records = evaluate(SUITE, Fake(fill_box, prompt_batch=prompt_batch), sample_of(*objects), STRICT)
    assert [r["ann_id"] for r in records] == [5, 0, 3, 1, 4, 2]
    assert [r["iou"] for r in records] == [pytest.approx(4 / (4 + n)) for n in (5, 0, 3, 1, 4, 2)]


def test_each_box_is_asked_as_annotated_in_corners():
    segmenter = Fake(fill_box)
    evaluate(SUITE, segmenter, sample_of(square(0, box=(0.25, 3.5, 4.75, 7.0)), square(2)), STRICT)
    (prompts,) = segmenter.asked
    assert prompts.boxes.tolist() == [[0.25, 3.5, 4.75, 7.0], [16.0, 3.0, 20.0, 7.0]]
    assert prompts.points is prompts.masks is None


def test_a_record_describes_its_object_and_the_alternative_that_was_chosen():
    def rule(prompt, size):
        right = as_logits(rectangle(size, 0, 3, 4, 7))
        return np.concatenate([-right, -right, right]), [0.25, 0.5, 0.75]

    thing = square(0, area=12.5, category_id=90)
    (record,) = evaluate(SUITE, Fake(rule), sample_of(thing, image_id=123), STRICT)
    coded = rle.encode(np.asfortranarray(thing.mask.full(), np.uint8))
    coded["counts"] = coded["counts"].decode()
    assert record == {
        "image_id": 123,
        "ann_id": 0,
        "file_name": "some/image.jpg",
        "category_id": 90,
        "category": "toothbrush",
        "area": 12.5,
        "size": "small",
        "mask_area": 16,
        "iscrowd": False,
        "box": [0.0, 3.0, 4.0, 7.0],
        "points": None,
        "labels": None,
        "segmentation": json.dumps(coded, separators=(",", ":")),
        "iou": 1.0,
        "boundary_iou": 1.0,
        "pred_iou": 0.75,
        "choice": 2,
    }
    assert table(SUITE, [record]).to_pylist() == [record]


def test_an_image_without_annotations_has_no_record_and_asks_nothing():
    segmenter = Fake(fill_box)
    assert evaluate(SUITE, segmenter, sample_of(size=SIZE), STRICT) == []
    assert segmenter.asked == []


def test_an_image_whose_objects_are_all_left_out_asks_nothing():
    segmenter = Fake(fill_box)
    assert evaluate(SUITE, segmenter, sample_of(square(0, crowd=True)), STRICT) == []
    assert segmenter.asked == []


EMPTY = np.zeros(SIZE, bool)
ODD = [
    square(0),
    square(1, crowd=True),
    target(EMPTY, 2, area=50.0, box=(1, 1, 9, 9)),  # no pixel, though the annotation says 50
    square(3, area=0.5),  # 16 pixels, though the annotation says half of one
    target(EMPTY, 4, area=0.5, box=(1, 1, 2, 2)),
    square(5, area=1.0),
]
CROWD_EMPTY = target(EMPTY, 6, area=50.0, crowd=True, box=(1, 1, 2, 2))
CROWD_TINY = square(1, area=0.5, crowd=True)


@pytest.mark.parametrize(
    ("protocol", "scored", "counts"),
    [
        ("strict", [0, 3, 5], {"crowd_dropped": 1, "empty_dropped": 2}),
        ("paper", [0, 1, 2, 5], {"area_below_1_dropped": 2}),
        ({"preset": "strict", "crowd": "keep"}, [0, 1, 3, 5], {"empty_dropped": 2}),
        ({"preset": "paper", "crowd": "drop"}, [0, 2, 5], {"crowd_dropped": 1, "area_below_1_dropped": 2}),
    ],
)
def test_each_preset_leaves_out_and_counts_what_it_says(protocol, scored, counts):
    protocol = make_protocol(protocol)
    records = evaluate(SUITE, Fake(fill_box), sample_of(*ODD), protocol)
    assert [r["ann_id"] for r in records] == scored
    assert Counter(filter(None, (left_out(t, protocol) for t in ODD))) == counts
    assert SUITE.score(table(SUITE, records), protocol).counts["all"] == len(scored)


def test_an_object_left_out_twice_is_counted_once_as_a_crowd():
    assert [left_out(t, STRICT) for t in (CROWD_EMPTY, CROWD_TINY)] == ["crowd_dropped"] * 2
    assert [left_out(t, PAPER) for t in (CROWD_EMPTY, CROWD_TINY)] == [None, "area_below_1_dropped"]


def test_an_object_without_a_pixel_scores_0_under_paper():
    empty = target(EMPTY, 2, area=50.0, box=(1, 1, 9, 9))
    nothing = Fake(in_order([EMPTY]))
    assert [r["iou"] for r in evaluate(SUITE, Fake(fill_box), sample_of(empty), PAPER)] == [0.0]
    assert [r["iou"] for r in evaluate(SUITE, nothing, sample_of(empty), PAPER)] == [0.0]


@pytest.mark.parametrize(("source", "size"), [("ann", "large"), ("mask", "small")])
def test_the_size_is_by_the_annotated_area_or_by_the_pixels(source, size):
    protocol = make_protocol({"area_source": source})
    records = evaluate(SUITE, Fake(fill_box), sample_of(square(0, area=1e5)), protocol)
    metrics = SUITE.score(table(SUITE, records), protocol).metrics
    assert metrics.pop("miou") == 100
    there = {k for k in ("miou_small", "miou_medium", "miou_large") if metrics[k] is not None}
    assert there == {f"miou_{size}"}


def test_no_record_at_all_is_no_number():
    scores = SUITE.score(table(SUITE, []), STRICT)
    assert set(scores.metrics) == {metric.name for metric in SUITE.metrics}
    assert set(scores.metrics.values()) == {None}


def test_a_model_that_takes_no_boxes_is_refused():
    assert SUITE.refusal(Capabilities(), STRICT) is None
    assert SUITE.refusal(Capabilities(points=False), PAPER) is None
    assert SUITE.refusal(Capabilities(boxes=False), STRICT) == "it takes no boxes"


def test_the_box_baseline_scores_the_share_of_its_object_in_its_box():
    triangle = np.tri(20, 20, dtype=bool)
    mask = np.zeros(SIZE, bool)
    mask[5:25, 10:30] = triangle
    (record,) = evaluate(SUITE, create("box"), sample_of(target(mask)), STRICT)
    assert record["iou"] == triangle.sum() / 400
