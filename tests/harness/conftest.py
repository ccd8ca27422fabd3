"""Data and checkpoints for the tests of the harness."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_coco import TinyCoco, make_tiny

from sambench.adapters import registry
from sambench.suites.data.shapes import make_shapes

DRAWN, TIMES = 8, 8


@pytest.fixture(autouse=True)
def no_models_left_behind() -> Iterator[None]:
    """Models of a test's own are forgotten after it, for this process goes on."""
    yield
    registry._added.clear()


@pytest.fixture(scope="session")
def shapes_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded data set, 8 images, with a COCO file and one that lists each image eight times."""
    root = tmp_path_factory.mktemp("shapes") / "data"
    make_shapes(root, DRAWN)
    once = json.loads((root / "annotations" / "instances.json").read_text())
    many: dict[str, Any] = {**once, "images": [], "annotations": []}
    for time in range(TIMES):
        many["images"] += [i | {"id": i["id"] + 100 * time} for i in once["images"]]
        many["annotations"] += [
            a | {"id": a["id"] + 10_000 * time, "image_id": a["image_id"] + 100 * time}
            for a in once["annotations"]
        ]
    (root / "annotations" / "many.json").write_text(json.dumps(many))
    return root


@pytest.fixture(scope="session")
def shapes(shapes_root: Path) -> list[str]:
    """Flags that name the 8 images: one shard."""
    return _flags(shapes_root, "instances.json")


@pytest.fixture(scope="session")
def many(shapes_root: Path) -> list[str]:
    """Flags that name 64 images: four shards."""
    return _flags(shapes_root, "many.json")


def _flags(root: Path, annotations: str) -> list[str]:
    file = root / "annotations" / annotations
    return ["--dataset", "shapes", "--images", str(root / "images"), "--annotations", str(file)]


@pytest.fixture
def tiny(tmp_path: Path) -> TinyCoco:
    """Four tiny images of the test's own."""
    return make_tiny(tmp_path / "data")


@pytest.fixture(scope="session")
def l0_state() -> dict[str, torch.Tensor]:
    """A state dict that fits efficientvit_sam_l0."""
    from sambench import evsam

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return {k: v.clone() for k, v in evsam.create_model("efficientvit_sam_l0").state_dict().items()}


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """A folder for a run, not made yet."""
    return tmp_path / "out"
