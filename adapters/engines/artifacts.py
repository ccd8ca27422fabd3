"""The exported files of one segmenter, each made when it is first asked for and kept in the cache."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import torch
from torch import nn

from sambench import adapters, evsam
from sambench.adapters.engines.cache import Key, cached
from sambench.adapters.engines.calibrate import quantised
from sambench.adapters.engines.export import export, need_onnx
from sambench.adapters.engines.graphs import DecoderGraph, EncoderGraph, Graph, Types, Which
from sambench.adapters.families.sam import SamSegmenter
from sambench.adapters.version import version

EXPORTERS = ("torch", "onnx", "onnxscript")


class Artifacts:
    """ONNX files of a segmenter's encoder and decoders.

    Args:
        segmenter: whose model is cast in place to what is exported.
        types: what the graphs compute in.
        batch: of the encoder; ``None`` leaves it free.
        int8: whether the encoder is quantised (`adapters.engines.calibrate`).
    """

    def __init__(
        self, segmenter: SamSegmenter, types: Types, *, batch: int | None = None, int8: bool = False
    ) -> None:
        self.segmenter = segmenter
        self.types = types
        self.batch = batch
        self.int8 = int8
        self._sources = _digest(sorted(set(_sources(segmenter.model))))

    def encoder_graph(self) -> EncoderGraph:
        """The encoder, not exported yet."""
        return EncoderGraph(self.segmenter.model, self.types, self.batch)

    def decoder_graph(self, which: Which, *, with_masks: bool = False) -> DecoderGraph:
        """A decoder, not exported yet."""
        segmenter = self.segmenter
        most = segmenter.capabilities.max_points
        return DecoderGraph(
            segmenter.model, segmenter.position, self.types, which, with_masks=with_masks, most_points=most
        )

    def key(self, graph: Graph) -> Key:
        """All that decides a graph's file."""
        weights = self.segmenter.weights
        return {
            **_about(graph),
            "model": self.segmenter.name,
            "weights": weights.sha256 or f"{weights.source} {weights.seed}",
            "sources": self._sources,
            **{name: metadata.version(name) for name in EXPORTERS},
        }

    def file(self, graph: Graph) -> Path:
        """Return the ONNX file of a graph, made where the cache has none."""
        key = self.key(graph)
        folder = cached(
            f"onnx-{self.segmenter.name}-{graph.title}",
            key,
            lambda folder: self.export(graph, folder / "model.onnx"),
        )
        file = folder / "model.onnx"
        return quantised(self.segmenter, file) if self.int8 and isinstance(graph, EncoderGraph) else file

    def export(self, graph: Graph, file: Path) -> None:
        """Write the ONNX file of a graph, with what it is as metadata.

        Raises:
            SambenchError: the exporter is not installed, or cannot express the model.
        """
        need_onnx()
        facts = {**self.key(graph), "sambench": version()}
        export(graph, file, {f"sambench.{name}": str(value) for name, value in facts.items()})


def _about(graph: Graph) -> dict[str, object]:
    """What a graph is, apart from its weights."""
    inside = graph.types.encoder if isinstance(graph, EncoderGraph) else graph.types.decoder
    return {
        "graph": graph.title,
        "inputs": ", ".join(graph.inputs),
        "outputs": ", ".join(graph.outputs),
        "sizes": "; ".join(str(list(x.shape)) for x in graph.example()),
        "free": str(graph.free()),
        "types": f"{graph.title} {_named(inside)}, features {_named(graph.types.features)}",
    }


def _named(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _sources(model: nn.Module) -> Iterator[Path]:
    """The files that decide a graph: those of the network's classes, and all that ours can import."""
    here = Path(__file__).parent
    yield from (here / "graphs.py", here / "export.py")
    for package in (Path(evsam.__file__).parent, Path(adapters.__file__).parent / "modules"):
        yield from package.glob("*.py")
    for kind in {type(module) for module in model.modules()}:
        if kind.__module__.partition(".")[0] != "torch" and (file := inspect.getsourcefile(kind)):
            yield Path(file)


def _digest(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()
