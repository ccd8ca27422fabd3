"""Where the embedded data set lies, to name what draws it where it is not there."""

from __future__ import annotations

from pathlib import Path

FOLDER = "shapes"
"""In which ``configs/`` and the documentation have it, under ``data``."""


def how_to_get(images: Path) -> str:
    """Say what to do about an image folder that is not there.

    Args:
        images: the folder.
    """
    if images.parent.name == FOLDER:
        return f"'sambench data make shapes --out {images.parent}' draws it; --images names another."
    return "Give it with --images."
