"""Phrases through transformers: its own processor, ``forward`` and post-processing are the oracle."""

import shutil

import pytest
import tiny_hf
import torch
from fakes import CATEGORIES, evaluate, sample_of

from sambench import adapters
from sambench.adapters.base import Prompts
from sambench.adapters.concepts import Wanted
from sambench.evsam.errors import SambenchError
from sambench.suites.base import Setting
from sambench.suites.concept.suite import Concept
from sambench.suites.protocol import make_protocol
from tests.golden import golden

HEIGHT, WIDTH = 90, 141
SIZE = (HEIGHT, WIDTH)
LOW = tiny_hf.SIDE // 4
PHRASES = ["cat", "A  big DOG's bone", "naïve 犬 🐕", "", "cat dog cat dog"]
LONG = "cat " * 40


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return tiny_hf.Folders(tmp_path_factory.mktemp("hf"))


@pytest.fixture(scope="module", params=["sam3_lite_text", "sam3_video"], ids=["alone", "with its tracker"])
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def segmenter(folders, kind):
    return adapters.create(f"hf:{folders(kind)}")


@pytest.fixture(scope="module")
def image():
    return golden.make_image(HEIGHT, WIDTH)


@pytest.fixture(scope="module")
def embedding(segmenter, image):
    return segmenter.encode([image])[0]


@pytest.fixture(scope="module")
def found(segmenter, embedding):
    return list(segmenter.find(embedding, PHRASES))


@pytest.fixture(scope="module")
def library(folders, kind):
    """What transformers makes of an image and phrases in one batch: its processor, its model's outputs."""
    import transformers

    name = "Sam3LiteTextModel" if kind == "sam3_lite_text" else "Sam3Model"
    model = getattr(transformers, name).from_pretrained(folders(kind))

    def ask(image, phrases):
        processor = tiny_hf.processor(kind)
        inputs = processor(images=[image] * len(phrases), text=phrases, return_tensors="pt")
        inputs.pop("original_sizes")
        # a box that is padding: the geometry encoder's own token is there, as it always is with the authors
        inputs |= {
            "input_boxes": torch.zeros(len(phrases), 1, 4),
            "input_boxes_labels": torch.full((len(phrases), 1), -10),
        }
        with torch.no_grad():
            return processor, model(**inputs)

    return ask


@pytest.fixture(scope="module")
def wanted(library, image):
    return library(image, PHRASES)


def close(a, b, atol=1e-4):
    assert a.shape == b.shape
    return torch.allclose(a, b, rtol=1e-3, atol=atol)


def test_pixels_are_those_of_the_processor(segmenter, kind):
    for size in (SIZE, (tiny_hf.SIDE, tiny_hf.SIDE), (300, 17)):
        image = golden.make_image(*size)
        want = tiny_hf.processor(kind)(images=image, return_tensors="pt")["pixel_values"][0]
        assert close(segmenter.prepare(image).pixels, want, atol=1e-5)


def test_tokens_are_those_of_the_processor(segmenter, kind):
    seen = []
    detector = segmenter.detector.model
    hook = detector.text_encoder.register_forward_pre_hook(
        lambda _m, _a, kwargs: seen.append(kwargs), with_kwargs=True
    )
    segmenter.detector._encode_texts(PHRASES)
    hook.remove()
    want = tiny_hf.processor(kind)(text=PHRASES, return_tensors="pt")
    for key in ("input_ids", "attention_mask"):
        assert torch.equal(seen[0][key], want[key])
    assert seen[0]["input_ids"].shape == (len(PHRASES), 32)
    assert len(set(map(tuple, want["input_ids"].tolist()))) == len(PHRASES)


