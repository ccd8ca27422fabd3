"""The one interface: what goes into a promptable segmentation model and what comes out.

A new model is a subclass of `Segmenter` in a file of its own and a line in `adapters.models`.
Coordinates are pixels of the original image, x before y; sizes are (height, width).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from sambench.adapters.concepts import Instances, Wanted
from sambench.evsam.errors import SambenchError
from sambench.evsam.size import Size


@dataclass(frozen=True)
class Prompts:
    """N prompts on one image: boxes, points, or both, each with an optional mask of an earlier round.

    Raises:
        SambenchError: nothing given, or shapes that do not fit together.
    """

    boxes: Tensor | None = None
    """(N, 4) float, x0 y0 x1 y1."""
    points: Tensor | None = None
    """(N, P, 2) float, x y."""
    labels: Tensor | None = None
    """(N, P) int: 1 foreground, 0 background, -1 padding: no point at all. No suite pads; callers may."""
    masks: Tensor | None = None
    """(N, 1, h, w) float, the logits of the round before at the model's low resolution (SAM: 256 x 256)."""

    def __post_init__(self) -> None:
        if self.boxes is None and self.points is None:
            raise SambenchError("prompts: give boxes (N, 4), or points (N, P, 2) with labels (N, P)")
        if (self.points is None) != (self.labels is None):
            raise SambenchError("prompts: points and labels go together")
        n = len(self)
        if self.boxes is not None and self.boxes.shape != (n, 4):
            raise SambenchError(f"prompts: boxes are {tuple(self.boxes.shape)}, not (N, 4)")
        if self.points is not None and self.labels is not None:
            if self.points.ndim != 3 or self.points.shape[0] != n or self.points.shape[2] != 2:
                raise SambenchError(f"prompts: points are {tuple(self.points.shape)}, not ({n}, P, 2)")
            if self.labels.shape != self.points.shape[:2]:
                raise SambenchError(
                    f"prompts: labels are {tuple(self.labels.shape)}, points {tuple(self.points.shape)}"
                )
        if self.masks is not None and (self.masks.ndim != 4 or self.masks.shape[:2] != (n, 1)):
            raise SambenchError(f"prompts: masks are {tuple(self.masks.shape)}, not ({n}, 1, h, w)")

    def __len__(self) -> int:
        given = self.boxes if self.boxes is not None else self.points
        return 0 if given is None else len(given)

    def __getitem__(self, index: slice) -> Prompts:
        return Prompts(*(None if x is None else x[index] for x in self._parts()))

    def to(self, device: torch.device) -> Prompts:
        """Return the same prompts on another device."""
        return Prompts(*(None if x is None else x.to(device) for x in self._parts()))

    def _parts(self) -> tuple[Tensor | None, ...]:
        return self.boxes, self.points, self.labels, self.masks


@dataclass(frozen=True)
class Prepared:
    """An image made ready for the encoder on the CPU, where several workers can do it."""

    pixels: Tensor
    """What the encoder takes, without the batch dimension."""
    size: Size
    """Of the original image."""


@dataclass(frozen=True)
class Embedding:
    """One encoded image. Adapters extend it with what else decoding can share between prompts."""

    features: Tensor
    """(C, h, w)."""
    size: Size
    """Of the original image."""


@dataclass(frozen=True)
class Prediction:
    """M masks for each of N prompts."""

    logits: Tensor
    """(N, M, h, w), finite, at the model's own low resolution, which may be the image's size. A mask is
    ``> 0`` after `Segmenter.upsample`."""
    iou: Tensor
    """(N, M) quality as predicted by the model."""


@dataclass(frozen=True)
class Best:
    """One mask for each of N prompts: of a model's alternatives the one that it thinks best."""

    logits: Tensor
    """(N, h, w) at the model's own low resolution."""
    iou: Tensor
    """(N,) quality as predicted by the model."""
    choice: Tensor
    """(N,) int, which of the alternatives it is; the first among equals."""


@dataclass(frozen=True)
class Capabilities:
    """What a segmenter can be asked."""

    boxes: bool = True
    points: bool = True
    background_points: bool = True
    boxes_with_points: bool = True
    max_points: int | None = None
    """Most points a prompt may have; ``None`` for no limit."""
    box_points: int = 0
    """How many of them a box takes."""
    mask_input: bool = True
    concepts: bool = False
    """Whether it takes phrases (`Segmenter.find`)."""

    def refusal(self, prompts: Prompts) -> str | None:
        """Say why these prompts cannot be taken, or return ``None``."""
        points, labels = prompts.points, prompts.labels
        if prompts.boxes is not None and not self.boxes:
            return "it takes no boxes"
        if points is not None and labels is not None:
            if not self.points:
                return "it takes no points"
            if self.max_points is not None:
                most = self.max_points - (self.box_points if prompts.boxes is not None else 0)
                if points.shape[1] > most:
                    beside = " beside a box" if most < self.max_points else ""
                    return f"it takes at most {most} points{beside}, not {points.shape[1]}"
            if not self.background_points and bool((labels == 0).any()):
                return "it takes no background points"
            if prompts.boxes is not None and not self.boxes_with_points:
                return "it takes a box or points, not both at once"
        if prompts.masks is not None and not self.mask_input:
            return "it takes no mask of an earlier round"
        return None


