"""A detector's boxes: every box is a prompt, masks keep class and score, AP is the official one's."""

import contextlib
import dataclasses
import hashlib
import io
import json
import weakref

import numpy as np
import pyarrow as pa
import pytest
import torch
from fakes import Fake, as_logits, in_shards
from pycocotools import mask as rle_tools
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from sambench.evsam.errors import SambenchError
from sambench.suites import det_box
from sambench.suites.base import Setting, Stopwatch
from sambench.suites.data import detections
from sambench.suites.data.coco import CocoDataset
from sambench.suites.data.sample import load_sample
from sambench.suites.det_box import SCHEMA, DetBox
from sambench.suites.protocol import PRESETS
from sambench.suites.scoring import batches

STRICT = PRESETS["strict"]


def boxes_of(annotations, path, **changes):
    """The boxes of annotations as a detector's file, sure of each."""
    rows = [
        {k: a[k] for k in ("image_id", "category_id", "bbox")} | {"score": 0.5 + 0.4 / (1 + a["id"])}
        for a in annotations
    ]
    path.write_text(json.dumps([row | changes for row in rows]))
    return path


def records_of(suite, dataset, segmenter, protocol=STRICT):
    rows = []
    for entry in dataset.entries:
        sample = load_sample(entry)
        (embedding,) = segmenter(sample).encode([sample.image])
        rows += suite.evaluate(segmenter(sample), embedding, sample, protocol, Stopwatch())
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def oracle(sample):
    """A segmenter that answers a box with the object that has it."""

    def rule(prompt, size):
        distance = [np.abs(np.array(t.box) - prompt.boxes[0].numpy()).max() for t in sample.targets]
        return as_logits(sample.targets[int(np.argmin(distance))].mask.full()), [1.0]

    return Fake(rule)


def filled_box(prompt, size):
    x0, y0, x1, y1 = prompt.boxes[0].round().int().tolist()
    mask = np.zeros(size, bool)
    mask[y0:y1, x0:x1] = True
    return as_logits(mask), [0.25]


@pytest.fixture(scope="module")
def elephants(data_root):
    """Two images, two objects, annotation ids from 0."""
    folder = data_root / "sginw-mini" / "seginw" / "Elephants" / "valid"
    return CocoDataset(folder, folder / "_annotations_min1cat.coco.json")


@pytest.fixture(scope="module")
def coco(coco_mini):
    return CocoDataset(*coco_mini)


def suite_on(dataset, file, **options):
    ids = tuple(e.record.id for e in dataset.entries)
    return DetBox.on(Setting(dataset.annotations, ids, file, dataset.style, **options))


@pytest.mark.parametrize(("preset", "ap"), [("strict", 100.0), ("paper", 25.25)])
def test_perfect_masks_are_perfect_unless_the_scorers_id_0_is_kept(elephants, preset, ap, tmp_path):
    content = json.loads(elephants.annotations.read_text())
    suite = suite_on(elephants, boxes_of(content["annotations"], tmp_path / "d.json"))
    records = records_of(suite, elephants, oracle)
    scores = suite.score(records, PRESETS[preset])
    assert scores.metrics["ap"] == pytest.approx(ap, abs=0.01)
    assert scores.metrics["box_ap"] == pytest.approx(ap, abs=0.01)


@pytest.mark.parametrize(("preset", "evaluator"), [("strict", "hotcoco"), ("paper", "pycocotools")])
def test_scores_say_which_library_computed_them(elephants, preset, evaluator, tmp_path):
    content = json.loads(elephants.annotations.read_text())
    suite = suite_on(elephants, boxes_of(content["annotations"], tmp_path / "d.json"))
    scores = suite.score(records_of(suite, elephants, oracle), PRESETS[preset])
    assert scores.evaluator == evaluator
    assert (scores.note is None) == (evaluator == "hotcoco")
    assert {"ap", "box_ap"} <= scores.intervals.keys()
    assert scores.note is None or "an annotation of the id 0" in scores.note


def test_annotations_and_boxes_are_read_once_for_the_check_and_all_scores(elephants, tmp_path, monkeypatch):
    content = json.loads(elephants.annotations.read_text())
    read = []
    for module, name in ((det_box, "read_whole"), (detections, "_read")):
        given = getattr(module, name)
        note = lambda path, *more, given=given: read.append(path) or given(path, *more)  # noqa: E731
        monkeypatch.setattr(module, name, note)
    suite = suite_on(elephants, boxes_of(content["annotations"], tmp_path / "d.json"))
    suite.check()
    records = records_of(suite, elephants, oracle)
    for preset in ("strict", "paper"):
        suite.score(records, PRESETS[preset])
    assert read == [tmp_path / "d.json", elephants.annotations]


