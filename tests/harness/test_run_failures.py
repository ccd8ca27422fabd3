"""A cell that fails or does not apply: the reason is said, the others are done, the exit code tells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import call, cell_of, cells_of, flags, metrics, shards_of, times
from tiny_coco import TinyCoco

from sambench.adapters.base import Capabilities
from sambench.adapters.families.baselines import Ellipse
from sambench.suites.base import Suite
from sambench.suites.click.suite import Click
from sambench.suites.gt_box import GtBox
from sambench.suites.scoring.scores import Scores

BOTH = [(model, suite) for model in ("box", "ellipse") for suite in ("gt_box", "click")]


def break_for(monkeypatch: pytest.MonkeyPatch, suite: type[Suite], model: str) -> None:
    """Let a suite raise for one model."""
    evaluate = suite.evaluate

    def broken(self: Suite, segmenter: Any, *rest: Any) -> Any:
        if segmenter.name == model:
            raise ValueError("mask of the wrong kind")
        return evaluate(self, segmenter, *rest)

    monkeypatch.setattr(suite, "evaluate", broken)


def test_a_suite_that_raises_for_a_model_fails_that_cell_alone(tiny: TinyCoco, fresh: Path) -> None:
    with pytest.MonkeyPatch.context() as patched:
        break_for(patched, GtBox, "ellipse")
        done = call(*flags(tiny, fresh))
    assert done.code == 1
    broken = cell_of(fresh, model="ellipse", suite="gt_box")
    assert broken["status"] == "failed"
    assert broken["reason"] == "image 001.jpg: ValueError: mask of the wrong kind"
    assert (broken["metrics"], broken["intervals"]) == ({}, {})
    others = [c for c in cells_of(fresh) if c != broken]
    assert [c["status"] for c in others] == ["done"] * 3
    assert all(c["metrics"] for c in others)
    assert "mask of the wrong kind" in done.out
    assert "Traceback" in done.err  # it is our bug: whoever mends it needs to know where
    assert not [name for name in shards_of(fresh) if "ellipse-gt_box" in name]
    assert "ellipse" in (fresh / "report.md").read_text().lower()


def test_a_failed_cell_is_made_up_for_by_the_same_command(tiny: TinyCoco, fresh: Path) -> None:
    with pytest.MonkeyPatch.context() as patched:
        break_for(patched, Click, "box")
        assert call(*flags(tiny, fresh)).code == 1
    before = times(fresh)
    assert call(*flags(tiny, fresh)).code == 0
    assert before.items() < times(fresh).items()
    assert {c["status"] for c in cells_of(fresh)} == {"done"}


def test_a_failure_leaves_the_unfinished_shards_of_the_other_suite_computed(
    tiny: TinyCoco, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clicks have shards 0 and 1; gt_box fails in shard 0: clicks still need shards 2 and 3."""
    monkeypatch.setattr("sambench.harness.plan.SHARD_IMAGES", 1)
    call(*flags(tiny, fresh, "box", "click"))
    numbers = metrics(fresh)
    for name in sorted(times(fresh))[2:]:
        Path(name).unlink()
    break_for(monkeypatch, GtBox, "box")
    done = call(*flags(tiny, fresh, "box"))
    assert done.code == 1, done.err
    assert cell_of(fresh, suite="gt_box")["status"] == "failed"
    assert cell_of(fresh, suite="click")["status"] == "done"
    assert metrics(fresh)["box", "click"] == numbers["box", "click"]


