"""The suite ``concept`` image by image: what is asked, what is kept, and what AP comes to."""

import dataclasses
import json

import numpy as np
import pyarrow as pa
import pytest
import torch
from fakes import CATEGORIES, Fake, evaluate, rectangle, sample_of, table, target

from sambench.adapters.base import Capabilities
from sambench.adapters.concepts import Instances
from sambench.evsam.errors import SambenchError
from sambench.suites.base import Setting
from sambench.suites.concept.suite import Concept
from sambench.suites.data.coco import CocoDataset
from sambench.suites.data.masks import to_window
from sambench.suites.data.segmentation import compress, examine
from sambench.suites.protocol import for_suite, make_protocol
from sambench.suites.scoring.together import Together

STRICT = make_protocol("strict")
SIZE = (40, 60)


class Speaks(Fake):
    """Answers phrases by ``answer(phrase) -> [(score, mask (H, W)), ...]``, and remembers what was asked."""

    def __init__(self, answer, phrase_batch=2):
        super().__init__(None, prompt_batch=2, capabilities=Capabilities(concepts=True))
        self.answer, self.phrase_batch, self.phrases, self.wanted = answer, phrase_batch, [], []

    def find_batch(self, embedding, phrases, wanted):
        assert 0 < len(phrases) <= self.phrase_batch
        self.phrases += phrases
        self.wanted.append(wanted)
        return [self._one(self.answer(phrase), embedding.size, wanted) for phrase in phrases]

    def _one(self, found, size, wanted):
        scores = torch.tensor([score for score, _ in found], dtype=torch.float64)
        best = wanted.best(scores)
        masks = np.array([found[i][1] for i in best.tolist()]).reshape(-1, *size)
        windows = [to_window(mask) for mask in masks]
        boxes = [[w.left, w.top, w.left + w.pixels.shape[1], w.top + w.pixels.shape[0]] for w in windows]
        logits = torch.from_numpy(masks.astype(np.float32)) - 0.5
        return Instances(logits, scores[best], torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4))


def some(*scores):
    """That many instances for any phrase, side by side."""
    masks = [rectangle(SIZE, 3 * i % 50, 5, 3 * i % 50 + 3, 20) for i in range(len(scores))]
    return lambda phrase: list(zip(scores, masks, strict=True))


def suite_on(folder, style="coco", **changes):
    return Concept(Setting(folder / "none.json", (7,), style=style, **changes))


def instances(records):
    return [record for record in records if record["kind"] == "instance"]


def test_every_category_is_asked_by_its_name_and_batched(tmp_path):
    model = Speaks(some(0.9, 0.1, 0.6))
    records = evaluate(suite_on(tmp_path), model, sample_of(size=SIZE), STRICT)
    assert model.phrases == list(CATEGORIES.values())
    assert records[0] | {"kind": "image", "asked": 2} == records[0]
    found = instances(records)
    assert [(r["category_id"], r["score"]) for r in found] == [
        (category, score) for category in CATEGORIES for score in (0.9, 0.6, 0.1)
    ]
    assert found[0]["bbox"] == [0, 5, 3, 15]
    assert model.upsampled == [(3, *SIZE)] * 2
    assert table(Concept, records).schema == Concept.schema


def test_masks_are_drawn_some_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr("sambench.suites.concept.suite.PIXELS_AT_ONCE", 2 * SIZE[0] * SIZE[1] + 1)
    model = Speaks(some(0.9, 0.1, 0.6))
    evaluate(suite_on(tmp_path), model, sample_of(size=SIZE), STRICT)
    assert model.upsampled == [(2, *SIZE), (1, *SIZE)] * 2


def test_names_that_are_there_are_asked_alone(tmp_path):
    mask = rectangle(SIZE, 3, 3, 9, 9)
    objects = (target(mask, 1, category_id=90), target(mask, 2, crowd=True))
    model = Speaks(some(0.9))
    there = make_protocol({"names": "there"})
    evaluate(suite_on(tmp_path), model, sample_of(*objects), there)
    assert model.phrases == ["toothbrush"]
    records = evaluate(suite_on(tmp_path), model, sample_of(size=SIZE), there)
    assert [(r["kind"], r["asked"]) for r in records] == [("image", 0)]


