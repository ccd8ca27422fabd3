"""Phase 2 from its settings: the model with what it begins with, its data, its scores, its files."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sambench.adapters.families.sam import with_weights
from sambench.adapters.registry import create_module
from sambench.adapters.weights.resolve import from_path, resolve
from sambench.evsam.checkpoint import read_state
from sambench.evsam.errors import SambenchError
from sambench.evsam.model import Sam
from sambench.evsam.train.finetune import FinetuneStep
from sambench.evsam.train.optimiser import freeze
from sambench.evsam.train.start import HEAD, take_head, tie_attention
from sambench.evsam.unwrap import find, nearest
from sambench.harness.train.checkpoint import whole
from sambench.harness.train.config import Finetuning, Training, Validation
from sambench.harness.train.loop import Score, Trainer, Watcher
from sambench.harness.train.phase import FinetunePhase, Phase
from sambench.harness.train.picture import Pictures
from sambench.harness.train.ranks import Ranks
from sambench.harness.train.result import write_about, write_curve, write_model
from sambench.harness.train.sources import Source, open_source
from sambench.harness.train.validate import Validator
from sambench.reports.report import check_extra


def finetune(config: Finetuning, ranks: Ranks, watcher: Watcher) -> Path | None:
    """Train a model with prompts; return its weights' file, or ``None`` where the training was stopped.

    Raises:
        SambenchError: settings, weights or data are wrong, or the loss is no number any more.
    """
    weights = resolve(config.model, config.weights)
    model, _ = with_weights(lambda: create_module(config.model), weights)
    begins: dict[str, Any] = {"weights": weights.identity}
    if config.sam is not None:
        begins["sam"] = give_head(model, config.sam)
    if config.tied:
        tie_attention(model)
    freeze(model, config.optimiser)
    phase = FinetunePhase(FinetuneStep(model, config.recipe))
    return train(config, phase, begins | {"tied": config.tied}, ranks, watcher)


def give_head(model: Sam, sam: str) -> str:
    """Give a model the prompt encoder and the mask decoder of a SAM checkpoint; return which it is.

    Raises:
        SambenchError: the file cannot be read, or is of another model.
    """
    weights = from_path(Path(sam).expanduser())
    content = read_state(Path(str(weights.path)))
    own = {key: tuple(value.shape) for key, value in model.state_dict().items() if key.startswith(HEAD)}
    try:
        found = find(content, own, whole=False)
    except SambenchError as error:
        raise SambenchError(f"{weights.path}: {error}") from None
    take_head(model, found.state if found else nearest(content, own), sam)
    return weights.identity


def train(
    config: Training,
    phase: Phase,
    begins: Mapping[str, Any],
    ranks: Ranks,
    watcher: Watcher,
    scorer: Callable[[Training, Validation], Score] = Validator,
) -> Path | None:
    """Run a phase to its end, or until it is told to stop.

    Args:
        config: what is asked for.
        phase: which, of the model with its first weights.
        begins: what it begins with, for the record.
        ranks: this process among all.
        watcher: who is told.
        scorer: makes what scores the model on the way, where a validation is asked for.
    """
    source = open_source(config.data)
    if len(source) == 0:
        raise SambenchError(f"data: there is no image in {json.dumps(source.identity())}.")
    steps = config.steps or math.ceil((config.epochs or 0) * len(source) / config.batch)
    decides = {
        "model": config.model,
        **begins,
        "data": source.identity(),
        "recipe": plain(config.recipe),  # type: ignore[attr-defined]
        "optimiser": plain(config.optimiser),
        "steps": steps,
        "batch": config.batch,
        "seed": config.seed,
        "precision": config.precision,
    }
    trainer = Trainer(config, decides, phase, source, ranks, steps)
    name = write_about(config, trainer.decides, str(ranks.device)) if ranks.first else ""
    validation = config.validation
    score = scorer(config, validation) if validation is not None and ranks.first else None
    if not trainer.run(watcher, score, _pictures(config, source, ranks)):
        return None
    state = whole(trainer.learnt.state_dict())
    if not ranks.first:
        return None
    write_curve(config.out, f"{config.model}, {steps:,} steps of {config.batch} images")
    return write_model(config.out, state, decides | {"best": trainer.totals.best, "training": name})


def _pictures(config: Training, source: Source, ranks: Ranks) -> Pictures | None:
    """Have pictures drawn, where they are wanted of a model that can be prompted.

    Raises:
        SambenchError: matplotlib is not installed.
    """
    if not config.picture_every or not ranks.first:
        return None
    check_extra()
    return Pictures(config, source if config.validation is None else open_source(config.validation.data))


def plain(value: Any) -> Any:
    """Return a dataclass as JSON has it."""
    return json.loads(json.dumps(dataclasses.asdict(value)))
