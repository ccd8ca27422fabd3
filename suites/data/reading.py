"""How data are read, where more than one way makes sense: what of a protocol decides it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sambench.suites.protocol import Protocol


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

    def tolerated(self, *, box_prompts: bool) -> tuple[str, ...]:
        """Return the kinds of odd boxes that are no errors (`suites.data.checks.problems`).

        Args:
            box_prompts: whether annotated boxes are prompts. Where they are not, one beside its mask moves
                nothing but a detector's own AP; LVIS 0.5 has some, of images that were turned.
        """
        if self.box_source == "as_given":
            return ("box_corners", "box_elsewhere")
        return () if box_prompts else ("box_elsewhere",)
