"""What an image file says of itself before it is decoded: fast, and enough to plan with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from sambench.adapters.images.opening import LARGEST, opened
from sambench.adapters.images.orientation import SIDEWAYS, UPRIGHT, Orientation, tag_of
from sambench.evsam.errors import SambenchError
from sambench.evsam.size import Size

READING_BYTES = 10
"""Bytes of memory that a pixel takes at most while it is read: Pillow's 4, and 3 twice while it is copied."""

_WITH_FRAMES = ("GIF", "TIFF", "WEBP", "PNG", "AVIF")
"""Formats whose further pictures are frames or pages. The second one in a camera's JPEG is not."""
_NOT_A_PAGE = 1 | 4
"""Bits of TIFF's NewSubfileType (tag 254): a smaller copy, and a mask (TIFF 6.0, section 8)."""


@dataclass(frozen=True)
class Look:
    """What the header of an image file says."""

    stored: Size
    """(height, width) as it is stored, before it is turned."""
    tag: int
    """Its orientation by EXIF, 1 to 8; 1 where it has none."""
    format: str
    """As Pillow calls it: ``JPEG``, ``PNG``, ``TIFF``, ..."""
    mode: str
    """Pillow's: ``RGB``, ``L``, ``P``, ``I;16``, ``F``, ..."""
    bits: int
    """Of a pixel's channel, as it is stored."""
    frames: int = 1
    """Pictures in the file, without smaller copies; the first one is read."""

    @property
    def deep(self) -> bool:
        """Whether it has more than 8 bits, and is scaled by the range of its own values."""
        return self.bits > 8

    @property
    def turned(self) -> Size:
        """(height, width) after turning it as its tag says."""
        height, width = self.stored
        return (width, height) if self.tag in SIDEWAYS else self.stored

    @property
    def megapixels(self) -> float:
        """Millions of pixels."""
        return self.stored[0] * self.stored[1] / 1e6

    @property
    def memory(self) -> str:
        """What reading it takes, in words."""
        pixels = self.stored[0] * self.stored[1]
        return (
            f"{pixels * 3 / 1e9:.1f} GB of memory, and up to {pixels * READING_BYTES / 1e9:.1f} GB while read"
        )

    def ambiguous(self, stated: Size | None) -> bool:
        """Say whether it has a tag of which the stated size does not tell if annotators saw it turned."""
        return self.tag != UPRIGHT and (stated is None or stated == self.stored == self.turned)

    def applied(self, stated: Size | None, orientation: Orientation = "stated_size") -> int:
        """Return the orientation that an image is turned by: its own, or 1 to leave it as it is stored."""
        if orientation == "stored":
            return UPRIGHT
        if orientation == "stated_size" and stated == self.stored != self.turned:
            return UPRIGHT
        return self.tag

    def size(self, stated: Size | None, orientation: Orientation = "stated_size") -> Size:
        """Return (height, width) of the pixels that are read."""
        return self.turned if self.applied(stated, orientation) in SIDEWAYS else self.stored

    def refusal(self, stated: Size | None, orientation: Orientation = "stated_size") -> str | None:
        """Say why an image is not decoded, a sentence without its subject; ``None`` where it is.

        Args:
            stated: (height, width) as annotated. A size is what lets a very large image be decoded, so that
                one that is a bomb never is.
            orientation: the axis of the protocol.
        """
        height, width = self.stored
        if stated is None:
            if height * width <= LARGEST:
                return None
            return (
                f"is {width} x {height} pixels, {self.megapixels:.0f} megapixels, and takes {self.memory}. "
                f"More than {LARGEST / 1e6:.0f} megapixels are decoded only where the annotations state this "
                "width and height. State them, or take a smaller image."
            )
        read = self.size(stated, orientation)
        if read == stated or (orientation == "exif" and self.stored == stated):
            return (
                None  # the last is how Label Studio states a size: the stored one, beside turned annotations
            )
        if self.turned == stated:
            return (
                f"is stored as {width} x {height} pixels and turned by its EXIF orientation {self.tag}; its "
                f"annotations are for {stated[1]} x {stated[0]}, as it is shown. Set the protocol's axis "
                "orientation to stated_size or exif."
            )
        return (
            f"is {read[1]} x {read[0]} pixels, but its annotations are for {stated[1]} x {stated[0]}. "
            "Is --images the folder that belongs to --annotations?"
        )


def look(path: Path) -> Look:
    """Look at an image file without decoding it.

    Raises:
        SambenchError: missing, not an image, or damaged in what it says of itself.
    """
    try:
        with path.open("rb") as stream, opened(stream, str(path)) as image:
            found = look_at(image, stream)
            return replace(found, frames=_frames(image))
    except FileNotFoundError:
        raise SambenchError(f"{path}: no such image.") from None
    except (OSError, ValueError) as error:
        raise SambenchError(f"{path}: cannot be read ({error}).") from None


def look_at(image: Image.Image, stream: BinaryIO) -> Look:
    """Look at an image that is opened and not yet decoded; its frames are not counted.

    Args:
        image: opened.
        stream: with its file.
    """
    width, height = image.size
    if image.format == "TIFF":  # of which Pillow says the size that it will have when it is turned
        width, height = (int(image.tag_v2[tag]) for tag in (256, 257))  # type: ignore[attr-defined]
    return Look((height, width), tag_of(image, stream), image.format or "", image.mode, _bits(image))


def raw_mode(image: Image.Image) -> str:
    """Return how Pillow unpacks the file's bytes, where it says so: ``RGB;16B``, ``I;12``, ..."""
    for tile in getattr(image, "tile", []):
        args = tile[3]
        first = args[0] if isinstance(args, tuple) and args else args
        if isinstance(first, str):
            return first
    return ""


def _bits(image: Image.Image) -> int:
    raw = raw_mode(image)
    if image.mode.startswith("I;16") or ";16" in raw:
        return 16
    if image.mode in ("I", "F"):
        return 32
    return 1 if image.mode == "1" else 8


def _frames(image: Image.Image) -> int:
    if image.format not in _WITH_FRAMES:
        return 1
    frames = int(getattr(image, "n_frames", 1))
    if image.format != "TIFF" or frames == 1:
        return frames
    kinds = []
    for frame in range(frames):
        image.seek(frame)
        kinds.append(int(image.tag_v2.get(254, 0)))  # type: ignore[attr-defined]
    return max(1, sum(not kind & _NOT_A_PAGE for kind in kinds))
