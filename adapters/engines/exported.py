"""What the engines on exported graphs have in common: which graph a call needs, opened when it first does."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from sambench.adapters.engines.artifacts import Artifacts
from sambench.adapters.engines.graphs import Graph, Which
from sambench.adapters.engines.parts import Parts

Session = Callable[..., tuple[Tensor, ...]]
"""An opened graph: inputs in the graph's order to outputs in its order, which are the caller's to keep."""


@dataclass(frozen=True)
class ExportedImage:
    """An image as a decoder graph takes it; it projects for itself."""

    features: Tensor
    """(1, C, h, w)."""
    masks: Tensor | None
    """(N, 1, 256, 256), of an earlier round."""


class ExportedParts(Parts):
    """Encoder and decoders as sessions of another runtime. A model that takes no masks never asks for them.

    Args:
        artifacts: the segmenter's files.
    """

    by_batch = False
    """Whether an encoder is opened for each batch size alone, or one serves all."""

    def __init__(self, artifacts: Artifacts) -> None:
        self.artifacts = artifacts
        self._encoders: dict[int | None, Session] = {}
        self._decoders: dict[tuple[Which, bool], Session] = {}

    @abstractmethod
    def open(self, graph: Graph, file: Path, batch: int | None) -> Session:
        """Open a graph's file.

        Args:
            graph: what is in it.
            file: ONNX.
            batch: the one that the session is for, where it is `by_batch`; the file's own is free.
        """

    def encode(self, pixels: Tensor) -> Tensor:
        """Run the encoder."""
        batch = pixels.shape[0] if self.by_batch else None
        if batch not in self._encoders:
            graph = self.artifacts.encoder_graph()
            self._encoders[batch] = self.open(graph, self.artifacts.file(graph), batch)
        return self._encoders[batch](pixels)[0]

    def project(self, features: Tensor, masks: Tensor | None = None) -> ExportedImage:
        """Keep what the decoder graph starts from."""
        return ExportedImage(features, masks)

    def decode(
        self, image: ExportedImage, xy: Tensor, labels: Tensor, multimask: bool
    ) -> tuple[Tensor, Tensor]:
        """Run the graph of three masks, or of the single one."""
        logits, iou = self._decode("three" if multimask else "single", image, xy, labels)
        return logits, iou

    def decode_best(self, image: ExportedImage, xy: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run the graph of the best mask."""
        logits, iou, choice = self._decode("best", image, xy, labels)
        return logits, iou, choice

    def _decode(self, which: Which, image: ExportedImage, xy: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        masks = () if image.masks is None else (image.masks,)
        kind = (which, bool(masks))
        if kind not in self._decoders:
            graph = self.artifacts.decoder_graph(which, with_masks=bool(masks))
            self._decoders[kind] = self.open(graph, self.artifacts.file(graph), None)
        return self._decoders[kind](image.features, xy.float(), labels.long(), *masks)
