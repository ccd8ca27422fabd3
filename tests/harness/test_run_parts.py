"""A model of two parts in a run: planned, resumed, done anew where a part changes; and what is said of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from command import call, cell_of, rows_of, times
from tiny_coco import TinyCoco, make_tiny

from sambench import adapters
from sambench.adapters.images import read_image
from tests.adapters import tiny_grounding

MODEL = "grounding_dino_t+ellipse"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(tiny_grounding.save(tmp_path_factory.mktemp("grounding_dino"), tiny_grounding.vocabulary()))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_grounding.shrink(monkeypatch)


@pytest.fixture
def tiny(tmp_path: Path) -> TinyCoco:
    return make_tiny(tmp_path / "data", images=2)


def run(tiny: TinyCoco, out: Path, *more: object) -> None:
    done = call("run", "--models", MODEL, "--suites", "gt_box", *tiny.flags, "--out", out, *more)
    assert done.code == 0, done.err
    assert "Traceback" not in done.err


@pytest.mark.slow
def test_weights_are_said_of_both_parts_and_decide_what_is_done_again(
    folder: Path, tiny: TinyCoco, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "dino"))
    out, weights = tmp_path / "out", ("--weights", f"grounding_dino_t={copy}")
    run(tiny, out, *weights)
    cell = cell_of(out, model=MODEL)
    found = cell["provenance"]["weights"]
    assert found["source"] == "file"
    assert set(found["parts"]) == {"grounding_dino_t", "ellipse"}
    assert found["parts"]["grounding_dino_t"]["path"] == str(copy)
    assert found["parts"]["ellipse"]["source"] == "none"
    assert "Grounding DINO-T + Ellipse (baseline), dino " in (out / "report.md").read_text()
    written = times(out)
    run(tiny, out, *weights)
    assert times(out) == written  # nothing was computed again
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"note": "another file"}))
    run(tiny, out, *weights)
    assert len(times(out)) == 2 * len(written)
    (copy / "config.json").unlink()
    refused = call("run", "--models", MODEL, "--suites", "gt_box", *tiny.flags, "--out", out, *weights)
    assert refused.code == 2
    assert str(copy) in refused.err


@pytest.mark.slow
def test_the_suite_of_phrases_records_what_the_model_finds(
    folder: Path, tiny: TinyCoco, tmp_path: Path
) -> None:
    """Each image is asked "thing"; its boxes, scores and masks are those of `find`."""
    out = tmp_path / "out"
    given = {"grounding_dino_t": str(folder)}
    flags = ("--suites", "concept", *tiny.flags, "--out", out)
    done = call("run", "--models", MODEL, *flags, "--weights", f"grounding_dino_t={folder}")
    assert done.code == 0, done.err
    model = adapters.create(MODEL, weights=given)
    rows = rows_of(out, cell_of(out, model=MODEL))
    for image_id in (1, 2):
        (embedding,) = model.encode([read_image(tiny.file(image_id))])
        (found,) = model.find(embedding, ["thing"])
        own = [row for row in rows if row["kind"] == "instance" and row["image_id"] == image_id]
        assert len(own) == len(found) == tiny_grounding.QUERIES
        assert [row["score"] for row in own] == pytest.approx(found.scores.tolist(), abs=1e-6)


def test_where_the_detector_is_not_there_the_row_says_how_to_get_it(
    tiny: TinyCoco, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAMBENCH_WEIGHTS", str(tmp_path))
    out = tmp_path / "out"
    call("run", "--models", f"{MODEL},box", "--suites", "gt_box", *tiny.flags, "--out", out)
    cell = cell_of(out, model=MODEL)
    assert cell["status"] == "failed"
    assert "--weights grounding_dino_t=PATH" in cell["reason"]
    assert cell_of(out, model="box")["status"] == "done"