@pytest.mark.parametrize(
    ("phrases", "asked"), [("cleaned", ["bow", "toy car"]), ("as_given", ["Bow_(weapon)", "toy_car"])]
)
def test_names_are_cleaned_or_as_given(tmp_path, phrases, asked):
    model = Speaks(some())
    sample = dataclasses.replace(sample_of(size=SIZE), categories={1: " Bow_(weapon) ", 2: "toy_car"})
    evaluate(suite_on(tmp_path), model, sample, make_protocol({"phrases": phrases}))
    assert model.phrases == asked
    wordless = dataclasses.replace(sample, categories={1: "(?)"})
    with pytest.raises(SambenchError, match="no words"):
        evaluate(suite_on(tmp_path), model, wordless, STRICT)


def test_of_a_phrase_the_best_hundred_are_kept_or_those_above_the_floor(tmp_path):
    scores = np.random.default_rng(0).permutation(130) / 130
    model = Speaks(some(*scores.tolist()))
    kept = instances(evaluate(suite_on(tmp_path), model, sample_of(size=SIZE), STRICT))
    assert [r["score"] for r in kept] == sorted(scores, reverse=True)[:100] * 2
    floor = make_protocol({"instances": "above_0.3"})
    kept = instances(evaluate(suite_on(tmp_path), model, sample_of(size=SIZE), floor))
    assert [r["score"] for r in kept] == [s for s in sorted(scores, reverse=True) if s > 0.3] * 2
    exact = Speaks(some(0.3, 0.30001))
    (first, *_) = instances(evaluate(suite_on(tmp_path), exact, sample_of(size=SIZE), floor))
    assert first["score"] == 0.30001


def test_of_more_than_a_hundred_all_that_are_confident_are_kept(tmp_path):
    scores = [0.9] * 60 + [0.5] * 70 + [0.49] * 20
    model = Speaks(some(*scores))
    kept = instances(evaluate(suite_on(tmp_path), model, sample_of(size=SIZE), STRICT))
    assert [r["score"] for r in kept] == scores[:130] * 2


def test_of_an_lvis_image_the_best_three_hundred_are_kept_over_all_phrases(tmp_path):
    scores = {"thing": [0.9] * 2 + [0.4] * 240, "toothbrush": [0.8] * 40 + [0.4] * 30 + [0.1] * 5}
    model = Speaks(lambda phrase: some(*scores[phrase])(phrase))
    kept = instances(evaluate(suite_on(tmp_path, "lvis"), model, sample_of(size=SIZE), STRICT))
    found = sorted((r["score"] for r in kept), reverse=True)
    every = sorted(scores["thing"] + scores["toothbrush"], reverse=True)
    assert found[:300] == every[:300]
    assert min(found) == every[299]  # equals are left to the evaluator


def test_on_pairs_the_official_choices_are_taken():
    chosen = for_suite(STRICT, "concept", pairs=True)
    assert (chosen.phrases, chosen.instances, chosen.preset) == ("as_given", "above_0.3", "strict")
    assert for_suite(STRICT, "concept") == STRICT
    own = make_protocol({"names": "there", "instances": "all", "gt_ids": "as_given"})
    assert for_suite(own, "concept") == own
    asked = for_suite(own, "concept", pairs=True)  # the file says what is asked
    assert (asked.names, asked.phrases, asked.instances) == ("all", "as_given", "above_0.3")


def test_models_without_phrases_are_refused(tmp_path):
    suite = suite_on(tmp_path)
    assert suite.refusal(Capabilities(), STRICT) == "it takes no phrases"
    assert suite.refusal(Capabilities(concepts=True, boxes=False, points=False), STRICT) is None
    model = Fake(None)
    (embedding,) = model.encode([np.zeros((*SIZE, 3), np.uint8)])
    with pytest.raises(SambenchError, match="fake: it takes no phrases"):
        model.find(embedding, ["cup"])


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_scores_and_logits_that_are_not_finite_are_refused(tmp_path, bad):
    with pytest.raises(SambenchError, match="not finite"):
        evaluate(suite_on(tmp_path), Speaks(some(0.5, bad)), sample_of(size=SIZE), STRICT)
    mask = np.full(SIZE, np.float32(bad))
    with pytest.raises(SambenchError, match="logits are not finite"):
        evaluate(suite_on(tmp_path), Speaks(lambda phrase: [(0.5, mask)]), sample_of(size=SIZE), STRICT)


