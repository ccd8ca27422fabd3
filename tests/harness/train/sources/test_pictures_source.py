"""Mask pictures as a source of training data: what suites read of them, and a digest of it."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mask_pictures import ids, opened, pair, save

from sambench.evsam.errors import SambenchError
from sambench.harness.train.config import Data, read_section
from sambench.harness.train.sources import open_source
from sambench.suites.data.sample import load_sample

IDS = ids()


@pytest.fixture
def data(tmp_path: Path) -> Data:
    for name, mask in (("b", IDS), ("x/a", IDS[:, ::-1].copy()), ("none", IDS * 0)):
        pair(tmp_path, name, mask)
    given = {"format": "masks", "images": str(tmp_path / "images"), "masks": str(tmp_path / "masks")}
    return read_section(Data, given | {"mask_ids": "values", "void": [2]}, "f.yaml", "data")


def test_it_gives_what_suites_read(data: Data) -> None:
    assert data.images is not None
    source = pickle.loads(pickle.dumps(open_source(data)))
    entries = opened(data.images.parent, ids="values", void=(2,)).entries
    assert len(source) == len(entries) == 3
    for index, entry in enumerate(entries):
        found, sample = source.load(index), load_sample(entry)
        assert found.image_id == entry.record.id
        np.testing.assert_array_equal(found.image, sample.image)
        assert found.categories == sample.categories
        for i, target in enumerate(sample.targets):
            np.testing.assert_array_equal(found.mask(i), target.mask.full())
            assert found.box(i) == target.box
        assert len(found.annotations) == len(sample.targets)
        scored = found.for_suites()
        assert (scored.void is None) == (sample.void is None)
        if sample.void is not None and scored.void is not None:
            np.testing.assert_array_equal(scored.void.full(), sample.void.full())


def test_identity_changes_with_what_masks_say(data: Data) -> None:
    first = open_source(data).identity()
    json.dumps(first)
    assert open_source(data).identity() == first
    assert open_source(replace(data, void=(3,))).identity() != first
    assert open_source(replace(data, components=True)).identity() != first
    assert open_source(replace(data, limit=2)).identity() != first
    assert len(open_source(replace(data, limit=2))) == 2


def test_a_mask_that_is_damaged_or_was_replaced_is_named_when_it_is_read(data: Data) -> None:
    assert data.masks is not None
    source = open_source(data)
    save(data.masks / "b.png", IDS * 2)
    with pytest.raises(SambenchError, match=r"b\.png: changed"):
        source.load(0)
    assert len(source.load(2).annotations) == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"images": None}, "format masks needs images"),
        ({"masks": None, "mask_ids": None, "void": None}, "format masks needs masks"),
        ({"masks": None}, "mask_ids goes with masks"),
        ({"masks": Path("nowhere")}, "nowhere: no such folder of masks"),
    ],
)
def test_what_lacks_is_said(data: Data, change: dict[str, object], said: str) -> None:
    with pytest.raises(SambenchError, match=said):
        open_source(replace(data, **change))  # type: ignore[arg-type]
