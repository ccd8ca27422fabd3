"""EfficientSAM beside the golden data: its limits, its stretched geometry, its six slots."""

import gzip
import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from sambench import adapters
from sambench.adapters.base import Prompts
from sambench.adapters.families.efficient_sam import VARIANTS, as_points, create_model, to_input_frame
from sambench.adapters.families.sam import SamEmbedding
from sambench.adapters.modules.plain_vit import PlainViT
from sambench.evsam.errors import SambenchError
from tests.golden import golden, official

SIZE = (480, 640)
BOX = torch.tensor([[130.0, 95.0, 408.0, 337.0]])


@pytest.fixture(scope="module")
def segmenter():
    segmenter = adapters.create("efficient_sam_ti", weights="random")
    golden.load_filled(segmenter.model)
    segmenter.position = segmenter.model.prompt_encoder.get_dense_pe()
    return segmenter


@pytest.fixture(scope="module")
def embedding(segmenter):
    """Of no image: the encoder takes seconds, and the decoder does not mind."""
    features = torch.randn(1, 256, 64, 64, generator=torch.Generator().manual_seed(0))
    return SamEmbedding(
        features[0], SIZE, segmenter.model.mask_decoder.project_image(features, segmenter.position)
    )


def points(n, count, seed=0):
    xy = torch.rand(n, count, 2, generator=torch.Generator().manual_seed(seed)) * torch.tensor([640.0, 480.0])
    return {"points": xy, "labels": torch.ones(n, count, dtype=torch.long)}


@pytest.mark.parametrize("name", VARIANTS)
def test_parameters_are_counted_as_the_authors_count_them(name):
    with gzip.open(official.HERE / "manifest" / f"{official.MANIFESTS[name]}.json.gz", "rt") as file:
        manifest = json.load(file)
    model = create_model(name)
    for part in ("image_encoder", "prompt_encoder", "mask_decoder"):
        count = sum(p.numel() for p in model.get_submodule(part).parameters())
        assert count == manifest[f"params_{part}"]
    assert sum(p.numel() for p in model.parameters()) == manifest["params_total"]


def test_another_name_is_an_error_that_names_the_nearest():
    with pytest.raises(SambenchError, match="Did you mean 'efficient_sam_ti'"):
        create_model("efficient_sam_t")


@pytest.mark.parametrize("size", [(480, 640), (640, 480), (333, 1500)])
def test_the_images_corners_are_the_frames_corners(size):
    height, width = size
    corners = torch.tensor([[0.0, 0], [width, 0], [0, height], [width, height]])
    want = torch.tensor([[0.0, 0], [1024, 0], [0, 1024], [1024, 1024]])
    assert torch.equal(to_input_frame(corners, size), want)


def test_what_lies_before_the_image_is_at_minus_one_on_that_axis_alone():
    got = to_input_frame(torch.tensor([[-3.0, 240], [320, -0.5], [700, 500]]), SIZE)
    assert torch.allclose(got, torch.tensor([[-1.0, 512], [512, -1], [1120, 500 * 1024 / 480]]))


