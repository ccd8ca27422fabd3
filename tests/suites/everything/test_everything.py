"""Average recall of all masks: COCO's own evaluation, hand-made cases, and what is recorded."""

import contextlib
import io
import json

import numpy as np
import pyarrow.compute as pc
import pytest
from fakes import Fake, evaluate, rectangle, sample_of, table, target
from pycocotools import mask as rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from sambench.adapters import create
from sambench.adapters.base import Capabilities
from sambench.suites.data.coco import CocoDataset
from sambench.suites.data.sample import load_sample
from sambench.suites.everything import suite as everything
from sambench.suites.everything.generator import GeneratedMask
from sambench.suites.everything.suite import Everything
from sambench.suites.protocol import make_protocol

SIZE = (40, 60)
SUITE = Everything()
STRICT, PAPER = make_protocol("strict"), make_protocol("paper")
NAMES = ["ar_1000", "ar_1000_small", "ar_1000_medium", "ar_1000_large"]


def generated(mask, predicted_iou):
    encoded = rle.encode(np.asfortranarray(mask, np.uint8))
    encoded["counts"] = encoded["counts"].decode()
    return GeneratedMask(encoded, int(mask.sum()), (0, 0, 1, 1), predicted_iou, 1.0, (0.5, 0.5), (0, 0, 9, 9))


@pytest.fixture
def answer(monkeypatch):
    """Let the generator answer with given masks (H, W) and predicted IoUs, image by image."""

    def set_answers(*images):
        rest = iter(images)
        monkeypatch.setattr(
            everything, "generate", lambda *_, **__: [generated(mask, iou) for mask, iou in next(rest)]
        )

    return set_answers


def records_of(*samples, protocol=STRICT):
    segmenter = Fake(None)
    return table(SUITE, [row for sample in samples for row in evaluate(SUITE, segmenter, sample, protocol)])