def test_a_phrase_beyond_the_context_is_cut_and_keeps_its_end(segmenter, embedding, kind):
    """As the authors' tokenizer does; transformers' processor cannot make a batch of it."""
    with pytest.raises(ValueError, match="tensor"):
        tiny_hf.processor(kind)(text=[LONG, "cat"], return_tensors="pt")
    first, end = (tiny_hf.vocabulary()[word] for word in tiny_hf.ENDS)
    tokens = segmenter.detector.tokenizer(LONG, truncation=True, max_length=32)["input_ids"]
    assert tokens == [first, *[tiny_hf.vocabulary()["cat</w>"]] * 30, end]
    (long,), (longer,) = (list(segmenter.find(embedding, [p])) for p in (LONG, LONG + "dog"))
    assert torch.equal(long.scores, longer.scores)


def test_scores_and_boxes_are_those_of_the_processor(found, wanted):
    processor, outputs = wanted
    each = processor.post_process_object_detection(outputs, threshold=0.0, target_sizes=[SIZE] * len(PHRASES))
    for got, want in zip(found, each, strict=True):
        order = want["scores"].argsort(descending=True, stable=True)
        assert len(got) == tiny_hf.QUERIES
        assert close(got.scores, want["scores"][order], atol=1e-5)
        assert close(got.boxes, want["boxes"][order], atol=1e-2)


def test_a_score_is_the_instance_s_times_that_of_the_phrase_s_presence(found, wanted):
    _, outputs = wanted
    for got, logits, presence in zip(found, outputs.pred_logits, outputs.presence_logits, strict=True):
        assert close(
            got.scores, (logits.sigmoid() * presence.sigmoid()).sort(descending=True).values, atol=1e-5
        )
        assert not close(got.scores, logits.sigmoid().sort(descending=True).values, atol=1e-3)


def test_masks_are_those_of_the_plain_forward(segmenter, found, wanted):
    _, outputs = wanted
    scores = outputs.pred_logits.sigmoid() * outputs.presence_logits.sigmoid()
    for i, got in enumerate(found):
        want = outputs.pred_masks[i][scores[i].argsort(descending=True, stable=True)]
        assert got.logits.shape == (tiny_hf.QUERIES, LOW, LOW)
        assert float((got.logits - want).norm() / want.norm()) < 1e-4
        # the facts: resized, then sigmoid, then cut at a half
        resized = torch.nn.functional.interpolate(want[None], SIZE, mode="bilinear", align_corners=False)[0]
        mine = segmenter.upsample(got.logits, SIZE) > 0
        assert mine.shape == (tiny_hf.QUERIES, *SIZE)
        assert (mine != (resized.sigmoid() > 0.5)).float().mean() < 1e-4


@pytest.mark.parametrize("size", [(LOW, LOW), SIZE], ids=["their own size", "another"])
def test_masks_agree_with_post_processing_where_nothing_lies_between(segmenter, found, wanted, size):
    """transformers takes the sigmoid before it resizes: the same where a pixel's neighbours agree."""
    processor, outputs = wanted
    made = processor.post_process_instance_segmentation(
        outputs, threshold=0.0, target_sizes=[size] * len(found)
    )
    for got, want in zip(found, made, strict=True):
        theirs = want["masks"][want["scores"].argsort(descending=True, stable=True)].bool()
        mine = segmenter.upsample(got.logits, size) > 0
        share = torch.nn.functional.interpolate((got.logits > 0).float()[None], size, mode="bilinear")[0]
        agreed = (share == 0) | (share == 1)
        assert agreed.float().mean() > 0.15
        assert (mine == theirs)[agreed].float().mean() > 0.9999
        if size == (LOW, LOW):
            assert agreed.all()


def test_a_phrase_is_answered_as_if_it_were_alone(segmenter, embedding, found):
    for phrase, among in zip(PHRASES, found, strict=True):
        (alone,) = segmenter.find(embedding, [phrase])
        assert close(alone.scores, among.scores, atol=1e-6)
        assert close(alone.boxes, among.boxes, atol=1e-3)
        assert float((alone.logits - among.logits).norm() / among.logits.norm()) < 1e-4
    for one in range(1, len(found)):
        assert not close(found[0].scores, found[one].scores, atol=1e-6)  # and heard


