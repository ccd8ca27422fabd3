"""What is shown: tables, figures and the report of a run. Needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sambench.reports.dataframes import Frames

__all__ = ["frames"]


def frames(*runs: str | Path, masks: bool = False) -> Frames:
    """Read one or several runs into pandas: ``results, records = frames("runs/coco")``.

    Args:
        runs: folders of runs, or their ``results.json``.
        masks: whether records have their masks, COCO's run lengths as JSON, which are most of their bytes.

    Returns:
        Two tidy tables, ``results`` and ``records``, whose columns docs/notebook.md describes.

    Raises:
        SambenchError: a run or its records cannot be read.
        MissingExtraError: the extra ``report`` is not installed.
    """
    from sambench.reports.dataframes import read_frames

    return read_frames(runs, masks=masks)
