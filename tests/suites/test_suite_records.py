"""Records answer questions that no suite asks: each keeps its mask, its prompt, and what it belongs to."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from fakes import Fake, as_logits, discs, evaluate, rectangle, sample_of, table, target
from pycocotools import mask as rle
from pycocotools.coco import COCO

from sambench.adapters import create
from sambench.adapters.base import Prompts
from sambench.suites.click.suite import CLICKS, Click
from sambench.suites.data.coco import CocoDataset
from sambench.suites.data.sample import load_sample
from sambench.suites.gt_box import GtBox
from sambench.suites.prompted import PromptedSuite
from sambench.suites.protocol import make_protocol

STRICT, PAPER = make_protocol("strict"), make_protocol("paper")
SIZE = (40, 60)


@pytest.fixture(scope="module")
def samples(coco_mini):
    return [load_sample(entry) for entry in CocoDataset(*coco_mini).entries[:24:4]]


@pytest.fixture(scope="module")
def official(coco_mini):
    return COCO(coco_mini.annotations)


def rows_of(suite, segmenter, samples):
    return table(suite, [row for s in samples for row in evaluate(suite, segmenter, s, PAPER)]).to_pylist()


def iou_by_pycocotools(official, row, mask):
    """Of a record's mask with the annotation; as if it were no crowd, for crowds count otherwise there."""
    truth = official.annToRLE(official.anns[row["ann_id"]])
    return rle.iou([mask], [truth], [0]).item()


@pytest.mark.parametrize("model", ["box", "ellipse"])
def test_the_mask_of_a_box_is_kept_and_pycocotools_finds_its_iou(model, samples, official):
    rows = rows_of(GtBox(), create(model), samples)
    assert len(rows) > 30
    for row in rows:
        assert iou_by_pycocotools(official, row, json.loads(row["segmentation"])) == pytest.approx(row["iou"])


def test_the_mask_of_every_click_is_kept_and_pycocotools_finds_its_iou(samples, official):
    rows = rows_of(Click(), Fake(discs), samples)
    assert len(rows) > 30
    for row in rows:
        masks = [json.loads(text) for text in row["segmentation"]]
        assert [iou_by_pycocotools(official, row, mask) for mask in masks] == pytest.approx(row["iou"])
    assert any(len(set(row["segmentation"])) == CLICKS for row in rows)


def test_a_row_names_its_image_its_category_and_its_size_as_pycocotools_reads_them(samples, official):
    ranges = {"small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, 1e10)}
    for row in rows_of(GtBox(), create("box"), samples):
        annotation = official.anns[row["ann_id"]]
        low, high = ranges[row["size"]]
        assert low <= annotation["area"] < high
        assert row["file_name"] == official.imgs[row["image_id"]]["file_name"]
        assert row["category"] == official.cats[annotation["category_id"]]["name"]
        x, y, w, h = annotation["bbox"]
        assert row["box"] == pytest.approx([x, y, x + w, y + h], rel=1e-6)
        assert row["points"] is row["labels"] is None


@pytest.mark.parametrize("choice", [{"bins": "closed"}, {"area_source": "mask"}])
def test_how_sizes_are_scored_changes_no_record(choice):
    one = target(rectangle(SIZE, 0, 0, 4, 4), area=1024.0)
    rows = [evaluate(GtBox(), create("box"), sample_of(one), make_protocol(p)) for p in ("strict", choice)]
    assert rows[0] == rows[1]
    assert rows[0][0]["size"] == "medium"


def test_an_object_of_a_category_without_a_name_has_none():
    sample = dataclasses.replace(sample_of(target(rectangle(SIZE, 0, 0, 4, 4))), categories={})
    for suite in (GtBox(), Click()):
        (row,) = evaluate(suite, create("box"), sample, STRICT)
        assert row["category"] is None
        assert table(suite, [row]).to_pylist() == [row]


class Corners(PromptedSuite):
    """Two clicks a prompt: inside, and outside at the left upper corner of the image."""

    def refusal(self, capabilities, protocol):
        return None

    def prompts(self, targets):
        points = [[[t.box[0] + 0.5, t.box[1]], [0, 0]] for t in targets]
        return Prompts(points=torch.tensor(points), labels=torch.tensor([[1, 0]] * len(targets)))


def test_the_clicks_of_any_suite_with_one_prompt_an_object_are_recorded():
    objects = [target(rectangle(SIZE, 8 * n, 3, 8 * n + 4, 7), ann_id=n) for n in range(3)]
    empty = Fake(lambda prompt, size: (as_logits(np.zeros(size, bool)), [1.0]), prompt_batch=2)
    records = evaluate(Corners(), empty, sample_of(*objects), STRICT)
    assert [r["points"] for r in records] == [[[8 * n + 0.5, 3.0], [0.0, 0.0]] for n in range(3)]
    assert [r["labels"] for r in records] == [[1, 0]] * 3
    assert {r["box"] for r in records} == {None}
    assert table(Corners(), records).to_pylist() == records


def test_each_click_keeps_what_the_model_thinks_of_it_and_which_alternative_it_was():
    def rule(prompt, size):
        k = prompt.points.shape[1]
        return np.concatenate([as_logits(np.zeros(size, bool))] * 3), np.roll([0.125 * k, 0, 0], k).tolist()

    (row,) = evaluate(Click(), Fake(rule), sample_of(target(rectangle(SIZE, 3, 3, 9, 9))), STRICT)
    assert row["pred_iou"] == [0.125, 0.25, 0.375, 0.5, 0.625]
    assert row["choice"] == [1, 2, 0, 1, 2]


def test_where_clicking_stops_early_the_last_mask_stands_for_the_clicks_that_were_not_needed():
    square = target(rectangle(SIZE, 3, 3, 9, 9))

    def rule(prompt, size):
        done = prompt.points.shape[1] > 1
        return as_logits(square.mask.full() if done else np.zeros(size, bool)), [0.75 if done else 0.5]

    (row,) = evaluate(Click(), Fake(rule), sample_of(square), STRICT)
    assert len(row["points"]) == 2
    assert row["iou"] == [0.0, 1.0, 1.0, 1.0, 1.0]
    assert row["pred_iou"] == [0.5, 0.75, 0.75, 0.75, 0.75]
    assert [int(rle.area(json.loads(text))) for text in row["segmentation"]] == [0, 36, 36, 36, 36]
