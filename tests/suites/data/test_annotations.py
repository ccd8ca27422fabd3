"""Annotations as the field's tools write them are the records of the plain file, and changes are counted."""

from __future__ import annotations

import copy
import gzip
import hashlib
import json
import math

import pytest

from sambench.suites.data.annotations import read_annotations
from sambench.suites.data.fields import UNKNOWN_BOX
from sambench.suites.data.reading import Reading

PLAIN = {
    "images": [
        {"id": 7, "file_name": "a.jpg", "height": 40, "width": 60},
        {"id": 9, "file_name": "b.jpg", "height": 40, "width": 60},
    ],
    "annotations": [
        {
            "id": i,
            "image_id": image,
            "category_id": 1,
            "bbox": [5, 10, 20, 12],
            "area": 240.0,
            "segmentation": [[5, 10, 25, 10, 25, 22, 5, 22]],
            "iscrowd": 0,
        }
        for i, image in ((1, 7), (2, 9), (3, 9))
    ],
    "categories": [{"id": 1, "name": "cat"}],
}


def written(tmp_path, value, **options):
    file = tmp_path / "a.json"
    file.write_bytes(value if isinstance(value, bytes) else json.dumps(value).encode())
    return read_annotations(file, **options)


def fields(found):
    """What a reader's records say, as plain values."""
    return (
        [(i.id, i.file_name, i.height, i.width) for i in found.images],
        [
            (a.id, a.image_id, a.category_id, a.bbox, a.area, bytes(a.segmentation), a.iscrowd)
            for a in found.annotations
        ],
        [(c.id, c.name) for c in found.categories or ()],
    )


def each(key, **changes):
    """A change of every entry of a list."""

    def change(value):
        for entry in value[key]:
            for name, new in changes.items():
                entry[name] = new(entry.get(name)) if callable(new) else new

    return change


def all_of(*changes):
    def change(value):
        for one in changes:
            one(value)

    return change


def lines(value):
    return "\n".join(json.dumps(one) for key in value for one in value[key]).encode()


def lines_an_image(value):
    whole = []
    for image in value["images"]:
        mine = [a for a in value["annotations"] if a["image_id"] == image["id"]]
        whole.append({"images": [image], "annotations": mine, "categories": value["categories"]})
    return "\n".join(map(json.dumps, whole)).encode()


def keyed(value):
    value["annotations"] = {str(a.pop("id")): a for a in value["annotations"]}


SAME = {
    "image ids as text": (each("images", id=str), {"id_form": 2}),
    "image ids with a point": (each("images", id=float), {"id_form": 2}),
    "ids of all kinds as text": (
        all_of(each("images", id=str), each("annotations", id=str, image_id=str, category_id=str)),
        {"id_form": 2 + 9},
    ),
    "category ids with zeros before": (each("categories", id="0001"), {"id_form": 1}),
    "crowd as false": (each("annotations", iscrowd=False), {"crowd_form": 3}),
    "crowd as null": (each("annotations", iscrowd=None), {"crowd_form": 3}),
    "crowd as text": (each("annotations", iscrowd="0"), {"crowd_form": 3}),
    "crowd missing": (lambda v: [a.pop("iscrowd") for a in v["annotations"]], {}),
    "sizes with a point": (each("images", height=float, width=float), {"size_form": 4}),
    "sizes as text": (each("images", height=str, width=str), {"size_form": 4}),
    "a box as a mapping": (
        each("annotations", bbox=lambda b: dict(zip(("x", "y", "width", "height"), b, strict=True))),
        {"box_form": 3},
    ),
    "annotations by id": (keyed, {"keyed": 1, "id_form": 3}),
    "lines of entries": (lines, {"lines": 1}),
    "lines of images": (lines_an_image, {"lines": 1}),
    "gzip": (lambda v: gzip.compress(json.dumps(v).encode()), {"packed": 1}),
    "a byte order mark": (lambda v: json.dumps(v).encode("utf-8-sig"), {"encoding": 1}),
    "UTF-16": (lambda v: json.dumps(v).encode("utf-16"), {"encoding": 1}),
}