def test_what_is_scored_is_what_was_planned(elephants, tmp_path):
    content = json.loads(elephants.annotations.read_text())
    boxes, annotations = boxes_of(content["annotations"], tmp_path / "d.json"), tmp_path / "a.json"
    annotations.write_text(json.dumps(content))
    setting = Setting(annotations, tuple(e.record.id for e in elephants.entries), boxes)
    planned = dataclasses.replace(
        setting,
        annotations_sha256=hashlib.sha256(annotations.read_bytes()).hexdigest(),
        detections_sha256=DetBox.detections_sha256(setting),
    )
    suite = DetBox.on(planned)
    suite.check()
    annotations.write_text(json.dumps(content) + " ")
    records = records_of(suite, elephants, oracle)
    assert suite.score(records, STRICT).metrics["ap"] == pytest.approx(
        100
    )  # of what was read, not what is there
    with pytest.raises(SambenchError, match=r"a\.json: changed since this run was planned"):
        DetBox.on(planned).score(records, STRICT)
    boxes.write_text("[]")
    with pytest.raises(SambenchError, match=r"d\.json: changed since this run was planned"):
        DetBox.on(planned)


@pytest.fixture(scope="module")
def synthetic(coco, data_root):
    """Filled boxes of a synthetic detector on the first images of the pack."""
    file = next((data_root / "detections" / "synthetic" / "coco-mini").glob("*vitdet*"))
    cut = CocoDataset(coco.images, coco.annotations)
    cut.entries = cut.entries[:25]
    suite = suite_on(cut, file)
    return suite, records_of(suite, cut, lambda _: Fake(filled_box)), cut


@pytest.fixture(scope="module")
def scores(synthetic):
    suite, records, _ = synthetic
    return suite.score(records, STRICT)


def test_records_are_the_detectors_boxes_with_a_mask_each(synthetic):
    suite, records, cut = synthetic
    for entry in cut.entries:
        rows = [r for r in records.to_pylist() if r["image_id"] == entry.record.id]
        given = suite.detections.of(entry.record.id)
        assert [r["bbox"] for r in rows] == given.xywh.tolist()
        assert [r["score"] for r in rows] == given.scores.tolist()
        assert [r["category_id"] for r in rows] == given.category_ids.tolist()
        for row in rows[:3]:
            mask = rle_tools.decode(json.loads(row["segmentation"]))
            w, h = row["bbox"][2:]
            assert mask.sum() == pytest.approx(w * h, abs=2 * (w + h) + 4)


def assert_same(found, whole):
    """To the last bit, evidence too."""
    assert found == whole
    for key, array in whole.evidence.arrays().items():
        np.testing.assert_array_equal(found.evidence.arrays()[key], array, strict=True)


@pytest.mark.parametrize("images", [1, 3, 10])
def test_shards_score_as_one_table_to_the_last_bit(images, synthetic, scores):
    suite, records, _ = synthetic
    parts = in_shards(records, images)
    assert len(parts.shards) > 2
    assert_same(suite.score_all(parts, STRICT), scores)


def test_rows_in_any_order_score_as_those_in_order(synthetic, scores):
    suite, records, _ = synthetic
    assert_same(suite.score(records.take(np.random.default_rng(0).permutation(len(records))), STRICT), scores)


def test_masks_are_held_of_as_many_images_as_are_compared_at_once(synthetic, monkeypatch):
    suite, records, _ = synthetic
    monkeypatch.setattr(batches, "IMAGES_AT_ONCE", 1)
    given, most = [], 0

    def read(part):
        nonlocal most
        given.append(weakref.ref(part))
        most = max(most, sum(one() is not None for one in given))
        return part

    suite.score_all(in_shards(records, 1, read), STRICT)
    assert most <= 4  # of the 25 that there are: one before its score is set, one after, one to compare


def test_records_that_are_not_in_the_order_of_their_images_are_refused(synthetic):
    suite, records, _ = synthetic
    parts = in_shards(records, 5)
    turned = dataclasses.replace(parts, shards=parts.shards[::-1])
    with pytest.raises(SambenchError, match="in the order of their images"):
        suite.score_all(turned, STRICT)


def test_ap_is_pycocotools_without_the_boxes_in_the_size_bins(synthetic, scores):
    _, records, cut = synthetic
    rows = [
        {k: r[k] for k in ("image_id", "category_id", "score")}
        | {"segmentation": json.loads(r["segmentation"])}
        for r in records.to_pylist()
    ]
    truth = COCO(str(cut.annotations))
    job = COCOeval(truth, truth.loadRes(rows), "segm")
    job.params.imgIds = [e.record.id for e in cut.entries]
    job.evaluate()
    job.accumulate()
    job.summarize()
    metrics = scores.metrics
    names = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
    assert [metrics[n] for n in names] == pytest.approx([100 * v for v in job.stats[:6]], abs=1e-4)
    assert metrics["ap"] < metrics["box_ap"]


