"""Checkpoints as trainings leave them give the numbers of the plain file, and the run says what it took."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from command import call, cells_of, metrics
from safetensors.torch import load_file
from torch import Tensor

from sambench.adapters.weights.shipped import shipped

NAME = "efficientvit_sam_nano"
State = dict[str, Tensor]


@pytest.fixture(scope="module")
def state() -> State:
    file = shipped(NAME)
    assert file is not None
    return load_file(file)


@pytest.fixture(scope="module")
def plain(shapes: list[str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The numbers of the file that came with the package."""
    out = tmp_path_factory.mktemp("plain")
    done = call("run", "--models", NAME, "--suites", "gt_box", *shapes, "--limit", 2, "--out", out)
    assert done.code == 0, done.err
    return metrics(out)


def before(prefix: str, state: State) -> State:
    return {prefix + key: value for key, value in state.items()}


def other(state: State) -> State:
    return {key: torch.zeros_like(value) for key, value in state.items()}


FORMS = {
    "module._orig_mod.": lambda s: before("module._orig_mod.", s),
    "state_dict": lambda s: {"state_dict": before("model.", s), "epoch": 3, "hyper_parameters": {"lr": 0.1}},
    "ema": lambda s: {"model": other(s), "ema": before("module.", s), "epoch": 3},
}


@pytest.mark.parametrize("form", FORMS)
def test_a_wrapped_checkpoint_gives_the_numbers_of_the_plain_one(
    form: str, state: State, plain: dict[str, Any], shapes: list[str], tmp_path: Path
) -> None:
    torch.save(FORMS[form](state), tmp_path / "w.pt")
    command = ["run", "--models", NAME, "--suites", "gt_box", *shapes, "--limit", 2]
    done = call(*command, "--weights", f"{NAME}={tmp_path / 'w.pt'}", "--out", tmp_path / "out")
    assert done.code == 0, done.err
    cell = cells_of(tmp_path / "out")[0]
    assert metrics(tmp_path / "out") == plain
    taken = cell["provenance"]["weights"]["taken"]
    assert all(part in taken for part in form.split(".") if part)
    assert done.err.replace("\n", " ").count("was taken: " + taken) == 1
    assert taken in (tmp_path / "out" / "report.md").read_text().replace("\\", "")


def test_one_of_another_model_is_refused_at_the_plan_with_its_name(
    state: State, shapes: list[str], tmp_path: Path
) -> None:
    torch.save({"model": state}, tmp_path / "w.pt")
    command = ["run", "--models", "efficientvit_sam_pico", "--suites", "gt_box", *shapes, "--dry-run"]
    done = call(*command, "--weights", f"efficientvit_sam_pico={tmp_path / 'w.pt'}")
    assert done.code == 2
    assert f"It is {NAME}." in done.err
    assert "Traceback" not in done.err
