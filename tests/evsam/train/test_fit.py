"""An image in the frame: what inference sees, masks that stay in step with it, one mask at a time."""

import numpy as np
import pytest
import torch
from PIL import Image

from sambench.evsam.geometry import preprocess
from sambench.evsam.train.recipe import Samples
from sambench.evsam.train.sample import Change, draw_change, fit, soft

SIDE = 64


def scene(height=90, width=120):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    masks = [np.zeros((height, width), bool) for _ in range(2)]
    masks[0][10:40, 20:70] = True
    masks[1][60:85, 90:118] = True
    return image, masks, np.array([[20.0, 10, 70, 40], [90, 60, 118, 85]])


def test_bytes_are_resized_as_at_inference():
    image, masks, boxes = scene()
    sample = fit(image, masks, boxes, SIDE, Samples())
    assert torch.allclose(sample.image, preprocess(image, SIDE), atol=1e-6)
    assert sample.size == (48, 64)
    assert not sample.image[:, 48:].any()
    small = Image.fromarray(masks[0].astype(np.uint8) * 255).resize((64, 48), Image.Resampling.BILINEAR)
    assert np.array_equal(sample.masks[0, :48], np.asarray(small))
    assert float(soft(sample.masks).max()) == 1


@pytest.mark.parametrize("resize", ["bytes", "tensor"])
def test_a_mirrored_image_takes_masks_and_boxes_along(resize):
    image, masks, boxes = scene()
    recipe = Samples(resize=resize)
    plain = fit(image, masks, boxes, SIDE, recipe)
    turned = fit(image, masks, boxes, SIDE, recipe, Change(mirrored=True))
    assert torch.allclose(turned.image.flip(2), plain.image, atol=0.02)
    assert np.allclose(soft(turned.masks).flip(2), soft(plain.masks), atol=0.01)
    scale = SIDE / 120
    assert turned.boxes[0].tolist() == pytest.approx([50 * scale, 10 * scale, 100 * scale, 40 * scale])
    for mask, box in zip(soft(turned.masks) > 0.5, turned.boxes, strict=True):
        rows, columns = np.nonzero(mask.numpy())
        found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert found == pytest.approx(box.tolist(), abs=1)


def test_masks_are_made_one_at_a_time():
    image, masks, boxes = scene()
    alive, most = [], 0

    class Mask:
        def __del__(self):
            alive.remove(id(self))

    def one_by_one():
        nonlocal most
        for mask in masks * 5:
            token = Mask()
            alive.append(id(token))
            most = max(most, len(alive))
            yield mask.copy()

    sample = fit(image, one_by_one(), np.repeat(boxes, 5, axis=0), SIDE, Samples())
    assert sample.masks.shape == (10, SIDE, SIDE)
    assert sample.masks.dtype == torch.uint8
    assert most <= 2


def test_no_object_is_a_sample_too():
    image, _, _ = scene()
    sample = fit(image, [], np.zeros((0, 4)), SIDE, Samples())
    assert sample.masks.shape == (0, SIDE, SIDE)
    assert sample.boxes.shape == (0, 4)


def test_colour_changes_the_image_alone():
    image, masks, boxes = scene()
    plain = fit(image, masks, boxes, SIDE, Samples())
    change = Change(contrast=1.3, brightness=0.8, saturation=0.5)
    changed = fit(image, masks, boxes, SIDE, Samples(colour=0.5), change)
    assert torch.equal(plain.masks, changed.masks)
    assert not torch.allclose(plain.image, changed.image, atol=0.05)
    assert not changed.image[:, 48:].any()  # padding stays zero


def test_what_is_drawn_follows_the_recipe():
    rng = np.random.default_rng(0)
    changes = [draw_change(Samples(flip=0.25, colour=0.2), rng) for _ in range(2000)]
    assert np.mean([c.mirrored for c in changes]) == pytest.approx(0.25, abs=0.04)
    contrast = np.array([c.contrast for c in changes])
    assert 0.8 <= contrast.min() < 0.82
    assert 1.18 < contrast.max() <= 1.2
    assert draw_change(Samples(flip=0), rng) == Change()