def shaken(mask, rng):
    """A mask moved by some pixels, and with a stripe cut off: its IoU is anything."""
    moved = np.roll(mask, tuple(rng.integers(-4, 5, 2)), axis=(0, 1))
    moved[:, : rng.integers(0, mask.shape[1] // 2)] &= rng.random() < 0.6
    return moved


def official(annotations, samples, answers):
    """AR@1000 by COCOeval without categories: all, small, medium, large; -1 without an object."""
    ids = {s.image_id for s in samples}
    kept = {a.ann_id for s in samples for a in s.targets if a.mask.area}
    content = json.loads(annotations.read_text())
    content["images"] = [i for i in content["images"] if i["id"] in ids]
    content["annotations"] = [a for a in content["annotations"] if a["id"] in kept]
    found = [
        {"image_id": s.image_id, "category_id": 1, "segmentation": m.segmentation, "score": m.predicted_iou}
        for s, masks in zip(samples, answers, strict=True)
        for m in (generated(*one) for one in masks)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = content
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(found), "segm")
        evaluation.params.useCats = 0
        evaluation.params.maxDets = [1000]
        evaluation.evaluate()
        evaluation.accumulate()
    recall = evaluation.eval["recall"][:, 0, :, 0]  # thresholds x sizes
    return 100 * recall.mean(axis=0)


@pytest.mark.parametrize("protocol", [PAPER, STRICT], ids=lambda p: p.preset)
def test_the_recall_is_that_of_cocoeval_without_categories(coco_mini, answer, protocol):
    rng = np.random.default_rng(3)
    samples = [load_sample(entry) for entry in CocoDataset(*coco_mini).entries[:60:3]]
    answers = []
    for sample in samples:
        masks = [shaken(t.mask.full(), rng) for t in sample.targets for _ in range(rng.integers(0, 4))]
        answers.append([(m, float(rng.integers(1, 20) / 20)) for m in masks if m.any()])
    answer(*answers)
    scores = SUITE.score(records_of(*samples, protocol=protocol), protocol)
    expected = official(coco_mini.annotations, samples, answers)
    assert [scores.metrics[name] for name in NAMES] == pytest.approx(expected.tolist(), abs=1e-9)
    assert 20 < scores.metrics["ar_1000"] < 80
    assert scores.counts["all"] > 100
    assert scores.metrics["masks_per_image"] == np.mean([len(masks) for masks in answers])


def test_only_the_best_1000_masks_by_predicted_iou_count(coco_mini, answer):
    sample = load_sample(CocoDataset(*coco_mini).entries[0])
    right = [(t.mask.full(), 0.5) for t in sample.targets if not t.iscrowd]
    noise = [(rectangle(right[0][0].shape, 0, 0, 2, 2), 0.9)] * 999
    answer(right + noise)
    scores = SUITE.score(records_of(sample), STRICT)
    expected = official(coco_mini.annotations, [sample], [right + noise])
    assert scores.metrics["ar_1000"] == pytest.approx(expected[0]) == pytest.approx(100 / len(right))


def test_crowds_are_no_objects_whatever_the_protocol_says(answer):
    one, crowd = target(rectangle(SIZE, 0, 0, 9, 9)), target(rectangle(SIZE, 20, 0, 40, 9), 2, crowd=True)
    for protocol in (STRICT, PAPER):
        answer([(crowd.mask.full(), 1.0)])
        records = records_of(sample_of(one, crowd), protocol=protocol)
        assert SUITE.score(records, protocol).metrics["ar_1000"] == 0
        assert SUITE.score(records, protocol).counts["all"] == 1


def test_images_without_masks_or_without_objects_count_as_images(answer):
    one = target(rectangle(SIZE, 0, 0, 9, 9))
    answer([], [(one.mask.full(), 0.9)], [(one.mask.full(), 0.9)] * 2)
    samples = [sample_of(one, image_id=1), sample_of(one, image_id=2), sample_of(size=SIZE, image_id=3)]
    scores = SUITE.score(records_of(*samples), STRICT)
    assert scores.metrics == {
        "masks_per_image": 1.0,
        "ar_1000": 50.0,
        "ar_1000_small": 50.0,
        "ar_1000_medium": None,
        "ar_1000_large": None,
    }
    assert scores.counts == {"all": 2, "small": 2, "medium": 0, "large": 0}
    assert scores.intervals["ar_1000"] == [0.0, 100.0]


def test_nothing_at_all_has_no_score():
    scores = SUITE.score(table(SUITE, []), STRICT)
    assert set(scores.metrics.values()) == {None}


def test_a_model_without_points_cannot_take_part():
    assert SUITE.refusal(Capabilities(points=False), STRICT) == "it takes no points"
    assert SUITE.refusal(Capabilities(boxes=False), STRICT) is None


def test_records_say_what_a_reader_needs_to_draw_the_masks(monkeypatch):
    monkeypatch.setattr(
        everything, "SETTINGS", everything.GeneratorSettings(points_per_side=3, stability_score_thresh=0)
    )
    one = target(rectangle(SIZE, 5, 5, 15, 15), ann_id=4)
    records = table(SUITE, evaluate(SUITE, create("box"), sample_of(one), STRICT))
    (image,) = records.filter(pc.equal(records["kind"], "image")).to_pylist()
    masks = records.filter(pc.equal(records["kind"], "mask")).to_pylist()
    (found,) = records.filter(pc.equal(records["kind"], "object")).to_pylist()
    assert image["masks"] == len(masks) == 9
    assert found["ann_id"] == 4
    assert (found["category"], found["size"]) == ("thing", "small")
    assert {row["file_name"] for row in (image, found, *masks)} == {"some/image.jpg"}
    assert {(row["category"], row["size"]) for row in (image, *masks)} == {(None, None)}
    assert found["matched_medium"] is None
    assert found["matched_all"] == found["matched_small"] is not None
    for mask in masks:
        pixels = rle.decode(json.loads(mask["segmentation"]))
        assert pixels.shape == SIZE
        assert mask["area"] == pixels.sum()
        assert pixels[int(mask["point"][1]), int(mask["point"][0])]
        assert mask["crop_box"] == [0, 0, 60, 40]
