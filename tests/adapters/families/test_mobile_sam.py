"""MobileSAM beyond its golden file: weights loaded late, batches, odd sizes, the unused classifier."""

import pytest
import torch
import torch.nn.functional as F

from sambench.adapters.families import mobile_sam
from sambench.adapters.modules.tiny_vit import SamTinyViT, WindowAttention
from tests.golden import golden


@pytest.fixture(scope="module")
def encoder():
    return golden.load_filled(SamTinyViT())


@pytest.fixture(scope="module")
def images():
    return torch.randn(2, 3, 160, 208, generator=torch.Generator().manual_seed(0))


def test_the_model_has_the_official_number_of_parameters():
    model = mobile_sam.create_model("mobile_sam")
    encoder = model.image_encoder
    classifier = [*encoder.norm_head.parameters(), *encoder.head.parameters()]
    total = sum(p.numel() for p in model.parameters())
    assert not model.training
    assert total == 10_130_092
    assert total - sum(p.numel() for p in classifier) == 9_808_452


@torch.inference_mode()
def test_weights_loaded_after_eval_count_as_those_loaded_before(encoder, images):
    """The official code keeps the attention biases of the moment of ``eval()``."""
    late = SamTinyViT().eval()
    before = late(images)
    late.load_state_dict(encoder.state_dict())
    assert torch.equal(late(images), encoder(images))
    assert (late(images) - before).abs().max() > 0.1


@torch.inference_mode()
def test_the_biases_alone_change_the_embedding(encoder, images):
    state = encoder.state_dict()
    no_bias = {k: torch.zeros_like(v) if "attention_biases" in k else v for k, v in state.items()}
    other = SamTinyViT().eval()
    other.load_state_dict(no_bias)
    assert (other(images) - encoder(images)).abs().max() > 0.1


@torch.inference_mode()
def test_the_classifier_has_no_part_in_the_embedding(encoder, images):
    state = {
        k: v + 1 if k.startswith(("head.", "norm_head.")) else v for k, v in encoder.state_dict().items()
    }
    other = SamTinyViT().eval()
    other.load_state_dict(state)
    assert torch.equal(other(images), encoder(images))


@torch.inference_mode()
def test_images_of_a_batch_are_encoded_as_alone(encoder, images):
    together = encoder(images)
    assert together.shape == (2, 256, 10, 13)
    for image, embedding in zip(images, together, strict=True):
        assert (encoder(image[None])[0] - embedding).abs().max() < 1e-4


@torch.inference_mode()
def test_attention_is_what_its_formula_says_pixel_by_pixel():
    """One window of 3 x 3 with the 2 x 3 pixels of a map and a row of padding, which is attended to."""
    attention = golden.load_filled(WindowAttention(64, window=3))
    x = torch.randn(1, 2, 3, 64, generator=torch.Generator().manual_seed(1))
    pixels = [(row, column) for row in range(3) for column in range(3)]
    tokens = [x[0, row, column] if row < 2 else torch.zeros(64) for row, column in pixels]
    projected = attention.qkv(attention.norm(torch.stack(tokens))).reshape(9, 2, 3, 32)
    want = torch.zeros(9, 64)
    for head in range(2):
        q, k, v = projected[:, head].unbind(dim=1)
        for i, (row, column) in enumerate(pixels):
            biases = [attention.attention_biases[head, abs(row - r) * 3 + abs(column - c)] for r, c in pixels]
            weights = F.softmax(k @ q[i] / 32**0.5 + torch.stack(biases), dim=0)
            want[i, 32 * head : 32 * head + 32] = weights @ v
    want = attention.proj(want)[:6].reshape(1, 2, 3, 64)
    assert (attention(x) - want).abs().max() < 1e-5
