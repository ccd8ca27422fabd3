"""A folder of images that is not there: what to do about it."""

import pytest

from sambench.evsam.errors import SambenchError
from sambench.suites.data.coco import CocoDataset
from sambench.suites.data.named import find


def test_the_embedded_data_set_can_be_drawn(tmp_path):
    folder = tmp_path / "data" / "shapes" / "images"
    with pytest.raises(SambenchError, match=f"sambench data make shapes --out {folder.parent}' draws it"):
        CocoDataset(folder, tmp_path / "a.json")


def test_any_other_is_to_be_named(tmp_path):
    with pytest.raises(SambenchError, match=r"no such image folder\. Give it with --images\."):
        CocoDataset(tmp_path / "val2017", tmp_path / "a.json")


def test_a_named_one_whose_variable_is_not_set_can_be_given_by_flags(monkeypatch):
    monkeypatch.delenv("COCO", raising=False)
    with pytest.raises(SambenchError, match=r"COCO is not set.*--images DIR and --annotations FILE"):
        find("coco").paths()
