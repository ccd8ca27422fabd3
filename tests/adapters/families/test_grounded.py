"""A detector of phrases before a segmenter: the boxes are prompts, the masks keep their scores."""

import dataclasses
import json

import pytest
import torch

from sambench import adapters
from sambench.adapters import registry
from sambench.adapters.base import Capabilities, Prompts
from sambench.adapters.concepts import Wanted
from sambench.adapters.families.grounded import Grounded
from sambench.adapters.models import Entry
from sambench.adapters.registry import entry, modules_of
from sambench.adapters.spec import ModelSpec
from sambench.evsam.errors import SambenchError
from tests.adapters import tiny_grounding
from tests.golden import golden

ASKED = ["dog", "a very small hot dog"]
IMAGES = [golden.make_image(90, 141), golden.make_image(120, 100)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_grounding.save(tmp_path_factory.mktemp("grounding_dino"), tiny_grounding.vocabulary())


@pytest.fixture(autouse=True)
def small(monkeypatch):
    tiny_grounding.shrink(monkeypatch)


def created(folder, segmenter="efficientvit_sam_pico"):
    return adapters.create(f"grounding_dino_t+{segmenter}", weights={"grounding_dino_t": str(folder)})


def test_masks_are_those_of_the_segmenter_for_the_wanted_boxes(folder):
    """Composed by hand: the detector alone, the highest scores, the segmenter alone with those boxes."""
    both = created(folder)
    assert both.capabilities.concepts
    both.phrase_batch = len(ASKED)  # as the detector is asked below: to the last bit
    detector, segmenter = both.detector, adapters.create("efficientvit_sam_pico")
    for image, embedding in zip(IMAGES, both.encode(IMAGES), strict=True):
        size = image.shape[:2]
        boxes = detector.find(detector.see(detector.prepare(image), size), ASKED)
        (alone,) = segmenter.encode([image])
        for one, found in zip(boxes, both.find(embedding, ASKED, Wanted(most=3)), strict=True):
            scores, places = one.scores.sort(descending=True, stable=True)
            assert torch.equal(found.scores, scores[:3])
            assert torch.equal(found.boxes, one.boxes[places[:3]])
            want = segmenter.decode(alone, Prompts(boxes=one.boxes[places[:3]]), multimask=False).logits[:, 0]
            assert torch.allclose(found.logits, want, atol=1e-4)
            assert both.upsample(found.logits, size).shape == (3, *size)


def test_what_is_not_wanted_makes_no_mask(folder, monkeypatch):
    both = created(folder, "box")
    (embedding,) = both.encode(IMAGES[:1])
    asked = []
    decode = both.segmenter.decode_batch

    def counted(own, prompts, multimask):
        asked.append(len(prompts))
        return decode(own, prompts, multimask)

    monkeypatch.setattr(both.segmenter, "decode_batch", counted)
    every = list(both.find(embedding, ASKED))
    assert [len(one) for one in every] == [tiny_grounding.QUERIES] * 2
    assert sum(asked) == 2 * tiny_grounding.QUERIES
    asked.clear()
    above = float(every[0].scores[4])
    few = list(both.find(embedding, ASKED, Wanted(above=above)))
    assert len(few[0]) == 4
    assert sum(asked) == sum(len(one) for one in few)
    none = list(both.find(embedding, ASKED, Wanted(above=1.0)))
    assert [one.logits.shape for one in none] == [(0, *IMAGES[0].shape[:2])] * 2
    assert none[0].boxes.shape == (0, 4)


def test_boxes_and_points_are_the_segmenters_and_wake_no_detector(folder):
    both, alone = created(folder), adapters.create("efficientvit_sam_pico")
    both.detector.see = None  # would fail
    boxes = Prompts(boxes=torch.tensor([[10.0, 10, 60, 50], [5, 20, 30, 80]]))
    points = Prompts(points=torch.tensor([[[20.0, 30.0]]]), labels=torch.ones(1, 1, dtype=torch.long))
    theirs, ours = alone.encode(IMAGES), both.encode(IMAGES)
    for prompts in (boxes, points):
        for one, own in zip(theirs, ours, strict=True):
            want, found = alone.decode(one, prompts), both.decode(own, prompts)
            assert torch.equal(want.logits, found.logits)
            assert torch.equal(want.iou, found.iou)
            assert torch.equal(alone.decode_best(one, prompts).logits, both.decode_best(own, prompts).logits)
    assert torch.equal(alone.decode_each(theirs, boxes).logits, both.decode_each(ours, boxes).logits)
    prepared = both.prepare(IMAGES[0])
    pixels = prepared.pixels[None]
    assert torch.equal(alone.run_encoder(pixels), both.run_encoder(pixels))
    moved = dataclasses.replace(prepared, pixels=prepared.pixels.flip(2))  # as throughput feeds its pixels
    want = alone.embed([dataclasses.replace(moved.own, pixels=moved.pixels)])[0]
    assert torch.equal(both.embed([moved])[0].features, want.features)


def test_the_detector_sees_an_image_once(folder, monkeypatch):
    both = created(folder, "box")
    seen = []
    see = both.detector.see
    monkeypatch.setattr(both.detector, "see", lambda *given: seen.append(1) or see(*given))
    first, _ = both.encode(IMAGES)
    assert not seen
    for _ in range(2):
        list(both.find(first, ["dog", "bear"] * 3))
    assert len(seen) == 1


def test_a_segmenter_without_boxes_is_refused_by_name(folder):
    both = created(folder, "box")
    both.segmenter.capabilities = Capabilities(boxes=False)
    with pytest.raises(SambenchError, match=r"a\+box: box takes no boxes"):
        Grounded("a+box", both.detector, both.segmenter)


def test_a_model_from_outside_is_refused_by_name(monkeypatch):
    monkeypatch.setitem(registry._added, "mine", Entry("mine.py:Mine", "mine", "mine.py", plugin=True))
    with pytest.raises(SambenchError, match="mine comes from outside"):
        entry("llmdet_l+mine")
    with pytest.raises(SambenchError, match=r"llmdet_l\+mine is llmdet_l before mine"):
        registry.add("llmdet_l+mine=mine.py:Mine", check=False)


def test_its_entry_names_both():
    found = entry("grounding_dino_t+efficientvit_sam_l0")
    assert found.title == "Grounding DINO-T + EfficientViT-SAM-L0"
    assert "2303.05499" in found.source
    assert "2402.05008" in found.source
    assert entry("llmdet_l+hf:facebook/sam3").libraries == ("transformers", "timm")
    modules = modules_of("llmdet_l+efficientvit_sam_l0")
    assert modules == tuple(
        f"sambench.adapters.{name}"
        for name in ("families.grounded", "detectors.grounding_phrases", "families.efficientvit_sam")
    )
    assert modules_of("box") == ("sambench.adapters.families.baselines",)


def test_its_specification_travels_and_is_a_key():
    spec = ModelSpec("grounding_dino_t+box", {"grounding_dino_t": "random"})
    assert ModelSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
    assert {spec: 1}[dataclasses.replace(spec)] == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("grounding_dino+box", "'grounding_dino' is no detector of phrases. Did you mean 'grounding_dino_"),
        ("grounding_dino_t+efficientvit_sam_l9", "no model 'efficientvit_sam_l9'. Did you mean"),
        ("grounding_dino_t+", r"Put a segmenter behind it, such as grounding_dino_t\+efficientvit"),
        ("llmdet_l", r"llmdet_l: is a detector of phrases"),
    ],
)
def test_names_of_no_model_are_refused(name, message):
    with pytest.raises(SambenchError, match=message):
        entry(name)


def test_a_part_that_is_replaced_while_it_is_loaded_ends_it(folder, tmp_path, monkeypatch):
    copy = tmp_path / "weights"
    copy.mkdir()
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    build = Grounded.__init__

    def replaced(self, *given):
        build(self, *given)
        (copy / "config.json").write_text((copy / "config.json").read_text() + " ")

    monkeypatch.setattr(Grounded, "__init__", replaced)
    with pytest.raises(SambenchError, match="was replaced while it was loaded"):
        created(copy, "box")
