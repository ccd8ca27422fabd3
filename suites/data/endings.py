"""The endings of files that are images."""

from __future__ import annotations

from functools import cache


@cache
def image_endings() -> frozenset[str]:
    """Return the endings of the kinds of files that Pillow opens, in small letters, with their dot."""
    from PIL import Image

    Image.init()
    return frozenset(end for end, kind in Image.registered_extensions().items() if kind in Image.OPEN)
