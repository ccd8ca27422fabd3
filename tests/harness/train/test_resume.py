"""Stopped or killed anywhere, a training goes on as if nothing had been."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from command import call
from trainings import ROOT, Heard, Lacking, assert_same, logged, trainer, training

from sambench.harness.train.config import Data, Validation
from sambench.harness.train.order import Order, Share

MASKED = {"average": 0.9, "warm_up": 2}


def weights(out: Path, step: int) -> dict[str, Any]:
    """Everything of a checkpoint."""
    found: dict[str, Any] = torch.load(out / "checkpoints" / f"step-{step:08d}.pt", weights_only=True)
    return found


def assert_same_end(one: Path, other: Path, step: int) -> None:
    """Two trainings ended with the same weights, average, optimiser and log."""
    a, b = weights(one, step), weights(other, step)
    assert_same(a["model"], b["model"])
    assert_same(a["average"], b["average"])
    for index, values in a["optimiser"]["state"].items():
        assert_same(values, b["optimiser"]["state"][index])
    assert {k: v for k, v in a["totals"].items() if k != "best"} == {
        k: v for k, v in b["totals"].items() if k != "best"
    }
    assert logged(one) == logged(other)


class CrashError(Exception):
    """What a test does to a training."""


@pytest.mark.parametrize("crash_at", [1, 3])
def test_crashed_and_run_again_is_the_same_to_the_bit(tmp_path: Path, crash_at: int) -> None:
    unbroken, broken = (training(tmp_path / name, optimiser=MASKED, save_every=2) for name in ("a", "b"))
    assert trainer(unbroken).run(Heard())

    def crash(line: Any) -> None:
        if line["step"] == crash_at:
            raise CrashError

    with pytest.raises(CrashError):
        trainer(broken).run(Heard(crash))
    assert [line["step"] for line in logged(broken.out)] == list(range(1, crash_at + 1))
    heard = Heard()
    assert trainer(broken).run(heard)
    assert heard.done == crash_at // 2 * 2
    assert_same_end(unbroken.out, broken.out, 4)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_saves_after_the_step_and_goes_on(tmp_path: Path, number: signal.Signals) -> None:
    unbroken, stopped = (training(tmp_path / name, optimiser=MASKED) for name in ("a", "b"))
    assert trainer(unbroken).run(Heard())
    before = signal.getsignal(number)
    assert not trainer(stopped).run(
        Heard(lambda line: signal.raise_signal(number) if line["step"] == 2 else None)
    )
    assert signal.getsignal(number) is before
    again = trainer(stopped)
    assert again.checkpoints.steps() == [2]
    assert again.run(Heard())
    assert_same_end(unbroken.out, stopped.out, 4)


def test_a_second_ctrl_c_stops_at_once(tmp_path: Path) -> None:
    def twice(line: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    trained = trainer(training(tmp_path, save_every=1))
    with pytest.raises(KeyboardInterrupt):
        trained.run(Heard(twice))
    assert trained.checkpoints.steps() == []
    assert trainer(training(tmp_path, save_every=1)).run(Heard())


def test_after_its_end_nothing_is_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = training(tmp_path, workers=1)
    assert trainer(replace(config, workers=0)).run(Heard())
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "checkpoints").iterdir()}
    again = trainer(config, source=Lacking(config, damaged=range(16)))
    monkeypatch.setattr("sambench.harness.train.loop.load", None)  # no process is started for it
    assert again.run(Heard(), score=None)
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "checkpoints").iterdir()} == before


def scored(found: list[tuple[int, float]]) -> Callable[..., dict[str, float]]:
    """A validation that remembers when it was, and is best in step 2."""

    def score(weights: dict[str, torch.Tensor], step: int) -> dict[str, float]:
        value = {2: 50.0}.get(step, 10.0 + step)
        found.append((step, value))
        return {"box": value, "click_1": float("nan")}

    return score


def test_the_best_is_kept_and_a_validation_that_a_stop_left_out_is_made_up_for(tmp_path: Path) -> None:
    validation = Validation(data=Data(format="shapes"), every=2)
    config = training(tmp_path, steps=12, batch=1, validation=validation)
    calls: list[tuple[int, float]] = []
    first = trainer(config)
    assert not first.run(
        Heard(lambda line: signal.raise_signal(signal.SIGTERM) if line["step"] == 4 else None), scored(calls)
    )
    assert [step for step, _ in calls] == [2]
    heard = Heard()
    last = trainer(config)
    assert last.run(heard, scored(calls))
    assert [step for step, _ in calls] == [2, 4, 6, 8, 10, 12]
    assert last.totals.best == {"step": 2, "metric": "box", "value": 50.0}
    assert last.checkpoints.steps() == [2, 8, 10, 12]
    assert heard.notes[0] == "step 4: box 14, click_1 nan"
    lines = [line for line in logged(tmp_path) if "validation" in line]
    assert [line["step"] for line in lines] == [2, 4, 6, 8, 10, 12]
    assert lines[1]["validation"] == {"box": 14.0, "click_1": None}
    assert trainer(config).run(Heard(), scored(calls))
    assert len(calls) == 6


def test_on_another_number_of_processes_the_samples_of_each_step_are_the_same() -> None:
    order = Order(10, seed=3)
    wanted = [
        [tuple(map(int, (epoch, np_order[place]))) for epoch, np_order, place in _by_hand(order, step)]
        for step in range(7)
    ]
    for ranks, size in [(1, 4), (1, 1), (2, 2), (2, 1), (4, 1)]:
        shares = [Share(4, size, rank, ranks) for rank in range(ranks)]
        for step in range(7):
            parts = [list(share.positions(step, step + 1)) for share in shares]
            positions = list(itertools.chain(*itertools.chain(*zip(*parts, strict=True))))
            assert [order.at(position) for position in positions] == wanted[step]
    seen = [pair for step in wanted[:5] for pair in step]  # 20 samples of 10 images: each twice
    assert sorted(seen) == [(epoch, index) for epoch in (0, 1) for index in range(10)]


def _by_hand(order: Order, step: int) -> list[tuple[int, Any, int]]:
    """Epoch, its permutation and the place in it, of each sample of a step of four of ten images."""
    return [(p // 10, order.permutation(p // 10), p % 10) for p in range(4 * step, 4 * step + 4)]


# The command itself: in processes of its own where it is stopped, in this one where it goes on.

PATIENCE = 500.0  # seconds for what takes ten
STEPS = 6
SETTINGS: dict[str, Any] = {
    "model": "efficientvit_sam_nano",
    "weights": "random",
    "tied": True,
    "data": {"format": "shapes", "seed": 555, "images_drawn": 18},
    "recipe": {"masks_per_image": 2, "mask_loss": "bce"},
    "optimiser": {"lr": 1e-3, "clip": "norm", "clip_at": 1.0, "average": 0.9},
    "steps": STEPS,
    "batch": 2,
    "device_batch": 1,
    "workers": 0,
    "save_every": 2,
}
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def command(settings: Path, out: Path) -> list[str]:
    return ["train", "finetune", str(settings), "--out", str(out)]


def started(settings: Path, out: Path, *more: str, before: Sequence[str] = ()) -> subprocess.Popen[str]:
    """Start the command, in a process group of its own, as a scheduler does."""
    return subprocess.Popen(
        [sys.executable, *before, "-m", "sambench.harness", *command(settings, out), *more],
        cwd=ROOT,
        env=os.environ | {"NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out + err


def when_at(step: int, out: Path, process: subprocess.Popen[str], act: Callable[[], None]) -> None:
    """Do something as soon as a training has done so many steps."""
    deadline = time.monotonic() + PATIENCE
    while len(logged(out) if (out / "metrics.jsonl").exists() else []) < step:
        if process.poll() is not None or time.monotonic() > deadline:
            process.terminate()  # torchrun takes its processes along
            raise AssertionError(ended(process))
        time.sleep(0.01)
    act()


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("settings") / "tiny.yaml"
    file.write_text(yaml.safe_dump(SETTINGS))
    return file


@pytest.fixture(scope="module")
def unbroken(settings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("unbroken")
    goes_on(settings, out)
    return out


def goes_on(settings: Path, out: Path) -> str:
    """Run the command again, to its end; return all that it said."""
    done = call(*command(settings, out))
    assert done.code == 0, done.err
    return done.out + done.err


@pytest.fixture(scope="module")
def stopped(settings: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, str]:
    """A training that was told to stop, it and its loader: its folder, exit code, and what it said."""
    out = tmp_path_factory.mktemp("stopped")
    process = started(settings, out, "--workers", "1")
    when_at(1, out, process, lambda: os.killpg(process.pid, signal.SIGTERM))
    return out, *ended(process)


@pytest.mark.slow
def test_killed_the_same_command_goes_on(settings: Path, unbroken: Path, tmp_path: Path) -> None:
    process = started(settings, tmp_path)
    when_at(3, tmp_path, process, lambda: os.killpg(process.pid, signal.SIGKILL))
    assert ended(process)[0] == -signal.SIGKILL
    assert f"goes on after step 2 of {STEPS}" in goes_on(settings, tmp_path)
    assert_same_end(unbroken, tmp_path, STEPS)
    said = goes_on(settings, tmp_path)
    assert f"goes on after step {STEPS} of {STEPS}" in said
    assert f"weights  {tmp_path / 'model.safetensors'}" in said


@pytest.mark.slow
def test_a_signal_to_all_its_processes_saves_and_ends_well(
    settings: Path, unbroken: Path, stopped: tuple[Path, int, str], tmp_path: Path
) -> None:
    left, code, said = stopped
    assert (code, "Stopped and saved" in said) == (0, True), said
    assert "Traceback" not in said
    assert not (left / "model.safetensors").exists()
    assert 1 <= max(weights_of(left)) < STEPS
    out = shutil.copytree(left, tmp_path / "out")
    assert f"goes on after step {max(weights_of(left))} of {STEPS}" in goes_on(settings, out)
    assert_same_end(unbroken, out, STEPS)


def weights_of(out: Path) -> list[int]:
    return [int(file.stem.split("-")[1]) for file in (out / "checkpoints").glob("*.pt")]


@pytest.mark.slow
def test_two_processes_go_on_where_one_was_stopped(
    settings: Path, unbroken: Path, stopped: tuple[Path, int, str], tmp_path: Path
) -> None:
    out = shutil.copytree(stopped[0], tmp_path / "out")
    done = max(weights_of(out))
    process = started(settings, out, before=TORCHRUN)
    when_at(done + 1, out, process, lambda: process.send_signal(signal.SIGTERM))
    said = ended(process)[1]  # torchrun itself ends with 1 when it is told to end
    assert "Stopped and saved" in said
    assert "exitcode" not in said, said  # and would tell of a process that ended badly
    assert max(weights_of(out)) > done
    code, said = ended(started(settings, out, before=TORCHRUN))
    assert code == 0, said
    here, there = logged(out), logged(unbroken)
    assert [line["step"] for line in here] == list(range(1, STEPS + 1))
    assert [line["skipped"] for line in here] == [line["skipped"] for line in there]
    assert [line["loss"] for line in here] == pytest.approx([line["loss"] for line in there], rel=0.02)
    assert json.dumps(weights(out, STEPS)["totals"]["skipped"]) == json.dumps(
        weights(unbroken, STEPS)["totals"]["skipped"]
    )
