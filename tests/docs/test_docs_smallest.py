"""The smallest annotation file that docs/data.md shows runs as it stands."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from command import call
from PIL import Image

from tests.docs.pages import ROOT


def test_the_smallest_file_of_the_page_runs(tmp_path):
    (text,) = re.findall(r"```json\n(.*?)```", (ROOT / "docs" / "data.md").read_text(encoding="utf-8"), re.S)
    assert len(text.splitlines()) <= 5
    content = json.loads(text)
    (image,) = content["images"]
    noise = np.random.default_rng(0).integers(0, 256, (image["height"], image["width"], 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / image["file_name"])
    file = tmp_path / "a.json"
    file.write_text(text)
    paths = ["--dataset", "street", "--images", tmp_path, "--annotations", file]
    done = call("run", "--models", "box", "--suites", "gt_box,click", *paths, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    cells = json.loads((tmp_path / "out" / "results.json").read_text())["cells"]
    (boxes,) = [cell for cell in cells if cell["suite"] == "gt_box"]
    assert boxes["metrics"]["miou"] == pytest.approx(100)  # a rectangle is its own box
    assert boxes["counts"]["area_from_mask"] == boxes["counts"]["box_from_mask"] == 1
