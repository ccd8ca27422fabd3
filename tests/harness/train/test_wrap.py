"""What is put around a model changes no number."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import trainings
from trainings import TINY, Heard, assert_close, assert_same, gradients, logged, state, trainer, training

from sambench.evsam.backbone import Stage
from sambench.evsam.errors import SambenchError


@pytest.mark.parametrize("norms", ["batch", "frozen"])
def test_activations_made_again_give_the_same_gradients_and_statistics(tmp_path: Path, norms: str) -> None:
    found = []
    for again in (False, True):
        config = training(tmp_path, recompute=again, device_batch=2, optimiser={"norms": norms})
        trained = trainer(config)
        before = state(trained.phase.model)
        found.append((gradients(trained), state(trained.phase.model)))
    (plain, after), (made_again, after_again) = found
    assert_same(plain, made_again)
    assert_same(after, after_again)
    statistics = [name for name in after if "running_" in name or "num_batches" in name]
    moved = [name for name in statistics if not torch.equal(before[name], after[name])]
    assert moved == (statistics if norms == "batch" else [])
    assert {int(after[name]) for name in statistics if "num_batches" in name} == {int(norms == "batch")}


def test_activations_are_made_again_without_a_gradient_too(tmp_path: Path) -> None:
    trained = trainer(training(tmp_path, recompute=True))
    with torch.no_grad():
        trained.phase.model.image_encoder(torch.zeros(1, 3, 128, 128))


STAGES = (Stage(8, 0, "res"), Stage(8, 1, "res"), Stage(32, 1, "att", expand=2))
SHALLOW = replace(TINY, stages=STAGES, neck_depth=0)
"""What a compiler makes of each operation takes it a second."""


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "again"), [("aot_eager", True), ("inductor", False)])
def test_compiled_or_not_the_losses_are_the_same(
    tmp_path: Path, backend: str, again: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=backend))
    monkeypatch.setattr(trainings, "TINY", SHALLOW)
    losses = []
    for name in ("plain", "compiled"):
        config = training(tmp_path / name, steps=3, optimiser={"average": 0.9})
        if name == "compiled":
            config = replace(config, compile=True, recompute=again)
        assert trainer(config).run(Heard())
        losses.append([line["loss"] for line in logged(tmp_path / name)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    files = [tmp_path / name / "checkpoints" / "step-00000003.pt" for name in ("plain", "compiled")]
    plain, compiled = (torch.load(file, weights_only=True)["model"] for file in files)
    assert_close(plain, compiled, 2e-3)  # and under the same names


def test_norms_of_all_processes_need_cuda(tmp_path: Path) -> None:
    with pytest.raises(SambenchError, match=r"optimiser\.norms: synchronised batch norms need CUDA"):
        trainer(training(tmp_path, optimiser={"norms": "synchronised"}))


def test_one_process_has_nobody_to_share_with(tmp_path: Path) -> None:
    with pytest.raises(SambenchError, match="shard: there is one process"):
        trainer(training(tmp_path, shard=True))
