"""Running: the contract's files, and nothing computed twice."""

from __future__ import annotations

import hashlib
import shlex
import subprocess
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from command import (
    ROOT,
    assert_nothing_half_written,
    call,
    cell_of,
    cells_of,
    flags,
    metrics,
    rows_of,
    shards_of,
    times,
)
from tiny_coco import TinyCoco, make_tiny

from sambench.suites.click.suite import Click
from sambench.suites.gt_box import GtBox

CELL_KEYS = {
    *("model", "engine", "precision", "device", "suite", "dataset", "protocol", "metrics", "intervals"),
    *("n_images", "n_instances", "status", "provenance"),
}
COLUMNS = {
    "gt_box": {"image_id", "ann_id", "area", "iscrowd", "iou"},
    "click": {"image_id", "ann_id", "area", "iscrowd", "points", "labels", "iou"},
}
METRICS = {
    "gt_box": ["miou", "miou_small", "miou_medium", "miou_large"],
    "click": [f"miou_{k}{size}" for k in (1, 3, 5) for size in ("", "_small", "_medium", "_large")],
}
SUITES = ("gt_box", "click")
BOTH = [(model, suite) for model in ("box", "ellipse") for suite in SUITES]


@pytest.fixture(scope="module")
def full(shapes: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Path]:
    """A finished run of two models and both suites; the command, and the folder."""
    out = tmp_path_factory.mktemp("full") / "out"
    command = ["run", "--models", "box,ellipse", "--suites", "gt_box,click", *shapes, "--out", str(out)]
    done = call(*command)
    assert done.code == 0, done.err
    return command, out


# --- what a run leaves ---------------------------------------------------------------------------------


def test_results_have_a_cell_for_each_model_and_suite(full: tuple[list[str], Path]) -> None:
    cells = cells_of(full[1])
    assert [(c["model"], c["suite"]) for c in cells] == BOTH
    for cell in cells:
        assert set(cell) >= CELL_KEYS
        assert (cell["status"], cell["reason"], cell["partial"]) == ("done", None, None)
        assert (cell["engine"], cell["precision"], cell["device"]) == ("eager", "fp32", "cpu")
        assert (cell["dataset"], cell["n_images"]) == ("shapes", 8)
        assert cell["protocol"]["preset"] == "strict"
        assert cell["protocol"]["crowd"] == "drop"
    assert_nothing_half_written(full[1])


def test_a_run_leaves_a_report(full: tuple[list[str], Path]) -> None:
    assert "<html" in (full[1] / "report.html").read_text()
    assert "Ellipse" in (full[1] / "report.md").read_text()


@pytest.mark.parametrize(("model", "suite"), BOTH)
def test_records_have_the_columns_of_the_contract_one_row_an_object(
    full: tuple[list[str], Path], shapes_root: Path, model: str, suite: str
) -> None:
    cell = cell_of(full[1], model=model, suite=suite)
    rows = rows_of(full[1], cell)
    assert set(rows[0]) >= COLUMNS[suite]
    from pycocotools.coco import COCO

    truth = COCO(shapes_root / "annotations" / "instances.json").anns
    assert sorted(r["ann_id"] for r in rows) == sorted(a["id"] for a in truth.values() if not a["iscrowd"])
    assert cell["n_instances"] == len(rows)
    assert cell["counts"]["crowd_dropped"] == len(truth) - len(rows)
    for row in rows:
        assert (row["image_id"], row["area"]) == (
            truth[row["ann_id"]]["image_id"],
            truth[row["ann_id"]]["area"],
        )


