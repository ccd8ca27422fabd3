"""Clicks: the rounds, what ends them, what is sent back, and the official traces from end to end."""

import json

import numpy as np
import pytest
import torch
from fakes import (
    Fake,
    as_logits,
    discs,
    evaluate,
    perfect,
    rectangle,
    sample_of,
    table,
    target,
)

from sambench.adapters import create
from sambench.adapters.base import Capabilities
from sambench.suites.click.suite import CLICKS, Click
from sambench.suites.data.coco import CocoDataset
from sambench.suites.data.sample import load_sample
from sambench.suites.protocol import make_protocol
from sambench.suites.registry import suite_class

SIZE = (40, 60)
SUITE = Click()
STRICT, PAPER = make_protocol("strict"), make_protocol("paper")
EMPTY = np.zeros(SIZE, bool)


def square(n, **more):
    """Object number n of six: a square of 5 pixels a side, apart from the others, deepest at (8n + 2, 5)."""
    return target(rectangle(SIZE, 8 * n, 3, 8 * n + 5, 8), ann_id=n, **more)


OBJECTS = [square(n) for n in range(6)]


def nothing(prompt, size):
    return as_logits(np.zeros(size, bool)), [1.0]


def after(rounds, targets=OBJECTS):
    """The rule that gives nothing until a prompt has ``rounds[object]`` points, and then is perfect."""
    right = perfect(targets)

    def rule(prompt, size):
        n = int(prompt.points[0, 0, 0]) // 8
        return (right if prompt.points.shape[1] >= rounds[n] else nothing)(prompt, size)

    return rule


def test_the_registry_knows_it_and_it_clicks_five_times():
    assert suite_class("click") is Click
    assert CLICKS == 5


def test_strict_stops_at_a_perfect_mask_and_carries_its_iou():
    segmenter = Fake(perfect(OBJECTS))
    (record,) = evaluate(SUITE, segmenter, sample_of(square(1)), STRICT)
    assert record["points"] == [[10, 5]]
    assert record["labels"] == [1]
    assert record["iou"] == [1.0] * 5
    assert len(segmenter.asked) == 1
    scores = SUITE.score(table(SUITE, [record]), STRICT)
    assert {scores.metrics[f"miou_{k}{s}"] for k in (1, 3, 5) for s in ("", "_small")} == {100.0}


def test_paper_clicks_on_at_the_first_pixel_after_a_perfect_mask():
    segmenter = Fake(perfect(OBJECTS))
    (record,) = evaluate(SUITE, segmenter, sample_of(square(1)), PAPER)
    assert record["points"] == [[10, 5]] + [[0, 0]] * 4
    assert record["labels"] == [1, 0, 0, 0, 0]
    assert record["iou"] == [1.0] * 5
    assert [p.points.shape[1] for p in segmenter.asked] == [1, 2, 3, 4, 5]
    assert segmenter.asked[-1].labels.tolist() == [[1, 0, 0, 0, 0]]


def test_under_paper_the_needless_clicks_can_cost_what_was_reached():
    def spoiled(prompt, size):
        return perfect(OBJECTS)(prompt, size) if prompt.points.shape[1] == 1 else nothing(prompt, size)

    paper, strict = (
        evaluate(SUITE, Fake(spoiled), sample_of(square(1)), p)[0]["iou"] for p in (PAPER, STRICT)
    )
    assert paper[:2] == [1.0, 0.0]
    assert strict == [1.0] * 5


@pytest.mark.parametrize("needed", [1, 2, 3, 4, 5])
def test_strict_clicks_as_often_as_an_object_needs(needed):
    segmenter = Fake(after({0: needed}))
    (record,) = evaluate(SUITE, segmenter, sample_of(square(0)), STRICT)
    assert len(record["points"]) == len(record["labels"]) == len(segmenter.asked) == needed
    assert record["iou"] == [0.0] * (needed - 1) + [1.0] * (6 - needed)