@pytest.mark.parametrize("case", SAME)
def test_written_otherwise_it_says_the_same_and_the_changes_are_counted(tmp_path, case):
    change, counts = SAME[case]
    value = copy.deepcopy(PLAIN)
    changed = change(value)
    found = written(tmp_path, changed if isinstance(changed, bytes) else value)
    assert fields(found) == fields(written(tmp_path, PLAIN))
    assert found.problems.counts() == counts
    assert not found.problems.listed("error")


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda v: [a.pop("area") for a in v["annotations"]], "area_from_mask"),
        (each("annotations", area=None), "area_from_mask"),
        (each("annotations", area=math.nan), "area_from_mask"),
        (each("annotations", area=-math.inf), "area_from_mask"),
        (each("annotations", area=-3.5), "area_from_mask"),
        (each("annotations", area="240"), "area_from_mask"),
        (each("annotations", area=10**400), "area_from_mask"),
        (lambda v: [a.pop("bbox") for a in v["annotations"]], "box_from_mask"),
        (each("annotations", bbox=None), "box_from_mask"),
    ],
)
def test_what_the_mask_tells_is_left_open_and_counted(tmp_path, change, kind):
    value = copy.deepcopy(PLAIN)
    change(value)
    found = written(tmp_path, value)
    assert found.problems.counts() == {kind: 3}
    for annotation in found.annotations:
        unknown = annotation.area if kind == "area_from_mask" else annotation.bbox[0]
        assert math.isnan(unknown)


def test_boxes_are_left_open_where_they_are_to_be_the_masks(tmp_path):
    value = copy.deepcopy(PLAIN)
    each("annotations", bbox="no box")(value)
    found = written(tmp_path, value, reading=Reading(box_source="mask"))
    assert found.problems.counts() == {}
    assert {a.bbox for a in found.annotations} == {UNKNOWN_BOX}


@pytest.mark.parametrize("none", ["missing", None, [], [[]], "", {}])
def test_an_annotation_may_have_no_mask(tmp_path, none):
    value = copy.deepcopy(PLAIN)
    if none == "missing":
        del value["annotations"][0]["segmentation"]
    else:
        value["annotations"][0]["segmentation"] = none
    found = written(tmp_path, value)
    assert [bytes(a.segmentation) != b"" for a in found.annotations] == [False, True, True]


@pytest.mark.parametrize("big", [2**63, 2**64 + 5, "f3a9", "0000001_02999_d_0000001"])
def test_ids_that_are_no_whole_numbers_of_64_bits_are_numbered_anew(tmp_path, big):
    value = copy.deepcopy(PLAIN)
    value["images"][1]["id"] = big
    for annotation in value["annotations"][1:]:
        annotation["image_id"] = big
    value["annotations"][2]["id"] = big
    found = written(tmp_path, value)
    assert found.problems.counts() == {}
    assert [i.id for i in found.images] == [1, 2]
    assert [(a.id, a.image_id) for a in found.annotations] == [(1, 1), (2, 2), (3, 2)]
    assert found.image_ids.texts == {1: "7", 2: str(big)}
    assert found.annotation_ids.texts == {1: "1", 2: "2", 3: str(big)}
    assert not found.category_ids.anew


def test_the_digest_is_of_the_bytes_of_the_file(tmp_path):
    raw = gzip.compress(json.dumps(PLAIN).encode())
    assert written(tmp_path, raw).sha256 == hashlib.sha256(raw).hexdigest()


def test_no_list_of_categories_is_told_from_an_empty_one(tmp_path):
    lists = {key: PLAIN[key] for key in ("images", "annotations")}
    assert written(tmp_path, lists).categories is None
    assert written(tmp_path, lists | {"categories": []}).categories == []
    assert written(tmp_path, lists).problems.counts() == {"no_categories": 1}


def test_a_category_without_a_name_goes_by_what_there_is(tmp_path):
    names = [{"id": 1}, {"id": 2, "name": " "}, {"id": 3, "name": 5}, {"id": "x", "name": None}]
    found = written(tmp_path, PLAIN | {"categories": names, "annotations": []})
    assert [c.name for c in found.categories] == ["1", "2", "5", "x"]
    assert found.problems.counts() == {"category_name": 4}


def test_lvis_fields_are_not_looked_at(tmp_path):
    odd = PLAIN["images"][0] | {"neg_category_ids": "none", "not_exhaustive_category_ids": None}
    image, plain = written(tmp_path, PLAIN | {"images": [odd, PLAIN["images"][1]]}).images
    assert [bytes(image.neg_category_ids), bytes(image.not_exhaustive_category_ids)] == [b'"none"', b"null"]
    assert bytes(plain.neg_category_ids) == b""
