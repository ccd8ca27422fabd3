"""`SamSegmenter`: its caller's model stays as it was, and a model of any widths may be in it."""

import numpy as np
import pytest
import torch
from torch import nn

from sambench.adapters.base import Prompts, Weights
from sambench.adapters.families.sam import SamSegmenter, build_sam
from sambench.evsam import geometry
from sambench.evsam.errors import SambenchError
from tests.evsam.small_sam import DIM, EMBED, FRAME, INPUT, MASK, small_sam
from tests.golden import golden

CPU = torch.device("cpu")
BOXES = Prompts(boxes=torch.tensor(golden.PROMPTS["boxes3"]["boxes"]))


def segmenter_of(model, **options):
    return SamSegmenter("small", model, Weights("random", seed=0), CPU, **options)


def facts(model):
    """All of a model that a segmenter might change."""
    return {
        "modules": {name: type(module) for name, module in model.named_modules()},
        "training": {name: module.training for name, module in model.named_modules()},
        "learning": {name: p.requires_grad for name, p in model.named_parameters()},
        "layout": {name: p.stride() for name, p in model.named_parameters()},
        "parameters": {name: id(p) for name, p in model.named_parameters()},
    }


def outputs(model):
    generator = torch.Generator().manual_seed(0)
    return model(
        torch.randn(2, 3, INPUT, INPUT, generator=generator), boxes=torch.tensor([[9.0, 9, 99, 99]] * 2)
    )


def train(model):
    """Take a step that no weight escapes."""
    optimiser = torch.optim.SGD(model.parameters(), lr=1.0)
    loss = sum(x.square().mean() for x in outputs(model)) + sum(p.sum() for p in model.parameters())
    loss.backward()
    optimiser.step()


@pytest.mark.parametrize("training", [True, False])
def test_the_callers_model_stays_as_it_was(training):
    model = golden.load_filled(small_sam()).train(training)
    model.prompt_encoder.requires_grad_(False)
    before, state = facts(model), {k: v.clone() for k, v in model.state_dict().items()}
    model.eval()
    want = outputs(model)
    model.train(training)

    segmenter_of(model).encode([golden.make_image()])
    assert facts(model) == before
    assert list(model.state_dict()) == list(state)
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    model.eval()
    assert all(torch.equal(a, b) for a, b in zip(outputs(model), want, strict=True))


def test_what_the_callers_model_learns_later_does_not_reach_the_segmenter():
    model = golden.load_filled(small_sam()).train()
    segmenter = segmenter_of(model)

    def masks():
        (embedding,) = segmenter.encode([golden.make_image()])
        return segmenter.decode(embedding, BOXES)

    before, learned = masks(), model.mask_decoder.iou_token.weight.clone()
    train(model)
    assert not torch.equal(model.mask_decoder.iou_token.weight, learned)
    after = masks()
    assert torch.equal(after.logits, before.logits)
    assert torch.equal(after.iou, before.iou)


def test_a_segmenter_of_a_copy_computes_what_one_of_the_model_itself_does():
    model = golden.load_filled(small_sam()).train()
    copied, adopted = segmenter_of(model), segmenter_of(model, adopt=True)
    assert adopted.model is model
    assert copied.model is not model
    for segmenter in (copied, adopted):
        assert not segmenter.model.training
        assert not any(p.requires_grad for p in segmenter.model.parameters())
        assert not any(isinstance(module, nn.BatchNorm2d) for module in segmenter.model.modules())
    a, b = (s.decode(s.encode([golden.make_image()])[0], BOXES) for s in (copied, adopted))
    assert torch.equal(a.logits, b.logits)


def test_a_small_sam_gives_what_its_model_gives():
    model = golden.load_filled(small_sam())
    segmenter = segmenter_of(model)
    image = golden.make_image()
    (embedding,) = segmenter.encode([image])
    assert embedding.features.shape == (DIM, EMBED, EMBED)
    got = segmenter.decode(embedding, BOXES)
    assert got.logits.shape == (3, 3, MASK, MASK)

    scale = FRAME / max(image.shape)
    with torch.inference_mode():
        pixels = geometry.preprocess(image, INPUT)[None]
        logits, iou = model(pixels, boxes=BOXES.boxes * scale)  # 640 x 480: no side is rounded
    torch.testing.assert_close(got.iou, iou, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(got.logits, logits, rtol=1e-3, atol=1e-3 * float(logits.abs().max()))

    again = segmenter.decode(embedding, Prompts(boxes=BOXES.boxes, masks=got.logits[:, :1]))
    assert not torch.allclose(again.logits, got.logits, atol=1e-4)
    with pytest.raises(SambenchError, match="64 x 64"):
        segmenter.decode(embedding, Prompts(boxes=BOXES.boxes, masks=torch.zeros(3, 1, 256, 256)))


def test_masks_of_a_small_sam_come_back_to_the_image_by_its_own_frame():
    segmenter = segmenter_of(small_sam())
    logits = torch.randn(2, MASK, MASK)
    whole = nn.functional.interpolate(logits[:, None], (FRAME, FRAME), mode="bilinear", align_corners=False)
    want = nn.functional.interpolate(whole[..., :192, :], (480, 640), mode="bilinear", align_corners=False)
    assert torch.equal(segmenter.upsample(logits, (480, 640)), want[:, 0])


def test_an_encoder_of_ones_own_gets_a_decoder_of_its_widths():
    widths = {"dim": 32, "embed_size": 8, "frame": 128, "mask_channels": 8, "layers": 3, "heads": 2}
    model = build_sam(nn.Conv2d(3, 32, 16, stride=16), **widths, cross_dim=16, mlp_dim=64)
    assert (model.input_size, model.training) == (128, False)
    assert len(model.mask_decoder.transformer.layers) == 3
    segmenter = segmenter_of(model, adopt=True)
    images = [np.full((h, w, 3), 99, np.uint8) for h, w in ((100, 50), (60, 128))]
    for embedding in segmenter.encode(images):
        prediction = segmenter.decode(embedding, BOXES)
        assert prediction.logits.shape == (3, 3, 32, 32)
        assert segmenter.upsample(prediction.logits[:, 0], embedding.size).shape == (3, *embedding.size)
