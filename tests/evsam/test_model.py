"""N prompts on B images in one pass, and a SAM of other widths: forward, backward, a step of training."""

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F

from sambench.evsam.errors import SambenchError
from tests.evsam.small_sam import DIM, EMBED, FRAME, INPUT, MASK, small_sam

INDEX = torch.tensor([1, 0, 1, 1, 0, 1])
"""Images of six prompts: unevenly many, in no order."""


@pytest.fixture(scope="module")
def model():
    return small_sam()


def drawn(n=6, images=2):
    """Images, and n prompts of all kinds: a point or two and a box each, and masks of an earlier round."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randn(images, 3, INPUT, INPUT, generator=generator)
    xy = torch.rand(n, 2, 2, generator=generator) * FRAME
    labels = torch.randint(-1, 2, (n, 2), generator=generator)
    boxes = torch.rand(n, 4, generator=generator) * FRAME
    masks = torch.randn(n, 1, MASK, MASK, generator=generator) * 5
    return pixels, (xy, labels), boxes, masks


def one_by_one(model, pixels, points, boxes, masks, multimask):
    """Each image with its own prompts in a call of its own, and the results in the prompts' order."""
    rows = {}
    for image in range(len(pixels)):
        mine = (image == INDEX).nonzero()[:, 0]
        logits, iou = model(
            pixels[image : image + 1],
            points=(points[0][mine], points[1][mine]),
            boxes=boxes[mine],
            masks=None if masks is None else masks[mine],
            multimask=multimask,
        )
        rows |= {int(i): pair for i, *pair in zip(mine, logits, iou, strict=True)}
    return tuple(torch.stack(part) for part in zip(*(rows[i] for i in range(len(INDEX))), strict=True))


def gradients(model, outputs):
    """Of every parameter, for a loss in which every number counts differently."""
    generator = torch.Generator().manual_seed(1)
    loss = sum((torch.randn(x.shape, generator=generator) * x).mean() for x in outputs)
    names, parameters = zip(*model.named_parameters(), strict=True)
    return dict(zip(names, torch.autograd.grad(loss, parameters, allow_unused=True), strict=True))


@pytest.mark.parametrize("multimask", [True, False])
@pytest.mark.parametrize("with_masks", [False, True])
def test_prompts_by_an_index_are_the_prompts_of_each_image_by_itself(model, with_masks, multimask):
    pixels, points, boxes, masks = drawn()
    masks = masks if with_masks else None
    want = one_by_one(model, pixels, points, boxes, masks, multimask)
    got = model(pixels, points=points, boxes=boxes, masks=masks, multimask=multimask, image_index=INDEX)
    assert got[0].shape == (6, 3 if multimask else 1, MASK, MASK)
    assert (want[0][0] - want[0][1]).abs().max() > 1e-3, "an image or a prompt more or less is seen"
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)
    found, true = gradients(model, got), gradients(model, want)
    assert {n for n, g in found.items() if g is None} == {n for n, g in true.items() if g is None}
    reached = {name for name, gradient in found.items() if gradient is not None}
    assert all(any(name.startswith(part) for name in reached) for part, _ in model.named_children())
    for name in reached:
        scale = float(true[name].abs().max())
        torch.testing.assert_close(found[name], true[name], rtol=1e-3, atol=1e-4 * scale + 1e-7, msg=name)


def test_the_decoder_takes_the_index_itself(model):
    pixels, points, boxes, _ = drawn()
    want = model(pixels, points=points, boxes=boxes, image_index=INDEX)
    sparse, dense = model.prompt_encoder(points=points, boxes=boxes)
    got = model.mask_decoder(
        image_embeddings=model.image_encoder(pixels),
        image_pe=model.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=True,
        image_index=INDEX,
    )
    assert all(torch.equal(a, b) for a, b in zip(got, want, strict=True))


def test_without_an_index_each_prompt_is_on_the_one_image_or_on_its_own(model):
    pixels, points, boxes, _ = drawn(n=2)
    for images, index in ((pixels, [0, 1]), (pixels[:1], [0, 0])):
        want = model(images, points=points, boxes=boxes, image_index=torch.tensor(index))
        torch.testing.assert_close(model(images, points=points, boxes=boxes), want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (None, r"6 prompts on 2 images: which is on which\? Give image_index, \(6,\) int64"),
        (INDEX[:5], r"image_index is \(5,\) int64"),
        (INDEX[None], r"image_index is \(1, 6\) int64"),
        (INDEX.float(), r"image_index is \(6,\) float32"),
        (INDEX + 1, r"image_index has \[2, 1, 2, 2, 1, 2\]. Images are counted from 0"),
        (INDEX - 1, "counted from 0"),
    ],
)
def test_an_index_that_says_nothing_sure_is_refused(model, index, message):
    pixels, _, boxes, _ = drawn()
    with pytest.raises(SambenchError, match=message):
        model(pixels, boxes=boxes, image_index=index)


def test_no_prompt_at_all_is_refused(model):
    with pytest.raises(SambenchError, match="nothing to decode"):
        model(drawn()[0], boxes=torch.zeros(0, 4), image_index=torch.zeros(0, dtype=torch.int64))


@pytest.mark.slow
def test_forward_with_an_index_can_be_compiled_whole(model):
    pixels, _, boxes, masks = drawn()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    want = model(pixels, boxes=boxes, masks=masks, image_index=INDEX)
    torch.testing.assert_close(compiled(pixels, boxes=boxes, masks=masks, image_index=INDEX), want)


def test_widths_and_sizes_are_those_asked_for(model):
    assert model.image_encoder(torch.randn(1, 3, INPUT, INPUT)).shape == (1, DIM, EMBED, EMBED)
    assert model.prompt_encoder.get_dense_pe().shape == (1, DIM, EMBED, EMBED)
    sparse, dense = model.prompt_encoder(boxes=torch.rand(2, 4))
    assert (sparse.shape, dense.shape) == ((2, 2, DIM), (1, DIM, EMBED, EMBED))
    assert model.prompt_encoder.embed_masks(torch.randn(2, 1, MASK, MASK)).shape == (2, DIM, EMBED, EMBED)
    assert model.mask_decoder.mask_size == MASK
    blocks = model.mask_decoder.transformer.layers
    assert {block.cross_attn_image_to_token.q_proj.weight.shape for block in blocks} == {(32, DIM)}
    assert {block.mlp.lin1.weight.shape for block in blocks} == {(128, DIM)}


def test_a_point_in_the_frame_is_where_it_is_in_the_embedding(model):
    at = model.prompt_encoder.embed_points(
        torch.tensor([[[FRAME / EMBED * 5.5 - 0.5, FRAME / EMBED * 9.5 - 0.5]]]), torch.tensor([[1]])
    )
    kind = model.prompt_encoder.point_embeddings[1].weight
    grid = model.prompt_encoder.get_dense_pe()
    torch.testing.assert_close(at[0] - kind, grid[:, :, 9, 5], atol=1e-4, rtol=0)


def test_steps_of_training_lower_the_loss():
    model = small_sam().train()
    pixels, points, boxes, masks = drawn()
    truth = torch.zeros(6, 3, MASK, MASK)
    truth[..., : MASK // 2] = 1  # the left half
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-4)
    losses = []
    for _ in range(5):
        logits, iou = model(pixels, points=points, boxes=boxes, masks=masks, image_index=INDEX)
        loss = F.binary_cross_entropy_with_logits(logits, truth) + iou.square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert all(after < before for before, after in pairwise(losses)), losses
