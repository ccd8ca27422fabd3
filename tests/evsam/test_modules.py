"""The modules do what their formulas say; each is compared with the textbook form, slowly written."""

import pytest
import torch
import torch.nn.functional as F

from sambench.evsam.attention import LiteMLA, relu_linear_attention
from sambench.evsam.layers import LayerNorm2d
from sambench.evsam.mask_decoder import MaskDecoder, expand_pixels
from sambench.evsam.prompt_encoder import PromptEncoder
from sambench.evsam.transformer import ImageToToken, TokenToImage, TwoWayTransformer


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)
    with torch.no_grad():
        yield


def textbook_attention(module, q, k, v):
    """Project everything, attend, project back: the definition."""
    q, k, v = module.q_proj(q), module.k_proj(k), module.v_proj(v)
    n, t, dim = q.shape
    heads = 8
    q, k, v = (x.reshape(len(x), -1, heads, dim // heads).transpose(1, 2) for x in (q, k, v))
    weights = (q @ k.transpose(-1, -2) / (dim // heads) ** 0.5).softmax(dim=-1)
    return module.out_proj((weights @ v).transpose(1, 2).reshape(n, t, dim))


def close(a, b, tolerance=2e-5):
    scale = b.square().mean().sqrt()
    assert (a - b).abs().max() <= tolerance * scale


def randomise(module):
    for parameter in module.parameters():
        parameter.copy_(torch.randn_like(parameter) / max(parameter.shape[-1], 4) ** 0.5)
    return module


@pytest.mark.parametrize("tokens", [1, 7, 20])
def test_tokens_reading_the_image_by_folded_weights_is_attention(tokens):
    module = randomise(TokenToImage())
    x, keys, position = torch.randn(3, tokens, 256), torch.randn(3, 50, 256), torch.randn(1, 50, 256)
    want = textbook_attention(module, x, keys + position, keys)
    close(module.read(x, keys, keys + position), want)


def test_reading_a_projected_image_shared_by_prompts_is_attention():
    module = randomise(TokenToImage())
    x, keys, position = torch.randn(3, 7, 256), torch.randn(1, 50, 256), torch.randn(1, 50, 256)
    want = textbook_attention(module, x, (keys + position).expand(3, -1, -1), keys.expand(3, -1, -1))
    got = module.read_projected(x, module.k_proj(keys + position), module.v_proj(keys))
    close(got, want)


@pytest.mark.parametrize("shared", [True, False])
def test_the_image_reading_tokens_is_attention_plus_residual(shared):
    module = randomise(ImageToToken())
    tokens, values = torch.randn(3, 7, 256), torch.randn(3, 7, 256)
    keys, position = torch.randn(1 if shared else 3, 50, 256), torch.randn(1, 50, 256)
    every = keys.expand(3, -1, -1)
    want = every + textbook_attention(module, every + position, tokens, values)
    if shared:
        scores = module.scores_projected(module.q_proj(keys + position), tokens)
    else:
        scores = module.scores(keys + position, tokens)
    close(module.update(keys, scores, values), want)


def test_linear_attention_is_the_quadratic_form():
    q, k, v = torch.randn(3, 2, 4, 32, 30).unbind()
    similarity = q.relu().transpose(-1, -2) @ k.relu()  # (B, heads, query, key)
    want = v @ (similarity / similarity.sum(dim=-1, keepdim=True)).transpose(-1, -2)
    close(relu_linear_attention(q, k, v), want)


def test_linear_attention_of_a_query_like_nothing_is_zero():
    q, k, v = torch.randn(3, 1, 1, 32, 5).unbind()
    q[..., 2] = -1  # ReLU leaves nothing of it
    out = relu_linear_attention(q, k, v)
    assert torch.isfinite(out).all()
    assert (out[..., 2] == 0).all()


def test_half_precision_attention_sums_do_not_overflow():
    q, k, v = (torch.full((1, 1, 32, 4096), 4.0, dtype=torch.float16) for _ in range(3))
    assert torch.isfinite(relu_linear_attention(q, k, v)).all()


def test_attention_block_groups_channels_by_head():
    module = LiteMLA(64, kernel=3).eval()
    x = torch.randn(1, 64, 6, 5)
    qkv = module.qkv.conv(x)
    qkv = torch.cat([qkv, module.aggreg[0](qkv)], dim=1)
    heads = []
    for head in qkv.split(96, dim=1):
        q, k, v = (part.flatten(2)[0] for part in head.split(32, dim=1))  # (32, n)
        similarity = q.relu().T @ k.relu()
        heads.append(v @ (similarity / similarity.sum(dim=1, keepdim=True)).T)
    want = module.proj(torch.cat(heads).reshape(1, -1, 6, 5))
    close(module(x), want)


def test_layer_norm_2d_normalises_each_pixel():
    module = LayerNorm2d(8, eps=1e-6)
    x = torch.randn(2, 8, 3, 4)
    want = (x - x.mean(1, keepdim=True)) / (x.var(1, unbiased=False, keepdim=True) + 1e-6).sqrt()
    close(module(x), want)


def test_pixels_expanded_by_a_product_are_a_transposed_convolution():
    conv = torch.nn.ConvTranspose2d(16, 8, 2, stride=2)
    x = torch.randn(2, 16, 5, 7)
    got = expand_pixels(conv, x.flatten(2).transpose(1, 2))  # (2, 5 * 7 * 2 * 2, 8)
    got = got.reshape(2, 5, 7, 2, 2, 8).permute(0, 5, 1, 3, 2, 4).reshape(2, 8, 10, 14)
    close(got, conv(x))


def test_decoder_upscales_and_places_pixels_as_the_convolutions_do():
    decoder = MaskDecoder(TwoWayTransformer(norm_eps=1e-6))
    pixels, vectors = torch.randn(2, 4096, 256), torch.randn(2, 3, 32)
    maps = decoder.output_upscaling(pixels.transpose(1, 2).reshape(2, 256, 64, 64))
    want = torch.einsum("nmc,nchw->nmhw", vectors, maps)
    close(decoder.masks(vectors, pixels), want)


def test_a_shared_dense_prompt_gives_what_a_repeated_one_gives():
    encoder, decoder = PromptEncoder(), MaskDecoder(TwoWayTransformer(norm_eps=1e-6))
    sparse, dense = encoder(boxes=torch.tensor([[10.0, 20, 300, 400], [5, 5, 900, 700]]))
    assert dense.shape == (1, 256, 64, 64)
    common = {
        "image_embeddings": torch.randn(1, 256, 64, 64),
        "image_pe": encoder.get_dense_pe(),
        "sparse_prompt_embeddings": sparse,
        "multimask_output": True,
    }
    shared = decoder(**common, dense_prompt_embeddings=dense)
    repeated = decoder(**common, dense_prompt_embeddings=dense.expand(2, -1, -1, -1))
    for a, b in zip(shared, repeated, strict=True):
        close(a, b)


def test_padding_points_change_nothing_but_their_own_token():
    encoder = PromptEncoder()
    xy, labels = torch.tensor([[[100.0, 200.0], [7.0, 9.0]]]), torch.tensor([[1, -1]])
    sparse, _ = encoder(points=(xy, labels))
    alone, _ = encoder(points=(xy[:, :1], labels[:, :1]))
    assert sparse.shape == (1, 3, 256)  # two points and the one that stands for the absent box
    assert torch.equal(sparse[:, 0], alone[:, 0])
    assert torch.equal(sparse[:, 1], encoder.not_a_point_embed.weight)
    assert torch.equal(sparse[:, 2], encoder.not_a_point_embed.weight)


def test_a_box_takes_the_place_of_the_padding_point():
    encoder = PromptEncoder()
    points = (torch.tensor([[[100.0, 200.0]]]), torch.tensor([[0]]))
    sparse, _ = encoder(points=points, boxes=torch.tensor([[1.0, 2, 3, 4]]))
    assert sparse.shape == (1, 3, 256)
    corners, _ = encoder(boxes=torch.tensor([[1.0, 2, 3, 4]]))
    assert torch.equal(sparse[:, 1:], corners)


def test_position_of_a_pixel_is_that_of_the_grid_cell_it_is_in_the_middle_of():
    encoder = PromptEncoder()
    grid = encoder.get_dense_pe()  # cells of 16 x 16 pixels of the prompt frame
    x, y = 5, 40
    at_centre = encoder.pe_layer(torch.tensor([(16 * x + 7.5 + 0.5) / 1024, (16 * y + 7.5 + 0.5) / 1024]))
    close(grid[0, :, y, x], at_centre)


def test_masks_are_downscaled_to_the_embedding():
    encoder = PromptEncoder()
    sparse, dense = encoder(boxes=torch.rand(2, 4), masks=torch.randn(2, 1, 256, 256))
    assert dense.shape == (2, 256, 64, 64)
    assert sparse.shape == (2, 2, 256)


def test_gradients_reach_every_parameter_that_is_used():
    from sambench import evsam

    with torch.enable_grad():
        model = evsam.create_model("efficientvit_sam_l0").train()
        boxes = torch.tensor([[10.0, 20, 300, 400]])
        image = torch.randn(2, 3, 128, 128)
        masks = torch.randn(1, 1, 256, 256)
        embedding = model.image_encoder(image)[:1]
        sparse, dense = model.prompt_encoder(
            points=(torch.rand(1, 2, 2), torch.tensor([[1, 0]])), boxes=boxes
        )
        _, dense_of_mask = model.prompt_encoder(boxes=boxes, masks=masks)
        loss = 0
        for d, multi in ((dense, True), (dense_of_mask, False)):
            out = model.mask_decoder(
                image_embeddings=embedding,
                image_pe=model.prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=d,
                multimask_output=multi,
            )
            loss = loss + sum(x.square().sum() for x in out)
        loss.backward()
    silent = {n for n, p in model.named_parameters() if p.grad is None}
    # The bias of the keys shifts all scores of a softmax alike, so its gradient is zero and is left out.
    prefix = "mask_decoder.transformer"
    assert silent == {
        f"{prefix}.layers.1.cross_attn_token_to_image.k_proj.bias",
        f"{prefix}.final_attn_token_to_image.k_proj.bias",
    }


def test_bicubic_resize_of_the_neck_is_skipped_at_its_own_size_only():
    from sambench.evsam.neck import ToEmbedSize

    x = torch.randn(1, 4, 64, 64)
    assert torch.equal(ToEmbedSize()(x), F.interpolate(x, (64, 64), mode="bicubic", align_corners=False))
    assert ToEmbedSize()(torch.randn(1, 4, 16, 20)).shape == (1, 4, 64, 64)
