"""Which engines there are and what each refuses; PyTorch in lower precision; one call for several images."""

import pytest
import torch

from sambench import adapters
from sambench.adapters.base import Prompts, best_of
from sambench.adapters.devices import OTHER, TRIED
from sambench.adapters.engines import ENGINES, PRECISIONS, check
from sambench.evsam.errors import SambenchError
from sambench.suites.data.coco import CocoDataset
from sambench.suites.data.sample import load_sample


@pytest.fixture(scope="module")
def photos(coco_mini):
    """Two photographs of different sizes with objects."""
    samples = [load_sample(entry) for entry in CocoDataset(*coco_mini).entries[:12]]
    first = next(s for s in samples if len(s.targets) >= 4)
    return first, next(s for s in samples if s.image.shape != first.image.shape and len(s.targets) >= 2)


def boxes_of(sample):
    return Prompts(boxes=torch.tensor([t.box for t in sample.targets]))


def create(**options):
    return adapters.create("efficientvit_sam_l0", weights="random", **options)


@pytest.fixture(scope="module")
def plain():
    return create()


def test_every_engine_names_precisions_that_there_are():
    for engine in ENGINES.values():
        for device, precisions in engine.precisions.items():
            assert device in (*TRIED, OTHER)
            assert set(precisions) <= set(PRECISIONS)
            assert len(precisions) > 0


@pytest.mark.parametrize(
    ("engine", "precision", "device", "message"),
    [
        ("eagre", "fp32", "cpu", "mean 'eager'"),
        ("eager", "fp23", "cpu", "mean 'fp32'"),
        ("eager", "fp16", "cpu", "does not compute in fp16 on a cpu; it does in fp32, bf16"),
        ("eager", "int8", "cuda", "does not compute in int8"),
        ("tensorrt", "fp16", "cpu", "does not run on a cpu; it runs on cuda"),
        ("openvino", "fp32", "cuda", "does not run on a cuda; it runs on cpu"),
    ],
)
def test_what_an_engine_cannot_do_is_refused(engine, precision, device, message):
    with pytest.raises(SambenchError, match=message):
        check(engine, precision, device)


@pytest.mark.parametrize("options", [{"precision": "bf16"}, {"engine": "compile"}, {"engine": "openvino"}])
def test_a_model_of_another_structure_stays_with_its_own_code(options):
    with pytest.raises(SambenchError, match="box runs in engine eager and precision fp32 alone"):
        adapters.create("box", **options)


@pytest.mark.slow
def test_bf16_gives_the_masks_of_fp32_but_for_pixels_at_the_edge(plain, photos):
    """A random L0's masks are mostly edge; the bound is of what bf16 loses there."""
    half = create(precision="bf16")
    assert (half.engine, half.precision) == ("eager", "bf16")
    sample, _ = photos
    logits = []
    for segmenter in (plain, half):
        (embedding,) = segmenter.encode([sample.image])
        prediction = segmenter.decode(embedding, boxes_of(sample))
        assert prediction.logits.dtype == prediction.iou.dtype == torch.float32
        logits.append(prediction.logits)
    scale = float(logits[0].abs().max())
    assert 0 < float((logits[0] - logits[1]).abs().max()) < 0.05 * scale


def test_the_best_alternative_is_decoded_as_among_all(plain, photos):
    sample, _ = photos
    (embedding,) = plain.encode([sample.image])
    prompts = boxes_of(sample)[:4]
    want, got = best_of(plain.decode(embedding, prompts)), plain.decode_best(embedding, prompts)
    assert torch.equal(got.choice, want.choice)
    torch.testing.assert_close(got.iou, want.iou)
    torch.testing.assert_close(got.logits, want.logits, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_one_prompt_on_each_of_several_images_is_decoded_in_one_call(plain, photos):
    embeddings = plain.encode([sample.image for sample in photos])
    alone = [plain.decode_best(e, boxes_of(s)[:1]) for e, s in zip(embeddings, photos, strict=True)]
    prompts = Prompts(boxes=torch.cat([boxes_of(sample)[:1].boxes for sample in photos]))
    together = plain.decode_each(embeddings, prompts)
    for i, one in enumerate(alone):
        assert torch.equal(together.choice[i], one.choice[0])
        torch.testing.assert_close(together.logits[i], one.logits[0], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_the_encoder_alone_gives_the_features_of_an_embedding(plain, photos):
    prepared = [plain.prepare(sample.image) for sample in photos]
    features = plain.run_encoder(torch.stack([one.pixels for one in prepared]))
    for got, embedding in zip(features, plain.embed(prepared), strict=True):
        torch.testing.assert_close(got, embedding.features)
    with pytest.raises(NotImplementedError):
        adapters.create("box").run_encoder(torch.zeros(1, 3, 8, 8))
