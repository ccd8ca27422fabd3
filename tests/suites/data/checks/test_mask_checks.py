"""Boxes and areas held against their masks; real data has nothing that would keep it from being scored."""

import json

import msgspec
import pytest
from pycocotools.coco import COCO

from sambench.suites.data.checks.kinds import KINDS
from sambench.suites.data.checks.masks import BOX_EDGE, area_of, check_box, check_mask
from sambench.suites.data.segmentation import examine

SIZE = (200, 300)


def kinds(box, polygon, size=SIZE):
    return [kind for kind, _ in check_box(box, examine(json.dumps([polygon]).encode(), SIZE), size)]


def rectangle(x, y, width, height):
    return [x, y, x + width, y, x + width, y + height, x, y + height]


@pytest.mark.parametrize(
    ("box", "found"),
    [
        ((50, 60, 40, 30), []),
        ((50 - BOX_EDGE, 60 + BOX_EDGE, 40, 30), []),
        ((50, 60, 0, 30), ["empty_box"]),
        ((50, 60, 40, 0), ["empty_box"]),
        ((90, 60, -40, 30), ["empty_box"]),
        ((50, 60, 90, 90), ["box_corners"]),
        ((50, 60, 40 + 40, 30 + 30), ["box_mask"]),
        ((70, 75, 40, 30), ["box_mask"]),
        ((90 + BOX_EDGE, 60, 20, 30), ["box_mask"]),
        ((90.1 + BOX_EDGE, 60, 20, 30), ["box_elsewhere"]),
        ((50, 60 - 30.1 - BOX_EDGE, 40, 30), ["box_elsewhere"]),
        ((0.2, 0.3, 0.13, 0.15), ["box_elsewhere"]),
    ],
)
def test_a_box_is_held_against_its_mask(box, found):
    assert kinds(box, rectangle(50, 60, 40, 30)) == found


@pytest.mark.parametrize(
    ("box", "found"),
    [
        ((50, 60, 0, 30), ["thin_box"]),
        ((51, 60, 0, 31), ["thin_box"]),
        ((50, 60, -1, 30), ["empty_box"]),
        ((50, 60, 0, 0), ["empty_box"]),
        ((80, 60, 0, 30), ["box_elsewhere"]),
    ],
)
def test_a_box_may_be_as_thin_as_its_mask(box, found):
    assert kinds(box, rectangle(50, 60, 2, 30)) == found


def test_a_mask_that_leaves_its_image_has_its_box_before_or_after_it_is_cut():
    polygon = rectangle(200, 60, 250, 30)
    for width in (250, 100):
        assert "box_mask" not in kinds((200, 60, width, 30), polygon)
    assert kinds((200, 60, 20, 30), polygon) == ["box_mask"]


def test_a_box_without_a_mask_has_sides_and_lies_in_its_image():
    assert [kind for kind, _ in check_box((1, 2, 0, 4), None, SIZE)] == ["empty_box"]
    assert [kind for kind, _ in check_box((1, 2, 302, 4), None, SIZE)] == ["box_outside"]
    assert list(check_box((1, 2, 302, 4), None, None)) == []


def real(data_root):
    for file in sorted(data_root.rglob("*.json")):
        if "odd-files" in file.parts:
            continue
        content = json.loads(file.read_bytes())
        lists = (
            [content.get(key) for key in ("images", "annotations")] if isinstance(content, dict) else [None]
        )
        if all(isinstance(one, list) for one in lists):
            sizes = {image["id"]: (image["height"], image["width"]) for image in lists[0]}
            yield file, sizes, lists[1]


def test_nothing_keeps_real_data_from_being_scored_but_the_turned_boxes_of_lvis_0_5(data_root):
    """Their masks lie elsewhere in the turned image (`test_boxes_of_turned_images_in_lvis_0_5_are_found`)."""
    looked_at, errors = 0, []
    for _, sizes, annotations in real(data_root):
        for a in annotations:
            raw, size = msgspec.json.encode(a["segmentation"]), sizes[a["image_id"]]
            mask = examine(raw, size)
            found = [
                *check_mask(mask, size, bool(a.get("iscrowd"))),
                *check_box(tuple(a["bbox"]), mask, size),
            ]
            errors += [(kind, a["image_id"]) for kind, _ in found if KINDS[kind].severity != "warning"]
            looked_at += 1
    assert looked_at > 4000
    assert {kind for kind, _ in errors} == {"box_elsewhere"}
    assert {image for _, image in errors} == {179898, 443426, 464824}


def test_areas_are_those_that_pycocotools_draws(coco_mini):
    oracle = COCO(coco_mini.annotations)
    for a in list(oracle.anns.values())[:200]:
        image = oracle.imgs[a["image_id"]]
        size = (image["height"], image["width"])
        mask = examine(json.dumps(a["segmentation"]).encode(), size)
        assert area_of(mask, size) == oracle.annToMask(a).sum()
