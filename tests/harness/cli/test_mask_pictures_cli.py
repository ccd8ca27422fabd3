"""``sambench data verify`` on masks as pictures: what it lists, and the COCO file that it writes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from command import call
from mask_pictures import ids, pair, save
from pycocotools.coco import COCO

IDS = ids()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that names two images with masks."""
    for name in ("a", "x/b"):
        pair(tmp_path / "data", name, IDS)
    content = {"name": "mine", "images": str(tmp_path / "data/images"), "masks": str(tmp_path / "data/masks")}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content | {"mask_ids": "values", "void": [2]}))
    return tmp_path / "mine.yaml"


def test_nothing_is_wrong_and_the_coco_file_is_that_of_the_masks(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "fixed.json"
    done = call("data", "verify", file, "--fix", out)
    assert (done.code, "nothing is wrong" in done.out, f"{out}: written" in done.out) == (0, True, True)
    official = COCO(str(out))
    assert [image["file_name"] for image in official.imgs.values()] == ["a.jpg", "x/b.jpg"]
    for found in official.imgToAnns.values():
        for annotation, value in zip(found, (1, 3), strict=True):
            np.testing.assert_array_equal(official.annToMask(annotation), value == IDS)
    again = call("data", "verify", out, "--images", tmp_path / "data" / "images")
    assert (again.code, "nothing is wrong" in again.out) == (0, True), again.out
    assert "is there already" in call("data", "verify", file, "--fix", out).err


def test_all_that_is_wrong_is_listed_and_nothing_written(file: Path, tmp_path: Path) -> None:
    save(tmp_path / "data/masks/a.png", IDS.T)
    save(tmp_path / "data/masks/z.png", IDS)
    done = call("data", "verify", file, "--json")
    found = json.loads(done.out)
    assert done.code == 2
    assert {problem["kind"] for problem in found["problems"]} == {"mask_size", "unused_mask"}
    assert (found["errors"], found["warnings"], found["images"]) == (1, 1, 2)
    out = tmp_path / "fixed.json"
    done = call("data", "verify", file, "--fix", out)
    assert (done.code, out.exists()) == (2, False)
    assert "cannot be mended" in done.err
