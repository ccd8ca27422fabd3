"""A step of phase 2: what it costs, by whose gradients, and that a model learns from it."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sambench.evsam.prompt_encoder import as_points
from sambench.evsam.train.finetune import Batch, FinetuneStep, Mode, by_image
from sambench.evsam.train.optimiser import clip, make_optimiser
from sambench.evsam.train.prompts import by_points
from sambench.evsam.train.recipe import Finetune, Optimiser
from sambench.evsam.train.sample import Sample
from sambench.evsam.train.start import tie_attention
from tests.evsam.small_sam import INPUT, small_sam

PLAIN = Finetune(mask_loss="bce", mask_weight=2.0, iou_weight=1.0)


def uniform(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return lambda shape: torch.rand(shape, generator=generator)


def drawn(*counts, seed=0):
    """Images with so many squares each."""
    rng = np.random.default_rng(seed)
    samples = []
    for n in counts:
        image = torch.from_numpy(rng.normal(0, 0.2, (3, INPUT, INPUT))).float()
        masks = torch.zeros(n, INPUT, INPUT, dtype=torch.uint8)
        boxes = torch.zeros(n, 4)
        for i in range(n):
            side = int(rng.integers(20, 50))
            x, y = (int(v) for v in rng.integers(0, INPUT - side, 2))
            masks[i, y : y + side, x : x + side] = 255
            image[:, y : y + side, x : x + side] += torch.from_numpy(rng.normal(0, 1, (3, 1, 1))).float()
            boxes[i] = torch.tensor([x, y, x + side, y + side])
        samples.append(Sample(image, masks, boxes, (INPUT, INPUT)))
    return samples


def asked(samples):
    """By boxes, by a point in the middle, by two points, and so on."""
    found = []
    for i, one in enumerate(samples):
        middle = (one.boxes[:, :2] + one.boxes[:, 2:]) / 2
        points = torch.stack([middle + k for k in range(i)], dim=1) if i else None
        found.append(as_points(None, one.boxes) if points is None else by_points(points))
    return found


def test_images_with_different_prompts_cost_what_each_costs_alone():
    samples = drawn(3, 2, 4, 1)
    prompts = asked(samples)
    prompts[3] = prompts[0][0][:1], prompts[0][1][:1]  # two images in one group, apart from each other
    step = FinetuneStep(small_sam(), PLAIN)
    together = step(Batch.of(samples, prompts), Mode(multimask=True), uniform())
    at = 0
    for i, (sample, prompt) in enumerate(zip(samples, prompts, strict=True)):
        alone = step(Batch.of([sample], [prompt]), Mode(multimask=True), uniform())
        n = len(sample.masks)
        assert torch.allclose(together.masks[at : at + n], alone.masks, rtol=1e-4)
        assert torch.allclose(together.logits[at : at + n], alone.logits, rtol=1e-3, atol=1e-4)
        assert float(together.images[i].detach()) == pytest.approx(float(alone.images.detach()), rel=1e-4)
        at += n


def test_the_least_of_three_masks_counts_and_a_share_of_the_others():
    samples = drawn(3)
    batch = Batch.of(samples, asked(samples))
    least = FinetuneStep(small_sam(), Finetune(mask_loss="bce"))(batch, Mode(multimask=True), uniform())
    assert float(least.images.detach()) == pytest.approx(
        float(least.masks.min(dim=1).values.mean()), rel=1e-5
    )
    shared = FinetuneStep(small_sam(), Finetune(mask_loss="bce", mean_share=0.5))
    found = float(shared(batch, Mode(multimask=True), uniform()).images.detach())
    expected = least.masks.min(dim=1).values + 0.5 * least.masks.mean(dim=1)
    assert found == pytest.approx(float(expected.mean()), rel=1e-5)


def test_the_iou_head_learns_where_the_recipe_says_so():
    samples = drawn(2)
    batch = Batch.of(samples, asked(samples))
    for weight, learns in ((0.0, False), (1.0, True)):
        step = FinetuneStep(small_sam(), Finetune(iou_weight=weight))
        step(batch, Mode(multimask=True), uniform()).images.sum().backward()
        gradients = [p.grad for p in step.model.mask_decoder.iou_prediction_head.parameters()]
        assert all((g is not None and bool(g.any())) == learns for g in gradients)


def test_the_iou_loss_is_the_squared_distance_from_what_was_reached():
    samples = drawn(2)
    batch = Batch.of(samples, asked(samples))
    found = FinetuneStep(small_sam(), PLAIN)(batch, Mode(multimask=True), uniform())
    full = F.interpolate(found.logits, (INPUT, INPUT), mode="bilinear", align_corners=False) > 0
    truth = (samples[0].masks > 127)[:, None]
    reached = (full & truth).sum(dim=(2, 3)) / (full | truth).sum(dim=(2, 3))
    expected = (found.iou - reached).square().mean()
    assert float(found.parts["iou_loss"]) == pytest.approx(float(expected), rel=1e-5)


def test_clicks_come_before_the_points_and_change_the_answer():
    samples = drawn(2, 2)
    batch = Batch.of(samples, asked(samples))
    step = FinetuneStep(small_sam(), PLAIN)
    asked_for = []
    decode = step.model.decode

    def spy(image, xy, labels, multimask):
        asked_for.append((xy, labels))
        return decode(image, xy, labels, multimask)

    step.model.decode = spy
    step(batch, Mode(multimask=True, clicks=2), uniform())
    ((xy, labels),) = asked_for  # a box has as many tokens as a point and its padding
    assert labels[:, 2:].tolist() == [[2, 3], [2, 3], [1, -1], [1, -1]]
    assert set(labels[:, :2].flatten().tolist()) <= {-1, 0, 1}
    scale = step.model.prompt_encoder.frame / INPUT
    assert torch.allclose(xy[:2, 2:].reshape(2, 4), samples[0].boxes * scale)
    assert torch.allclose(xy[2:, 2], batch.prompts[1][0][:, 0] * scale)


def test_means_are_of_an_images_own_masks():
    values = torch.tensor([1.0, 2, 3, 10])
    assert by_image(values, torch.tensor([0, 0, 0, 1]), 2).tolist() == [2, 10]


def textbook(model):
    """Give a decoder the attention that its formulas say, with nothing folded, shared or left out."""
    transformer = model.mask_decoder.transformer

    def attention(module, q, k, v):
        q, k, v = (
            x.unflatten(-1, (module.heads, -1)).transpose(1, 2)
            for x in (module.q_proj(q), module.k_proj(k), module.v_proj(v))
        )
        weights = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(dim=-1)
        return module.out_proj((weights @ v).transpose(1, 2).flatten(2))

    def forward(prompt, image):
        tokens, keys = prompt, image.keys.expand(len(prompt), -1, -1)
        for layer in transformer.layers:
            if layer.first:
                tokens = attention(layer.self_attn, tokens, tokens, tokens)
            else:
                at = tokens + prompt
                tokens = tokens + attention(layer.self_attn, at, at, tokens)
            tokens = layer.norm1(tokens)
            read = attention(layer.cross_attn_token_to_image, tokens + prompt, keys + image.position, keys)
            tokens = layer.norm2(tokens + read)
            tokens = layer.norm3(tokens + layer.mlp(tokens))
            written = attention(
                layer.cross_attn_image_to_token, keys + image.position, tokens + prompt, tokens
            )
            keys = layer.norm4(keys + written)
        last = transformer.final_attn_token_to_image
        tokens = tokens + attention(last, tokens + prompt, keys + image.position, keys)
        return transformer.norm_final_attn(tokens), keys

    transformer.forward = forward
    return model


def test_the_fast_decoder_goes_back_as_the_textbook_does():
    samples = drawn(3, 2)
    batch = Batch.of(samples, asked(samples))
    gradients = []
    for model in (small_sam(), textbook(small_sam())):
        step = FinetuneStep(model, PLAIN)
        step(batch, Mode(multimask=True), uniform()).images.mean().backward()
        gradients.append({name: p.grad for name, p in step.named_parameters()})
    fast, slow = gradients
    for name in slow:
        found, expected = (torch.zeros(1) if one[name] is None else one[name] for one in (fast, slow))
        rounding = 1e-4 * expected.norm() + 1e-7
        assert (found - expected).norm() < rounding, name


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bce", "focal"])
def test_one_image_is_learnt_by_heart(kind):
    samples = drawn(2, seed=3)
    batch = Batch.of(samples, asked(samples))
    model = small_sam()
    tie_attention(model)
    recipe = Finetune(mask_loss=kind, iou_weight=1.0)
    step = FinetuneStep(model, recipe).train()
    optimiser = make_optimiser(step, Optimiser(lr=2e-3, weight_decay=0.0, no_decay="vectors"))
    found = []
    for _ in range(80):
        losses = step(batch, Mode(multimask=True), uniform())
        optimiser.zero_grad()
        losses.images.mean().backward()
        clip(step.parameters(), Optimiser(clip="norm", clip_at=1.0))
        optimiser.step()
        found.append(
            {name: float(v) for name, v in losses.parts.items()}
            | {"loss": float(losses.images.detach().mean())}
        )
    first, last = found[0], found[-1]
    for name in ("loss", "mask_loss", "dice_loss"):
        assert last[name] < first[name] / 20, (name, first[name], last[name])
    assert max(one["iou_loss"] for one in found[:20]) / last["iou_loss"] > 20
    assert last["iou"] > 0.95
