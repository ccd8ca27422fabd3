"""Real images in rotation: never one batch twice in a row, never a copy where a slice will do."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mask_pictures import pair
from speed_fakes import SIDE, Known

from sambench.adapters.base import Prepared
from sambench.adapters.images import read_image
from sambench.adapters.spec import ModelSpec
from sambench.evsam.errors import NotApplicableError, SambenchError
from sambench.suites.data.coco import CocoDataset
from sambench.suites.data.pictures.settings import Masks
from sambench.suites.throughput.inputs import choose, make_inputs, prompt_boxes, rotation
from sambench.suites.throughput.job import FEWEST_BATCHES, Job, Scope, from_json, parse_scope
from sambench.suites.throughput.scopes import make_step


@pytest.fixture(scope="module")
def images(coco_mini):
    return choose(coco_mini.images, coco_mini.annotations, 16, 0)


@pytest.mark.parametrize("images", [8, 9, 15, 16, 63, 64, 100, 128])
@pytest.mark.parametrize("batch", [1, 2, 3, 8, 16, 64])
def test_a_rotation_has_at_least_eight_batches_that_begin_apart(images, batch):
    if batch > images:
        return
    batches = rotation([("float32", 3)] * images, batch)
    starts = [first for first, *_ in batches]
    assert len(starts) >= FEWEST_BATCHES
    assert len(set(starts)) == len(starts)
    assert all(one == tuple((one[0] + i) % images for i in range(batch)) for one in batches)
    if images >= FEWEST_BATCHES * batch:  # enough for none to overlap, nor the last with the first
        assert len({i for one in batches for i in one}) == batch * len(batches)


@given(
    st.lists(st.sampled_from("abcde"), min_size=8, max_size=70).map(lambda kinds: [(k,) for k in kinds]),
    st.integers(1, 8),
)
def test_batches_are_of_one_shape_each_distinct_and_in_turn(shapes, batch):
    enough = [shapes.count(kind) for kind in set(shapes) if shapes.count(kind) >= batch]
    if sum(enough) < FEWEST_BATCHES:  # so many images cannot begin eight batches
        with pytest.raises(NotApplicableError, match=f"prepared to {len(set(shapes))} shapes"):
            rotation(shapes, batch)
        return
    batches = rotation(shapes, batch)
    assert len({first for first, *_ in batches}) == len(batches) >= FEWEST_BATCHES
    for one in batches:
        assert len(set(one)) == batch  # no image twice
        assert len({shapes[i] for i in one}) == 1
    assert [one[0] for one in batches] == sorted(one[0] for one in batches)
    if batch == 1:
        assert batches == tuple((i,) for i in range(len(shapes)))  # all, one after the other


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


def test_every_batch_is_a_view_of_images_in_a_row(images):
    model = Known()
    inputs = make_inputs(model, images, 16)
    assert inputs.used == tuple(range(64))
    assert inputs.note == ""
    row = inputs.batches[0].pixels.untyped_storage().data_ptr()
    for batch in inputs.batches:
        assert batch.pixels.shape == (16, 3, SIDE, SIDE)
        assert batch.pixels.untyped_storage().data_ptr() == row  # no copy
        assert batch.pixels.is_contiguous()
        for i, pixels, member, box in zip(
            batch.members, batch.pixels, batch.prepared, batch.boxes, strict=True
        ):
            expected = model.prepare(read_image(images[i].file, images[i].stated))
            assert torch.equal(pixels, expected.pixels)
            assert torch.equal(pixels, member.pixels)
            assert tuple(member.size) == tuple(expected.size)
            assert torch.equal(box, images[i].boxes[0])


def test_a_rotation_never_feeds_one_batch_twice_in_a_row(images):
    model = Known()
    for batch in (1, 16, 64):
        step = make_step(model, Scope("E", "encoder", 0), images, batch, 0)
        seen = [step.load(k % step.batches)[0] for k in range(3 * step.batches)]
        assert all(not torch.equal(a, b) for a, b in itertools.pairwise(seen))
        assert step.batches >= FEWEST_BATCHES
        lively = sum(float(x.std()) > 1 for x in seen)  # photographs, not zeros; a corner may be plain
        assert lively > 0.8 * len(seen)


class Ragged(Known):
    """Takes images as they are, as a model of one's own may, and says more of each than its size."""

    @dataclass(frozen=True)
    class Prepared(Prepared):
        mean: float

    def prepare(self, image):
        pixels = torch.from_numpy(image).permute(2, 0, 1).float()
        return self.Prepared(pixels, image.shape[:2], float(image.mean()))

    def embed(self, prepared):
        assert len({p.pixels.shape for p in prepared}) == 1
        assert all(float(p.pixels.mean()) == pytest.approx(p.mean, rel=1e-3) for p in prepared)
        return super().embed(prepared)


