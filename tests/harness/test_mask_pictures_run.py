"""Runs on masks as pictures: the numbers are those of the same masks as COCO's run lengths."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from command import call, cell_of, rows_of
from mask_pictures import ids, pair, palette, save
from PIL import Image
from pycocotools import mask as rle
from pycocotools.coco import COCO

IMAGES = 2
DEEP = 301  # times an id: a value of 16 bits


def rgb(values: np.ndarray) -> np.ndarray:
    """Colours whose R + 256 G + 65536 B is the value."""
    return np.stack([values % 256, values // 256 % 256, values // 65536], axis=2).astype(np.uint8)


KINDS: dict[str, Callable[[np.ndarray], np.ndarray | Image.Image]] = {
    "palette": palette,
    "deep": lambda values: (values * DEEP).astype(np.uint16),
    "rgb": lambda values: rgb(values * 70_001),
}


@pytest.fixture(scope="module")
def masks(coco_mini: Any) -> dict[str, np.ndarray]:
    """Of real images, by name: ids of the objects, the later ones on top; small numbers first."""
    official = COCO(str(coco_mini.annotations))
    found = {}
    for image_id in sorted(official.imgs)[: 3 * IMAGES : 3]:
        image = official.imgs[image_id]
        values = np.zeros((image["height"], image["width"]), np.int64)
        for value, annotation in enumerate(official.imgToAnns[image_id][:8], start=1):
            values[official.annToMask(annotation).astype(bool)] = value
        found[image["file_name"]] = values
    return found


def coco_of(masks: dict[str, np.ndarray], file: Path) -> Path:
    """Write the masks as COCO's run lengths, by pycocotools."""
    images, annotations = [], []
    for number, (name, values) in enumerate(sorted(masks.items()), start=1):
        height, width = values.shape
        images.append({"id": number, "file_name": name, "height": height, "width": width})
        for place, value in enumerate(sorted(set(values.ravel().tolist()) - {0}), start=1):
            coded = rle.encode(np.asfortranarray((values == value).astype(np.uint8)))
            counts = {"size": coded["size"], "counts": coded["counts"].decode()}
            box, area = rle.toBbox(coded).tolist(), float(rle.area(coded))
            own = {"id": number * 1_000_000 + place, "image_id": number, "category_id": 1, "iscrowd": 0}
            annotations.append(own | {"segmentation": counts, "bbox": box, "area": area})
    categories = [{"id": 1, "name": "object"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    file.write_text(json.dumps(content))
    return file


def run(out: Path, *data: object, models: str = "box", suites: str = "gt_box,click") -> Path:
    done = call("run", "--models", models, "--suites", suites, *data, "--out", out)
    assert done.code == 0, done.err
    return out


def described(file: Path, root: Path, **keys: object) -> Path:
    content = {"name": "mine", "images": str(root / "images"), "masks": str(root / "masks")}
    file.write_text(yaml.safe_dump(content | keys))
    return file


def test_numbers_and_records_are_those_of_the_same_masks_as_coco(
    coco_mini: Any, masks: dict[str, np.ndarray], tmp_path: Path
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for name in masks:
        shutil.copy(coco_mini.images / name, images / name)
    file = coco_of(masks, tmp_path / "coco.json")
    sets: list[dict[str, object]] = [{"name": "coco", "images": str(images), "annotations": str(file)}]
    for kind, make in KINDS.items():
        root = tmp_path / kind
        for name, values in masks.items():
            save(root / f"{Path(name).stem}_ids.png", make(values))
        ids_ = {"mask_ids": "rgb"} if kind == "rgb" else {}
        sets.append({"name": kind, "images": str(images), "masks": str(root)} | ids_)
    config = tmp_path / "run.yaml"
    config.write_text(yaml.safe_dump({"datasets": sets}))
    out = run(tmp_path / "out", config, models="ellipse")
    for suite in ("gt_box", "click"):
        expected = cell_of(out, suite=suite, dataset="coco")
        assert expected["n_instances"] > 3 * IMAGES
        for kind in KINDS:
            cell = cell_of(out, suite=suite, dataset=kind)
            for key in ("metrics", "intervals", "counts", "n_images", "n_instances"):
                assert cell[key] == expected[key], (kind, key)
            own, its = ([row | {"dataset": ""} for row in rows_of(out, c)] for c in (cell, expected))
            assert own == its, kind
            assert cell["provenance"]["annotations"]["count"] is None


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three images with three objects each, the middle one of which is void under 2."""
    for name in "abc":
        pair(tmp_path / "data", name, ids())
    return tmp_path / "data"


def test_void_is_an_axis_of_the_protocol(root: Path, tmp_path: Path) -> None:
    file = described(tmp_path / "mine.yaml", root, mask_ids="binary", void=[2])
    ignored = run(tmp_path / "ignore", "--dataset", file, suites="gt_box")
    protocol = tmp_path / "protocol.yaml"
    protocol.write_text(yaml.safe_dump({"protocol": {"preset": "strict", "void": "background"}}))
    counted = run(tmp_path / "count", protocol, "--dataset", file, suites="gt_box")
    values = ids()
    truth, box = np.isin(values, (1, 3)), np.zeros_like(values, bool)
    ys, xs = np.nonzero(truth)
    box[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1] = True
    whole = 100 * (truth & box).sum() / (truth | box).sum()
    without = 100 * (truth & box).sum() / ((truth | box) & (values != 2)).sum()
    assert cell_of(ignored, suite="gt_box")["metrics"]["miou"] == pytest.approx(without)
    assert cell_of(counted, suite="gt_box")["metrics"]["miou"] == pytest.approx(whole)
    assert without > whole
    assert cell_of(ignored, suite="gt_box")["counts"]["smooth_mask"] == 3


def test_a_mask_without_object_is_counted(root: Path, tmp_path: Path) -> None:
    save(root / "masks" / "b.png", ids() * 0)
    out = run(tmp_path / "out", "--dataset", described(tmp_path / "mine.yaml", root))
    for suite in ("gt_box", "click"):
        cell = cell_of(out, suite=suite)
        assert (cell["n_images"], cell["n_instances"], cell["counts"]["no_object"]) == (3, 6, 1)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda root: (root / "masks" / "b.png").unlink(), "an image without a mask"),
        (lambda root: save(root / "masks" / "b.png", ids().T), "a mask of another size than its image"),
        (
            lambda root: save(root / "masks" / "b.png", ids() * 9),
            "what the pixels' values mean cannot be told",
        ),
        (lambda root: (root / "masks" / "b.png").write_bytes(b"x"), "a mask that cannot be read as values"),
    ],
)
def test_what_cannot_be_right_ends_before_a_model_is_made(
    root: Path, tmp_path: Path, spoil: Callable[[Path], object], said: str
) -> None:
    spoil(root)
    file = described(tmp_path / "mine.yaml", root)
    for more in ([], ["--dry-run"]):
        out = tmp_path / "out"
        done = call("run", "--models", "box", "--suites", "gt_box", "--dataset", file, "--out", out, *more)
        assert done.code == 2
        assert said in done.err
        assert "b.png" in done.err or "b.jpg" in done.err or "Seen: " in done.err
        assert "Traceback" not in done.err
        assert not out.exists()


def test_detections_are_refused_with_what_to_do(root: Path, tmp_path: Path) -> None:
    file = described(tmp_path / "mine.yaml", root)
    boxes = tmp_path / "boxes.json"
    boxes.write_text("[]")
    flags = ["--suites", "det_box", "--dataset", file, "--detections", f"mine={boxes}"]
    done = call("run", "--models", "box", *flags, "--out", tmp_path / "out")
    assert done.code == 2
    assert "data verify --fix" in done.err


def test_a_configuration_may_hold_the_keys_itself(root: Path, tmp_path: Path) -> None:
    entry = {"name": "mine", "images": str(root / "images"), "masks": str(root / "masks"), "void": [2]}
    content = {"models": "box", "suites": "gt_box", "datasets": [entry], "out": str(tmp_path / "out")}
    file = tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump(content))
    done = call("run", file)
    assert done.code == 0, done.err
    assert cell_of(tmp_path / "out", suite="gt_box")["n_instances"] == 6
