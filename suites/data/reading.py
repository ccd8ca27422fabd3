"""How data are read, where more than one way makes sense: what of a protocol decides it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sambench.suites.protocol import Protocol


@dataclass(frozen=True)
class Reading:
    """The axes of `Protocol` that decide what a data set says, before any suite sees it."""

    orientation: Literal["stated_size", "exif", "stored"] = "stated_size"
    box_source: Literal["ann", "mask"] = "ann"
    void: Literal["ignore", "background"] = "ignore"

    @classmethod
    def of(cls, protocol: Protocol) -> Reading:
        """Return those of a protocol."""
        return cls(protocol.orientation, protocol.box_source, protocol.void)