def test_an_almost_perfect_mask_is_clicked_on():
    mask = OBJECTS[0].mask.full()
    mask[30, 30] = True
    (record,) = evaluate(SUITE, Fake(lambda p, s: (as_logits(mask), [1.0])), sample_of(square(0)), STRICT)
    assert record["points"][:2] == [[2, 5], [30, 30]]
    assert record["labels"][:2] == [1, 0]
    assert record["iou"] == [25 / 26] * 5


@pytest.mark.parametrize("prompt_batch", [1, 2, 16])
def test_objects_that_are_done_leave_the_rounds_to_the_others(prompt_batch):
    rounds = {0: 3, 1: 1, 2: 9, 3: 2, 4: 1, 5: 5}
    segmenter = Fake(after(rounds), prompt_batch=prompt_batch)
    records = evaluate(SUITE, segmenter, sample_of(*OBJECTS), STRICT)
    assert [r["ann_id"] for r in records] == [0, 1, 2, 3, 4, 5]
    assert [len(r["points"]) for r in records] == [3, 1, 5, 2, 1, 5]
    for record in records:
        needed = rounds[record["ann_id"]]
        assert record["iou"] == [float(k >= needed) for k in range(1, 6)]
    asked = [sum(len(p) for p in segmenter.asked if p.points.shape[1] == k) for k in range(1, 6)]
    assert asked == [6, 4, 3, 2, 2]


def test_all_clicks_so_far_are_asked_and_are_those_that_are_recorded():
    segmenter = Fake(discs)
    records = evaluate(SUITE, segmenter, sample_of(*OBJECTS[::2]), STRICT)
    for k, prompts in enumerate(segmenter.asked, start=1):
        assert prompts.points.tolist() == [r["points"][:k] for r in records]
        assert prompts.labels.tolist() == [r["labels"][:k] for r in records]
        assert prompts.boxes is prompts.masks is None


def test_no_click_follows_the_last_mask():
    segmenter = Fake(nothing)
    (record,) = evaluate(SUITE, segmenter, sample_of(square(0)), PAPER)
    assert len(segmenter.asked) == len(record["points"]) == 5


def test_the_iou_of_a_round_is_that_of_the_mask_after_its_click():
    def rows(prompt, size):
        mask = np.zeros(size, bool)
        mask[3 : 3 + prompt.points.shape[1], 0:5] = True
        return as_logits(mask), [1.0]

    (record,) = evaluate(SUITE, Fake(rows), sample_of(square(0)), PAPER)
    assert record["iou"] == [0.2, 0.4, 0.6, 0.8, 1.0]
    scores = SUITE.score(table(SUITE, [record]), PAPER)
    assert [scores.metrics[f"miou_{k}"] for k in (1, 3, 5)] == pytest.approx([20.0, 60.0, 100.0])


def low_logits(value, side=256):
    """Logits that tell by a number in their corner what they answered."""
    logits = np.full((side, side), -1.0, np.float32)
    logits[0, 0] = -value
    return logits


