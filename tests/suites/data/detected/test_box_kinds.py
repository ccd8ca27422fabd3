"""Boxes of another kind than COCO's are told by what they meet; right ones, good or poor, are left alone."""

import json

import numpy as np
import pytest

from sambench.suites.data.detected.box_kinds import LAYOUTS, SCALES, Seen, iou, looks_like

SIZES = [(480, 640), (500, 333), (427, 640), (640, 480), (300, 900)]


def as_corners(x, y, w, h):
    return np.stack([x, y, x + w, y + h], axis=1)


WRITTEN = {  # from x, y, width, height, by hand
    "x, y, width, height": lambda x, y, w, h: np.stack([x, y, w, h], axis=1),
    "corners x0, y0, x1, y1": as_corners,
    "centre and size": lambda x, y, w, h: np.stack([x + w / 2, y + h / 2, w, h], axis=1),
    "corners y0, x0, y1, x1": lambda x, y, w, h: np.stack([y, x, y + h, x + w], axis=1),
}
UNITS = {  # image's size to what x and y are multiplied with, and what is added
    "": lambda h, w: (1, 1, 0, 0),
    " in shares of the image, 0 to 1": lambda h, w: (1 / w, 1 / h, 0, 0),
    " in percent of the image": lambda h, w: (100 / w, 100 / h, 0, 0),
    " in pixels of the image scaled to 640 x 640": lambda h, w: (640 / w, 640 / h, 0, 0),
    " in pixels of the image fitted into a corner of 1280 x 1280": lambda h, w: (
        1280 / max(h, w),
        1280 / max(h, w),
        0,
        0,
    ),
    " in pixels of the image fitted into the middle of 512 x 512": lambda h, w: (
        512 / max(h, w),
        512 / max(h, w),
        max(0, h - w) * 256 / max(h, w),  # a border left and right of an image that is higher than wide
        max(0, w - h) * 256 / max(h, w),
    ),
}


def world(seed=0, images=5, objects=6):
    """Images with annotated boxes, and found ones a little beside them, as x, y, width, height."""
    rng = np.random.default_rng(seed)
    for size in (SIZES * images)[:images]:
        sides = np.array([size[1], size[0]])
        extent = sides * rng.uniform(0.05, 0.5, (objects, 2))
        corner = (sides - extent) * rng.random((objects, 2))
        boxes = np.concatenate([corner, extent], axis=1)
        yield size, boxes, boxes + rng.normal(0, 0.03, boxes.shape) * np.tile(extent, 2)


def written(size, boxes, layout, unit):
    kx, ky, px, py = UNITS[unit](*size)
    x, y, w, h = boxes.T
    return WRITTEN[layout](kx * x + px, ky * y + py, kx * w, ky * h)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("layout", WRITTEN)
def test_each_kind_is_named_but_cocos(layout, unit):
    seen = [Seen(size, written(size, found, layout, unit), boxes) for size, boxes, found in world()]
    said = looks_like(seen)
    if (layout, unit) == ("x, y, width, height", ""):
        assert said is None
    else:
        assert f" fit as {layout}{unit}: so they meet " in said


@pytest.mark.parametrize(("of_ten", "how"), [(7, "fit best as"), (8, "fit as")])
def test_a_kind_that_fits_a_part_is_the_best_of_those_tried(of_ten, how):
    """Of ten boxes on each image, so many are right but for being corners; the others lie anywhere."""
    seen = []
    for size, boxes, _ in world(objects=10):
        found = written(size, boxes, "corners x0, y0, x1, y1", "")
        found[of_ten:] = [0, 0, 1, 1]
        seen.append(Seen(size, found, boxes))
    said = looks_like(seen)
    assert f" {how} corners x0, y0, x1, y1: so they meet {of_ten * 10}% of the annotated boxes" in said


def test_the_kinds_tried_are_those_that_are_tested():
    assert WRITTEN.keys() == LAYOUTS.keys()
    assert UNITS.keys() <= SCALES.keys()


@pytest.mark.parametrize("kept", [1, 3, None])
@pytest.mark.parametrize("spread", [0.0, 0.1, 0.3, 1.0])
def test_a_detector_however_poor_is_not_doubted(kept, spread):
    for seed in range(12):
        rng, seen = np.random.default_rng(seed), []
        for size, boxes, _ in world(seed, images=3):
            sides = np.array([size[1], size[0]])
            corner = boxes[:, :2] + rng.normal(0, spread, (len(boxes), 2)) * boxes[:, 2:]
            far = np.minimum(corner + boxes[:, 2:], sides)
            corner = np.clip(corner, 0, sides - 1)
            found = np.concatenate([corner, np.maximum(far - corner, 1)], axis=1)
            seen.append(Seen(size, rng.permutation(found)[:kept], boxes))
        assert looks_like(seen) is None


def test_without_annotated_boxes_those_that_leave_the_image_are_told_by_where_they_stay_in():
    none = np.zeros((0, 4))
    shares, corners, right = (
        [Seen(size, written(size, boxes, *kind), none) for size, boxes, _ in world(3)]
        for kind in (
            ("centre and size", " in shares of the image, 0 to 1"),
            ("corners x0, y0, x1, y1", ""),
            ("x, y, width, height", ""),
        )
    )
    assert (
        looks_like(shares) == "no box is larger than a pixel or two; they fit as shares of the image, 0 to 1"
    )
    assert looks_like(corners).endswith(
        "% of the boxes leave their image; they fit as corners x0, y0, x1, y1"
    )
    assert looks_like(right) is None
    far = [Seen(size, one.boxes * 3, none) for one, (size, *_) in zip(right, world(3), strict=True)]
    assert looks_like(far).endswith("by more than 5% of its side; are they of images of another size")
    assert looks_like([]) is looks_like([Seen((9, 9), none, none)]) is None


def test_detectors_of_the_packs_are_not_doubted_and_known_to_be_when_written_otherwise(data_root, coco_mini):
    content = json.loads(coco_mini.annotations.read_text())
    files = [data_root / "detections/genuine_yolov8n_int8_coco-mini.json"]
    files += sorted((data_root / "detections/synthetic/coco-mini").glob("*.json"))
    for file in files:
        made = json.loads(file.read_text())
        for layout in WRITTEN:
            seen = []
            for image in content["images"][:20]:
                boxes = [a["bbox"] for a in content["annotations"] if a["image_id"] == image["id"]]
                found = [d for d in made if d["image_id"] == image["id"]]
                found = np.array([d["bbox"] for d in sorted(found, key=lambda d: -d["score"])])
                size = (image["height"], image["width"])
                found = written(size, found.reshape(-1, 4), layout, "")
                seen.append(Seen(size, found, np.array(boxes, float).reshape(-1, 4)))
            said = looks_like(seen)
            if layout == "x, y, width, height":
                assert said is None
            else:  # "best", where a detector finds too little to be sure
                assert f" fit as {layout}: " in said.replace(" fit best ", " fit ")


def test_iou_is_that_of_pycocotools():
    from pycocotools import mask as official

    rng = np.random.default_rng(0)
    ours, theirs = rng.uniform(0, 50, (20, 4)), rng.uniform(0, 50, (30, 4))
    want = official.iou(ours, theirs, [0] * 30)
    assert iou(as_corners(*ours.T), as_corners(*theirs.T)) == pytest.approx(want, abs=1e-12)
    assert not iou(np.array([[9.0, 9, 1, 1]]), as_corners(*theirs.T)).any()
