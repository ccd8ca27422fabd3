"""Phase 1 from its settings: student, teacher or what it left on disk, and how near the student comes."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sambench.adapters.families.sam import with_weights
from sambench.adapters.registry import create_module
from sambench.adapters.weights.resolve import resolve
from sambench.evsam.errors import SambenchError
from sambench.evsam.geometry import resized
from sambench.evsam.model import Sam
from sambench.evsam.train.distill import DistillStep, distances
from sambench.evsam.train.optimiser import freeze
from sambench.harness.train.config import Distilling, Training, Validation
from sambench.harness.train.distill_phase import DistillPhase, Stored
from sambench.harness.train.embed import views_of
from sambench.harness.train.embeddings import PLAIN
from sambench.harness.train.finetune import give_head, train
from sambench.harness.train.loop import Watcher
from sambench.harness.train.ranks import Ranks
from sambench.harness.train.scored import as_segmenter
from sambench.harness.train.sources import open_source
from sambench.harness.train.sources.base import Annotated
from sambench.harness.train.teacher import Teacher, identity
from sambench.harness.train.validate import Validator

METRIC = "embedding"


def distill(config: Distilling, ranks: Ranks, watcher: Watcher) -> Path | None:
    """Train a model's image encoder to repeat a teacher's embeddings.

    Returns:
        The weights' file, or ``None`` where the training was stopped.

    Raises:
        SambenchError: settings, weights, embeddings or data are wrong, the embeddings' sizes do not fit, or
            the loss is no number any more.
    """
    weights = resolve(config.model, config.weights)
    model: Sam
    model, _ = with_weights(lambda: create_module(config.model), weights)
    about = identity(config)
    begins: dict[str, Any] = {"weights": weights.identity, **about, "stored": config.embeddings is not None}
    if config.sam is not None:
        begins["sam"] = give_head(model, config.sam)
    prompted = config.sam is not None or weights.source == "file"
    _check(config, prompted)
    phase = DistillPhase(DistillStep(model, config.recipe), _teacher(config, about, ranks))
    freeze(model, config.optimiser)
    scorer = functools.partial(EmbeddingScore, phase=phase, prompted=prompted)
    return train(config, phase, begins, ranks, watcher, scorer)


def _check(config: Distilling, prompted: bool) -> None:
    """See that the deciding metric can be had.

    Raises:
        SambenchError: it cannot.
    """
    if config.picture_every and not prompted:
        raise SambenchError(
            f"picture_every: {config.model} begins with a decoder that was never trained, and would draw "
            "noise. Name a SAM checkpoint as sam, or leave pictures out."
        )
    validation = config.validation
    if validation is not None and validation.metric != METRIC and not prompted:
        raise SambenchError(
            f"validation.metric is {validation.metric}, but {config.model} begins with a prompt encoder and "
            f"a decoder that were never trained. Name a SAM checkpoint as sam, or say metric: {METRIC}."
        )


def _teacher(config: Distilling, about: Mapping[str, Any], ranks: Ranks) -> Teacher | Stored:
    """Open the embeddings that are on disk, or have them made on the way."""
    if config.embeddings is None:
        return Teacher(config, ranks.device)
    return Stored.of(config.embeddings, about, open_source(config.data), views_of(config.recipe))


class EmbeddingScore:
    """How far the student's embeddings are from the teacher's on the validation's images; lower is better.

    And, for a student that can be prompted, the suites' metrics.

    Args:
        config: of the training, a `Distilling`.
        validation: of it.
        phase: whose teacher and recipe count.
        prompted: whether prompt encoder and decoder were trained.
    """

    def __init__(self, config: Training, validation: Validation, phase: DistillPhase, prompted: bool) -> None:
        assert isinstance(config, Distilling)
        self.config, self.phase, self.first = config, phase, validation.metric
        self.source = open_source(validation.data)
        self.suites = Validator(config, validation) if prompted else None
        self.teacher = phase.teacher
        if isinstance(self.teacher, Stored):
            self.teacher = self.teacher.beside(self.source, [PLAIN])

    def __call__(self, state: Mapping[str, Tensor], step: int) -> dict[str, float]:
        """Score weights after so many steps: metrics by name, the deciding one first.

        Raises:
            SambenchError: an image of the validation is damaged.
        """
        scores = {METRIC: self.error(state)}
        if self.suites is not None:
            scores |= self.suites(state, step)
        return {name: scores[name] for name in sorted(scores, key=lambda name: name != self.first)}

    def error(self, state: Mapping[str, Tensor]) -> float:
        """Return the mean over the images of their mean squared error, as the recipe takes it."""
        student = as_segmenter(self.config, state)
        side, recipe, errors = self.phase.model.input_size, self.phase.recipe, []
        for found in self._images():
            (own,) = student.encode([found.image])
            size = resized(found.size, side)
            taught = self._taught(found).to(own.features.device)
            errors.append(distances(own.features[None], taught[None], recipe, [size], side).images)
        return float(torch.cat(errors).mean())

    def _images(self) -> Iterator[Annotated]:
        for index in range(len(self.source)):
            yield self.source.load(index)

    def _taught(self, found: Annotated) -> Tensor:
        if isinstance(self.teacher, Stored):
            return self.teacher.read(found, PLAIN)
        return self.teacher([found.image])[0]
