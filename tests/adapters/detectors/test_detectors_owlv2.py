"""OWLv2 against transformers' own model and processor, in small."""

import json

import pytest
import torch
from tiny_hf import fill

from sambench import adapters
from sambench.adapters.concepts import Wanted
from sambench.adapters.detectors import owlv2
from sambench.evsam.errors import SambenchError
from tests.golden import golden

CPU = torch.device("cpu")
SIDE, WIDTH = 64, 32
ASKED = ["dog", "a hot dog", "one of the very, very long phrases"]
IMAGES = [golden.make_image(*size) for size in ((90, 141), (40, 30), (64, 64))]
"""Larger than the input, smaller, and of its size."""

SMALL = {"hidden_size": WIDTH, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}


def save_tokenizer(folder):
    """CLIP's tokenizer with letters alone."""
    letters = [*"abcdefghijklmnopqrstuvwxyz,"]
    tokens = ["!", *letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "CLIPTokenizer", "pad_token": "!"})
    )
    return len(tokens)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("owlv2")
    last = save_tokenizer(folder) - 1
    text = SMALL | {"vocab_size": last + 1, "bos_token_id": last - 1, "eos_token_id": last}
    vision = SMALL | {"image_size": SIDE, "patch_size": 16}
    config = transformers.Owlv2Config(text_config=text, vision_config=vision, projection_dim=WIDTH)
    model = fill(transformers.Owlv2ForObjectDetection(config))
    model.save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setitem(owlv2.SIZES, "owlv2_b", {"vision_config": {"hidden_size": WIDTH}})


@pytest.fixture
def detector(folder):
    return owlv2.create("owlv2_b", weights=str(folder), device=CPU)


@pytest.fixture(scope="module")
def its(folder):
    """The model and the processor of transformers."""
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("torchvision")
    processor = transformers.Owlv2Processor(
        transformers.Owlv2ImageProcessor(size={"height": SIDE, "width": SIDE}),
        transformers.AutoTokenizer.from_pretrained(folder, model_max_length=16),
    )
    return transformers.Owlv2ForObjectDetection.from_pretrained(folder).eval(), processor


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: str(image.shape[:2]))
def test_boxes_and_scores_are_those_of_the_model_asked_for_one_phrase(detector, its, image):
    model, processor = its
    size = image.shape[:2]
    seen = detector.see(detector.prepare(image), size)
    for phrase, found in zip(ASKED, detector.find(seen, ASKED), strict=True):
        inputs = processor(text=[[phrase]], images=image, return_tensors="pt", truncation=True)
        assert torch.allclose(detector.prepare(image), inputs["pixel_values"][0], atol=1e-4)
        with torch.no_grad():
            output = model(**inputs)
        (want,) = processor.image_processor.post_process_object_detection(output, 0.0, [size])
        assert torch.allclose(found.scores, want["scores"], atol=1e-5)
        assert torch.allclose(found.boxes, want["boxes"], atol=1e-2)
        assert len(found.scores) == (SIDE // 16) ** 2
    first, *others = (found.scores for found in detector.find(seen, ASKED))
    assert not any(torch.allclose(first, other, atol=1e-3) for other in others)


def test_it_goes_before_a_segmenter(folder):
    both = adapters.create("owlv2_b+box", weights={"owlv2_b": str(folder)})
    (embedding,) = both.encode(IMAGES[:1])
    (found,) = both.find(embedding, ["dog"], Wanted(most=3))
    assert found.logits.shape == (3, *IMAGES[0].shape[:2])
    assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)


def test_what_is_missing_is_named_with_its_remedy(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("SAMBENCH_WEIGHTS", str(tmp_path))
    with pytest.raises(SambenchError, match=r"no checkpoint at .*google--owlv2-base-patch16-ensemble"):
        owlv2.create("owlv2_b", weights=None, device=CPU)
    with pytest.raises(SambenchError, match=r"no CLIP tokenizer.*into that folder"):
        owlv2.create("owlv2_b", weights="random", device=CPU)
    with pytest.raises(SambenchError, match=r"is no owlv2_l; its encoder is 32 channels wide, and not 1024"):
        owlv2.create("owlv2_l", weights=str(folder), device=CPU)


@pytest.mark.slow
def test_random_weights_are_of_the_full_size(tmp_path, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setenv("SAMBENCH_WEIGHTS", str(tmp_path))
    place = tmp_path / "google--owlv2-base-patch16-ensemble"
    place.mkdir()
    save_tokenizer(place)
    detector = owlv2.create("owlv2_b", weights="random", device=CPU)
    assert detector.side == 960
    assert sum(p.numel() for p in detector.model.parameters()) == pytest.approx(155e6, rel=0.03)