@pytest.mark.parametrize(("model", "suite"), BOTH)
def test_metrics_are_percent_and_follow_from_the_records(
    full: tuple[list[str], Path], model: str, suite: str
) -> None:
    cell = cell_of(full[1], model=model, suite=suite)
    assert set(METRICS[suite]) <= set(cell["metrics"])
    iou = np.array([r["iou"] for r in rows_of(full[1], cell)])
    assert iou.min() >= 0
    assert 0 < iou.max() <= 1
    area = np.array([r["area"] for r in rows_of(full[1], cell)])
    bins = {
        "": area >= 0,
        "_small": area < 1024,
        "_medium": (area >= 1024) & (area < 9216),
        "_large": area >= 9216,
    }
    rounds = {"miou": iou} if suite == "gt_box" else {f"miou_{k}": iou[:, k - 1] for k in (1, 3, 5)}
    for name, values in rounds.items():
        for size, inside in bins.items():
            assert cell["metrics"][name + size] == pytest.approx(100 * values[inside].mean())
            low, high = cell["intervals"][name + size]
            assert low <= cell["metrics"][name + size] <= high


def test_clicks_have_a_point_a_label_and_an_iou_each(full: tuple[list[str], Path]) -> None:
    for row in rows_of(full[1], cell_of(full[1], model="box", suite="click")):
        assert len(row["iou"]) == 5
        assert 1 <= len(row["points"]) == len(row["labels"]) <= 5
        assert row["labels"][0] == 1
        assert set(row["labels"]) <= {0, 1}