Given = str | Mapping[str, str] | None
"""Which weights a user wants: a path, ``random``, or ``None`` for the registered; or that of each part."""


@dataclass(frozen=True)
class Weights:
    """Where a segmenter's parameters come from; printed beside every number."""

    source: Literal["file", "random", "none"]
    """``none`` for models without parameters."""
    path: str | None = None
    sha256: str | None = None
    seed: int | None = None
    taken: str | None = None
    """How they lay in their file, where it has more than them: under which name, with which prefix. The
    checksum decides it, so it is no part of `identity`."""
    parts: Mapping[str, Weights] = field(default_factory=dict, hash=False)
    """Of a model of several parts, those of each, by its name. What stands above is then said of all of them
    (`adapters.weights.resolve.joined`)."""

    @property
    def identity(self) -> str:
        """Which parameters they are: ``file`` and its checksum wherever it lies, ``random`` and the seed."""
        parts = (self.source, self.sha256, self.seed)
        return " ".join(str(part) for part in parts if part is not None)

    def to_json(self) -> dict[str, Any]:
        """Return them as results have them; `taken` and `parts` where there is something to say."""
        facts = asdict(self) | {"parts": {name: part.to_json() for name, part in self.parts.items()}}
        return {key: value for key, value in facts.items() if value or key not in ("taken", "parts")}

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> Weights:
        """Return what `to_json` wrote."""
        parts = {name: Weights.from_json(part) for name, part in content.get("parts", {}).items()}
        return Weights(**{**content, "parts": parts})


def described(pixels: Tensor) -> str:
    """Return a tensor's type and shape, such as ``float32 [3, 1024, 1024]``."""
    return f"{str(pixels.dtype).removeprefix('torch.')} {list(pixels.shape)}"


def check_images(images: Sequence[np.ndarray]) -> None:
    """Refuse what is not RGB, (H, W, 3) uint8.

    Raises:
        SambenchError: an image is of another shape or type.
    """
    for image in images:
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise SambenchError(
                f"an image is {image.dtype} of shape {image.shape}, not uint8 (H, W, 3) RGB; "
                "sambench.adapters.images.read_image reads any file as such"
            )


