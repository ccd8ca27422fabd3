"""The files that the pages' commands expect, drawn: COCO and LVIS, boxes of detectors, one set of SGinW."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from accounted import STAND_INS
from pages import ROOT, blocks_of, file_of

from sambench.suites.data.shapes import make_shapes
from sambench.suites.sginw.registry import registry

DETECTORS = ("vitdet", "yolov8", "gdino")
PART = "Elephants"  # of the 25 data sets, and as many classes of its


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def _link(path: Path, target: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


def _boxes(truth: dict[str, Any]) -> list[dict[str, Any]]:
    """A detector that finds every object, the larger the surer."""
    return [
        {
            "image_id": a["image_id"],
            "category_id": a["category_id"],
            "bbox": a["bbox"],
            "score": round(1 - 1 / (2 + a["area"] ** 0.5), 4),
        }
        for a in truth["annotations"]
        if not a.get("iscrowd")
    ]


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's drawings under all names that the pages give to data."""
    root = tmp_path_factory.mktemp("drawn")
    make_shapes(root / "shapes")
    annotations = root / "shapes" / "annotations"
    coco = json.loads((annotations / "instances.json").read_text())
    _link(root / "coco" / "val2017", root / "shapes" / "images")
    _write(root / "coco" / "annotations" / "instances_val2017.json", coco)
    for detector in DETECTORS:
        _write(root / "coco" / "detections" / f"coco_{detector}.json", _boxes(coco))
    lvis = json.loads((annotations / "lvis_v1.json").read_text())
    for image in lvis["images"]:
        image["coco_url"] = image["coco_url"].replace("images/", "val2017/")
    _write(root / "coco" / "annotations" / "lvis_v1_val.json", lvis)
    _write(root / "coco" / "detections" / "lvis_vitdet.json", _boxes(lvis))
    _sginw(root, coco)
    (root / "weights").mkdir()
    (root / "weights" / "mobile_sam.pt").write_bytes(b"not the official one")
    return root


def _sginw(root: Path, coco: dict[str, Any]) -> None:
    classes = registry()[PART]
    names = [{"id": i, "name": name} for i, name in enumerate(classes)]
    objects = [a | {"category_id": a["category_id"] % len(names)} for a in coco["annotations"]]
    part = coco | {"categories": names, "annotations": objects}
    folder = root / "seginw" / PART / "valid"
    _write(folder / "_annotations_min1cat.coco.json", part)
    for image in (root / "shapes" / "images").iterdir():
        _link(folder / image.name, image)
    _write(root / "boxes" / f"seginw_{PART}_val.json", _boxes(part))


@pytest.fixture
def folder(drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Path]:
    """Make the folder that a page's commands run in, with the files that the page says to save."""
    for name, value in {"COCO": "coco", "LVIS": "coco", "DATA": "."}.items():
        monkeypatch.setenv(name, str(drawn / value))
    monkeypatch.setenv("SAMBENCH_WEIGHTS", str(drawn / "weights"))
    monkeypatch.chdir(tmp_path)

    def make(page: Path) -> Path:
        coco = drawn / "coco"
        _link(tmp_path / "data" / "shapes", drawn / "shapes")
        _link(tmp_path / "configs", ROOT / "configs")
        _link(tmp_path / "val2017", coco / "val2017")
        _link(tmp_path / "images", coco / "val2017")
        _link(tmp_path / "annotations", coco / "annotations")
        for name in ("instances.json", "instances_val2017.json"):
            _link(tmp_path / name, coco / "annotations" / "instances_val2017.json")
        _link(tmp_path / "photo.jpg", drawn / "shapes" / "images" / "000000000021.jpg")
        for name in ("coco_vitdet.json", "yolov8x.json"):
            _link(tmp_path / name, coco / "detections" / "coco_vitdet.json")
        _link(tmp_path / "seginw", drawn / "seginw")
        _link(tmp_path / "boxes", drawn / "boxes")
        for name, text in filter(None, map(file_of, blocks_of(page))):
            computed = name == "run.yaml"  # what the others say is planned, not computed
            (tmp_path / name).write_text(_with_stand_ins(text) if computed else text)
        return tmp_path

    pipes = drawn / "pipes"
    if not pipes.exists():
        _link(pipes / "images", drawn / "shapes" / "images")
        _link(pipes / "instances.json", drawn / "shapes" / "annotations" / "instances.json")
    return make


def _with_stand_ins(text: str) -> str:
    for model, other in STAND_INS.items():
        text = text.replace(model, other)
    return text
