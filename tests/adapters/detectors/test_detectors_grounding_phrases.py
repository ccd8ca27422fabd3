"""Detectors of phrases against transformers' own models and processor."""

import importlib

import pytest
import torch

from sambench.adapters.detectors import grounding_phrases
from sambench.evsam.errors import SambenchError
from tests.adapters import tiny_grounding
from tests.golden import golden

CPU = torch.device("cpu")
ASKED = ["dog", "a very small hot dog", "bear"]
IMAGE = golden.make_image(90, 141)
SIZE = IMAGE.shape[:2]
KINDS = {
    "grounding_dino_t": "GroundingDino",
    "mm_grounding_dino_t": "MMGroundingDino",
    "llmdet_t": "MMGroundingDino",
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    vocabulary = tiny_grounding.vocabulary()
    return {
        kind: tiny_grounding.save(tmp_path_factory.mktemp(kind), vocabulary, kind)
        for kind in set(KINDS.values())
    }


@pytest.fixture(autouse=True)
def small(monkeypatch):
    tiny_grounding.shrink(monkeypatch)


@pytest.fixture
def detector(folders):
    return grounding_phrases.create("grounding_dino_t", weights=str(folders["GroundingDino"]), device=CPU)


def see(detector):
    return detector.see(detector.prepare(IMAGE), SIZE)


@pytest.mark.parametrize("name", KINDS)
def test_boxes_and_scores_are_those_of_the_model_asked_for_one_phrase(folders, name):
    """Against the whole model of transformers, its own backbone, tokenizer and box post-processing."""
    transformers = importlib.import_module("transformers")
    folder = folders[KINDS[name]]
    detector = grounding_phrases.create(name, weights=str(folder), device=CPU)
    found = detector.find(see(detector), ASKED)
    model = transformers.AutoModelForZeroShotObjectDetection.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    pixels = detector.prepare(IMAGE)[None]
    for phrase, one in zip(ASKED, found, strict=True):
        tokens = tokenizer(f"{phrase}.", return_tensors="pt")
        with torch.no_grad():
            output = model(pixel_values=pixels, **tokens)
        own = output.logits[0, :, 1 : len(tokens["input_ids"][0]) - 2]  # without [CLS], "." and [SEP]
        assert torch.allclose(one.scores, own.sigmoid().mean(dim=1), atol=1e-5)
        centre, size = output.pred_boxes[0].split(2, dim=1)
        scale = torch.tensor([SIZE[1], SIZE[0]])
        want = torch.cat([(centre - size / 2) * scale, (centre + size / 2) * scale], dim=1)
        assert torch.allclose(one.boxes, want, atol=1e-3)
    assert len({tuple(one.scores.tolist()) for one in found}) == len(ASKED)  # the text does something


def test_a_phrase_is_answered_as_if_alone(detector):
    """Beside longer phrases its caption is padded, which changes nothing."""
    seen = see(detector)
    together = detector.find(seen, ASKED)
    for phrase, one in zip(ASKED, together, strict=True):
        (alone,) = detector.find(seen, [phrase])
        assert torch.allclose(one.scores, alone.scores, atol=1e-5)
        assert torch.allclose(one.boxes, alone.boxes, atol=1e-3)


def test_the_backbone_is_computed_once_an_image(detector):
    calls = []
    detector.backbone.compute.register_forward_hook(lambda *_: calls.append(1))
    seen = see(detector)
    for _ in range(2):
        detector.find(seen, ASKED)
    assert len(calls) == 1
    with pytest.raises(AssertionError):  # and is not answered with another image's
        detector.model(pixel_values=seen.pixels, input_ids=torch.tensor([[101, 3899, 1012, 102]]))


def test_texts_are_tokenized_once_for_all_images(detector, monkeypatch):
    seen = see(detector)
    detector.find(seen, ASKED)
    monkeypatch.setattr(detector, "tokenizer", None)
    detector.find(see(detector), ASKED)


def test_what_is_missing_is_named_with_its_remedy(folders, tmp_path, monkeypatch):
    monkeypatch.setenv("SAMBENCH_WEIGHTS", str(tmp_path))
    with pytest.raises(SambenchError, match=r"no checkpoint at .*IDEA-Research--grounding-dino-tiny"):
        grounding_phrases.create("grounding_dino_t", weights=None, device=CPU)
    with pytest.raises(SambenchError, match=r"no BERT tokenizer.*put them into .*bert-base-uncased"):
        grounding_phrases.create("grounding_dino_t", weights="random", device=CPU)
    file = tmp_path / "groundingdino_swint_ogc.pth"
    file.write_bytes(b"")
    with pytest.raises(SambenchError, match=r"is a file\. .*--weights grounding_dino_t=FOLDER"):
        grounding_phrases.create("grounding_dino_t", weights=str(file), device=CPU)
    for name, kind in (("llmdet_t", "GroundingDino"), ("grounding_dino_t", "MMGroundingDino")):
        with pytest.raises(SambenchError, match=r"parameters are (missing|unexpected)"):
            grounding_phrases.create(name, weights=str(folders[kind]), device=CPU)
