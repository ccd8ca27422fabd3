"""All that a process must know to create a model, as plain values that travel."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sambench.adapters.base import Given, Segmenter
from sambench.adapters.plugins import AdapterSpec, parse_adapter
from sambench.adapters.registry import add, create


@dataclass(frozen=True)
class ModelSpec:
    """One model, as one engine runs it in one precision on one device."""

    name: str
    weights: Given = field(default=None, hash=False)
    """A checkpoint's path, ``random``, or ``None`` for the registered file; or each part's of several."""
    device: str = "cpu"
    engine: str = "eager"
    precision: str = "fp32"
    adapter: AdapterSpec | None = None
    """Where the model is the user's own."""

    def create(self) -> Segmenter:
        """Create the segmenter, in any process (see `adapters.registry.create`)."""
        if self.adapter is not None:
            add(self.adapter)
        return create(
            self.name,
            weights=self.weights,
            device=self.device,
            engine=self.engine,
            precision=self.precision,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the specification as a plain dictionary."""
        found = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return found | {"adapter": self.adapter and self.adapter.to_json()}

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> ModelSpec:
        """Return the specification that `to_json` wrote."""
        adapter = content["adapter"] and parse_adapter(content["adapter"])
        return ModelSpec(**{**content, "adapter": adapter})