@pytest.mark.parametrize("scope", ["E", "E2E", "APP", "D2"])
def test_a_model_that_takes_images_as_they_are_goes_one_at_a_time_and_says_so(images, scope):
    step = make_step(Ragged(alone=False), parse_scope(scope), images[:8], 1, 0)
    assert step.inputs == tuple(range(8))
    for k in range(step.batches):
        step.store(k, step.compute(k, step.load(k)))
    sizes = {image.stated for image in images[:8]}
    assert {shape[2:] for shape in step.shapes} == sizes
    if scope != "D2":  # whose images are encoded before the clock, one by one for every model
        assert f"prepared to {len(sizes)} shapes and go one at a time" in step.note


@pytest.mark.parametrize("scope", ["E", "E2E", "APP"])
def test_images_of_one_shape_are_batched_together(images, scope):
    """The oracle is the annotations' sizes, which are what this model prepares images to."""
    step = make_step(Ragged(), parse_scope(scope), images, 4, 0)
    counts = Counter(image.stated for image in images)
    able = tuple(i for i, image in enumerate(images) if counts[image.stated] >= 4)
    assert set(step.inputs) <= set(able)
    assert len(step.inputs) >= 0.9 * len(able)  # a rotation may leave out a remainder
    assert f"{len(step.inputs)} of 64 images" in step.note
    seen = []
    for k in range(step.batches):
        given = step.load(k)
        assert given[0].shape[0] == 4
        assert {images[i].stated for i in step.batch(k).members} == {tuple(given[0].shape[2:])}
        step.store(k, step.compute(k, given))
        seen.append(given[0])
    pairs = itertools.pairwise([*seen, seen[0]])
    assert all(a.shape != b.shape or not torch.equal(a, b) for a, b in pairs)


def test_a_batch_that_cannot_be_made_of_one_shape_is_not_applicable(images):
    with pytest.raises(NotApplicableError, match=r"make only \d distinct batches of 40 of one shape"):
        make_step(Ragged(), parse_scope("E2E"), images, 40, 0)


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


def test_boxes_of_mask_pictures_are_those_around_their_objects(tmp_path):
    for n in range(12):
        mask = np.zeros((24, 32), np.uint8)
        if n % 4:
            mask[2 : 9 + n, 3 : 12 + n] = 255
        pair(tmp_path, f"{n:02d}", mask)
    masks = Masks(tmp_path / "masks", "binary")
    found = choose(tmp_path / "images", masks, 1, 0)
    assert [image.file.stem for image in found] == [f"{n:02d}" for n in range(12) if n % 4]
    for image in found:
        n = int(image.file.stem)
        assert image.boxes.tolist() == [[3, 2, min(12 + n, 32), min(9 + n, 24)]]
        assert image.stated == (24, 32)
    few = choose(tmp_path / "images", masks, 1, 0, count=8)
    assert {image.file for image in few} < {image.file for image in found}
    with pytest.raises(SambenchError, match="has 9 images with a box"):
        choose(tmp_path / "images", masks, 12, 0)


def test_a_job_carries_how_masks_are_read(tmp_path):
    masks = Masks(tmp_path / "masks", "values", (255,), components=True)
    model = ModelSpec("box", "cpu")
    job = Job("measure", model, annotations=str(masks.folder), masks=masks.facts())
    assert from_json(json.loads(json.dumps(job.to_json()))).annotated == masks
    assert Job("measure", model, annotations="a.json").annotated == Path("a.json")
