"""Pixels in, prompts across, masks back."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from sambench.evsam import geometry

SIZES = [(480, 640), (640, 427), (333, 500), (1024, 1024), (37, 1000), (1500, 2250), (1, 3)]


@pytest.mark.parametrize(
    ("size", "side", "want"), [((480, 640), 1024, (768, 1024)), ((333, 500), 512, (341, 512))]
)
def test_longest_side_is_scaled_and_the_other_rounded_half_up(size, side, want):
    assert geometry.resized(size, side) == want


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("given", [{}, {"frame": 256}])
def test_upsample_is_resize_crop_resize(size, given):
    side = given.get("frame", 1024)
    logits = torch.randn(2, side // 4, side // 4)
    frame = F.interpolate(logits[None], (side, side), mode="bilinear", align_corners=False)[0]
    height, width = geometry.resized(size, side)
    want = F.interpolate(frame[None, :, :height, :width], size, mode="bilinear", align_corners=False)[0]
    assert torch.equal(geometry.upsample(logits, size, **given), want)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("given", [{}, {"frame": 256}])
def test_corners_of_the_image_come_back_from_the_prompt_frame(size, given):
    height, width = size
    corners = torch.tensor([[0.0, 0.0], [width, height]])
    framed = geometry.to_prompt_frame(corners, size, **given)
    assert framed[0].tolist() == [0, 0]
    assert framed[1].flip(0).round().int().tolist() == list(geometry.resized(size, given.get("frame", 1024)))


def test_preprocess_normalises_then_pads_with_zeros():
    image = np.random.RandomState(0).randint(0, 256, (100, 200, 3), dtype=np.uint8)
    out = geometry.preprocess(image, 512)
    assert out.shape == (3, 512, 512)
    small = np.asarray(Image.fromarray(image).resize((512, 256), Image.Resampling.BILINEAR)).astype(
        np.float64
    )
    want = (small - [123.675, 116.28, 103.53]) / [58.395, 57.12, 57.375]
    assert np.abs(out[:, :256].permute(1, 2, 0).numpy() - want).max() < 1e-5
    assert (out[:, 256:] == 0).all()


def test_an_image_of_the_right_size_is_not_resampled():
    image = np.random.RandomState(0).randint(0, 256, (512, 300, 3), dtype=np.uint8)
    out = geometry.preprocess(image, 512)[:, :, :300].permute(1, 2, 0).double().numpy()
    back = out * [58.395, 57.12, 57.375] + [123.675, 116.28, 103.53]
    assert np.array_equal(np.rint(back), image)


@pytest.mark.parametrize("size", [(480, 640), (640, 427), (1500, 2250), (37, 1024), (5, 3), (1, 1024)])
@pytest.mark.parametrize("frame", [1024, 256])
def test_upsampling_at_once_is_the_two_resizes(size, frame):
    logits = torch.randn(3, 256, 256, generator=torch.Generator().manual_seed(0))
    got, want = (f(logits, size, frame=frame) for f in (geometry.upsample_at_once, geometry.upsample))
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)


def test_gradients_pass_the_matrices_that_inference_has_made():
    size = (41, 67)
    with torch.inference_mode():
        geometry.upsample_at_once(torch.randn(1, 64, 64), size)
    logits = torch.randn(1, 64, 64, requires_grad=True)
    got, want = (
        torch.autograd.grad(f(logits, size).square().sum(), logits)[0]
        for f in (geometry.upsample_at_once, geometry.upsample)
    )
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [(48, 64), (64, 48), (100, 37), (64, 64)])
def test_preprocess_rounds_as_its_steps_one_after_the_other(size):
    """Bit for bit, for golden data and finished records insist on it."""
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    height, width = geometry.resized(size, 64)
    small = np.array(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
    mean, std = (torch.tensor(v).reshape(3, 1, 1) / 255 for v in (geometry.PIXEL_MEAN, geometry.PIXEL_STD))
    steps = (torch.from_numpy(small).permute(2, 0, 1).float() / 255 - mean) / std
    expected = torch.zeros(3, 64, 64)
    expected[:, :height, :width] = steps
    assert torch.equal(geometry.preprocess(image, 64), expected)
