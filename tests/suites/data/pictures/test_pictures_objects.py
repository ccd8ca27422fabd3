"""From ids to COCO's records, judged by pycocotools and a flood fill."""

import json

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as rle

from sambench.suites.data.masks import decode_segmentation
from sambench.suites.data.pictures.objects import STRIDE, objects_of


def flooded(mask):
    """The connected parts of a mask, corners too, by flood fill from the first pixel left, row by row."""
    left, parts = {tuple(p) for p in np.argwhere(mask)}, []
    for seed in sorted(left):
        if seed not in left:
            continue
        part, edge = {seed}, [seed]
        while edge:
            y, x = edge.pop()
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & (left - part)
            part |= near
            edge += near
        left -= part
        found = np.zeros_like(mask)
        found[tuple(np.array(sorted(part)).T)] = True
        parts.append(found)
    return parts


def expected(ids, components):
    masks = [ids == value for value in sorted(set(ids.ravel().tolist()) - {0})]
    return [part for mask in masks for part in flooded(mask)] if components else masks


@st.composite
def pictures(draw):
    size = (draw(st.integers(1, 14)), draw(st.integers(1, 14)))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    values = draw(st.sampled_from([[0, 1], [0, 0, 0, 5], [0, 3, 200, 70_000], [7], [0]]))
    return rng.choice(np.array(values), size)


@settings(max_examples=80)
@given(pictures(), st.booleans())
def test_objects_are_those_of_pycocotools(ids, components):
    masks = expected(ids, components)
    found = objects_of(ids, 3, components=components)
    assert [one.id for one in found] == [3 * STRIDE + place for place in range(1, len(masks) + 1)]
    for one, mask in zip(found, masks, strict=True):
        coded = rle.encode(np.asfortranarray(mask.astype(np.uint8)))
        assert json.loads(bytes(one.segmentation)) == {
            "size": list(mask.shape),
            "counts": coded["counts"].decode(),
        }
        assert list(one.bbox) == rle.toBbox(coded).tolist()
        assert one.area == rle.area(coded) == mask.sum()
        assert (one.image_id, one.category_id, one.iscrowd) == (3, 1, 0)
        np.testing.assert_array_equal(decode_segmentation(one.segmentation, mask.shape, "x"), mask)


def test_a_slanting_line_is_one_part_and_specks_apart_are_many():
    line = np.eye(9, dtype=np.uint8)
    assert len(objects_of(line, 1, components=True)) == 1
    specks = np.zeros((9, 9), np.uint8)
    specks[::2, ::2] = 4
    assert len(objects_of(specks, 1, components=True)) == 25
    assert len(objects_of(specks, 1)) == 1


@pytest.mark.parametrize("seed", range(3))
def test_parts_are_opencvs(seed):
    noise = cv2.GaussianBlur(np.random.default_rng(seed).normal(size=(90, 70)).astype(np.float32), (0, 0), 2)
    mask = (noise > 0.05).astype(np.uint8)
    count, _ = cv2.connectedComponents(mask, connectivity=8)
    found = objects_of(mask, 1, components=True)
    assert len(found) == count - 1
    assert sum(one.area for one in found) == mask.sum()
