"""Where training gets its images and masks, one module a layout, and how one is opened by its settings."""

from __future__ import annotations

from sambench.evsam.errors import SambenchError
from sambench.harness.train.config import Data
from sambench.harness.train.sources.base import Source

__all__ = ["Source", "open_source"]


def open_source(data: Data) -> Source:
    """Open what settings name.

    Raises:
        SambenchError: files are missing or damaged, or the settings do not fit the layout.
    """
    if data.format == "shapes":
        from sambench.harness.train.sources.shapes import Shapes

        return Shapes(data.seed, data.images_drawn)
    if data.format == "coco":
        from sambench.harness.train.sources.coco import Coco

        return Coco(data)
    if data.format == "masks":
        from sambench.harness.train.sources.pictures import Pictures

        return Pictures(data)
    if data.format == "sa1b":
        from sambench.harness.train.sources.sa1b import open_sa1b

        return open_sa1b(data)
    raise SambenchError(f"data: no format {data.format!r}.")
