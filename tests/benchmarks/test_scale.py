"""The simulation of a million images: what it draws, what it charges to whom, and the sums that it prints."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as rle

from benchmarks.scale import PAGE, WATCHED
from benchmarks.scale_costs import AFTERWARDS, IN_THE_WORKER, MEANWHILE, SIZES, Costs, table, with_tables
from benchmarks.scale_stages import Stages
from benchmarks.scale_world import CATEGORIES, OBJECTS, ROWS, Drawn
from sambench.harness.plan import SHARD_IMAGES
from sambench.harness.shards import encode_shard
from sambench.harness.work import Task
from sambench.suites.registry import suite_class

ROOT = Path(__file__).parents[2]
MINUTE = 60


def test_an_image_is_the_same_whenever_it_is_drawn_and_its_masks_have_their_areas_and_boxes():
    entries = Drawn(SHARD_IMAGES + 5)
    assert len(entries) == len(list(entries)) == SHARD_IMAGES + 5
    assert [e.record.id for e in entries[3:7]] == [4, 5, 6, 7]
    last = entries[-1]
    assert last == Drawn(SHARD_IMAGES + 5)[SHARD_IMAGES + 4]
    assert last.record.id == SHARD_IMAGES + 5
    ids = [a.id for e in entries for a in e.annotations]
    assert ids == list(range(1, 1 + OBJECTS * len(entries)))
    for annotation in last.annotations:
        mask = rle.decode(json.loads(bytes(annotation.segmentation)))
        assert mask.sum() == annotation.area
        assert rle.toBbox(rle.encode(np.asfortranarray(mask))).tolist() == list(annotation.bbox)
        assert annotation.category_id in range(1, CATEGORIES + 1)


@pytest.mark.parametrize("suite", ROWS)
def test_records_are_drawn_that_the_suite_could_have_made(suite):
    entries = tuple(Drawn(4))
    rows = ROWS[suite](Task(0, entries, (0,)))
    assert rows == ROWS[suite](Task(0, entries, (0,)))
    assert len(rows) == 4 * OBJECTS
    assert set(rows[0]) == set(suite_class(suite).schema.names)
    assert encode_shard(rows, {}, suite_class(suite).schema)


def test_seconds_and_memory_are_charged_to_the_innermost_stage():
    class Slow:
        @classmethod
        def inner(cls):
            held = np.ones(2 * 10**7)
            time.sleep(0.3)
            return held.sum()

    with Stages() as stages:
        stages.watch(Slow, "inner", "inner")
        with stages("outer"):
            time.sleep(0.2)
            assert Slow.inner() == 2 * 10**7
    assert 0.2 <= stages.seconds["outer"] < 0.3 <= stages.seconds["inner"]
    assert stages.peaks["inner"] > stages.peaks["outer"] + 100  # of 153 MB


def test_every_stage_that_costs_are_made_of_is_measured():
    watched = {stage for _, _, stage in WATCHED} | {"encode", "report"}
    assert {*IN_THE_WORKER, *MEANWHILE, *AFTERWARDS} <= watched


def test_costs_are_the_sums_of_their_parts():
    computing = dict.fromkeys(IN_THE_WORKER, 5.0) | dict.fromkeys(AFTERWARDS, 2.0)
    waiting = dict.fromkeys(MEANWHILE, 5.0)
    on_disk = {"files": 10, "seconds": waiting, "file_system": "ext4"}
    measured = [on_disk, {"objects": 1000, "cpu_s": computing, "file_system": "tmpfs"}]
    costs = Costs.of(measured)
    assert costs.an_object == pytest.approx(5 / 1000)
    assert costs.a_file == pytest.approx(10 / 10)
    assert costs.an_object_after == pytest.approx(12 / 1000)
    lvis = SIZES[0]
    models, writing, after = costs.parts(lvis, images_s=10, prompt=0.001, gpus=8)
    want = (lvis.images / 10 + (lvis.objects - lvis.images) * 0.001 + lvis.objects * 0.005) / 8
    assert (models, after) == pytest.approx((want, lvis.objects * 0.012))
    assert writing == pytest.approx(lvis.images / SHARD_IMAGES)
    rows = [line.split(" | ") for line in table({"gt_box": measured}).splitlines()]
    assert {len(row) for row in rows if "-" not in row[0]} == {8}
    assert rows[2][0] == "| sam_vit_h"  # the slowest, with 11 images a second
    alone = costs.parts(lvis, 11, 9.272527694702148 / 64 / 1000, 1)  # of benchmarks/results/gpu-h200
    assert rows[2][2] == f"{(alone[0] + alone[2]) / MINUTE:.2g} min, model"


def test_the_page_has_the_tables_of_what_was_measured():
    (file,) = (ROOT / "benchmarks" / "results").glob("scale-*.json")
    page = PAGE.read_text()
    assert page == with_tables(page, json.loads(file.read_text()))
    with pytest.raises(ValueError, match="size"):
        with_tables("| a |\n", json.loads(file.read_text()))


@pytest.mark.slow
@pytest.mark.parametrize("suite", ["gt_box", "det_box"])
def test_a_small_simulation_goes_all_the_way_and_finds_all_done_the_second_time(suite, tmp_path):
    command = [sys.executable, "-m", "benchmarks.scale", "--alone", str(tmp_path), "--images", "40"]
    done = subprocess.run(
        [*command, "--suite", suite], cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["images"], found["objects"], found["files"]) == (40, 40 * OBJECTS, 3)
    assert found["seconds"].keys() == found["cpu_s"].keys() > {"draw", "encode", "write shards", "report"}
    assert found["mb_peak"] >= max(found["mb"].values()) - 1