class Segmenter(ABC):
    """A promptable segmentation model with its own geometry.

    The registry's target is called as ``target(name, weights=..., device=...)`` and returns a segmenter: the
    class itself, or a function that loads weights first (`adapters.weights.resolve`). Either sets these.

    Attributes:
        name: the registry's name.
        capabilities: what it can be asked; `decode` refuses the rest and never truncates.
        weights: where its parameters come from.
        device: where it computes.
        prompt_batch: how many prompts a decoder call takes best on this device.
        phrase_batch: how many phrases, where it takes such.
        engine: what runs it, and in which precision (`adapters.engines`).
        files: further files that decide its numbers, beside its weights and what Python itself opens or
            imports while it is created (`adapters.loaded`): read later, or by a library in another language.
    """

    name: str
    capabilities: Capabilities
    weights: Weights
    device: torch.device
    prompt_batch: int
    phrase_batch: int = 8
    engine: str = "eager"
    precision: str = "fp32"
    files: Sequence[str | Path] = ()

    def encode(self, images: Sequence[np.ndarray]) -> list[Embedding]:
        """Encode RGB images (H, W, 3) uint8, of any sizes.

        Raises:
            SambenchError: an image is of another shape or type.
        """
        check_images(images)
        return self.embed([self.prepare(image) for image in images])

    def decode(self, embedding: Embedding, prompts: Prompts, multimask: bool = True) -> Prediction:
        """Predict masks for all prompts on one image, ``prompt_batch`` at a time.

        Args:
            embedding: of this segmenter's own `encode`.
            prompts: N of them, in pixels of the original image.
            multimask: three alternatives a prompt where the model has them, or one mask.

        Raises:
            SambenchError: the prompts are of a kind or number that the model does not take.
        """
        self.check(prompts)
        parts = [self.decode_batch(embedding, part, multimask) for part in self.batches(prompts)]
        if len(parts) == 1:
            return parts[0]
        return Prediction(torch.cat([p.logits for p in parts]), torch.cat([p.iou for p in parts]))

    def decode_best(self, embedding: Embedding, prompts: Prompts) -> Best:
        """Predict the best alternative alone, for prompts as `decode_batch` takes them."""
        return best_of(self.decode_batch(embedding, prompts, multimask=True))

    def decode_each(self, embeddings: Sequence[Embedding], prompts: Prompts) -> Best:
        """Predict the best alternative of N prompts, each on an image of its own."""
        found = [self.decode_best(one, prompts[i : i + 1]) for i, one in enumerate(embeddings)]
        parts = zip(*((f.logits, f.iou, f.choice) for f in found), strict=True)
        return Best(*(torch.cat(part) for part in parts))

    def find(
        self, embedding: Embedding, phrases: Sequence[str], wanted: Wanted | None = None
    ) -> Iterator[Instances]:
        """Find the instances of phrases on one image, ``phrase_batch`` at a time: one answer a phrase.

        Args:
            embedding: of this segmenter's own `encode`.
            phrases: noun phrases; each is answered as if it were alone.
            wanted: which instances of each; all by default.

        Raises:
            SambenchError: the model takes no phrases.
        """
        if not self.capabilities.concepts:
            raise SambenchError(f"{self.name}: it takes no phrases")
        return self._find(embedding, phrases, wanted or Wanted())

    def _find(self, embedding: Embedding, phrases: Sequence[str], wanted: Wanted) -> Iterator[Instances]:
        for start in range(0, len(phrases), self.phrase_batch):
            asked = phrases[start : start + self.phrase_batch]
            found = self.find_batch(embedding, asked, wanted)
            if len(found) != len(asked):
                raise SambenchError(
                    f"{self.name}: find_batch gave {len(found)} answers to {len(asked)} phrases"
                )
            yield from found

    def find_batch(self, embedding: Embedding, phrases: Sequence[str], wanted: Wanted) -> list[Instances]:
        """Answer phrases that fit one call, at least one; only of a model whose `capabilities` say so.

        Texts are encoded once for all images (`adapters.concepts.Texts`).
        """
        raise NotImplementedError(f"{self.name} says that it takes phrases, and has no find_batch")

    def run_encoder(self, pixels: Tensor) -> Tensor:
        """Compute the image encoder alone, without transfers: what throughput calls the encoder.

        Args:
            pixels: (B, 3, S, S) float32, prepared, on the device.

        Returns:
            Features (B, C, h, w) on the device.

        Raises:
            NotImplementedError: the model's encoder is not to be had alone; time `embed` instead.
        """
        raise NotImplementedError(f"{self.name} has no encoder of its own")

    def check(self, prompts: Prompts) -> None:
        """Refuse prompts that `capabilities` do not allow.

        Raises:
            SambenchError: the message says why.
        """
        if reason := self.capabilities.refusal(prompts):
            raise SambenchError(f"{self.name}: {reason}")

    def batches(self, prompts: Prompts) -> Iterator[Prompts]:
        """Cut prompts into the decoder's batches."""
        for start in range(0, max(len(prompts), 1), self.prompt_batch):
            yield prompts[start : start + self.prompt_batch]

    @abstractmethod
    def prepare(self, image: np.ndarray) -> Prepared:
        """Resize, normalise and pad an RGB image (H, W, 3) uint8. Called from several threads at once."""

    @abstractmethod
    def embed(self, prepared: Sequence[Prepared]) -> list[Embedding]:
        """Encode prepared images as one batch."""

    @abstractmethod
    def decode_batch(self, embedding: Embedding, prompts: Prompts, multimask: bool) -> Prediction:
        """Decode prompts that fit one call and that `capabilities` allow.

        Args:
            embedding: of this segmenter's own `embed`.
            prompts: N of them, with as many points each.
            multimask: all alternatives that the model has, M of them; else its single mask, M is 1. A
                model that has one mask gives it either way.
        """

    @abstractmethod
    def upsample(self, logits: Tensor, size: Size) -> Tensor:
        """Bring logits (N, h, w) to an image's size, (N, H, W); those of that size stay as they are."""


def best_of(prediction: Prediction, by: Tensor | None = None) -> Best:
    """Choose of every prompt's alternatives the first with the highest ``by`` (N, M), else predicted IoU."""
    choice = (prediction.iou if by is None else by).argmax(dim=1)
    row = torch.arange(len(choice), device=choice.device)
    return Best(prediction.logits[row, choice], prediction.iou[row, choice], choice)