@pytest.mark.parametrize("size", [(120, 300), (300, 120), (1200, 900)])
def test_a_shape_in_the_image_comes_back_where_it_was(segmenter, size):
    height, width = size
    truth = np.zeros(size, bool)
    truth[: height // 3, : width // 2] = True  # it touches two corners of the image, and no others
    image = np.repeat(truth[..., None].astype(np.uint8) * 255, 3, axis=2)
    pixels = segmenter.prepare(image).pixels
    assert pixels.shape == (3, 1024, 1024)
    logits = F.avg_pool2d(pixels[:1], 4) - pixels[0].mean()
    got = (segmenter.upsample(logits, size)[0] > 0).numpy()
    assert got.shape == size
    assert (got & truth).sum() / (got | truth).sum() > 0.97


@pytest.mark.parametrize(
    ("prompts", "reason"),
    [
        (Prompts(**points(1, 7)), "at most 6 points, not 7"),
        (Prompts(BOX, **points(1, 5)), "at most 4 points beside a box, not 5"),
        (Prompts(points=torch.rand(1, 2, 2), labels=torch.tensor([[1, 0]])), "no background points"),
        (Prompts(BOX, masks=torch.zeros(1, 1, 256, 256)), "no mask"),
    ],
)
def test_what_the_model_does_not_take_is_refused_by_name(segmenter, embedding, prompts, reason):
    with pytest.raises(SambenchError, match=f"efficient_sam_ti: .*{reason}"):
        segmenter.decode(embedding, prompts)


def test_six_points_all_count(segmenter, embedding):
    six = points(1, 6)
    every = segmenter.decode(embedding, Prompts(**six)).logits
    beside_box = points(1, 4)
    box_and_four = segmenter.decode(embedding, Prompts(BOX, **beside_box)).logits
    for i in range(6):
        moved = six | {"points": six["points"].clone()}
        moved["points"][0, i] += 50
        assert (segmenter.decode(embedding, Prompts(**moved)).logits - every).abs().max() > 1e-3
    for i in range(4):
        moved = beside_box | {"points": beside_box["points"].clone()}
        moved["points"][0, i] += 50
        assert (segmenter.decode(embedding, Prompts(BOX, **moved)).logits - box_and_four).abs().max() > 1e-3


def test_no_batch_changes_a_prompts_masks(segmenter, embedding, monkeypatch):
    prompts = Prompts(**points(5, 3))
    monkeypatch.setattr(segmenter, "prompt_batch", 2)
    in_twos = segmenter.decode(embedding, prompts)
    monkeypatch.setattr(segmenter, "prompt_batch", 8)
    together = segmenter.decode(embedding, prompts)
    for i in range(5):
        alone = segmenter.decode(embedding, prompts[i : i + 1])
        for batch in (in_twos, together):
            assert (batch.logits[i] - alone.logits[0]).abs().max() < 1e-5 * alone.logits.std()
            assert (batch.iou[i] - alone.iou[0]).abs().max() < 1e-5


def test_no_prompts_give_no_masks(segmenter, embedding):
    prediction = segmenter.decode(embedding, Prompts(torch.zeros(0, 4)))
    assert prediction.logits.shape == (0, 3, 256, 256)
    assert prediction.iou.shape == (0, 3)


def test_padding_is_an_empty_slot_whatever_its_place_and_coordinates(segmenter, embedding):
    given = points(1, 2)
    want = segmenter.decode(embedding, Prompts(**given))
    xy = torch.tensor([[[0.0, 0.0], [0, 0], [-1, -1], [0, 0], [333, 222]]])
    labels = torch.full((1, 5), -1)
    xy[:, [1, 3]], labels[:, [1, 3]] = given["points"], given["labels"]
    got = segmenter.decode(embedding, Prompts(points=xy, labels=labels))
    assert (got.logits - want.logits).abs().max() < 1e-5
    assert (got.iou - want.iou).abs().max() < 1e-5


def official_tokens(model, xy, labels):
    """The six tokens of one prompt, in float64 and as the official code's formulas say."""
    state = {k: v.double().numpy() for k, v in model.prompt_encoder.state_dict().items()}
    names = {
        -1: "invalid_points",
        1: "point_embeddings",
        2: "bbox_top_left_embeddings",
        3: "bbox_bottom_right_embeddings",
    }
    rows = []
    for (x, y), label in zip(xy, labels, strict=True):
        unit = 2 * (np.array([x, y]) + 0.5) / 1024 - 1
        phase = 2 * np.pi * unit @ state["pe_layer.positional_encoding_gaussian_matrix"]
        row = np.concatenate([np.sin(phase), np.cos(phase)])
        rows.append(row + (state[f"{names[label]}.weight"][0] if label in names else 0))
    return np.stack(rows)


def test_the_six_tokens_are_corners_then_points_then_invalid_points_at_minus_one(segmenter):
    prompts = Prompts(
        torch.tensor([[-5.0, 90.0, 320.0, 240.0]]),
        torch.tensor([[[64.0, 48.0], [9, 9]]]),
        torch.tensor([[1, -1]]),
    )
    xy, labels = as_points(prompts)
    got = segmenter.model.prompt_encoder(to_input_frame(xy, SIZE), labels)
    places = [(-1, 192), (512, 512), (102.4, 102.4), (-1, -1), (-1, -1), (-1, -1)]
    want = official_tokens(segmenter.model, places, [2, 3, 1, -1, -1, -1])
    assert got.shape == (1, 6, 256)
    assert np.abs(got[0].numpy() - want).max() < 1e-4


def test_a_background_point_is_its_position_alone(segmenter):
    got = segmenter.model.prompt_encoder(torch.tensor([[[100.0, 200.0]]]), torch.tensor([[0]]))
    want = official_tokens(segmenter.model, [(100, 200)], [0])
    assert np.abs(got[0, :1].numpy() - want).max() < 1e-4


def small_vit(seed=0):
    torch.manual_seed(seed)
    model = PlainViT(dim=128, heads=2, depth=2).eval()
    torch.nn.init.normal_(model.pos_embed)
    return model


def test_plain_attention_gives_the_same_embedding():
    model, image = small_vit(), torch.randn(1, 3, 256, 320)
    with torch.no_grad():
        fused = model(image)
        with sdpa_kernel(SDPBackend.MATH):
            plain = model(image)
    assert fused.shape == (1, 256, 16, 20)
    assert (fused - plain).abs().max() < 3e-5


def test_weights_loaded_after_a_forward_are_the_weights_in_use():
    model, other, image = small_vit(0), small_vit(1), torch.randn(1, 3, 256, 256)
    with torch.no_grad():
        before = model(image)
        model.load_state_dict(other.state_dict())
        assert torch.equal(model(image), other(image))
        assert not torch.equal(model(image), before)


def test_the_class_tokens_position_is_not_used_and_the_others_learn():
    model = small_vit()
    model(torch.randn(1, 3, 256, 256)).square().sum().backward()
    gradient = model.pos_embed.grad[0].abs().amax(dim=1)
    assert gradient[0] == 0
    assert (gradient[1:] > 0).all()
