"""What `trainings.in_ranks` runs in each process: ``rank_jobs.py OUT``. The first leaves files in OUT/JOB.

All jobs run in the same processes, for to start them takes longer than most jobs.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from trainings import Heard, Lacking, assert_same, gradients, state, trainer, training

from sambench.evsam.errors import SambenchError
from sambench.harness.train.config import Data, Validation
from sambench.harness.train.loop import Trainer
from sambench.harness.train.ranks import Ranks, joined


def all_gradients(out: Path, ranks: Ranks) -> None:
    """Gradients of a step of four images: by copies and by shares, in one part and in two."""
    for shard in (False, True):
        for size, options in [(1, {}), (2, {}), (1, {"recompute": True})]:
            config = training(
                out, batch=4, device_batch=size, shard=shard, optimiser={"norms": "frozen"}, **options
            )
            _leave(gradients(trainer(config, ranks)), out / f"all-{shard}-{size}-{len(options)}.pt", ranks)
        still = {"norms": "frozen", "frozen": ("image_encoder",)}
        config = training(out, batch=4, device_batch=2, shard=shard, optimiser=still)
        _leave(gradients(trainer(config, ranks)), out / f"head-{shard}.pt", ranks)
        # the second process has nothing in the first part, or in any
        for name, missing in [("one", [1]), ("both", [1, 3])]:
            config = training(out, batch=4, shard=shard, optimiser={"norms": "frozen"})
            source = Lacking(config, empty=missing[:1], damaged=missing[1:])
            _leave(gradients(trainer(config, ranks, source)), out / f"{name}-{shard}.pt", ranks)


def _leave(found: dict[str, Any], path: Path, ranks: Ranks) -> None:
    if ranks.first:
        torch.save(found, path)


def whole_training(out: Path, ranks: Ranks) -> None:
    """Interrupted or not, by copies and by shares: the same to the bit."""
    for shard, clip in [(False, "norm"), (True, "value"), (True, "norm")]:
        settings: dict[str, Any] = {
            "shard": shard,
            "steps": 3,
            "save_every": 2,
            "optimiser": {"average": 0.9, "clip": clip, "clip_at": 0.1, "norms": "frozen"},
        }
        config = training(out / f"{shard}-{clip}", **settings)
        unbroken = trainer(config, ranks)
        assert unbroken.run(Heard())
        if clip == "value":  # which no process needs another for
            continue
        assert trainer(config, ranks).run(Heard())  # already done

        config = training(out / f"{shard}-{clip}-stopped", **settings)

        def told(line: Any) -> None:
            if line["step"] == 1:
                signal.raise_signal(signal.SIGTERM)

        # the first process alone is told, and alone writes lines
        stopped = trainer(config, ranks)
        assert not stopped.run(Heard(told))
        assert stopped.totals.step == 1
        again, heard = trainer(config, ranks), Heard()
        assert again.run(heard)
        assert heard.done == 1
        assert_same(state(unbroken.phase.model), state(again.phase.model))
        assert_same(state(unbroken.learnt), state(again.learnt))
        ranks.wait()


def bad_images(out: Path, ranks: Ranks) -> None:
    """An image of the second process has no finite loss: neither moves, and both give up together."""
    for shard in (False, True):
        config = training(out / f"bad-{shard}", steps=6, bad_steps=2, shard=shard, optimiser={"average": 0.9})
        trained = trainer(config, ranks, poisoned=[3, 7, 9])  # in steps 2, 4 and 5
        states = _remembering(trained)
        heard = Heard()
        with pytest.raises(SambenchError, match="2 steps in a row"):
            trained.run(heard)
        assert len(states) == 5
        assert_same(states[0], states[1])
        assert_same(states[2], states[4])
        assert any(not torch.equal(states[1][name], states[2][name]) for name in states[1])
        steps = ["step 2", "step 4", "step 5"]
        assert [note.split(":")[0] for note in heard.notes] == (steps if ranks.first else [])


def _remembering(trained: Trainer) -> list[dict[str, Tensor]]:
    """The states after each step, of the weights and their average."""
    states: list[dict[str, Tensor]] = []
    take = trained.stepper.take

    def taken(step: int, passes: Any) -> Any:
        found = take(step, passes)
        average = {f"average.{name}": one for name, one in state(trained.learnt).items()}
        states.append(state(trained.phase.model) | average)
        return found

    trained.stepper.take = taken  # type: ignore[method-assign]
    return states


def damaged_images(out: Path, ranks: Ranks) -> None:
    """What the second process could not use is known to the first; only the first validates."""
    validation = Validation(data=Data(format="shapes"), every=1)
    config = training(out, steps=2, validation=validation, batch=4, shard=True)
    heard = Heard()
    trained = trainer(config, ranks, Lacking(config, damaged=[1], empty=[3, 6]))
    weights: list[Any] = []

    def score(found: Any, step: int) -> dict[str, float]:
        weights.append(found)
        return {"box": float(step)}

    assert trained.run(heard, score if ranks.first else None)
    assert trained.totals.skipped == {"damaged": 1, "empty": 2}
    assert len(weights) == (2 if ranks.first else 0)
    last = state(trained.phase.model)
    if ranks.first:
        assert_same(weights[-1], last)
        assert trained.totals.best is not None
        (out / "notes.json").write_text(json.dumps(heard.notes))


def half_precision(out: Path, ranks: Ranks) -> None:
    """Gradients that overflow in fp16: all processes lower the scale, and go on with the same one."""
    for shard in (False, True):
        config = training(out / f"half-{shard}", precision="fp16", steps=3, shard=shard, bad_steps=1)
        trained = trainer(config, ranks)
        scaler = trained.stepper.scaler
        scaler.load_state_dict(scaler.state_dict() | {"scale": 2.0**30})
        assert trained.run(Heard())
        found = ranks.gather(
            (scaler.get_scale(), {n: x.sum().item() for n, x in state(trained.phase.model).items()})
        )
        assert found[0][0] == found[1][0] < 2.0**30
        weights = [{n: x for n, x in one.items() if "running" not in n} for _, one in found]
        assert weights[0] == weights[1]


JOBS = {
    "gradients": [all_gradients],
    "training": [whole_training],
    "trouble": [bad_images, damaged_images, half_precision],
}

if __name__ == "__main__":
    with joined("cpu") as ranks:
        for name, parts in JOBS.items():
            out = Path(sys.argv[1]) / name
            out.mkdir(exist_ok=True)
            for part in parts:
                part(out, ranks)
            (out / f"done-{ranks.rank}").touch()