def test_more_phrases_than_a_batch_takes_are_answered_in_their_order(
    segmenter, embedding, found, monkeypatch
):
    monkeypatch.setattr(segmenter, "phrase_batch", 2)
    sizes = []
    hook = segmenter.detector.model.detr_decoder.register_forward_hook(
        lambda _m, _i, outputs: sizes.append(outputs.presence_logits.shape[1])
    )
    again = list(segmenter.find(embedding, PHRASES))
    hook.remove()
    assert sizes == [2, 2, 1]
    for got, want in zip(again, found, strict=True):
        assert close(got.scores, want.scores, atol=1e-6)


def test_only_the_wanted_are_made(segmenter, embedding, found):
    above = float(found[0].scores[1:3].mean())  # between the two: a batch of one rounds otherwise
    made = []
    hook = segmenter.detector.model.mask_decoder.register_forward_hook(
        lambda _m, _i, outputs: made.append(outputs.pred_masks.shape[1])
    )
    (two,) = segmenter.find(embedding, PHRASES[:1], Wanted(above=above))
    (one,) = segmenter.find(embedding, PHRASES[:1], Wanted(most=1))
    nothing = list(segmenter.find(embedding, PHRASES, Wanted(above=1.0)))
    hook.remove()
    assert made == [2, 1]  # and no mask decoder where nothing is wanted
    assert close(two.logits, found[0].logits[:2], atol=1e-2)
    assert close(one.boxes, found[0].boxes[:1], atol=1e-3)
    for answer in nothing:
        assert answer.logits.shape == (0, LOW, LOW)
        assert answer.boxes.shape == (0, 4)
        assert len(answer) == 0
    assert segmenter.upsample(nothing[0].logits, SIZE).shape == (0, *SIZE)


def test_an_image_is_encoded_once_and_a_text_once_for_all_images(segmenter, monkeypatch):
    monkeypatch.setattr(segmenter.detector.texts, "_kept", type(segmenter.detector.texts._kept)())
    model, calls = segmenter.detector.model, []
    parts = {
        "backbone": model.vision_encoder.backbone,
        "text": model.text_encoder,
        "neck": model.vision_encoder.neck,
    }
    hooks = [
        part.register_forward_hook(lambda _m, _i, _o, name=name: calls.append(name))
        for name, part in parts.items()
    ]
    embeddings = segmenter.encode([golden.make_image(40, 50), golden.make_image(50, 40)])
    assert calls == ["backbone"]  # the detector's neck waits for a phrase
    for embedding in embeddings:
        for phrases in (["cat", "dog"], ["dog", "cat"]):
            assert len(list(segmenter.find(embedding, phrases))) == 2
    for hook in hooks:
        hook.remove()
    assert sorted(calls) == ["backbone", "neck", "neck", "text"]


def test_images_of_a_batch_are_answered_as_alone(segmenter):
    images = [golden.make_image(64, 100), golden.make_image(100, 64)]
    for image, together in zip(images, segmenter.encode(images), strict=True):
        (alone,) = segmenter.encode([image])
        (got,), (want,) = (list(segmenter.find(e, ["dog"])) for e in (together, alone))
        assert together.size == image.shape[:2]
        assert close(got.scores, want.scores, atol=1e-5)
        assert close(got.boxes, want.boxes, atol=1e-2)


def test_the_suite_records_what_the_library_finds(segmenter, library, tmp_path):
    sample = sample_of(size=SIZE)
    suite = Concept(Setting(tmp_path / "none.json", (7,), style="coco"))
    records = evaluate(suite, segmenter, sample, make_protocol("strict"))
    processor, outputs = library(sample.image, list(CATEGORIES.values()))
    each = processor.post_process_object_detection(
        outputs, threshold=0.0, target_sizes=[SIZE] * len(CATEGORIES)
    )
    for category, want in zip(CATEGORIES, each, strict=True):
        got = [r for r in records if r["kind"] == "instance" and r["category_id"] == category]
        order = want["scores"].argsort(descending=True, stable=True)
        assert close(torch.tensor([r["score"] for r in got]), want["scores"][order], atol=1e-5)
        low, high = want["boxes"][order].split(2, dim=1)
        assert close(torch.tensor([r["bbox"] for r in got]), torch.cat([low, high - low], dim=1), atol=1e-2)


