"""`sambench throughput` from the command to its files, in real processes."""

from __future__ import annotations

import dataclasses
import itertools
import json
import platform
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from command import assert_nothing_half_written, call, cells_of, times

from sambench.harness.throughput import worker_process
from sambench.suites.throughput.job import QUICK

MODELS = Path(__file__).parents[1] / "speed_models.py"


@pytest.fixture
def speed(coco_mini, tmp_path, monkeypatch):
    """The command on a model of `speed_models.py`, which is never waited for to settle."""
    unsettled = {"warmup_s": 0.0, "warmup_window": 1, "warmup_tolerance": 9.0}
    monkeypatch.setitem(QUICK, "cpu", dataclasses.replace(QUICK["cpu"], **unsettled))

    def command(model, *more, out="out"):
        data = ["--dataset", "mini", "--images", coco_mini.images, "--annotations", coco_mini.annotations]
        short = ["--seconds", 0, "--min-batches", 3, "--out", tmp_path / out]
        return call("throughput", "--adapter", f"{MODELS}:{model}", *data, *short, *more)

    return command


@pytest.mark.slow
def test_numbers_follow_from_raw_samples_and_the_same_command_measures_nothing_anew(speed, tmp_path):
    flags = ("--scopes", "D3", "--modes", "pipelined,compute", "--rounds", 2, "--audit")
    done = speed("Quick", *flags)
    assert done.code == 0, done.err
    out = tmp_path / "out"
    cells = cells_of(out)
    assert [(c["protocol"]["scope"], c["protocol"]["mode"]) for c in cells] == [
        ("D3", "pipelined"),
        ("D3", "compute"),
    ]
    for cell in cells:
        assert (cell["status"], cell["suite"], cell["counts"]["rounds"]) == ("done", "throughput", 2)
        rates, medians, pooled = [], [], []
        for file in sorted((out / cell["records"]).glob("round-??.parquet")):
            rows = pq.read_table(file).to_pylist()
            mine = [r for r in rows if r["mode"] == cell["protocol"]["mode"] and not r["audit"]]
            seconds = np.array([r["seconds"] for r in mine])
            assert len(seconds) >= 3
            rotated = [r["batch"] for r in mine]
            assert all(b == (a + 1) % (max(rotated) + 1) for a, b in itertools.pairwise(rotated))
            rates.append(len(seconds) / seconds.sum())
            medians.append(1000 * np.median(seconds))
            pooled.append(1000 * seconds)
        assert cell["metrics"]["img_s"] == pytest.approx(np.median(rates))
        assert cell["intervals"]["img_s"] == pytest.approx([min(rates), max(rates)])
        assert cell["metrics"]["latency_ms_p50"] == pytest.approx(np.median(medians))
        assert cell["metrics"]["latency_ms_p99"] == pytest.approx(np.percentile(np.concatenate(pooled), 99))
        assert cell["counts"]["batches"] == len(np.concatenate(pooled))
        assert "audit_gain" in cell["metrics"]
        assert cell["metrics"]["prompts_s"] == pytest.approx(3 * np.median(rates))
    assert_nothing_half_written(out)
    assert (out / "report.html").exists()

    before = times(out)
    again = speed("Quick", *flags, "--json")
    assert again.code == 0, again.err
    assert times(out) == before
    assert [c["metrics"] for c in json.loads(again.out)] == [c["metrics"] for c in cells]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("Killed", "killed (signal 9)"),
        ("Greedy", "out of memory"),
    ],
)
def test_a_process_that_dies_is_a_row_with_the_reason(speed, tmp_path, model, reason):
    done = speed(model, "--scopes", "E", "--modes", "serial", "--rounds", 3)
    assert done.code == 1
    (cell,) = cells_of(tmp_path / "out")
    assert cell["status"] == "failed"
    assert reason in cell["reason"]
    assert cell["metrics"] == {}
    assert reason in " ".join(done.out.split())
    assert "round 2" not in done.err  # it would only die again


