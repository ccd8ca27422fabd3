"""Input that is unusual and right: every kind of image, every form of checkpoint."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command import call, cell_of, cells_of, rows_of
from PIL import Image
from safetensors.torch import save_file
from tiny_coco import HEIGHT, WIDTH, TinyCoco, empty_coco, noise

L0 = "efficientvit_sam_l0"
SIZE = (HEIGHT, WIDTH)


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def _save_kinds(tiny: TinyCoco) -> list[str]:
    """Save one image of each kind, and list it; the rotated ones as they are to be looked at."""
    colour = Image.fromarray(noise(SIZE))
    alpha = np.dstack([noise(SIZE), noise(SIZE, 1)[..., 0]])
    turned = Image.fromarray(noise((WIDTH, HEIGHT)))
    kinds: dict[str, tuple[Image.Image, dict[str, Any]]] = {
        "gray.jpg": (colour.convert("L"), {}),
        "cmyk.jpg": (colour.convert("CMYK"), {}),
        "rgba.png": (Image.fromarray(alpha), {}),
        "palette.png": (colour.convert("P"), {}),
        "bilevel.png": (colour.convert("1"), {}),
        "deep.png": (Image.fromarray(noise(SIZE)[..., 0].astype(np.uint16) * 257), {}),
        "exif_6.jpg": (turned, {"exif": _exif(6)}),
        "exif_8.jpg": (turned, {"exif": _exif(8)}),
        "exif_stored.jpg": (colour, {"exif": _exif(6)}),  # annotated on the pixels as they are stored
    }
    for number, (name, (image, options)) in enumerate(kinds.items(), start=1):
        image.save(tiny.images / name, **options)
        tiny.add(number, name)
    tiny.save()
    return list(kinds)


def test_every_kind_of_image_is_converted_silently(tmp_path: Path) -> None:
    tiny = empty_coco(tmp_path / "data")
    names = _save_kinds(tiny)
    assert Image.open(tiny.images / "deep.png").mode.startswith("I")
    assert Image.open(tiny.images / "cmyk.jpg").mode == "CMYK"
    assert Image.open(tiny.images / "exif_6.jpg").size == (HEIGHT, WIDTH)  # stored on its side
    out = tmp_path / "out"
    done = call("run", "--models", "box,grabcut", "--suites", "gt_box,click", *tiny.flags, "--out", out)
    assert done.code == 0, done.err
    assert all("images" in line for line in done.err.splitlines()), done.err  # progress, and no warning
    assert [c["status"] for c in cells_of(out)] == ["done"] * 4
    rows = rows_of(out, cell_of(out, model="box", suite="gt_box"))
    assert [r["image_id"] for r in rows] == list(range(1, len(names) + 1))
    assert [r["iou"] for r in rows] == [1.0] * len(names)


def test_an_image_without_a_stated_size_is_taken_as_stored(tiny: TinyCoco, tmp_path: Path) -> None:
    for image in tiny.content["images"]:
        del image["height"], image["width"]
    tiny.save()
    flags = [*tiny.flags, "--out", tmp_path / "out"]
    assert call("run", "--models", "box", "--suites", "gt_box", *flags).code == 0
    assert cell_of(tmp_path / "out", model="box")["metrics"]["miou"] == 100.0


def test_paths_with_spaces_brackets_and_letters_of_other_languages(tmp_path: Path) -> None:
    tiny = empty_coco(tmp_path / "données [bold] 数据")
    Image.fromarray(noise(SIZE)).save(tiny.images / "été 1.png")
    tiny.add(1, "été 1.png")
    tiny.save()
    out = tmp_path / "sortie [red] été"
    done = call("run", "--models", "box", "--suites", "gt_box", *tiny.flags, "--out", out)
    assert done.code == 0, done.err
    assert cell_of(out, model="box")["metrics"]["miou"] == 100.0
    (tiny.images / "été 1.png").unlink()
    again = call("run", "--models", "box", "--suites", "gt_box", *tiny.flags, "--out", out)
    assert again.code == 2
    assert str(tiny.images / "été 1.png") in again.err


@pytest.fixture(scope="module")
def checkpoints(
    l0_state: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """The same parameters as .pt, under ``state_dict``, and as .safetensors."""
    folder = tmp_path_factory.mktemp("checkpoints")
    torch.save({"state_dict": l0_state}, folder / "l0.pt")
    save_file({key: value.contiguous() for key, value in l0_state.items()}, folder / "l0.safetensors")
    return folder / "l0.pt", folder / "l0.safetensors"


@pytest.mark.slow
def test_a_checkpoint_loads_from_either_form_and_is_named_by_its_checksum(
    checkpoints: tuple[Path, Path], tiny: TinyCoco, tmp_path: Path
) -> None:
    rows = []
    for file in checkpoints:
        out = tmp_path / file.suffix[1:]
        flags = ["--weights", f"{L0}={file}", *tiny.flags, "--limit", 1, "--out", out]
        done = call("run", "--models", L0, "--suites", "gt_box", *flags)
        assert done.code == 0, done.err
        cell = cell_of(out, model=L0)
        assert cell["provenance"]["weights"] == {
            "source": "file",
            "path": str(file),
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            "seed": None,
            **({"taken": "'state_dict'"} if file.suffix == ".pt" else {}),
        }
        assert cell["partial"] == {"limit": 1, "of": 4, "seed": 0}
        rows.append(rows_of(out, cell))
    assert [{**row, "weights": None} for row in rows[0]] == [{**row, "weights": None} for row in rows[1]]
    assert len(rows[0]) == 1


def test_the_default_checkpoint_is_taken_from_the_weights_folder(
    checkpoints: tuple[Path, Path], tiny: TinyCoco, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / f"{L0}.pt").symlink_to(checkpoints[0])
    monkeypatch.setenv("SAMBENCH_WEIGHTS", str(tmp_path / "weights"))
    flags = [*tiny.flags, "--limit", 1, "--out", tmp_path / "out"]
    assert call("run", "--models", L0, "--suites", "gt_box", *flags).code == 0
    weights = cell_of(tmp_path / "out", model=L0)["provenance"]["weights"]
    assert weights["source"] == "file"
    assert weights["sha256"] == hashlib.sha256(checkpoints[0].read_bytes()).hexdigest()


@pytest.mark.slow
def test_random_weights_are_seeded_and_marked(tiny: TinyCoco, tmp_path: Path) -> None:
    rows = []
    for name in ("a", "b"):
        flags = ["--weights", f"{L0}=random", *tiny.flags, "--limit", 1, "--out", tmp_path / name]
        assert call("run", "--models", L0, "--suites", "gt_box", *flags).code == 0
        cell = cell_of(tmp_path / name, model=L0)
        assert cell["provenance"]["weights"] == {"source": "random", "path": None, "sha256": None, "seed": 0}
        assert "random weights" in (tmp_path / name / "report.md").read_text()
        rows.append(rows_of(tmp_path / name, cell))
    assert [{**row, "weights": None} for row in rows[0]] == [{**row, "weights": None} for row in rows[1]]
