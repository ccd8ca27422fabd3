"""Void pixels count nowhere in any suite: judged by definition, pixel by pixel."""

import dataclasses
import json
import math

import numpy as np
import pytest
from fakes import Fake, evaluate, in_order, sample_of, target
from pycocotools import mask as rle

from sambench.suites.click.suite import CLICKS, Click
from sambench.suites.data.masks import to_window
from sambench.suites.everything import suite as everything_module
from sambench.suites.everything.suite import Everything
from sambench.suites.gt_box import GtBox
from sambench.suites.protocol import make_protocol

SIZE = (22, 31)
STRICT = make_protocol("strict")


def scene(seed):
    """A void, an object that has none of it, and a prediction for each click."""
    rng = np.random.default_rng(seed)
    void = np.zeros(SIZE, bool)
    void[3:9, 5:25] = True
    void |= rng.random(SIZE) < 0.05
    truth = np.zeros(SIZE, bool)
    truth[5:18, 8:22] = True
    truth &= ~void
    predictions = []
    for _ in range(CLICKS):
        y, x = rng.integers(0, 12, 2)
        mask = np.zeros(SIZE, bool)
        mask[y : y + rng.integers(4, 16), x : x + rng.integers(4, 20)] = True
        predictions.append(mask ^ (rng.random(SIZE) < 0.03))
    return void, truth, predictions


def iou_of(prediction, truth, void):
    return (prediction & truth & ~void).sum() / max(((prediction | truth) & ~void).sum(), 1)


def near_outline(mask):
    """Pixels of a mask at most d, in the distance of a square, from one outside of it or of the image."""
    d = max(1, round(0.02 * math.hypot(*SIZE)))
    outside = np.pad(~mask, d, constant_values=True)
    near = [
        outside[dy : dy + SIZE[0], dx : dx + SIZE[1]] for dy in range(2 * d + 1) for dx in range(2 * d + 1)
    ]
    return mask & np.any(near, axis=0)


def boundary_iou_of(prediction, truth, void):
    a, b = near_outline(prediction & ~void), near_outline(truth)
    return (a & b).sum() / max((a | b).sum(), 1)


def ritm_click(truth, prediction, void, clicked):
    """RITM's clicker: errors outside of what is ignored, the deepest pixel of the deeper kind."""
    lacking, excess = truth & ~prediction & ~void, ~truth & prediction & ~void
    depths = []
    for region in (lacking, excess):
        framed = np.pad(region, 1)
        inside, outside = np.argwhere(framed), np.argwhere(~framed)
        depth = np.zeros(framed.shape, np.int64)
        if len(inside):
            depth[framed] = ((inside[:, None] - outside[None]) ** 2).sum(axis=2).min(axis=1)
        depth = depth[1:-1, 1:-1]
        for x, y in clicked:
            depth[y, x] = 0
        depths.append(depth)
    positive = depths[0].max() > depths[1].max()
    depth = depths[0] if positive else depths[1]
    y, x = np.unravel_index(np.argmax(depth), SIZE)
    return [int(x), int(y)], int(positive)


def sample(truth, void):
    return dataclasses.replace(sample_of(target(truth)), void=None if void is None else to_window(void))


@pytest.mark.parametrize("seed", range(5))
def test_boxes(seed):
    void, truth, (prediction, *_) = scene(seed)
    (record,) = evaluate(GtBox(), Fake(in_order([prediction])), sample(truth, void), STRICT)
    assert record["iou"] == iou_of(prediction, truth, void)
    assert record["boundary_iou"] == pytest.approx(boundary_iou_of(prediction, truth, void), abs=1e-12)
    recorded = rle.decode(json.loads(record["segmentation"])).astype(bool)
    np.testing.assert_array_equal(recorded, prediction)


@pytest.mark.parametrize("seed", range(8))
def test_clicks(seed):
    void, truth, predictions = scene(seed)
    (record,) = evaluate(Click(), Fake(in_order(predictions)), sample(truth, void), STRICT)
    expected = [ritm_click(truth, np.zeros(SIZE, bool), void, [])]
    for prediction in predictions[:-1]:
        expected.append(ritm_click(truth, prediction, void, [point for point, _ in expected]))
    assert list(zip(record["points"], record["labels"], strict=True)) == expected
    assert record["iou"] == [iou_of(prediction, truth, void) for prediction in predictions]
    near = [boundary_iou_of(prediction, truth, void) for prediction in predictions]
    assert record["boundary_iou"] == pytest.approx(near, abs=1e-12)
    assert not any(void[y, x] for x, y in record["points"])


def test_a_mask_that_errs_in_void_alone_is_perfect():
    void, truth, _ = scene(0)
    (record,) = evaluate(Click(), Fake(in_order([truth | void])), sample(truth, void), STRICT)
    assert record["iou"] == [1.0] * CLICKS
    assert record["boundary_iou"] == [1.0] * CLICKS
    assert len(record["points"]) == 1


@pytest.mark.parametrize("suite", [GtBox(), Click()])
def test_a_void_without_pixels_is_none(suite):
    _, truth, predictions = scene(1)
    found = [
        evaluate(suite, Fake(in_order(predictions)), sample(truth, void), STRICT)
        for void in (None, np.zeros(SIZE, bool))
    ]
    assert found[0] == found[1]


def test_everything_matches_without_void_and_records_whole_masks(monkeypatch):
    void, truth, _ = scene(2)
    whole = truth | void
    coded = rle.encode(np.asfortranarray(whole.astype(np.uint8)))
    one = everything_module.GeneratedMask(
        segmentation={"size": coded["size"], "counts": coded["counts"].decode()},
        area=int(whole.sum()),
        bbox=(0, 0, 1, 1),
        predicted_iou=0.9,
        stability_score=0.9,
        point=(0.0, 0.0),
        crop_box=(0, 0, 1, 1),
    )
    monkeypatch.setattr(everything_module, "generate", lambda *_, **__: [one])
    for there, times in (
        (void, 10),
        (None, sum(truth.sum() / whole.sum() >= t / 100 for t in range(50, 100, 5))),
    ):
        records = evaluate(Everything(), Fake(None), sample(truth, there), STRICT)
        assert [r["matched_all"] for r in records if r["kind"] == "object"] == [times]
        assert [r["area"] for r in records if r["kind"] == "mask"] == [whole.sum()]
