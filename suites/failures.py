"""Why a piece of work failed, as plain values that travel from one process to another."""

from __future__ import annotations

import traceback
from dataclasses import dataclass, replace
from typing import Literal

from sambench.evsam.errors import NotApplicableError, SambenchError

LONGEST = 500  # characters of a reason that is not ours


Kind = Literal["not_applicable", "refused", "out_of_memory", "bug", "died"]
"""Nobody's; the user's to put right; the machine's; an error nobody foresaw; a process that just ended."""


@dataclass(frozen=True)
class Failure:
    """What ended a piece of work."""

    kind: Kind
    reason: str
    trace: str = ""
    """Of a bug, for its author."""

    def on_image(self, file_name: str) -> Failure:
        """Return the same with the image's name."""
        return replace(self, reason=f"image {file_name}: {self.reason}")

    @staticmethod
    def of(error: Exception) -> Failure:
        """Return the failure that an exception is."""
        if isinstance(error, SambenchError):
            kind: Kind = "not_applicable" if isinstance(error, NotApplicableError) else "refused"
            return Failure(kind, str(error))
        text = " ".join(str(error).split())
        named = f"{type(error).__name__}: {text}"[:LONGEST]
        if isinstance(error, MemoryError) or "OutOfMemory" in named or "can't allocate memory" in text:
            return Failure("out_of_memory", f"out of memory: {named}")
        return Failure("bug", named, "".join(traceback.format_exception(error)))
