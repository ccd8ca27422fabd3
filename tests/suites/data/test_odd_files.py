"""Files after public reports, as tools wrote them: the same masks and boxes as of the plain file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO

from sambench.evsam.errors import SambenchError
from sambench.suites.data.coco import CocoDataset
from sambench.suites.data.detections import Detections
from sambench.suites.data.reading import Reading
from sambench.suites.data.sample import load_sample
from tests.conftest import missing

SAME = [
    *("01-exif-90-labelstudio/ok", "02-exif-180-square/ann", "03-exif-broken/ann", "07-two-point-part/ann"),
    *("08-iscrowd-boolean/ann", "08-iscrowd-boolean/float", "09-string-ids/ann", "09-string-ids/cat"),
    *("10-area-missing/ann", "10-area-missing/null", "11-size-zero-or-missing/ann"),
    *("11-size-zero-or-missing/float", "11-size-zero-or-missing/missing", "15-hash-ids/annid"),
    *("15-hash-ids/i63", "15-hash-ids/negcat", "15-hash-ids/u64", "17-flat-and-odd-records/keyed"),
    *("17-flat-and-odd-records/map", "18-encodings/bom", "18-encodings/gz", "18-encodings/latin1"),
    *("18-encodings/nan", "18-encodings/utf16", "20-det-files/ann0", "21-negative-ids/ann"),
    "21-negative-ids/img",
]
REFUSED = {
    "01-exif-90-labelstudio/ann": "orientation: exif",
    "05-windows-backslash/ann": "--match basename",
    "16-deep-tiff/fnan": "NaN",
    "17-flat-and-odd-records/null": "sambench throughput",
}
DETECTIONS = [
    *("18-encodings/dets-bom", "18-encodings/dets-gz", "18-encodings/dets-lines"),
    *("20-det-files/dict", "20-det-files/dict2"),
]


@pytest.fixture
def odd(data_root: Path) -> Path:
    folder = data_root / "odd-files"
    if not folder.is_dir():
        missing(f"{folder} is not there")
    return folder


def opened(odd: Path, name: str, reading: Reading | None = None) -> list:
    """Samples of a file, as a run reads it."""
    own = odd / Path(name).parent / "images"
    data = CocoDataset(
        own if own.is_dir() else odd / "base_images", odd / f"{name}.json", reading=reading, lenient=True
    )
    entries = data.checked(data.entries)
    data.refuse()
    return [load_sample(entry) for entry in entries]


def compare(samples: list, odd: Path) -> None:
    """Masks and boxes are those of the plain file, in its order of images by file name."""
    oracle = COCO(str(odd / "ann.json"))
    by_name = {sample.file_name.rpartition("\\")[2]: sample for sample in samples}
    for number, image in oracle.imgs.items():
        targets = by_name[image["file_name"]].targets
        annotations = oracle.imgToAnns[number]
        assert len(targets) == len(annotations)
        for target, annotation in zip(targets, annotations, strict=True):
            np.testing.assert_array_equal(target.mask.full(), oracle.annToMask(annotation))
            x, y, width, height = annotation["bbox"]
            assert target.box == (x, y, x + width, y + height)
            pixels = oracle.annToMask(annotation).sum()
            assert target.area in (annotation["area"], pixels)


@pytest.mark.parametrize("name", SAME)
def test_masks_and_boxes_are_those_of_the_plain_file(odd, name, capsys):
    compare(opened(odd, name), odd)
    capsys.readouterr()


def test_what_is_shown_turned_is_right_where_that_is_asked_for(odd, capsys):
    compare(opened(odd, "01-exif-90-labelstudio/ann", Reading(orientation="exif")), odd)
    capsys.readouterr()


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_right_is_refused_with_its_remedy(odd, name):
    with pytest.raises(SambenchError) as caught:
        opened(odd, name)
    assert REFUSED[name] in str(caught.value)


@pytest.mark.parametrize("name", DETECTIONS)
def test_boxes_are_those_of_the_plain_list(odd, name):
    data = CocoDataset(odd / "base_images", odd / "ann.json")
    found = Detections(odd / f"{name}.json", known=data.known())
    rows = json.loads((odd / "dets.json").read_text())
    for image in (1, 2, 3):
        mine = sorted((r for r in rows if r["image_id"] == image), key=lambda r: -r["score"])
        assert found.of(image).xywh.tolist() == [r["bbox"] for r in mine]
        assert found.of(image).category_ids.tolist() == [r["category_id"] for r in mine]


@pytest.mark.parametrize("name", ["f01", "f255", "u12"])
def test_deep_pictures_look_like_others(odd, name):
    (sample,) = opened(odd, f"16-deep-tiff/{name}")
    (plain,) = [s for s in opened(odd, "02-exif-180-square/ann") if s.image.shape == sample.image.shape]
    grey = plain.image.astype(float) @ (0.299, 0.587, 0.114)  # ITU-R 601, as the pictures were made
    assert np.abs(sample.image[..., 0] - grey).mean() < 3
