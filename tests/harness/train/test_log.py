"""The log: strict JSON, a line a step, none twice."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from trainings import Heard, logged, trainer, training

from sambench.evsam.errors import SambenchError
from sambench.harness.train.log import Log, read_lines


def test_numbers_that_are_not_finite_are_null(tmp_path: Path) -> None:
    log = Log(tmp_path / "metrics.jsonl", 0)
    log.write({"step": 1, "loss": math.nan, "grad_norm": math.inf, "bad": True})
    log.write({"step": 1, "validation": {"box": math.nan, "click_1": 2.5}})
    assert logged(tmp_path) == [
        {"step": 1, "loss": None, "grad_norm": None, "bad": True},
        {"step": 1, "validation": {"box": None, "click_1": 2.5}},
    ]


@pytest.mark.parametrize("tail", ['{"step": 3, "lo', '{"step": 3, "loss": 0.1', "\0\0\0\0", "\udcff"])
def test_lines_of_later_steps_and_a_torn_one_are_dropped(tmp_path: Path, tail: str) -> None:
    path = tmp_path / "metrics.jsonl"
    lines = [{"step": 1}, {"step": 2}, {"step": 2, "validation": {"box": 1.5}}, {"step": 3}]
    text = "".join(f"{json.dumps(line)}\n" for line in lines) + tail
    path.write_bytes(text.encode(errors="surrogateescape"))
    log = Log(path, 2)
    log.write({"step": 3, "again": True})
    assert logged(tmp_path) == [*lines[:3], {"step": 3, "again": True}]


def test_a_last_line_without_its_end_is_whole_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}')
    Log(path, 2).write({"step": 3})
    assert [line["step"] for line in read_lines(path)] == [1, 2, 3]


def test_a_log_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    log = Log(tmp_path / "metrics.jsonl", 0)
    log.path = Path("/dev/full")
    with pytest.raises(SambenchError, match=r"/dev/full: cannot be written \(No space left on device\)"):
        log.write({"step": 1})


def test_a_training_writes_a_line_a_step(tmp_path: Path) -> None:
    assert trainer(training(tmp_path, steps=3)).run(Heard())
    lines = logged(tmp_path)
    assert [line["step"] for line in lines] == [1, 2, 3]
    wanted = {
        "epoch",
        "loss",
        "mask_loss",
        "dice_loss",
        "iou",
        "iou_loss",
        "lr",
        "grad_norm",
        "skipped",
        "bad",
    }
    assert all(line.keys() == wanted | {"step"} for line in lines)
    assert [line["epoch"] for line in lines] == [0.125, 0.25, 0.375]  # two of 16 images a step
    assert lines[0]["lr"] > lines[1]["lr"] > lines[2]["lr"] > 0
