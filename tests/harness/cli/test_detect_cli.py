"""``sambench detect``: what it writes, when it computes, what it refuses, and what it leaves when stopped."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command import call
from tiny_coco import TinyCoco

from sambench.adapters import files
from sambench.adapters.base import Weights
from sambench.adapters.detectors import registry
from sambench.adapters.detectors.base import Category, Detector, ImageBoxes, find_weights
from sambench.adapters.files import locked
from sambench.adapters.weights.resolve import sha256_of
from sambench.harness.detect import shards
from tests.conftest import missing

THIRD = 1 / 3


class Told(Detector):
    """Finds two boxes of equal score and a worse one, in an order that must not matter."""

    libraries = ("pycocotools",)
    calls = 0

    def __init__(self, weights: Weights, top_k: int, category: int) -> None:
        self.name = "told"
        self.weights = weights
        self.settings = {"top_k": top_k}
        self.category = category

    def detect_one(self, image: np.ndarray) -> ImageBoxes:
        """Count the call."""
        Told.calls += 1
        boxes = np.array([[0, 0, 5, 5], [4, 2, 9.1, 7 + THIRD], [1, 2, 9, 7]])
        scores = np.array([0.1, THIRD, THIRD], dtype=np.float32)
        return ImageBoxes(boxes, scores, np.full(3, self.category))


def make(
    name: str,
    *,
    categories: Sequence[Category],
    weights: str | None,
    device: torch.device,
    top_k: int = 3,
) -> Told:
    """Build the detector of these tests."""
    return Told(find_weights(name, weights, Path("told.pt")), top_k, categories[0].id)


@pytest.fixture(autouse=True)
def _told(monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"top_k": registry.Option(int, "how many")}
    entry = registry.Entry(f"{__name__}:make", "Told", "any", "none", "here", options)
    monkeypatch.setitem(registry.DETECTORS, "told", entry)
    Told.calls = 0


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """File to write, in a folder not made yet."""
    return tmp_path / "boxes" / "told.json"


def flags(tiny: TinyCoco, out: Path, *more: object) -> list[object]:
    return ["detect", "told", *tiny.flags[2:], "--out", out, "--weights", "random", *more]


def provenance(out: Path) -> dict[str, Any]:
    return dict(json.loads(out.with_suffix(".provenance.json").read_text()))


def test_boxes_are_coco_results_unrounded_and_in_an_order_without_chance(tiny: TinyCoco, out: Path) -> None:
    done = call(*flags(tiny, out))
    assert done.code == 0, done.err
    assert "12 boxes in 4 images" in done.out
    rows = json.loads(out.read_text())
    assert out.read_text() == json.dumps(rows, separators=(",", ":"))
    assert [r["image_id"] for r in rows] == [1] * 3 + [2] * 3 + [3] * 3 + [4] * 3
    score = float(np.float32(THIRD))
    assert rows[:3] == [
        {"image_id": 1, "category_id": 1, "bbox": [1, 2, 8, 5], "score": score},
        {"image_id": 1, "category_id": 1, "bbox": [4, 2, 9.1 - 4, 7 + THIRD - 2], "score": score},
        {"image_id": 1, "category_id": 1, "bbox": [0, 0, 5, 5], "score": float(np.float32(0.1))},
    ]


def test_pycocotools_reads_the_result(tiny: TinyCoco, out: Path) -> None:
    from pycocotools.coco import COCO

    call(*flags(tiny, out))
    assert len(COCO(str(tiny.annotations)).loadRes(str(out)).anns) == 12


def test_the_provenance_says_all_that_made_the_boxes(tiny: TinyCoco, out: Path, tmp_path: Path) -> None:
    (tmp_path / "w.pt").write_bytes(b"abc")
    command = [*flags(tiny, out, "--option", "top_k=2")[:-4], "--weights", tmp_path / "w.pt"]
    done = call(*command, "--option", "top_k=2", "--limit", 2)
    assert done.code == 0, done.err
    said = provenance(out)
    assert said["detector"] == "told"
    assert said["weights"]["source"] == "file"
    assert said["weights"]["sha256"].startswith("ba7816bf")
    assert said["settings"] == {"top_k": 2}
    assert {"python", "torch", "numpy", "pycocotools"} <= set(said["versions"])
    assert said["data"]["annotations_sha256"] == sha256_of(tiny.annotations)
    assert (said["data"]["images"], said["data"]["of"]) == (2, 4)
    assert len(said["data"]["image_ids"]) == 2
    assert said["result_sha256"] == sha256_of(out)
    assert said["boxes"] == len(json.loads(out.read_text())) == 6
    assert said["command"].startswith("sambench detect told --images ")


def test_the_same_command_again_computes_nothing(tiny: TinyCoco, out: Path) -> None:
    call(*flags(tiny, out))
    assert left(out) == ["told.json", "told.provenance.json"]
    before = [f.stat().st_mtime_ns for f in sorted(out.parent.iterdir())]
    done = call(*flags(tiny, out))
    assert done.code == 0
    assert "is there already, 12 boxes" in done.out
    assert Told.calls == 4
    assert [f.stat().st_mtime_ns for f in sorted(out.parent.iterdir())] == before


@pytest.mark.parametrize(
    ("more", "what"),
    [(["--limit", "2"], "data"), (["--option", "top_k=1"], "settings")],
    ids=["data", "settings"],
)
def test_what_another_command_made_is_not_overwritten(
    tiny: TinyCoco, out: Path, more: list[str], what: str
) -> None:
    call(*flags(tiny, out))
    content = out.read_bytes()
    done = call(*flags(tiny, out, *more))
    assert done.code == 2
    assert f"made with other {what} (told.provenance.json" in done.err
    assert out.read_bytes() == content


def test_other_images_or_annotations_are_other_data(tiny: TinyCoco, out: Path) -> None:
    call(*flags(tiny, out))
    tiny.file(2).write_bytes(tiny.file(3).read_bytes())
    assert "made with other data" in call(*flags(tiny, out)).err
    tiny.content["categories"][0]["name"] = "other"
    tiny.save()
    assert "made with other data" in call(*flags(tiny, out)).err


def test_a_file_of_unknown_origin_or_changed_since_is_not_overwritten(tiny: TinyCoco, out: Path) -> None:
    out.parent.mkdir()
    out.write_text("[]")
    done = call(*flags(tiny, out))
    assert (done.code, out.read_text()) == (2, "[]")
    assert "no told.provenance.json says what made it" in done.err
    out.unlink()
    call(*flags(tiny, out))
    out.write_text("[]")
    done = call(*flags(tiny, out))
    assert (done.code, out.read_text()) == (2, "[]")
    assert "was changed after it was made" in done.err


def test_a_provenance_without_its_result_is_no_result(tiny: TinyCoco, out: Path) -> None:
    """As an interruption between the two files leaves it."""
    call(*flags(tiny, out))
    whole = out.read_bytes()
    out.unlink()
    assert call(*flags(tiny, out)).code == 0
    assert out.read_bytes() == whole


@pytest.mark.parametrize("why", ["detector", "option", "suffix", "weights", "image", "no images"])
def test_wrong_input_is_an_error_with_a_remedy_and_leaves_nothing(
    tiny: TinyCoco, out: Path, why: str
) -> None:
    command, message = flags(tiny, out), ""
    if why == "detector":
        command[1], message = "tolled", "Did you mean 'told'?"
    elif why == "option":
        command, message = (
            [*command, "--option", "topk=3"],
            "Did you mean 'top_k'? It has top_k=int: how many",
        )
    elif why == "suffix":
        command[command.index(out)], message = out.with_suffix(".txt"), "say FILE.json"
    elif why == "weights":
        command[-1], message = "gone.pt", "no weights at gone.pt"
    elif why == "image":
        tiny.file(3).write_bytes(tiny.file(3).read_bytes()[:-200])
        message = "003.jpg: damaged"
    else:
        tiny.content["images"], tiny.content["annotations"] = [], []
        tiny.save()
        message = "lists no image"
    done = call(*command)
    assert done.code == 2
    assert message in done.err
    assert left(out) == []


def left(out: Path) -> list[str]:
    """What is in the folder of a result, but for what locks it."""
    return sorted(path.name for path in out.parent.glob("*") if path.name != f".{out.name}.lock")


def stop_at(monkeypatch: pytest.MonkeyPatch, image: int) -> None:
    """Interrupt at an image, counted from 1, as the user would."""
    detect_one = Told.detect_one

    def detect_or_stop(self: Told, pixels: np.ndarray) -> ImageBoxes:
        if Told.calls == image - 1:
            raise KeyboardInterrupt
        return detect_one(self, pixels)

    monkeypatch.setattr(Told, "detect_one", detect_or_stop)


@pytest.mark.parametrize(("limit", "again"), [({"SHARD_IMAGES": 2}, 2), ({"SHARD_SECONDS": 0.0}, 1)])
def test_a_command_that_is_stopped_goes_on_with_the_shard_it_was_at(
    tiny: TinyCoco, out: Path, monkeypatch: pytest.MonkeyPatch, limit: dict[str, float], again: int
) -> None:
    """A shard ends after so many images or so long, whichever is first."""
    unbroken = out.parents[1] / "unbroken" / "told.json"
    assert call(*flags(tiny, unbroken)).code == 0
    Told.calls = 0
    with monkeypatch.context() as patched:
        for name, value in limit.items():
            patched.setattr(shards, name, value)
        stop_at(patched, 4)
        done = call(*flags(tiny, out))
    assert done.code == 130
    assert "Stopped; run the same command again to go on." in done.err
    (parts,) = left(out)
    assert parts.startswith("told.json.parts-")

    Told.calls = 0
    done = call(*flags(tiny, out))
    assert done.code == 0, done.err
    assert f"{4 - again}/4 images" in done.err
    assert "12 boxes in 4 images" in done.out
    assert Told.calls == again
    assert out.read_bytes() == unbroken.read_bytes()
    assert left(out) == ["told.json", "told.provenance.json"]


def test_shards_of_other_settings_are_not_taken(
    tiny: TinyCoco, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "SHARD_IMAGES", 1)
    with monkeypatch.context() as patched:
        stop_at(patched, 3)
        assert call(*flags(tiny, out)).code == 130
    for more in (["--option", "top_k=2"], ["--limit", 3]):
        Told.calls = 0
        with monkeypatch.context() as patched:
            stop_at(patched, 2)
            assert call(*flags(tiny, out, *more)).code == 130
        assert Told.calls == 1
    assert len(left(out)) == 3


def test_an_image_that_is_damaged_keeps_the_shards_before_it(
    tiny: TinyCoco, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "SHARD_IMAGES", 1)
    tiny.file(3).write_bytes(tiny.file(3).read_bytes()[:-200])
    assert call(*flags(tiny, out)).code == 2
    assert Told.calls == 2
    assert call(*flags(tiny, out)).code == 2
    assert Told.calls == 2


def test_what_another_command_made_while_this_one_waited_is_found(
    tiny: TinyCoco, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextlib.contextmanager
    def after_another(path: Path) -> Iterator[None]:
        assert path == out
        monkeypatch.setattr(files, "locked", locked)
        assert "12 boxes in 4 images" in call(*flags(tiny, out)).out
        yield

    monkeypatch.setattr(files, "locked", after_another)
    done = call(*flags(tiny, out))
    assert done.code == 0
    assert "is there already, 12 boxes" in done.out
    assert Told.calls == 4


def test_a_real_detector_goes_through_the_command(tiny: TinyCoco, out: Path) -> None:
    if importlib.util.find_spec("ultralytics") is None:  # importing it here would change the process
        missing("ultralytics is not installed")
    command = ["detect", "yolov8n", *tiny.flags[2:], "--weights", "random", "--out", out]
    done = call(*command)
    assert done.code == 0, done.err
    assert provenance(out)["weights"] == {"source": "random", "sha256": None, "seed": 0}
    assert "ultralytics" in provenance(out)["versions"]
    assert "is there already" in call(*command).out


def test_detectors_are_listed_without_anything_heavy() -> None:
    code = (
        "import sys\nfrom sambench.harness.cli import main\nsys.argv = ['sambench', 'detectors', '--json']\n"
        "try: main()\nexcept SystemExit as stop: assert not stop.code\n"
        "print([m for m in ('torch', 'cv2', 'pyarrow', 'ultralytics') if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ, capture_output=True, text=True, check=False
    )
    assert done.stderr.strip() == "[]"
    names = [row["name"] for row in json.loads(done.stdout)]
    assert names[:5] == ["yolov8n", "yolov8s", "yolov8m", "yolov8l", "yolov8x"]
    assert "grounding_dino_t" in names
    assert "vitdet" in names


def test_the_table_of_detectors_names_their_options() -> None:
    done = call("detectors")
    assert done.code == 0
    assert "chunk_size" in done.out
    assert "yolov8x" in done.out