def marked(prompt, size):
    """Three alternatives, all empty masks, each marked by object, round and number; the second is best."""
    mark = 1000 * (int(prompt.points[0, 0, 0]) // 8) + 10 * prompt.points.shape[1]
    return np.stack([low_logits(mark + m) for m in range(3)]), [0.1, 0.9, 0.5]


@pytest.mark.parametrize("prompt_batch", [1, 2, 16])
def test_the_chosen_logits_of_the_round_before_are_sent_back(prompt_batch):
    segmenter = Fake(marked, prompt_batch=prompt_batch)
    protocol = make_protocol({"preset": "paper", "mask_feedback": "previous"})
    evaluate(SUITE, segmenter, sample_of(*OBJECTS[:3]), protocol)
    for prompts in segmenter.asked:
        k = prompts.points.shape[1]
        if k == 1:
            assert prompts.masks is None
            continue
        which = (prompts.points[:, 0, 0] // 8).int().tolist()
        expected = np.stack([low_logits(1000 * n + 10 * (k - 1) + 1) for n in which])[:, None]
        assert prompts.masks.shape == (len(which), 1, 256, 256)
        assert prompts.masks.dtype == torch.float32
        np.testing.assert_array_equal(prompts.masks, expected)


def test_logits_sent_back_stay_with_their_object_when_others_are_done():
    right = perfect(OBJECTS)

    def rule(prompt, size):
        n = int(prompt.points[0, 0, 0]) // 8
        if prompt.points.shape[1] >= n:
            return right(prompt, size)
        return (low_logits(n, side=60)[: size[0], : size[1]])[None], [1.0]

    segmenter = Fake(rule)
    evaluate(SUITE, segmenter, sample_of(*OBJECTS[1:]), make_protocol({"mask_feedback": "previous"}))
    assert [len(p) for p in segmenter.asked] == [5, 4, 3, 2, 1]
    for prompts in segmenter.asked[1:]:
        assert (-prompts.masks[:, 0, 0, 0]).tolist() == (prompts.points[:, 0, 0] // 8).tolist()


@pytest.mark.parametrize("preset", ["paper", "strict"])
def test_the_presets_send_no_mask_back(preset):
    segmenter = Fake(marked)
    evaluate(SUITE, segmenter, sample_of(*OBJECTS[:3]), make_protocol(preset))
    assert len(segmenter.asked) == 5
    assert all(p.masks is None for p in segmenter.asked)


@pytest.mark.parametrize(("select", "multimask"), [("pred_iou", True), ("single", False)])
def test_alternatives_are_asked_for_in_every_round_or_in_none(select, multimask):
    segmenter = Fake(nothing)
    evaluate(SUITE, segmenter, sample_of(square(0)), make_protocol({"select": select}))
    assert segmenter.multimask == [multimask] * 5


@pytest.mark.parametrize("protocol", [STRICT, PAPER])
def test_an_image_without_annotations_has_no_record_and_asks_nothing(protocol):
    segmenter = Fake(nothing)
    assert evaluate(SUITE, segmenter, sample_of(size=SIZE), protocol) == []
    assert segmenter.asked == []


def test_a_crowd_and_an_object_without_a_pixel_are_not_clicked_on_under_strict():
    objects = [square(0, crowd=True), target(EMPTY, 8, area=50.0, box=(1, 1, 9, 9)), square(2, area=0.5)]
    records = evaluate(SUITE, Fake(nothing), sample_of(*objects), STRICT)
    assert [r["ann_id"] for r in records] == [2]


def test_a_crowd_and_an_object_without_a_pixel_are_clicked_on_under_paper():
    objects = [square(0, crowd=True), target(EMPTY, 8, area=50.0, box=(1, 1, 9, 9)), square(2, area=0.5)]
    crowd, empty = evaluate(SUITE, Fake(nothing), sample_of(*objects), PAPER)
    assert (crowd["ann_id"], crowd["iscrowd"], crowd["points"][0]) == (0, True, [2, 5])
    assert (empty["ann_id"], empty["points"], empty["labels"]) == (8, [[0, 0]] * 5, [0] * 5)
    assert empty["iou"] == [0.0] * 5


def test_records_are_stored_as_they_are():
    records = evaluate(SUITE, Fake(after({0: 2, 1: 9})), sample_of(*OBJECTS[:2], image_id=123), STRICT)
    assert table(SUITE, records).to_pylist() == records
    assert {r["image_id"] for r in records} == {123}


def test_scores_are_the_means_of_rounds_one_three_and_five_by_size():
    small, large = square(0), square(1, area=1e5)
    records = evaluate(SUITE, Fake(after({0: 2, 1: 4})), sample_of(small, large), STRICT)
    metrics = SUITE.score(table(SUITE, records), STRICT).metrics
    sizes = ("", "_small", "_medium", "_large")
    assert [metrics[f"miou_1{s}"] for s in sizes] == [0, 0, None, 0]
    assert [metrics[f"miou_3{s}"] for s in sizes] == [50, 100, None, 0]
    assert [metrics[f"miou_5{s}"] for s in sizes] == [100, 100, None, 100]
    assert (metrics["noc_80"], metrics["never_90"]) == (3.0, 0.0)  # there after 2 clicks and after 4
    assert {name for name, value in metrics.items() if value is None} == {
        f"{what}_{k}_medium" for what in ("miou", "boundary_iou") for k in (1, 3, 5)
    }


def test_an_object_that_never_gets_there_counts_all_clicks():
    records = evaluate(SUITE, Fake(after({0: 9, 1: 1})), sample_of(*OBJECTS[:2]), STRICT)
    metrics = SUITE.score(table(SUITE, records), STRICT).metrics
    for quality in (80, 85, 90):
        assert (metrics[f"noc_{quality}"], metrics[f"never_{quality}"]) == (3.0, 50.0)


def test_scores_of_a_part_of_a_table_are_those_of_its_rows():
    records = evaluate(SUITE, Fake(after({0: 1, 1: 9, 2: 1})), sample_of(*OBJECTS[:3]), STRICT)
    assert SUITE.score(table(SUITE, records)[1:2], STRICT).metrics["miou_5"] == 0
    assert SUITE.score(table(SUITE, records)[2:], STRICT).metrics["miou_5"] == 100


def test_no_record_at_all_is_no_number():
    assert set(SUITE.score(table(SUITE, []), STRICT).metrics.values()) == {None}


@pytest.mark.parametrize(
    ("capabilities", "text"),
    [
        (Capabilities(points=False), "it takes no points"),
        (Capabilities(max_points=3), "it takes at most 3 points, the suite gives 5"),
        (Capabilities(max_points=4), "it takes at most 4 points, the suite gives 5"),
        (Capabilities(background_points=False), "it takes no background points"),
    ],
)
def test_a_model_that_cannot_be_clicked_on_is_refused_by_what_it_lacks(capabilities, text):
    assert SUITE.refusal(capabilities, STRICT) == SUITE.refusal(capabilities, PAPER) == text


def test_a_model_that_can_is_not_refused():
    for capabilities in (Capabilities(), Capabilities(max_points=5), Capabilities(boxes=False)):
        assert SUITE.refusal(capabilities, STRICT) is None


def test_mask_input_is_needed_only_where_masks_are_sent_back():
    without = Capabilities(mask_input=False)
    assert SUITE.refusal(without, STRICT) is None
    feedback = make_protocol({"mask_feedback": "previous"})
    assert "mask_feedback 'previous'" in SUITE.refusal(without, feedback)
    assert SUITE.refusal(Capabilities(), feedback) is None


def test_a_baseline_goes_through_the_suite():
    records = evaluate(SUITE, create("box"), sample_of(*OBJECTS), STRICT)
    assert len(records) == 6
    assert all(0 < r["iou"][0] < 1 for r in records)


@pytest.mark.slow
def test_the_official_traces_come_out_of_the_suite_from_end_to_end(coco_mini, request):
    file = request.config.rootpath / "tests/golden/clicks_coco_mini.json"
    golden = {r["ann_id"]: r for r in json.loads(file.read_text())["rows"]}
    entries = CocoDataset(*coco_mini).entries
    crowded = [e for e in entries if any(a.iscrowd for a in e.annotations)][:3]
    chosen = {e.record.id: e for e in (*crowded, *entries[::10])}
    assert len(chosen) >= 14
    records = []
    for entry in chosen.values():
        records += evaluate(SUITE, Fake(discs, prompt_batch=7), load_sample(entry), PAPER)
    assert len(records) == sum(len(e.annotations) for e in chosen.values())
    assert any(r["iscrowd"] for r in records)
    for record in records:
        row = golden[record["ann_id"]]
        assert record["image_id"] == row["image_id"]
        assert record["area"] == row["area"]
        assert record["points"] == row["points"]
        assert record["labels"] == row["labels"]
        np.testing.assert_allclose(100 * np.array(record["iou"]), row["iou"], atol=1e-4, rtol=0)
    metrics = SUITE.score(table(SUITE, records), PAPER).metrics
    rows = [golden[r["ann_id"]] for r in records]
    small = [r["iou"] for r in rows if r["area"] <= 1024]
    for k in (1, 3, 5):
        assert metrics[f"miou_{k}"] == pytest.approx(np.mean([r["iou"][k - 1] for r in rows]), abs=1e-4)
        assert metrics[f"miou_{k}_small"] == pytest.approx(np.mean([iou[k - 1] for iou in small]), abs=1e-4)
