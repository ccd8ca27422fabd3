"""The normalised form of a file: nothing is odd about it any more, and it gives the same samples."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from sambench.suites.data.checks.kinds import MENDABLE
from sambench.suites.data.checks.verify import verify
from sambench.suites.data.coco import CocoDataset
from sambench.suites.data.sample import load_sample

POLYGON = [5, 10, 25, 10, 25, 22, 5, 22]
RLE = {"size": [40.0, 60.0], "counts": [float(n) for n in (205, 12, 2183)]}


def odd(folder):
    """A file of oddities that can be meant one way only."""
    (folder / "deep").mkdir(parents=True)
    for i in (1, 2):
        noise = np.random.default_rng(i).integers(0, 256, (40, 60, 3), np.uint8)
        Image.fromarray(noise).save(folder / "deep" / f"{i}.png")
    content = {
        "info": {"year": 2026},
        "images": [
            {"id": "one", "file_name": "deep\\1.png", "width": 60.0, "height": 40.0, "license": 3},
            {"id": "two", "file_name": "deep/2.png"},
        ],
        "annotations": [
            {"id": "7", "image_id": "one", "category_id": "1", "segmentation": POLYGON, "mine": [1, None]},
            {
                "id": 8.0,
                "image_id": "one",
                "category_id": 1,
                "segmentation": [POLYGON, [1, 2, 3, 4]],
                "area": 5.5,
            },
            {
                "id": 9,
                "image_id": "two",
                "category_id": 1,
                "segmentation": RLE,
                "iscrowd": False,
                "area": None,
            },
            {
                "id": 10,
                "image_id": "two",
                "category_id": 1,
                "segmentation": [POLYGON],
                "bbox": [25, 22, -20, -12],
            },
            {
                "id": 11,
                "image_id": "two",
                "category_id": 1,
                "segmentation": [POLYGON],
                "bbox": [5, 10, 25, 22],
            },
            {"id": 12, "image_id": "two", "category_id": 1, "segmentation": [POLYGON], "bbox": "none"},
            {"id": 13, "image_id": "two", "category_id": 1, "segmentation": None, "bbox": [1, 2, 3, 4]},
        ],
        "categories": [{"id": 1.0, "supercategory": "animal"}],
    }
    file = folder / "odd.json"
    file.write_text(json.dumps(content))
    return file, content


@pytest.fixture
def mended(tmp_path):
    file, content = odd(tmp_path)
    report = verify(file, tmp_path)
    out = tmp_path / "fixed.json"
    out.write_bytes(report.normalised())
    return tmp_path, file, content, out, report


def test_nothing_is_odd_about_it_any_more(mended):
    folder, _, _, out, before = mended
    assert {p.name for p in before.errors} == {"empty_box", "box_corners", "box_unusable"} <= set(MENDABLE)
    assert {p.name: p.count for p in verify(out, folder).problems} == {"no_mask": 1, "area": 1}


def test_its_values_are_those_of_the_format_and_the_rest_stays(mended):
    _, _, before, out, _ = mended
    after = json.loads(out.read_text())
    assert after["info"] == before["info"]
    assert after["images"] == [
        {"id": 1, "given_id": "one", "file_name": "deep/1.png", "width": 60, "height": 40, "license": 3},
        {"id": 2, "given_id": "two", "file_name": "deep/2.png", "width": 60, "height": 40},
    ]
    assert after["categories"] == [{"id": 1, "name": "1", "supercategory": "animal"}]
    first, parts, runs, *boxes, bare = after["annotations"]
    assert first["mine"] == [1, None]
    assert (first["id"], first["image_id"], first["category_id"]) == (7, 1, 1)
    assert (first["segmentation"], first["bbox"], first["iscrowd"]) == ([POLYGON], [5, 10, 20, 12], 0)
    assert first["area"] == 240  # counted by hand: 20 x 12
    assert (parts["segmentation"], parts["area"]) == ([POLYGON], 5.5)
    assert runs["segmentation"] == {"size": [40, 60], "counts": [205, 12, 2183]}
    assert (runs["area"], runs["bbox"]) == (12, [5, 5, 1, 12])
    assert [one["bbox"] for one in boxes] == [[5, 10, 20, 12]] * 3
    assert bare == {**before["annotations"][6], "image_id": 2, "iscrowd": 0}


def test_pycocotools_draws_of_it_what_a_run_draws_of_the_odd_file(mended, capsys):
    folder, file, _, out, _ = mended
    oracle = COCO(str(out))
    data = CocoDataset(folder, file, lenient=True)
    for entry in data.checked(data.entries):
        for target in load_sample(entry).targets:
            np.testing.assert_array_equal(target.mask.full(), oracle.annToMask(oracle.anns[target.ann_id]))
    capsys.readouterr()


def test_numbers_that_no_other_reader_takes_are_no_trouble(tmp_path):
    file, content = odd(tmp_path)
    content["images"][0]["id"] = 2**70
    for annotation in content["annotations"][:2]:
        annotation["image_id"] = 2**70
    content["annotations"][0]["mine"] = [float("nan"), 10**40]
    text = json.dumps(content).replace('"area": 5.5', '"area": 1e999, "more": 1e999')
    file.write_text(text)
    report = verify(file, tmp_path)
    assert {p.name for p in report.errors} <= set(MENDABLE)
    after = json.loads(report.normalised(), parse_constant=pytest.fail)
    assert after["images"][0]["given_id"] == 2**70
    assert after["annotations"][0]["mine"] == [None, 10**40]
    assert (after["annotations"][1]["area"], after["annotations"][1]["more"]) == (240, None)
