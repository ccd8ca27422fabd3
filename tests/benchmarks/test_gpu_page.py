"""The GPU run's record and page: what is said follows from what was found, and gaps are said too."""

import json

import pytest

from benchmarks.gpu_model import cells_of, plan
from benchmarks.gpu_page import page, shares
from benchmarks.gpu_record import load, merge, note, read_lines, save

FACTS = {
    "date": "2030-01-02 03:04",
    "device": "Some GPU",
    "cuda": "13.0",
    "versions": {"torch": "9.9"},
    "git": {"commit": "abc", "dirty": True},
    "inputs": "drawn images",
    "missing": {"hotcoco": "average precision"},
}
L2, LARGEST = "efficientvit_sam_l2", "sam_vit_h"


def speed(model, engine, precision, scope, batch, mode, images_s, prompts=0):
    return {
        **dict(zip(("model", "engine", "precision"), (model, engine, precision), strict=True)),
        **{"step": "speed", "status": "done", "scope": scope, "batch": batch, "mode": mode},
        **{"images_s": images_s, "batch_ms": 1000 * batch / images_s, "prompts": prompts},
    }


ENTRIES = [
    {"step": "ceiling", "precision": "fp16", "status": "done", "tflop_s": 800.0, "gb_s": 3000.0},
    {"step": "cost", "model": L2, "status": "done", "encoder_gflop": 138.0},
    speed(L2, "compile", "fp16", "E", 16, "compute", 2000.0),
    speed(L2, "compile", "fp16", "E", 16, "pipelined", 1900.0),
    speed(L2, "compile", "fp16", "D1", 1, "compute", 1000.0, prompts=1),
    speed(L2, "compile", "fp16", "D64", 1, "compute", 125.0, prompts=64),
    speed(LARGEST, "released", "fp32", "E", 4, "pipelined", 10.0),
    speed(LARGEST, "compile", "fp16", "E", 16, "pipelined", 95.0),
    {
        **{"step": "speed", "model": LARGEST, "engine": "released", "precision": "fp32", "scope": "E"},
        **{"batch": 16, "status": "failed", "reason": "out of memory: 80 GB"},
    },
    {
        **{"step": "gate", "model": L2, "engine": "compile", "precision": "fp16", "status": "failed"},
        **{"reason": "parity: too far", "mean_iou": 0.9712345, "least_iou": 0.5},
    },
    {"step": "tests", "status": "failed", "reason": "pytest's exit status 1", "passed": 7, "failed": 1},
]


def row_of(text, *starts):
    return next(line for line in text.splitlines() if line.startswith("| " + " | ".join(starts)))


def test_the_page_says_what_was_found():
    text = page(FACTS, ENTRIES)
    assert "# GPU run: Some GPU" in text
    assert "commit abc, changed" in text
    row = row_of(text, L2, "compile", "fp16", "", "", "2,000.0", "1,900.0")
    assert row.split(" | ")[-5:-1] == ["276.0", "34.5", "32.8", "48"]  # 2000 x 138 GFLOP; of 800; twice 24%
    assert row_of(text, L2, "compile", "fp16", "1.000", "0.125", "0.12")
    assert row_of(text, L2, "compile", "fp16", "", "", "0.97123", "0.50000", "parity: too far")
    assert "attention as its authors wrote it): 190.0 times" in text
    assert "at its best here: 20.0 times" in text
    assert "out of memory: 80 GB" in text
    assert "GPU tests: pytest's exit status 1; 7 passed, 1 failed" in text
    assert "hotcoco is not installed" in text


def test_a_share_needs_the_ceiling_of_its_precision():
    way = (L2, "compile", "fp16")
    assert shares(ENTRIES, way, 16)["compute share"] == pytest.approx(34.5)
    assert "compute share" not in shares(ENTRIES[1:], way, 16)
    assert shares(ENTRIES[2:], way, 16) == {}


def test_an_empty_run_has_a_page():
    assert page(FACTS | {"missing": {}}, []).count("##") == 0


def test_what_is_found_again_takes_the_place_of_what_was(tmp_path):
    lines, file = tmp_path / "lines.jsonl", tmp_path / "gpu.json"
    for images_s in (1.0, 2.0):
        note(lines, **speed(L2, "eager", "fp16", "E", 1, "compute", images_s))
        note(lines, step="ceiling", precision="fp16", status="done", tflop_s=images_s)
    with lines.open("a") as torn:
        torn.write('{"step": "ceil')
    entries = merge([{"step": "tests", "status": "done"}], read_lines(lines))
    assert [e.get("images_s", e.get("tflop_s")) for e in entries] == [None, 2.0, 2.0]
    save(file, FACTS, entries)
    assert load(file) == entries
    assert json.loads(file.read_text())["facts"] == FACTS
    assert load(tmp_path / "none.json") == []


@pytest.mark.parametrize("model", [L2, LARGEST, "mobile_sam"])
def test_every_model_begins_with_the_reference_and_has_each_way_once(model):
    cells = cells_of(model, "cuda")
    assert (cells[0].engine, cells[0].precision) == ("eager", "fp32")
    assert len({(c.engine, c.precision) for c in cells}) == len(cells)
    scopes = [(scope, batch) for scope, batch, _ in plan(cells[1], "cuda") if scope == "E"]
    assert scopes[0] == ("E", cells[1].batches[0])
    assert len(scopes) == len(cells[1].batches)