def drawn_anew(content, rows, ids, rng):
    """A data set and results of images drawn with replacement, each time under ids of its own."""
    truth = {"images": [], "annotations": [], "categories": content["categories"]}
    results = []
    for new, old in enumerate(rng.choice(ids, len(ids))):
        truth["images"] += [i | {"id": new} for i in content["images"] if i["id"] == old]
        for a in content["annotations"]:
            if a["image_id"] == old:
                truth["annotations"].append(a | {"image_id": new, "id": 1 + len(truth["annotations"])})
        results += [r | {"image_id": new} for r in rows if r["image_id"] == old]
    return truth, results


@pytest.mark.slow
def test_intervals_are_those_of_images_drawn_anew(synthetic):
    """Against pycocotools on data sets that were really drawn; AP alone, of all sizes."""
    suite, records, cut = synthetic
    rows = [
        {k: r[k] for k in ("image_id", "category_id", "score")}
        | {"segmentation": json.loads(r["segmentation"])}
        for r in records.to_pylist()
    ]
    content = json.loads(cut.annotations.read_text())
    rng = np.random.default_rng(5)
    drawn = []
    with contextlib.redirect_stdout(io.StringIO()):
        for _ in range(120):
            truth = COCO()
            truth.dataset, results = drawn_anew(content, rows, [e.record.id for e in cut.entries], rng)
            truth.createIndex()
            job = COCOeval(truth, truth.loadRes(results), "segm")
            job.params.areaRng, job.params.areaRngLbl = job.params.areaRng[:1], job.params.areaRngLbl[:1]
            job.params.maxDets = [100]
            job.params.catIds = sorted({a["category_id"] for a in truth.dataset["annotations"]})
            job.evaluate()
            job.accumulate()
            precision = job.eval["precision"]  # (thresholds, recalls, categories, 1, 1), -1 without objects
            drawn.append([100 * p[p > -1].mean() for p in (precision, precision[0])])
    scores = suite.score(records, STRICT)
    found, names = scores.intervals, ("ap", "ap50")
    want = 2 * np.array([scores.metrics[n] for n in names]) - np.percentile(drawn, [97.5, 2.5], axis=0)
    for i, name in enumerate(names):
        width = want[1, i] - want[0, i]
        assert found[name] == pytest.approx(want[:, i].tolist(), abs=0.25 * width)  # both are drawn


def test_the_evaluators_agree_and_order_does_not_matter(synthetic, scores):
    suite, records, _ = synthetic
    want = scores.metrics
    slow = dataclasses.replace(suite, setting=dataclasses.replace(suite.setting, evaluator="pycocotools"))
    assert slow.score(records, STRICT).metrics == pytest.approx(want, abs=1e-4)
    shuffled = records.take(np.random.default_rng(0).permutation(records.num_rows))
    assert suite.score(shuffled, STRICT).metrics == want


def test_the_protocol_says_what_ranks_the_masks(synthetic, scores):
    suite, records, _ = synthetic
    rng = np.random.default_rng(1)
    drawn = rng.random(records.num_rows).astype(np.float32)
    column = records.schema.get_field_index("pred_iou")
    noisy = records.set_column(column, SCHEMA.field("pred_iou"), pa.array(drawn))
    found = {
        score: suite.score(noisy, dataclasses.replace(STRICT, score=score)).metrics
        for score in ("det", "pred_iou", "product")
    }
    assert found["det"] == scores.metrics
    assert found["pred_iou"]["ap"] < found["product"]["ap"] < found["det"]["ap"]  # noise ranks worse
    assert len({f["box_ap"] for f in found.values()}) == 1


def test_an_image_without_boxes_asks_nothing_and_still_counts(coco, tmp_path):
    (tmp_path / "none.json").write_text("[]")
    cut = CocoDataset(coco.images, coco.annotations)
    cut.entries = cut.entries[:2]
    suite = suite_on(cut, tmp_path / "none.json")
    records = records_of(suite, cut, lambda _: Fake(filled_box))
    assert records.num_rows == 0
    scores = suite.score(records, STRICT)
    assert scores.metrics["ap"] == 0
    assert scores.counts == {"detections": 0, "detections_elsewhere": 0, "images_without_detections": 2}


def test_boxes_reach_the_model_in_its_own_batches(coco, data_root):
    file = next((data_root / "detections" / "synthetic" / "coco-mini").glob("*vitdet*"))
    suite = suite_on(coco, file)
    sample = load_sample(coco.entries[0])
    fakes = [Fake(filled_box, prompt_batch=n) for n in (1, 64)]
    rows = []
    for fake in fakes:
        (embedding,) = fake.encode([sample.image])
        rows.append(suite.evaluate(fake, embedding, sample, STRICT, Stopwatch()))
    assert rows[0] == rows[1]
    asked = torch.cat([p.boxes for p in fakes[0].asked])
    assert torch.equal(asked, torch.cat([p.boxes for p in fakes[1].asked]))
    assert asked.double().numpy() == pytest.approx(suite.detections.of(sample.image_id).boxes, abs=1e-3)
