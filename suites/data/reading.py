"""How data are read, where more than one way makes sense: what of a protocol decides it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sambench.suites.data.checks.kinds import BOXES
from sambench.suites.protocol import Protocol

BoxUse = Literal["prompts", "scored", "unused"]
"""What annotated boxes are for: prompts, a detector's own AP, or nothing."""


@dataclass(frozen=True)
class Reading:
    """The axes of `Protocol` that decide what a data set says, before any suite sees it."""

    orientation: Literal["stated_size", "exif", "stored"] = "stated_size"
    box_source: Literal["ann", "as_given", "mask"] = "ann"
    void: Literal["ignore", "background"] = "ignore"

    @classmethod
    def of(cls, protocol: Protocol) -> Reading:
        """Return those of a protocol."""
        return cls(protocol.orientation, protocol.box_source, protocol.void)

    def tolerated(self, boxes: BoxUse) -> tuple[str, ...]:
        """Return the kinds of odd boxes that are no errors (`suites.data.checks.problems`).

        Args:
            boxes: what annotated boxes are used for. Where a detector's AP is all, one beside its mask is
                one of many; LVIS 0.5 has some, of images that were turned.
        """
        if boxes == "unused":
            return BOXES
        if self.box_source == "as_given":
            return ("box_corners", "box_elsewhere", "boxes_of_another_kind")
        return () if boxes == "prompts" else ("box_elsewhere",)