def test_an_encoder_that_raises_fails_its_model_alone(
    tiny: TinyCoco, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(*_: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(Ellipse, "embed", no_memory)
    assert call(*flags(tiny, fresh, "ellipse,box")).code == 1
    status = {(c["model"], c["suite"]): c["status"] for c in cells_of(fresh)}
    assert status == {key: "failed" if key[0] == "ellipse" else "done" for key in BOTH}
    assert "out of memory" in cell_of(fresh, model="ellipse", suite="click")["reason"]


def test_a_model_that_cannot_be_prepared_fails_alone(
    tiny: TinyCoco, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("no such resize")

    monkeypatch.setattr(Ellipse, "prepare", broken)
    assert call(*flags(tiny, fresh, "ellipse,box")).code == 1
    status = {(c["model"], c["suite"]): c["status"] for c in cells_of(fresh)}
    assert status == {key: "failed" if key[0] == "ellipse" else "done" for key in BOTH}


def test_embeddings_that_are_too_few_fail_their_model_and_lose_no_image_in_silence(
    tiny: TinyCoco, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Ellipse.embed
    monkeypatch.setattr(Ellipse, "embed", lambda self, prepared: whole(self, prepared)[:1])
    assert call(*flags(tiny, fresh, "ellipse,box"), "--batch-size", 2).code == 1
    status = {(c["model"], c["suite"]): c["status"] for c in cells_of(fresh)}
    assert status == {key: "failed" if key[0] == "ellipse" else "done" for key in BOTH}
    assert "embed gave 1 embeddings for 2 images" in cell_of(fresh, model="ellipse", suite="click")["reason"]


@pytest.mark.parametrize(
    ("method", "wrong"),
    [
        ("refusal", lambda *_: 1 / 0),
        ("left_out", lambda *_: 1 / 0),
        ("evaluate", lambda *_: [{"image_id": 1}]),  # not as its schema says
        ("score", lambda *_: Scores({"miou_1": float("nan")}, {}, {})),
        ("score", lambda *_: Scores({"of_my_own": 1.0}, {}, {})),
        ("score", lambda *_: Scores({"miou_1": object()}, {}, {})),  # type: ignore[dict-item]
    ],
    ids=["refusal", "left_out", "records", "nan", "undeclared", "no number"],
)
def test_a_suites_mistake_fails_its_cells_alone(
    tiny: TinyCoco, fresh: Path, monkeypatch: pytest.MonkeyPatch, method: str, wrong: object
) -> None:
    monkeypatch.setattr(Click, method, wrong)
    done = call(*flags(tiny, fresh))
    assert done.code == 1, done.err
    status = {(c["model"], c["suite"]): c["status"] for c in cells_of(fresh)}
    assert status == {key: "failed" if key[1] == "click" else "done" for key in BOTH}
    assert all(c["reason"] for c in cells_of(fresh) if c["status"] == "failed")


def test_numbers_of_numpy_are_written_as_plain_ones(
    tiny: TinyCoco, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = Scores(
        {"miou_1": np.float32(12.5)}, {"miou_1": [np.float64(1), np.float32(20)]}, {"all": np.int64(4)}
    )
    monkeypatch.setattr(Click, "score", lambda *_: scores)
    assert call(*flags(tiny, fresh, "box")).code == 0
    cell = cell_of(fresh, suite="click")
    assert (cell["metrics"], cell["intervals"]) == ({"miou_1": 12.5}, {"miou_1": [1.0, 20.0]})
    assert cell["n_instances"] == 4


def test_numbers_that_are_there_stand_when_a_later_command_cannot_make_the_model(
    tiny: TinyCoco, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call(*flags(tiny, fresh, "box", "gt_box")).code == 0
    before = cell_of(fresh, suite="gt_box")

    def no_memory(*_: object, **__: object) -> None:
        raise MemoryError("too much")

    monkeypatch.setattr("sambench.adapters.spec.create", no_memory)
    assert call(*flags(tiny, fresh, "box")).code == 1
    assert cell_of(fresh, suite="gt_box")["metrics"] == before["metrics"]
    failed = cell_of(fresh, suite="click")
    assert (failed["status"], failed["reason"]) == ("failed", "out of memory: MemoryError: too much")


def test_where_a_cell_was_computed_is_kept_by_commands_that_compute_nothing_of_it(
    tiny: TinyCoco, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call(*flags(tiny, fresh, "box", "gt_box")).code == 0
    first = cell_of(fresh, suite="gt_box")["provenance"]["hardware"]
    monkeypatch.setattr("sambench.harness.provenance.platform.node", lambda: "elsewhere")
    assert call(*flags(tiny, fresh, "box")).code == 0
    assert cell_of(fresh, suite="gt_box")["provenance"]["hardware"] == first
    assert cell_of(fresh, suite="click")["provenance"]["hardware"] == first | {"host": "elsewhere"}


def test_a_baseline_that_an_engine_cannot_run_is_not_applicable(tiny: TinyCoco, fresh: Path) -> None:
    done = call(*flags(tiny, fresh, "box", "gt_box"), "--precisions", "fp32,bf16")
    assert done.code == 0, done.err
    cells = {c["precision"]: c for c in cells_of(fresh)}
    assert (cells["fp32"]["status"], cells["bf16"]["status"]) == ("done", "not_applicable")
    assert "runs in engine eager and precision fp32 alone" in cells["bf16"]["reason"]


def test_a_suite_that_cannot_score_fails_its_cell_alone(
    tiny: TinyCoco, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("no area")

    monkeypatch.setattr(Click, "score", broken)
    assert call(*flags(tiny, fresh)).code == 1
    status = {(c["model"], c["suite"]): c["status"] for c in cells_of(fresh)}
    assert status == {key: "failed" if key[1] == "click" else "done" for key in BOTH}


@pytest.fixture
def without_points(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ellipse, "capabilities", Capabilities(points=False, mask_input=False))


@pytest.mark.usefixtures("without_points")
def test_a_model_that_takes_no_points_does_not_apply_to_clicks(tiny: TinyCoco, fresh: Path) -> None:
    done = call(*flags(tiny, fresh))
    assert done.code == 0, done.err
    refused = cell_of(fresh, model="ellipse", suite="click")
    assert refused["status"] == "not_applicable"
    assert refused["reason"] == "ellipse: it takes no points"
    assert refused["metrics"] == {}
    assert [c["status"] for c in cells_of(fresh) if c != refused] == ["done"] * 3
    assert "it takes no points" in done.out


@pytest.mark.usefixtures("without_points")
def test_a_run_of_which_nothing_applies_still_ends_well(tiny: TinyCoco, fresh: Path) -> None:
    assert call(*flags(tiny, fresh, "ellipse", "click")).code == 0
    assert [c["status"] for c in cells_of(fresh)] == ["not_applicable"]
    assert shards_of(fresh) == {}


def test_a_model_without_its_default_weights_is_a_failed_row(
    tiny: TinyCoco, fresh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "no_weights").mkdir()
    monkeypatch.setenv("SAMBENCH_WEIGHTS", str(tmp_path / "no_weights"))
    done = call(*flags(tiny, fresh, "efficientvit_sam_l0,box", "gt_box"))
    assert done.code == 1
    missing = cell_of(fresh, model="efficientvit_sam_l0")
    assert missing["status"] == "failed"
    assert str(tmp_path / "no_weights" / "efficientvit_sam_l0.pt") in missing["reason"]
    assert "--weights efficientvit_sam_l0=PATH" in missing["reason"]
    assert cell_of(fresh, model="box")["status"] == "done"
    assert "no checkpoint at" in done.out


def test_a_damaged_default_checkpoint_fails_its_model_alone(
    tiny: TinyCoco, fresh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "efficientvit_sam_l0.pt").write_bytes(b"PK\3\4 no checkpoint")
    monkeypatch.setenv("SAMBENCH_WEIGHTS", str(tmp_path))
    assert call(*flags(tiny, fresh, "efficientvit_sam_l0,box", "gt_box")).code == 1
    broken = cell_of(fresh, model="efficientvit_sam_l0")
    assert broken["status"] == "failed"
    assert str(tmp_path / "efficientvit_sam_l0.pt") in broken["reason"]
    assert cell_of(fresh, model="box")["status"] == "done"


def test_a_model_that_cannot_be_created_fails_alone(
    tiny: TinyCoco, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise TypeError("takes no arguments")

    monkeypatch.setattr(Ellipse, "__init__", broken)
    assert call(*flags(tiny, fresh, "ellipse,box")).code == 1
    status = {(c["model"], c["suite"]): c["status"] for c in cells_of(fresh)}
    assert status == {key: "failed" if key[0] == "ellipse" else "done" for key in BOTH}
    assert "takes no arguments" in cell_of(fresh, model="ellipse", suite="click")["reason"]


def test_what_will_fail_is_said_before_the_run(
    tiny: TinyCoco, fresh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAMBENCH_WEIGHTS", str(tmp_path))
    done = call(*flags(tiny, fresh, "box,efficientvit_sam_l0"))
    assert done.err.index("will have no number: efficientvit_sam_l0: no checkpoint") < done.err.index(
        "box on tiny"
    )
