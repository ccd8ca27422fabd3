"""Real images in rotation: never one batch twice in a row, never a copy where a slice will do."""

from __future__ import annotations

import itertools

import pytest
import torch
from speed_fakes import SIDE, Known

from sambench.adapters.images import read_image
from sambench.evsam.errors import SambenchError
from sambench.suites.data.coco import CocoDataset
from sambench.suites.throughput.inputs import choose, make_ring, prompt_boxes, rotation
from sambench.suites.throughput.job import FEWEST_BATCHES, Scope
from sambench.suites.throughput.scopes import make_step


@pytest.fixture(scope="module")
def images(coco_mini):
    return choose(coco_mini.images, coco_mini.annotations, 16, 0)


@pytest.mark.parametrize("images", [8, 9, 15, 16, 63, 64, 100, 128])
@pytest.mark.parametrize("batch", [1, 2, 3, 8, 16, 64])
def test_a_rotation_has_at_least_eight_batches_that_begin_apart(images, batch):
    if batch > images:
        return
    starts = rotation(images, batch)
    assert len(starts) >= FEWEST_BATCHES
    assert len(set(starts)) == len(starts)
    assert all(0 <= start < images for start in starts)
    if images >= FEWEST_BATCHES * batch:  # enough for none to overlap, nor the last with the first
        ends = [*starts[1:], images]
        assert all(end - start >= batch for start, end in zip(starts, ends, strict=True))


def test_sixty_four_real_images_with_objects_are_drawn_by_seed(coco_mini, images):
    assert len(images) == 64
    assert len({image.file for image in images}) == 64
    assert all(len(image.boxes) >= 1 for image in images)
    again = choose(coco_mini.images, coco_mini.annotations, 16, 0)
    other = choose(coco_mini.images, coco_mini.annotations, 16, 1)
    assert [i.file for i in again] == [i.file for i in images]
    assert [i.file for i in other] != [i.file for i in images]
    few = choose(coco_mini.images, coco_mini.annotations, 1, 0, count=5)
    assert {i.file for i in few} <= {i.file for i in images}


def test_crowds_are_no_prompts(coco_mini, images):
    entries = {entry.file: entry for entry in CocoDataset(*coco_mini).entries}
    for image in images:
        plain = [a for a in entries[image.file].annotations if not a.iscrowd and min(a.bbox[2:]) >= 1]
        assert len(image.boxes) == len(plain)


def test_too_few_images_are_refused(coco_mini):
    with pytest.raises(SambenchError, match="batches of 500 need at least 500"):
        choose(coco_mini.images, coco_mini.annotations, 500, 0)


def test_every_batch_of_a_ring_is_a_view_of_its_images(images):
    model = Known()
    ring = make_ring(model, images, 16)
    for k in range(2 * len(ring.starts)):
        rows = ring.pixels[ring.slice(k)]
        assert rows.shape == (16, 3, SIDE, SIDE)
        assert rows.data_ptr() == ring.pixels[ring.slice(k).start].data_ptr()  # no copy
        assert rows.is_contiguous()
        for i, (row, member) in enumerate(zip(rows, ring.members(k), strict=True)):
            image = images[(ring.slice(k).start + i) % len(images)]
            expected = model.prepare(read_image(image.file, image.stated))
            assert torch.equal(row, expected.pixels)
            assert torch.equal(row, member.pixels)
            assert tuple(member.size) == tuple(expected.size)
            assert torch.equal(ring.boxes[ring.slice(k)][i], image.boxes[0])


def test_a_rotation_never_feeds_one_batch_twice_in_a_row(images):
    model = Known()
    for batch in (1, 16, 64):
        step = make_step(model, Scope("E", "encoder", 0), images, batch, 0)
        seen = [step.load(k % step.batches)[0] for k in range(3 * step.batches)]
        assert all(not torch.equal(a, b) for a, b in itertools.pairwise(seen))
        assert step.batches >= FEWEST_BATCHES
        lively = sum(float(x.std()) > 1 for x in seen)  # photographs, not zeros; a corner may be plain
        assert lively > 0.8 * len(seen)


def test_images_of_different_shapes_are_no_batch(images):
    class Ragged(Known):
        def prepare(self, image):
            prepared = super().prepare(image)
            return type(prepared)(torch.from_numpy(image).permute(2, 0, 1), prepared.size)

    with pytest.raises(SambenchError, match="different shapes"):
        make_ring(Ragged(), images, 2)


def test_prompts_are_an_images_own_boxes_first_then_shifted_ones_within_it(images):
    image = max(images, key=lambda i: len(i.boxes))
    size = read_image(image.file).shape[:2]
    own = image.boxes.clamp(min=0).minimum(torch.tensor([size[1], size[0]] * 2))
    boxes = prompt_boxes(image, size, 64, 0)
    n = min(len(own), 64)
    assert boxes.shape == (64, 4)
    assert torch.allclose(boxes[:n], own[:n])
    assert len(torch.unique(boxes, dim=0)) >= 0.9 * 64
    assert bool((boxes >= 0).all())
    assert bool((boxes[:, 2] <= size[1]).all())
    assert bool((boxes[:, 3] <= size[0]).all())
    assert torch.equal(boxes, prompt_boxes(image, size, 64, 0))
    sides = (own[:, 2:] - own[:, :2]).repeat(64 // len(own) + 1, 2)[:64]
    again = image.boxes.repeat(64 // len(own) + 1, 1)[:64]
    assert bool(((boxes - again).abs() <= 0.1 * sides + 1e-3).all())
