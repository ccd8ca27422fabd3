"""A good file with anything changed in it is read as it is meant, or refused in our words."""

from __future__ import annotations

import copy
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sambench.evsam.errors import SambenchError
from sambench.suites.data.checks.verify import verify
from sambench.suites.data.coco import CocoDataset
from sambench.suites.data.sample import load_sample
from tests.conftest import fuzz

pytestmark = pytest.mark.fuzz

GOOD = {
    "info": {"year": 2026},
    "images": [
        {"id": 1, "file_name": "1.png", "height": 20, "width": 30},
        {"id": 2, "file_name": "2.png", "height": 20, "width": 30},
    ],
    "annotations": [
        {
            "id": 5,
            "image_id": 1,
            "category_id": 3,
            "bbox": [4, 5, 10, 8],
            "area": 80,
            "iscrowd": 0,
            "segmentation": [[4, 5, 14, 5, 14, 13, 4, 13]],
        },
        {
            "id": 6,
            "image_id": 2,
            "category_id": 3,
            "bbox": [0, 0, 2, 20],
            "area": 40,
            "iscrowd": 1,
            "segmentation": {"size": [20, 30], "counts": [0, 40, 560]},
        },
    ],
    "categories": [{"id": 3, "name": "cat", "frequency": "f"}],
}

ODD = [
    *(None, True, False, 0, 1, -1, 7, 7.0, 7.5, 1e300, 10**30, math.nan, math.inf, -math.inf),
    *("", " ", "7", "7.0", "abc", "NaN", "\u00e9", "../1.png", "1.png\0", "a\\1.png", "%31.png"),
    *([], [[]], {}, [None], [1, 2, 3, 4], [[1, 2, 3, 4]], [[1e9] * 6], {"size": [20, 30], "counts": None}),
    *({"x": 1, "y": 2, "width": 3, "height": 4}, {"size": [30, 20], "counts": [600]}),
]
PYTHON = re.compile(
    r"NoneType|object has no|not subscriptable|not iterable|Traceback|`null`|Expected `|got `|unhashable|"
    r"codec can't|invalid literal|float\(\)|int\(\)|KeyError|TypeError|ValueError|msgspec|out of range|"
    r"recursion"
)
VALUES = st.sampled_from(ODD) | st.integers(-40, 40) | st.floats(-40, 40) | st.text(max_size=3)


def places(value, at=()):
    """Where in a value something can be changed."""
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield (*at, key)
        yield from places(value[key], (*at, key))


@st.composite
def mutated(draw):
    """The good file with one to three changes: a value, a key less, an entry twice."""
    value = copy.deepcopy(GOOD)
    for _ in range(draw(st.integers(1, 3))):
        where = draw(st.sampled_from([None, *places(value)]))
        if where is None:
            return copy.deepcopy(draw(VALUES))
        inner = value
        for key in where[:-1]:
            inner = inner[key]
        last = where[-1]
        do = draw(st.sampled_from(("set", "set", "drop", "twice")))
        if do == "drop":
            del inner[last]
        elif do == "twice" and isinstance(inner, list):
            inner.insert(last, copy.deepcopy(inner[last]))
        else:
            inner[last] = copy.deepcopy(draw(VALUES))
    return value


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("fuzz") / "images"
    root.mkdir()
    for i in (1, 2):
        noise = np.random.default_rng(i).integers(0, 256, (20, 30, 3), np.uint8)
        Image.fromarray(noise).save(root / f"{i}.png")
    return root


def run_reads(folder: Path, file: Path) -> CocoDataset:
    """Read as a run does, to the targets."""
    data = CocoDataset(folder, file, lenient=True)
    entries = data.checked(data.entries)
    data.refuse()
    for entry in entries:
        for target in load_sample(entry).targets:
            assert all(map(math.isfinite, (*target.box, target.area)))
            assert target.box[0] <= target.box[2]
            assert target.box[1] <= target.box[3]
    return data


def refusal(folder: Path, file: Path) -> str | None:
    """Why a run refuses a file, in words that are no Python's; ``None`` where it takes it."""
    try:
        run_reads(folder, file)
    except SambenchError as error:
        return str(error)
    return None


@fuzz(120)
@given(mutated(), st.sampled_from(("utf-8", "utf-8-sig", "utf-16")))
def test_a_changed_file_is_read_or_refused_in_our_words_and_verify_says_the_same(folder, value, encoding):
    file = folder.parent / "a.json"
    file.write_bytes(json.dumps(value).encode(encoding))
    report = verify(file, folder, thorough=False)
    why = refusal(folder, file)
    assert bool(report.errors) == (why is not None), why
    if why is not None:
        assert not PYTHON.search(why), why
        return
    assert report.normalised is not None
    fixed = folder.parent / "fixed.json"
    fixed.write_bytes(report.normalised())
    left = {p.name for p in verify(fixed, folder, thorough=False).problems if p.severity != "warning"}
    assert not left & {"id_form", "size_form", "crowd_form", "box_form", "area_from_mask", "box_from_mask"}
    assert refusal(folder, fixed) is None


@fuzz(60)
@given(st.integers(0, 2000), st.integers(0, 2000), st.binary(max_size=6))
def test_changed_bytes_are_read_or_refused_in_our_words(folder, start, length, middle):
    file = folder.parent / "b.json"
    whole = json.dumps(GOOD).encode()
    file.write_bytes(whole[:start] + middle + whole[start + length :])
    why = refusal(folder, file)
    assert why is None or not PYTHON.search(why), why
