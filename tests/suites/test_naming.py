"""A name says every way in which a number is not the plain case, and nothing where it is."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import pytest
import yaml

from sambench import adapters
from sambench.adapters.weights.resolve import sha256_of
from sambench.adapters.weights.upstream import RemoteFile, Upstream
from sambench.suites.naming import departures, failures_named, is_official, title, with_departures
from sambench.suites.results import CellResult

WEIGHTS = yaml.safe_load((Path(adapters.__file__).parent / "weights" / "weights.yaml").read_text())
L0 = WEIGHTS["efficientvit_sam_l0"]["files"][0]["sha256"]
OTHER = "0123456789" * 6 + "abcd"


def file(sha256: str = L0, path: str = "/w/efficientvit_sam_l0.pt") -> dict[str, Any]:
    return {"weights": {"source": "file", "path": path, "sha256": sha256, "seed": None}}


PLAIN = CellResult(
    model="efficientvit_sam_l0",
    engine="eager",
    precision="fp32",
    device="cuda",
    suite="det_box",
    dataset="coco/vitdet",
    protocol={"preset": "paper"},
    provenance={**file(), "evaluator": "hotcoco"},
)


def test_a_plain_cell_has_a_bare_name() -> None:
    assert departures(PLAIN) == ()
    assert with_departures(title(PLAIN.model), PLAIN) == "EfficientViT-SAM-L0"
    assert departures(dataclasses.replace(PLAIN, device="cpu", dataset="lvis")) == ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"provenance": {"weights": {"source": "random", "seed": 0}}}, ("random weights",)),
        ({"provenance": file(OTHER, "/runs/a/epoch_3.pt")}, ("epoch_3.pt 01234567",)),
        ({"provenance": file("0" * 64)}, ("efficientvit_sam_l0.pt 00000000",)),
        ({"provenance": {}}, ("weights not recorded",)),
        ({"provenance": {}, "status": "failed"}, ()),
        ({"engine": "onnxruntime"}, ("onnxruntime fp32",)),
        ({"precision": "int8"}, ("eager int8",)),
        ({"partial": {"limit": 3, "of": 5000, "seed": 0}}, ("3 of 5,000 images",)),
        ({"counts": {"data_sets": 24}}, ("24 of 25 data sets",)),
        ({"n_images": 5000, "n_failed_images": 2}, ("2 of 5,000 images failed",)),
        ({"counts": {"data_sets": 25}}, ()),
        ({"provenance": {**file(), "evaluator": "pycocotools"}}, ("scored by pycocotools",)),
        ({"provenance": {**file(), "evaluator": None}}, ()),
        ({"model": "box", "provenance": {"weights": {"source": "none"}}}, ()),
        (
            {
                "model": "mine",
                "provenance": {**file(OTHER, "mine.pt"), "adapter": {"options": {"size": 512, "tta": True}}},
            },
            ("mine.pt 01234567", "size: 512", "tta: True"),
        ),
    ],
)
def test_each_departure_is_said(changes: dict[str, Any], words: tuple[str, ...]) -> None:
    assert departures(dataclasses.replace(PLAIN, **changes)) == words


def test_all_of_them_together() -> None:
    cell = dataclasses.replace(
        PLAIN,
        engine="onnxruntime",
        precision="int8",
        partial={"limit": 3, "of": 64, "seed": 0},
        provenance={"weights": {"source": "random"}, "evaluator": "lvis"},
    )
    assert with_departures("x", cell) == (
        "x, random weights, onnxruntime int8, 3 of 64 images, scored by lvis"
    )


@pytest.mark.parametrize(
    ("failed", "named", "words"),
    [
        (0, 0, ""),
        (1, 1, "1 of 9 images failed and is not in these numbers: 0.jpg: why."),
        (3, 3, "3 of 9 images failed and are not in these numbers: 0.jpg: why; 1.jpg: why; 2.jpg: why."),
        (
            5,
            4,
            "5 of 9 images failed and are not in these numbers: 0.jpg: why; 1.jpg: why; 2.jpg: why; "
            "and 2 more.",
        ),
        (2, 0, "2 of 9 images failed and are not in these numbers."),
    ],
)
def test_the_first_images_that_failed_are_named(failed: int, named: int, words: str) -> None:
    images = [{"image_id": i, "file_name": f"{i}.jpg", "reason": "why."} for i in range(named)]
    cell = dataclasses.replace(PLAIN, n_images=9, n_failed_images=failed, failed_images=images)
    assert failures_named(cell) == words


def test_official_is_what_the_registered_checksum_says() -> None:
    assert is_official("efficientvit_sam_l0", {"sha256": L0}) is True
    assert is_official("efficientvit_sam_l0", {"sha256": OTHER}) is False
    assert is_official("efficientvit_sam_l0", {}) is False
    assert is_official("efficient_sam_s", {"sha256": OTHER}) is None  # no source states its checksum
    assert is_official("mine", {"sha256": OTHER}) is None


def test_a_folder_is_official_by_the_checksums_of_its_files(tmp_path: Path) -> None:
    sums = {}
    for name, content in {"model.safetensors": b"b", "config.json": b"a"}.items():
        (tmp_path / name).write_bytes(content)
        sums[name] = hashlib.sha256(content).hexdigest()
    files = tuple(RemoteFile(f"folder/{name}", "https://x", sha256=sha) for name, sha in sums.items())
    assert Upstream(files, licence="", page="").sha256 == sha256_of(tmp_path)
    unknown = (*files, RemoteFile("folder/x", "https://x"))
    assert Upstream(unknown, licence="", page="").sha256 is None
    assert Upstream(files[:1], licence="", page="").sha256 == sums["model.safetensors"]


def part(source: str, path: str | None = None, sha256: str | None = None) -> dict[str, Any]:
    return {"source": source, "path": path, "sha256": sha256, "seed": None}


@pytest.mark.parametrize(
    ("detector", "segmenter", "said", "official"),
    [
        (part("file", "/w/dino", OTHER), part("file", "/w/l0.pt", L0), "dino 01234567", None),
        (
            part("file", "/w/dino", OTHER),
            part("file", "/w/l0.pt", OTHER),
            "dino 01234567 + l0.pt 01234567",
            False,
        ),
        (part("file", "/w/dino", OTHER), part("none"), "dino 01234567", None),
    ],
)
def test_weights_of_two_parts_are_official_where_both_are(
    detector: dict[str, Any], segmenter: dict[str, Any], said: str, official: bool | None
) -> None:
    model = "grounding_dino_t+efficientvit_sam_l0"
    weights = {"source": "file", "path": "/w/dino + /w/l0.pt", "sha256": "f" * 64} | {
        "parts": {"grounding_dino_t": detector, "efficientvit_sam_l0": segmenter}
    }
    cell = dataclasses.replace(PLAIN, model=model, provenance={"weights": weights, "evaluator": "hotcoco"})
    assert departures(cell) == (said,)
    assert is_official(model, weights) is official
    assert title(model) == "Grounding DINO-T + EfficientViT-SAM-L0"
    plain = {"efficientvit_sam_l0": part("file", "/w/l0.pt", L0), "box": part("none")}
    assert is_official(model, weights | {"parts": plain})