@pytest.fixture(scope="module")
def on_coco(coco_mini):
    """The suite on real annotations, and records of a model that finds half of the objects, and others."""
    dataset = CocoDataset(None, coco_mini.annotations)
    content = dataset.evaluated(dataset.entries)
    ids = tuple(sorted(image.id for image in content.images))
    suite = Concept(Setting(coco_mini.annotations, ids, contents={"": content}))
    rng = np.random.default_rng(3)
    rows = [{"image_id": i, "file_name": "x", "kind": "image", "asked": 80} for i in ids]
    sizes = {image.id: (image.height, image.width) for image in content.images}
    for one in content.annotations[::2]:
        code = compress(examine(one.segmentation, sizes[one.image_id]).drawable, sizes[one.image_id])
        counts = code["counts"] if isinstance(code["counts"], str) else code["counts"].decode()
        rows.append(
            {
                **{"image_id": one.image_id, "file_name": "x", "kind": "instance"},
                "category_id": one.category_id if rng.random() < 0.8 else int(rng.choice([1, 3, 18])),
                "score": float(rng.random()),
                "bbox": list(one.bbox),
                "segmentation": json.dumps({"size": list(code["size"]), "counts": counts}),
            }
        )
    return suite, table(Concept, rows)


def test_pairs_of_a_data_set_are_its_images_and_categories(on_coco):
    suite, records = on_coco
    found = suite.score(records, STRICT)
    images, categories = len(suite.setting.image_ids), len(suite.contents[0].categories)
    crowded = {(a.image_id, a.category_id) for a in suite.contents[0].annotations if a.iscrowd}
    assert crowded
    assert found.counts["pairs"] == images * categories - len(crowded)
    assert set(found.metrics) <= {metric.name for metric in Concept.metrics}
    assert found.intervals.keys() <= found.metrics.keys()
    assert isinstance(found.evidence, Together)
    for name, value in found.evidence.numbers().items():
        assert found.metrics[name] == pytest.approx(value, abs=1e-9), name
    there = suite.score(records, make_protocol({"names": "there"}))
    assert there.counts["pairs"] < found.counts["pairs"]
    assert there.counts["il_fp"] == there.counts["il_tn"] == 0
    assert "cgf1" not in there.metrics  # it says nothing where nothing is asked in vain
    assert there.metrics["ap"] == found.metrics["ap"]
    assert there.metrics["pmf1"] == pytest.approx(found.metrics["pmf1"])


def test_images_that_failed_are_not_scored(on_coco):
    suite, records = on_coco
    out = suite.setting.image_ids[0]
    left = records.filter(pa.compute.not_equal(records["image_id"], out))
    found, whole = suite.score(left, STRICT), suite.score(records, STRICT)
    assert found.counts["pairs"] == whole.counts["pairs"] - len(suite.contents[0].categories)
    mine = [a for a in suite.contents[0].annotations if a.image_id == out]
    held = sum(not a.iscrowd for a in mine)
    assert held == len(mine) > 0
    assert found.counts["all"] == whole.counts["all"] - held


def test_no_row_at_all_is_scored_too(on_coco):
    suite, records = on_coco
    nothing = suite.score(records.slice(0, 0), STRICT)
    assert nothing.counts["pairs"] == 0
    assert all(value is None for value in nothing.metrics.values())


def test_lvis_pairs_are_those_that_were_looked_for(lvis_mini):
    content = CocoDataset(None, lvis_mini.annotations, lenient=True)
    entries = content.checked(content.entries, files=False)
    read = content.evaluated(entries)
    ids = tuple(sorted(image.id for image in read.images))
    suite = Concept(Setting(lvis_mini.annotations, ids, style="lvis", contents={"": read}))
    truth = suite.truth("all")
    raw = json.loads(lvis_mini.annotations.read_text())
    held = {}
    for one in raw["annotations"]:
        held.setdefault(one["image_id"], set()).add(one["category_id"])
    expected = {
        (image["id"], category): category not in image["not_exhaustive_category_ids"]
        for image in raw["images"]
        for category in held.get(image["id"], set()) | set(image["neg_category_ids"])
    }
    asked = truth.asked
    pairs = zip(asked.image_ids[asked.image].tolist(), asked.category.tolist(), strict=True)
    found = dict(zip(pairs, truth.scored.tolist(), strict=True))
    assert found == expected
    assert not all(expected.values())