def test_provenance_says_what_made_the_numbers(full: tuple[list[str], Path], shapes_root: Path) -> None:
    command, out = full
    file = shapes_root / "annotations" / "instances.json"
    for cell in cells_of(out):
        made = cell["provenance"]
        assert made["weights"]["source"] == "none"
        assert made["annotations"]["path"] == str(file)
        assert made["annotations"]["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
        assert made["images"]["path"] == str(shapes_root / "images")
        assert made["command"] == shlex.join(["sambench", *command])
        assert made["versions"]["torch"] == metadata.version("torch")
        assert {"python", "numpy", "pillow", "pycocotools"} <= set(made["versions"])
        assert made["batch_size"] == 1
        assert "thread" in made["device"]
        assert len(made["code_sha256"]) == 64


def test_provenance_has_the_commit_of_the_checkout(full: tuple[list[str], Path]) -> None:
    from sambench.harness import provenance

    head = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    if head.returncode:
        pytest.skip("not a git checkout")
    now = provenance.git_state.__wrapped__()
    assert now["commit"] == head.stdout.strip()
    assert isinstance(now["dirty"], bool)
    for cell in cells_of(full[1]):  # asked once a process: somebody may have committed since
        assert cell["provenance"]["git"] == provenance.git_state()
        assert len(cell["provenance"]["git"]["commit"]) == 40


def test_provenance_is_without_git_outside_of_a_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sambench.harness import provenance

    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    assert provenance.git_state.__wrapped__() == {}


# --- once and never again ------------------------------------------------------------------------------


def test_the_same_command_computes_nothing_again(
    full: tuple[list[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    command, out = full
    before, shards, numbers = times(out), shards_of(out), metrics(out)

    def computed(*_: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(GtBox, "evaluate", computed)
    monkeypatch.setattr(Click, "evaluate", computed)
    assert call(*command).code == 0
    assert times(out) == before
    assert shards_of(out) == shards
    assert metrics(out) == numbers


def test_a_finished_run_again_creates_no_model_and_keeps_its_timing(
    full: tuple[list[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    command, out = full
    before = [cell["timing"] for cell in cells_of(out)]

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a model was created")

    monkeypatch.setattr("sambench.adapters.spec.create", refuse)
    assert call(*command).code == 0
    assert all(timing["images"] == 8 for timing in before)
    assert [cell["timing"] for cell in cells_of(out)] == before


def test_a_model_that_joins_later_computes_only_itself(tiny: TinyCoco, fresh: Path) -> None:
    assert call(*flags(tiny, fresh, "box")).code == 0
    before = times(fresh)
    assert call(*flags(tiny, fresh)).code == 0
    after = times(fresh)
    assert before.items() < after.items()
    assert len(after) == 2 * len(before)


def test_a_missing_shard_is_the_only_one_computed(
    tiny: TinyCoco, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sambench.harness.plan.SHARD_IMAGES", 1)
    call(*flags(tiny, fresh))
    shards, numbers, before = shards_of(fresh), metrics(fresh), times(fresh)
    assert len(shards) == 4 * 4
    lost = [name for name in sorted(before) if "ellipse-click" in name][2]
    Path(lost).unlink()
    assert call(*flags(tiny, fresh)).code == 0
    assert {name for name, when in times(fresh).items() if before[name] != when} == {lost}
    assert shards_of(fresh) == shards
    assert metrics(fresh) == numbers


def test_batch_size_changes_no_number(tiny: TinyCoco, fresh: Path, tmp_path: Path) -> None:
    call(*flags(tiny, fresh))
    call(*flags(tiny, tmp_path / "by_three"), "--batch-size", 3)
    assert metrics(tmp_path / "by_three") == metrics(fresh)
    assert cells_of(tmp_path / "by_three")[0]["provenance"]["batch_size"] == 3


def test_shards_and_batches_that_do_not_fit_lose_no_image(
    fresh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = make_tiny(tmp_path / "seven", images=7)
    monkeypatch.setattr("sambench.harness.plan.SHARD_IMAGES", 3)
    call(*flags(tiny, fresh, "box", "gt_box"), "--batch-size", 2)
    rows = rows_of(fresh, cell_of(fresh, model="box"))
    assert [r["image_id"] for r in rows] == [1, 2, 3, 4, 5, 6, 7]
    assert all(r["iou"] == 1.0 for r in rows)  # the objects fill their boxes


def test_a_limit_is_marked_partial(tiny: TinyCoco, fresh: Path) -> None:
    call(*flags(tiny, fresh, "box", "gt_box"), "--limit", 3, "--seed", 2)
    cell = cell_of(fresh, model="box")
    assert cell["partial"] == {"limit": 3, "of": 4, "seed": 2}
    assert (cell["n_images"], cell["n_instances"]) == (3, 3)
    assert "partial" in (fresh / "report.md").read_text().lower()


def test_a_limit_of_all_images_is_not_partial(tiny: TinyCoco, fresh: Path) -> None:
    call(*flags(tiny, fresh, "box", "gt_box"), "--limit", 4)
    assert cell_of(fresh, model="box")["partial"] is None


def test_later_commands_add_cells_and_replace_the_same_question(tiny: TinyCoco, fresh: Path) -> None:
    call(*flags(tiny, fresh, "box", "gt_box"))
    call(*flags(tiny, fresh, "ellipse", "gt_box"))
    call(*flags(tiny, fresh, "box", "gt_box"), "--protocol", "paper")
    call(*flags(tiny, fresh, "box", "gt_box"), "--limit", 2)
    asked = {(c["model"], c["protocol"]["preset"], c["partial"] is not None) for c in cells_of(fresh)}
    wanted = {("box", "strict", False), ("ellipse", "strict", False)}
    wanted |= {("box", "paper", False), ("box", "strict", True)}
    assert asked == wanted
    assert len(cells_of(fresh)) == 4
    tiny.content["annotations"].pop()
    tiny.save()
    call(*flags(tiny, fresh, "ellipse", "gt_box"))
    assert len(cells_of(fresh)) == 4
    assert cell_of(fresh, model="ellipse")["n_instances"] == 3


def test_images_without_an_object_are_counted_and_score_nothing(tiny: TinyCoco, fresh: Path) -> None:
    tiny.content["annotations"].clear()
    tiny.save()
    assert call(*flags(tiny, fresh, "box")).code == 0
    for cell in cells_of(fresh):
        assert (cell["status"], cell["n_images"], cell["n_instances"]) == ("done", 4, 0)
        assert set(cell["metrics"].values()) <= {None}
