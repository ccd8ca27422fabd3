"""One mask picture: from its pixels' values to objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sambench.evsam.size import Size
    from sambench.suites.data.annotations import AnnotationRecord
    from sambench.suites.data.masks import WindowMask


@dataclass(frozen=True)
class MaskPicture:
    """One picture, not yet read."""

    file: Path

    def read(self, size: Size) -> tuple[Sequence[AnnotationRecord], WindowMask | None]:
        """Return its objects as COCO's records, and the void pixels where there are such."""
        raise NotImplementedError