def test_what_takes_phrases_alone_refuses_the_rest(folders, image):
    detector = adapters.create(f"hf:{folders('sam3_lite_text')}")
    (embedding,) = detector.encode([image])
    for prompts, reason in (
        (Prompts(torch.tensor([[1.0, 2, 30, 40]])), "no boxes"),
        (Prompts(points=torch.ones(1, 1, 2), labels=torch.ones(1, 1)), "no points"),
    ):
        with pytest.raises(SambenchError, match=reason):
            detector.decode(embedding, prompts)
    tracker = adapters.create("sam3_tracker", weights=str(folders("sam3_video")))
    with pytest.raises(SambenchError, match="sam3_tracker: it takes no phrases"):
        tracker.find(tracker.encode([image])[0], ["cat"])


# SAM 3 as released: detector and tracker


@pytest.fixture(scope="module")
def both(folders):
    return adapters.create("sam3", weights=str(folders("sam3_video")))


@pytest.fixture(scope="module")
def tracker(folders):
    return adapters.create("sam3_tracker", weights=str(folders("sam3_video")))


BOXES = torch.tensor([[10.0, 12, 100.5, 70], [60, 5.25, 90, 88]])
POINTS = torch.tensor([[[30.0, 40], [100, 20]], [[70, 45.5], [20, 80]]])
LABELS = torch.tensor([[1, 0], [0, 1]])


@pytest.mark.parametrize(
    "prompts",
    [
        Prompts(BOXES),
        Prompts(points=POINTS, labels=LABELS),
        Prompts(BOXES, POINTS, LABELS, torch.ones(2, 1, LOW, LOW)),
    ],
    ids=["boxes", "clicks", "all"],
)
def test_clicks_and_boxes_are_the_tracker_s(both, tracker, image, prompts):
    got, want = (s.decode(s.encode([image])[0], prompts) for s in (both, tracker))
    assert torch.equal(got.logits, want.logits)
    assert torch.equal(got.iou, want.iou)


def test_there_is_one_backbone_and_an_image_passes_it_once(both, image):
    backbone = both.model.vision_encoder.backbone
    assert both.detector.model.vision_encoder.backbone is backbone
    calls = []
    hook = backbone.register_forward_hook(lambda *_: calls.append(1))
    (embedding,) = both.encode([image])
    both.decode(embedding, Prompts(BOXES))
    list(both.find(embedding, PHRASES[:2]))
    hook.remove()
    assert calls == [1]


def test_a_detector_without_its_tracker_finds_the_same(both, folders, image, tmp_path):
    import transformers

    transformers.Sam3Model.from_pretrained(folders("sam3_video")).save_pretrained(tmp_path)
    shutil.copy(folders("sam3_video") / "tokenizer.json", tmp_path)
    detector = adapters.create(f"hf:{tmp_path}")
    assert detector.capabilities.refusal(Prompts(BOXES)) == "it takes no boxes"
    answers = (list(s.find(s.encode([image])[0], PHRASES[:2])) for s in (detector, both))
    for got, want in zip(*answers, strict=True):
        assert close(got.scores, want.scores, atol=1e-6)
        assert close(got.boxes, want.boxes, atol=1e-3)


def test_no_memory_is_said_on_the_coarsest_map_that_is_used(folders, tracker, image):
    """As the authors do (``sam1_task_predictor.py``); of transformers' own four maps the last is left."""
    import transformers

    with torch.no_grad():
        model = transformers.Sam3TrackerModel.from_pretrained(folders("sam3_video"))
        pixels = tracker.prepare(image).pixels[None]
        maps = model.vision_encoder(pixels).fpn_hidden_states
        assert len(maps) == 4
        want = maps[2][0] + model.no_memory_embedding.reshape(-1, 1, 1)
    (embedding,) = tracker.encode([image])
    assert close(embedding.features, want, atol=1e-4)
    assert not close(embedding.features, maps[2][0], atol=1e-2)