@pytest.mark.slow
def test_a_model_that_takes_images_as_they_are_has_a_speed_and_says_how_and_under_what(speed, tmp_path):
    weights = tmp_path / "weights"
    (weights / "part").mkdir(parents=True)
    (weights / "part" / "w.bin").write_bytes(b"one")
    flags = ("--weights", weights, "--scopes", "E", "--modes", "serial", "--rounds", 1)
    done = speed("Odd", *flags, "--batch-sizes", "1,64")
    assert done.code == 0, done.err
    cells = {c["protocol"]["batch"]: c for c in cells_of(tmp_path / "out")}
    assert (cells[64]["status"], cells[64]["metrics"]) == ("not_applicable", {})
    assert "of 64 of one shape" in cells[64]["reason"]
    assert len(list((tmp_path / "out").rglob("round-*.json"))) == 1  # nothing was started for batches of 64
    found = cells[1]["provenance"]
    assert cells[1]["metrics"]["img_s"] > 0
    assert cells[1]["n_images"] == found["inputs"]["images"] == found["inputs"]["of"] == 64
    assert len(found["inputs"]["shapes"]) > 8
    assert any("one at a time" in mark for mark in found["marks"])
    assert "through embed" in found["note"]
    settings = found["settings"]
    assert (settings["threads"], found["hardware"]["threads"]) == (2, 2)
    assert (settings["default_dtype"], settings["cudnn_benchmark"]) == ("float64", True)
    assert found["hardware"]["host"] == platform.node()
    assert found["weights"]["sha256"] is not None

    (weights / "part" / "w.bin").write_bytes(b"two")
    plan = speed("Odd", *flags, "--dry-run")
    assert "0/1" in plan.out  # a folder's weights are all that is in it


@pytest.mark.slow
def test_a_process_that_hangs_is_a_row_and_the_others_go_on(speed, tmp_path, monkeypatch):
    def limit(job):
        return 8.0 if (job.kind, job.scope) == ("measure", "E") else 300.0

    monkeypatch.setattr(worker_process, "patience", limit)
    done = speed("Stuck", "--scopes", "E,D1", "--modes", "serial", "--rounds", 1)
    assert done.code == 1
    cells = {c["protocol"]["scope"]: c for c in cells_of(tmp_path / "out")}
    assert cells["E"]["status"] == "failed"
    assert "stopped after 8 s" in cells["E"]["reason"]
    assert cells["D1"]["status"] == "done"


@pytest.mark.slow
def test_a_baseline_without_an_encoder_is_timed_end_to_end(speed, coco_mini, tmp_path):
    data = ("--dataset", "mini", "--images", coco_mini.images, "--annotations", coco_mini.annotations)
    short = ("--seconds", 0, "--min-batches", 3, "--rounds", 1, "--modes", "compute")
    done = call("throughput", "--models", "ellipse", *data, *short, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    cells = {c["protocol"]["scope"]: c for c in cells_of(tmp_path / "out")}
    assert (cells["E"]["status"], cells["E2E"]["status"]) == ("not_applicable", "done")
    assert "2/2" in done.err  # the gate, and one process


@pytest.mark.slow
def test_wrong_masks_have_no_speed(speed, tmp_path):
    done = speed("Ghostly", "--scopes", "E,E2E", "--modes", "serial", "--rounds", 1)
    assert done.code == 1
    for cell in cells_of(tmp_path / "out"):
        assert (cell["status"], cell["metrics"]) == ("invalid", {})
        assert "NaN" in cell["reason"]
    assert list((tmp_path / "out").rglob("*.parquet")) == []  # nothing was even timed
    assert "invalid" in (tmp_path / "out" / "report.html").read_text()


def test_a_dry_run_and_an_explanation_write_nothing(speed, tmp_path):
    plan = speed("Quick", "--scopes", "all", "--dry-run")
    assert plan.code == 0, plan.err
    assert "0/3" in plan.out
    words = speed("Quick", "--scopes", "all", "--explain")
    assert words.code == 0, words.err
    assert not (tmp_path / "out").exists()
