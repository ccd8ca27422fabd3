"""What is said of the folder of a run: what a run made itself, looked at from outside."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from pathlib import Path

import pytest
from command import call, cell_of, flags, shards_of
from tiny_coco import TinyCoco, make_tiny

from sambench.evsam.errors import SambenchError
from sambench.harness.inventory import Inventory, runs_in
from sambench.harness.results import write_results
from sambench.suites.results import load_results


@pytest.fixture(scope="module")
def tiny_and_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[TinyCoco, Path]:
    """A run of two models and two suites."""
    root = tmp_path_factory.mktemp("inventory")
    tiny = make_tiny(root / "data")
    assert call(*flags(tiny, root / "runs" / "tiny")).code == 0
    return tiny, root / "runs" / "tiny"


@pytest.fixture
def run(tiny_and_run: tuple[TinyCoco, Path]) -> Path:
    """Its folder, which tests leave as it is."""
    return tiny_and_run[1]


def test_each_cell_is_there_with_what_results_say_of_it(run: Path) -> None:
    cells = {(c.key["model"], c.key["suite"]): c for c in Inventory.of(run).cells}
    assert set(cells) == {(m, s) for m in ("box", "ellipse") for s in ("gt_box", "click")}
    for (model, suite), cell in cells.items():
        expected = cell_of(run, model=model, suite=suite)
        fact = cell.to_json()
        assert f"records/{fact['cell']}" == expected["records"]
        assert (fact["shards_done"], fact["shards"], fact["images"]) == (1, 1, expected["n_images"])
        assert (fact["use"], fact["dataset"]) == ("in results", "tiny")
        assert fact["commands"] == [expected["provenance"]["command"]]
        sizes = [f.stat().st_size for f in (run / expected["records"]).iterdir()]
        assert fact["bytes"] == sum(sizes)
        assert abs(cell.changed - time.time()) < 3600


def test_choices_of_the_protocol_that_are_not_the_default_are_named(
    tiny_and_run: tuple[TinyCoco, Path], tmp_path: Path
) -> None:
    tiny, strict = tiny_and_run
    assert call(*flags(tiny, tmp_path / "paper", "box", "gt_box"), "--protocol", "paper").code == 0
    (cell,) = Inventory.of(tmp_path / "paper").cells
    assert "crowd=keep" in cell.departures
    assert all(cell.departures == [] for cell in Inventory.of(strict).cells)


def test_a_cell_is_found_by_the_beginning_of_its_name_if_that_is_its_alone(run: Path) -> None:
    inventory = Inventory.of(run)
    assert inventory.cell("box-gt").key["suite"] == "gt_box"
    with pytest.raises(SambenchError, match=r"'box' is of box-click.*box-gt_box"):
        inventory.cell("box")
    with pytest.raises(SambenchError, match="no cell 'bx-gt'"):
        inventory.cell("bx-gt")


def test_runs_are_found_in_a_folder_of_them(run: Path, tmp_path: Path) -> None:
    assert runs_in(run) == runs_in(run.parent) == [run]
    with pytest.raises(SambenchError, match="no run, nor folders of runs"):
        runs_in(tmp_path)
    with pytest.raises(SambenchError, match="no folder of a run"):
        Inventory.of(tmp_path)


def test_list_and_show_say_it_as_json_and_in_words(run: Path) -> None:
    listed = json.loads(call("runs", "list", run.parent, "--json").out)
    assert listed == [cell.to_json() for cell in Inventory.of(run).cells]
    words = call("runs", "list", run)
    assert words.out.count("in results") == len(listed) == 4
    (shown,) = json.loads(call("runs", "show", run, "box-gt", "--json").out)
    assert shown["key"] == json.loads((run / "records" / shown["cell"] / "_cell.json").read_text())
    assert shown["sessions"][0]["images"] == 4
    assert shown["damaged"] == []
    said = call("runs", "show", run, "box-gt").out
    for text in (shown["cell"], "1 of 1, 4 images", "sambench run --models box,ellipse", "code_sha256"):
        assert text in said


def test_a_damaged_shard_is_named_and_the_same_run_mends_it(
    tiny_and_run: tuple[TinyCoco, Path], tmp_path: Path
) -> None:
    tiny, _ = tiny_and_run
    out = tmp_path / "out"
    command = flags(tiny, out, "box", "gt_box")
    assert call(*command).code == 0
    before = shards_of(out)
    (name,) = before
    content = before[name]
    (out / name).write_bytes(content[:500] + bytes([content[500] ^ 4]) + content[501:])
    done = call("runs", "show", out)
    assert done.code == 2
    assert str(out / name) in done.err
    assert Path(name).name in done.out


def test_a_cell_without_a_number_yet_is_unfinished_and_one_that_nobody_asked_for_unused(
    tiny_and_run: tuple[TinyCoco, Path], tmp_path: Path
) -> None:
    tiny, _ = tiny_and_run
    out = tmp_path / "out"
    assert call(*flags(tiny, out, "box,ellipse", "gt_box")).code == 0
    box, ellipse = sorted(load_results(out), key=lambda cell: cell.model)
    (out / "results.json").unlink()
    assert {cell.use for cell in Inventory.of(out).cells} == {"unused"}
    write_results(out, [dataclasses.replace(box, status="unfinished", records=None)])
    uses = {cell.key["model"]: cell.use for cell in Inventory.of(out).cells}
    assert uses == {"box": "unfinished", "ellipse": "unused"}
    write_results(out, [box, ellipse])
    assert {cell.use for cell in Inventory.of(out).cells} == {"in results"}


def test_rounds_of_a_throughput_are_listed_without_a_key(tmp_path: Path) -> None:
    folder = tmp_path / "records" / "throughput" / "box-eager-fp32-E-b1-0123456789ab"
    folder.mkdir(parents=True)
    for name in ("round-00.json", "round-00.parquet", "round-01.json"):
        (folder / name).write_text("{}")
    os.utime(folder / "round-01.json", (10**9, 10**9))
    (cell,) = Inventory.of(tmp_path).cells
    assert (cell.name, cell.is_speed, cell.done, cell.use) == (
        f"throughput/{folder.name}",
        True,
        2,
        "unused",
    )
    assert "2 rounds" in call("runs", "list", tmp_path).out
